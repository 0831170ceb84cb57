//! What stages ask of the memory.

use super::graph::{Cores, Graph, StageId, Usage, ValueId, index};

/// A stage as the allocator sees it: the buffers in the device's memory that it writes and reads.
#[derive(Clone, Copy, Debug)]
struct Step {
    cores: Cores,
    /// In [`Needs::ids`], where what it writes begins, where what it reads does, and where that ends.
    bounds: [u32; 3],
}

/// A buffer as the allocator sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) bytes: usize,
    /// How often stages read it.
    pub(crate) reads: u32,
    pub(crate) on_chip: bool,
}

/// What all stages ask of the memory.
#[derive(Debug, Default)]
pub(crate) struct Needs {
    steps: Vec<Step>,
    /// Buffers that stages write and read, those of one stage after each other.
    ids: Vec<ValueId>,
    /// For each value its buffer; that of a part of another value is not used.
    buffers: Vec<Buffer>,
}

impl Needs {
    /// Looks at every stage and value.
    pub(crate) fn look(&mut self, graph: &Graph) {
        self.steps.clear();
        self.ids.clear();
        self.buffers.clear();
        self.buffers.extend(graph.values.iter().map(|map| Buffer {
            bytes: map.bytes(),
            reads: 0,
            on_chip: map.on_chip,
        }));
        for stage in 0..index(graph.stages.len()) {
            self.look_at(graph, stage);
        }
    }

    /// Looks again at one stage whose inputs or outputs changed, or that is new and the last of all.
    pub(crate) fn look_at(&mut self, graph: &Graph, id: StageId) {
        let (at, stage) = (id as usize, graph.at(id));
        if at < self.steps.len() {
            for read in self.range(id, 1) {
                self.buffers[self.ids[read] as usize].reads -= 1;
            }
        }
        let start = index(self.ids.len());
        let mut step = Step { cores: Cores::None, bounds: [start; 3] };
        if !stage.removed {
            step.cores = stage.kind.cores();
            if let Some(injected) = stage.injected {
                step.cores = step.cores.max(graph.at(injected).kind.cores());
            }
            step.bounds[1] = self.list(graph, &stage.outputs);
            step.bounds[2] = self.list(graph, &stage.inputs);
            for &buffer in &self.ids[step.bounds[1] as usize..] {
                self.buffers[buffer as usize].reads += 1;
            }
        }
        match self.steps.get_mut(at) {
            Some(known) => *known = step,
            None => self.steps.push(step),
        }
    }

    /// Adds the buffers of these values that lie in the device's memory; where the list ends then.
    fn list(&mut self, graph: &Graph, values: &[ValueId]) -> u32 {
        for &value in values {
            let top = graph.top(value);
            if graph.of(top).usage == Usage::Intermediate {
                self.ids.push(top);
            }
        }
        index(self.ids.len())
    }

    fn range(&self, stage: StageId, part: usize) -> std::ops::Range<usize> {
        let bounds = self.steps[stage as usize].bounds;
        bounds[part] as usize..bounds[part + 1] as usize
    }

    /// Wants the buffer of `top` on chip or not.
    pub(crate) fn place(&mut self, top: ValueId, on_chip: bool) {
        self.buffers[top as usize].on_chip = on_chip;
    }

    pub(crate) fn buffer(&self, value: ValueId) -> Buffer {
        self.buffers[value as usize]
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
}
