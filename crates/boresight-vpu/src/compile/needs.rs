//! What stages ask of the memory, and when.

use super::graph::{Cores, Graph, Stage, StageId, Usage, ValueId, index};
use super::memory::BLOCK_BYTES;

/// A place in the order of execution that there is not.
const NEVER: u32 = u32::MAX;

/// A stage as the allocator sees it: the buffers in the device's memory that it writes and reads.
#[derive(Clone, Copy, Debug)]
struct Step {
    cores: Cores,
    /// In [`Needs::ids`], where what it writes begins, where what it reads does, and where that ends.
    bounds: [u32; 3],
}

impl Step {
    /// What a stage asks; the buffers are added to `ids`.
    fn of(graph: &Graph, stage: &Stage, ids: &mut Vec<ValueId>) -> Self {
        let start = ids.len();
        if stage.removed {
            return Self { cores: Cores::None, bounds: [index(start); 3] };
        }
        let beside = stage.injected.map_or(Cores::None, |injected| graph.at(injected).kind.cores());
        list(graph, &stage.outputs, ids, true);
        let middle = ids.len();
        list(graph, &stage.inputs, ids, false);
        let bounds = [start, middle, ids.len()].map(index);
        Self { cores: stage.kind.cores().max(beside), bounds }
    }
}

/// Adds the buffers of these values that lie in the device's memory to `ids`, each once: where the first of its parts is
/// written, or where the last is read.
fn list(graph: &Graph, values: &[ValueId], ids: &mut Vec<ValueId>, writes: bool) {
    let start = ids.len();
    for &value in values {
        let top = graph.top(value);
        if graph.of(top).usage != Usage::Intermediate {
            continue;
        }
        // Nearly always there is one.
        if values.len() > 1
            && let Some(at) = ids[start..].iter().position(|&id| id == top)
        {
            if writes {
                continue;
            }
            ids.remove(start + at);
        }
        ids.push(top);
    }
}

/// A buffer as the allocator sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) blocks: u32,
    pub(crate) on_chip: bool,
    pub(crate) life: Life,
}

/// From where to where in the order of execution a buffer is needed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Life {
    /// The first place at which it is written.
    pub(crate) first: u32,
    /// The last place at which it is read; it is never written later.
    pub(crate) last: u32,
}

impl Life {
    const NONE: Self = Self { first: NEVER, last: NEVER };

    /// Whether it is over after this place.
    pub(crate) const fn ends_at(self, place: u32) -> bool {
        self.last == place && self.first <= place
    }

    /// The same if it were read at this place too.
    pub(crate) fn read_at(self, place: usize) -> Self {
        let last = if self.last == NEVER { index(place) } else { self.last.max(index(place)) };
        Self { last, ..self }
    }

    /// The same if it were written at this place too.
    pub(crate) fn written_at(self, place: usize) -> Self {
        Self { first: self.first.min(index(place)), ..self }
    }
}

/// What all stages ask of the memory.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    steps: Vec<Step>,
    /// Buffers that stages write and read, those of one stage after each other.
    ids: Vec<ValueId>,
    /// For each value its buffer; that of a part of another value is not used.
    buffers: Vec<Buffer>,
    /// Where in the order of execution each stage is.
    places: Vec<u32>,
}

impl Needs {
    /// Looks at every stage and value.
    pub(crate) fn look(&mut self, graph: &Graph) {
        self.steps.clear();
        self.ids.clear();
        self.buffers.clear();
        self.look_at_new_values(graph);
        let Self { steps, ids, .. } = self;
        steps.extend(graph.stages.iter().map(|stage| Step::of(graph, stage, ids)));
    }

    /// Looks at values that are new and the last of all.
    pub(crate) fn look_at_new_values(&mut self, graph: &Graph) {
        let known = self.buffers.len();
        self.buffers.extend(graph.values[known..].iter().map(|map| Buffer {
            blocks: index(map.bytes() / BLOCK_BYTES),
            on_chip: map.on_chip,
            life: Life::NONE,
        }));
    }

    /// Looks again at one stage whose inputs or outputs changed, or that is new and the last of all.
    pub(crate) fn look_at(&mut self, graph: &Graph, id: StageId) {
        let step = Step::of(graph, graph.at(id), &mut self.ids);
        match self.steps.get_mut(id as usize) {
            Some(known) => *known = step,
            None => self.steps.push(step),
        }
    }

    /// Looks where in `order` stages are and buffers are needed.
    pub(crate) fn time(&mut self, order: &[StageId]) {
        let Self { steps, ids, buffers, places } = self;
        for buffer in &mut *buffers {
            buffer.life = Life::NONE;
        }
        places.resize(steps.len(), 0);
        for (at, &stage) in order.iter().enumerate() {
            let at = index(at);
            places[stage as usize] = at;
            let [writes, reads, end] = steps[stage as usize].bounds.map(|bound| bound as usize);
            for &buffer in &ids[writes..reads] {
                let life = &mut buffers[buffer as usize].life;
                life.first = life.first.min(at);
            }
            for &buffer in &ids[reads..end] {
                buffers[buffer as usize].life.last = at;
            }
        }
    }

    /// Where a stage is.
    pub(crate) fn place_of(&self, stage: StageId) -> usize {
        self.places[stage as usize] as usize
    }

    /// Puts a stage at a place.
    pub(crate) fn put(&mut self, stage: StageId, place: usize) {
        self.places.resize(self.steps.len(), 0);
        self.places[stage as usize] = index(place);
    }

    fn range(&self, stage: StageId, part: usize) -> std::ops::Range<usize> {
        let bounds = self.steps[stage as usize].bounds;
        bounds[part] as usize..bounds[part + 1] as usize
    }

    /// Wants the buffer of `top` on chip or not.
    pub(crate) fn place(&mut self, top: ValueId, on_chip: bool) {
        self.buffers[top as usize].on_chip = on_chip;
    }

    pub(crate) fn buffer(&self, value: ValueId) -> &Buffer {
        &self.buffers[value as usize]
    }

    /// Says when a buffer is needed.
    pub(crate) fn set_life(&mut self, value: ValueId, life: Life) {
        self.buffers[value as usize].life = life;
    }

    pub(crate) fn buffer_count(&self) -> usize {
        self.buffers.len()
    }

    /// The cores that `stage` wants.
    pub(crate) fn cores(&self, stage: StageId) -> Cores {
        self.steps[stage as usize].cores
    }

    /// Buffers that `stage` writes.
    pub(crate) fn writes(&self, stage: StageId) -> &[ValueId] {
        &self.ids[self.range(stage, 0)]
    }

    /// Buffers that `stage` reads.
    pub(crate) fn reads(&self, stage: StageId) -> &[ValueId] {
        &self.ids[self.range(stage, 1)]
    }

    /// Buffers that `stage` writes, and those that it reads.
    pub(crate) fn of(&self, stage: StageId) -> (&[ValueId], &[ValueId]) {
        let [start, middle, end] = self.steps[stage as usize].bounds.map(|bound| bound as usize);
        self.ids[start..end].split_at(middle - start)
    }
}
