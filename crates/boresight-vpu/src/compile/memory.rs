//! Who lies where in the device's memory: the compiler's allocator, run over the stages in their order.

use super::graph::{Cores, Graph, StageId, Usage, ValueId, index};
use crate::Device;

/// A buffer or a hole.
#[derive(Clone, Copy, Debug)]
struct Span {
    offset: usize,
    size: usize,
}

/// One kind of memory.
#[derive(Clone, Debug, Default)]
struct Pool {
    holes: Vec<Span>,
    end: usize,
    peak: usize,
}

impl Pool {
    fn clear(&mut self) {
        self.holes.clear();
        (self.end, self.peak) = (0, 0);
    }

    /// The end of the smallest hole that is large enough, else the end of the pool if `free` bytes allow it.
    fn allocate(&mut self, size: usize, free: impl Fn(usize) -> usize) -> Option<Span> {
        let best = self.holes.iter().enumerate().filter(|(_, hole)| hole.size >= size);
        if let Some((at, _)) = best.min_by_key(|(_, hole)| hole.size) {
            let hole = &mut self.holes[at];
            hole.size -= size;
            let found = Span { offset: hole.offset + hole.size, size };
            if hole.size == 0 {
                self.holes.remove(at);
            }
            self.peak = self.peak.max(found.offset + size);
            return Some(found);
        }
        if size == 0 || size > free(self.end) {
            return None;
        }
        let found = Span { offset: self.end, size };
        self.end += size;
        self.peak = self.peak.max(self.end);
        Some(found)
    }

    fn free(&mut self, mut span: Span) {
        while let Some(at) = self
            .holes
            .iter()
            .position(|hole| span.offset + span.size == hole.offset || hole.offset + hole.size == span.offset)
        {
            let hole = self.holes.remove(at);
            span.offset = span.offset.min(hole.offset);
            span.size += hole.size;
        }
        if span.offset + span.size == self.end {
            self.end = span.offset;
        } else {
            self.holes.push(span);
        }
    }
}

/// Why an allocation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The stage for which there was no room.
    pub(crate) stage: StageId,
    /// The result that did not fit; none where vector cores were missing.
    pub(crate) value: Option<ValueId>,
}

/// What of the memory is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    OnChip,
    Everything,
}

/// What the allocator asks of a value.
#[derive(Clone, Copy, Debug)]
struct Fact {
    top: ValueId,
    /// Of the top: whether the device holds its buffer, and of how many bytes.
    internal: bool,
    bytes: usize,
    /// How often a top and its parts are read.
    uses: u32,
    /// The value's own, not its top's.
    on_chip: bool,
}

/// The allocator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    on_chip: Pool,
    external: Pool,
    /// For each value with a buffer, the buffer and how often it is still to be read.
    buffers: Vec<Option<(Span, u32)>>,
    facts: Vec<Fact>,
    /// Vector cores of each stage after a run.
    pub(crate) cores: Vec<u32>,
}

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) slice: usize,
    pub(crate) slices: usize,
    pub(crate) shaves: usize,
}

impl Room {
    pub(crate) const fn of(device: &Device) -> Self {
        let (resources, cmx) = (device.resources(), device.description().cmx);
        Self {
            bytes: resources.cmx_slices * cmx.slice_bytes,
            slice: cmx.slice_bytes,
            slices: resources.cmx_slices,
            shaves: resources.shaves as usize,
        }
    }
}

impl Memory {
    /// Bytes of on-chip memory that the last run reached.
    pub(crate) const fn on_chip_peak(&self) -> usize {
        self.on_chip.peak
    }

    /// Bytes of external memory that the last run reached.
    pub(crate) const fn external_peak(&self) -> usize {
        self.external.peak
    }

    /// Looks at all values; to be done before a run whenever one was added, read by more or fewer stages or made a part.
    pub(crate) fn look(&mut self, graph: &Graph) {
        self.facts.clear();
        self.facts.extend((0..graph.values.len()).map(|at| {
            let top = graph.top(index(at));
            let map = graph.of(top);
            let internal = map.usage == Usage::Intermediate;
            Fact { top, internal, bytes: map.bytes(), uses: 0, on_chip: graph.values[at].on_chip }
        }));
        for (at, value) in graph.values.iter().enumerate() {
            let top = self.facts[at].top as usize;
            let reads = u32::try_from(value.consumers.len()).unwrap_or(u32::MAX);
            self.facts[top].uses = self.facts[top].uses.saturating_add(reads);
        }
    }

    /// Looks only at where values shall be.
    pub(crate) fn look_at_places(&mut self, graph: &Graph) {
        for (fact, value) in self.facts.iter_mut().zip(&graph.values) {
            fact.on_chip = value.on_chip;
        }
    }

    /// Gives every stage its results and cores, in order, and takes away what is read no more.
    pub(crate) fn run(
        &mut self,
        graph: &Graph,
        order: &[StageId],
        room: Room,
        extent: Extent,
    ) -> Result<(), Failure> {
        self.on_chip.clear();
        self.external.clear();
        self.buffers.clear();
        self.buffers.resize(graph.values.len(), None);
        self.cores.clear();
        self.cores.resize(graph.stages.len(), 0);
        for &id in order {
            let stage = graph.at(id);
            let mut wanted = stage.kind.cores();
            if let Some(injected) = stage.injected {
                wanted = wanted.max(graph.at(injected).kind.cores());
            }
            let mut locked = 0;
            if wanted == Cores::All {
                locked = self.cores_for(graph, id, wanted, room).ok_or(Failure { stage: id, value: None })?;
            }
            for &output in &stage.outputs {
                if extent == Extent::OnChip && !self.facts[output as usize].on_chip {
                    continue;
                }
                self.allocate(output, room, locked).ok_or(Failure { stage: id, value: Some(output) })?;
            }
            if wanted != Cores::All {
                locked = self.cores_for(graph, id, wanted, room).ok_or(Failure { stage: id, value: None })?;
            }
            self.cores[id as usize] = u32::try_from(locked).unwrap_or(0);
            for &input in &stage.inputs {
                if extent == Extent::Everything || self.facts[input as usize].on_chip {
                    self.release(input);
                }
            }
        }
        Ok(())
    }

    /// Whether values that lie in on-chip memory now are there.
    pub(crate) fn resident<'a>(&'a self, graph: &'a Graph) -> impl Iterator<Item = ValueId> + 'a {
        let held =
            self.buffers.iter().enumerate().filter(|(at, held)| held.is_some() && graph.values[*at].on_chip);
        held.filter_map(|(at, _)| u32::try_from(at).ok())
    }

    /// The cores that a stage gets; `None` where there are too few.
    fn cores_for(&self, graph: &Graph, id: StageId, wanted: Cores, room: Room) -> Option<usize> {
        if wanted == Cores::None {
            return Some(0);
        }
        let used = self.on_chip.end.div_ceil(room.slice);
        let available = room.slices.saturating_sub(used).min(room.shaves);
        if available == 0 || (wanted == Cores::All && available < room.shaves) {
            return None;
        }
        let beside = || {
            let stage = graph.at(id);
            let is_nce = |stage: StageId| graph.at(stage).kind.is_nce();
            let before = stage.inputs.iter().filter_map(|&input| graph.of(input).producer).any(is_nce);
            let after = || {
                let mut readers = stage.outputs.iter().flat_map(|&output| &graph.of(output).consumers);
                readers.any(|&reader| is_nce(reader))
            };
            stage.kind.is_nce() || before || after()
        };
        match wanted {
            Cores::Two => Some(available.min(2)),
            Cores::Limited if beside() => Some(available.min(2)),
            _ => Some(available),
        }
    }

    fn allocate(&mut self, value: ValueId, room: Room, locked: usize) -> Option<()> {
        let top = self.facts[value as usize].top as usize;
        let fact = self.facts[top];
        if !fact.internal {
            return (!fact.on_chip).then_some(());
        }
        if self.buffers[top].is_some() {
            return Some(());
        }
        let span = if fact.on_chip {
            self.on_chip.allocate(fact.bytes, |end| room.bytes.saturating_sub(locked * room.slice + end))?
        } else {
            self.external.allocate(fact.bytes, |_| usize::MAX)?
        };
        self.buffers[top] = Some((span, fact.uses));
        Some(())
    }

    fn release(&mut self, value: ValueId) {
        let top = self.facts[value as usize].top as usize;
        let Some((span, left)) = &mut self.buffers[top] else { return };
        *left -= 1;
        if *left == 0 {
            let span = *span;
            self.buffers[top] = None;
            if self.facts[top].on_chip { self.on_chip.free(span) } else { self.external.free(span) }
        }
    }
}
