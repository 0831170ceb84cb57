//! Who lies where in the device's memory: the compiler's allocator, run over the stages in their order.

use super::graph::{Cores, Graph, Ids, StageId, Usage, ValueId, index};
use super::pool::{Pool, Span};
use crate::Device;

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

    /// Vector cores that are free while on-chip memory is in use up to `end`: each works in a slice of its own.
    pub(crate) fn cores(&self, end: usize) -> usize {
        self.slices.saturating_sub(end.div_ceil(self.slice)).min(self.shaves)
    }

    /// On-chip memory that may be in use while a stage runs that wants `cores`.
    fn beside(&self, cores: Cores) -> Option<usize> {
        let least = match cores {
            Cores::None => 0,
            Cores::Two | Cores::Limited => 1,
            Cores::All => self.shaves,
        };
        self.bytes.checked_sub(least * self.slice)
    }
}

/// What of the memory is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    OnChip,
    Everything,
}

/// A stage as the allocator sees it: the buffers in the device's memory that it writes and reads.
#[derive(Clone, Debug)]
struct Step {
    cores: Cores,
    writes: Ids,
    reads: Ids,
}

/// A buffer as the allocator sees it.
#[derive(Clone, Copy, Debug, Default)]
struct Buffer {
    bytes: usize,
    /// How often stages read it.
    reads: u32,
    on_chip: bool,
}

/// What all stages ask of the memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    steps: Vec<Step>,
    /// For each value its buffer; that of a part of another value is not used.
    buffers: Vec<Buffer>,
}

impl Needs {
    /// Looks at every stage and value.
    pub(crate) fn look(&mut self, graph: &Graph) {
        self.steps.clear();
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
        let at = id as usize;
        if at == self.steps.len() {
            self.steps.push(Step { cores: Cores::None, writes: Ids::new(), reads: Ids::new() });
        }
        let (step, stage) = (&mut self.steps[at], graph.at(id));
        for &buffer in &step.reads {
            self.buffers[buffer as usize].reads -= 1;
        }
        step.reads.clear();
        step.writes.clear();
        if stage.removed {
            return;
        }
        step.cores = stage.kind.cores();
        if let Some(injected) = stage.injected {
            step.cores = step.cores.max(graph.at(injected).kind.cores());
        }
        let buffer = |&value: &ValueId| {
            let top = graph.top(value);
            (graph.of(top).usage == Usage::Intermediate).then_some(top)
        };
        step.writes.extend(stage.outputs.iter().filter_map(buffer));
        step.reads.extend(stage.inputs.iter().filter_map(buffer));
        for &buffer in &step.reads {
            self.buffers[buffer as usize].reads += 1;
        }
    }

    /// Wants the buffer of `top` on chip or not.
    pub(crate) fn place(&mut self, top: ValueId, on_chip: bool) {
        self.buffers[top as usize].on_chip = on_chip;
    }

    /// The cores that `stage` wants.
    pub(crate) fn cores(&self, stage: StageId) -> Cores {
        self.steps[stage as usize].cores
    }

    /// Buffers that `stage` writes.
    pub(crate) fn writes(&self, stage: StageId) -> &[ValueId] {
        &self.steps[stage as usize].writes
    }
}

/// The memory while stages run: what lies where.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    on_chip: Pool,
    external: Pool,
    /// For each buffer that is there, where, and how often it is still to be read.
    held: Vec<Option<(Span, u32)>>,
}

impl Clone for Memory {
    fn clone(&self) -> Self {
        Self { on_chip: self.on_chip.clone(), external: self.external.clone(), held: self.held.clone() }
    }

    fn clone_from(&mut self, other: &Self) {
        self.on_chip.clone_from(&other.on_chip);
        self.external.clone_from(&other.external);
        self.held.clone_from(&other.held);
    }
}

impl Memory {
    /// Takes everything away.
    pub(crate) fn clear(&mut self, needs: &Needs) {
        self.on_chip.clear();
        self.external.clear();
        self.held.clear();
        self.held.resize(needs.buffers.len(), None);
    }

    /// Buffers that lie in on-chip memory now.
    pub(crate) fn resident(&self, needs: &Needs) -> impl Iterator<Item = ValueId> {
        let held = self.held.iter().zip(&needs.buffers).enumerate();
        held.filter(|(_, (held, buffer))| held.is_some() && buffer.on_chip).map(|(at, _)| index(at))
    }

    /// Bytes of on-chip memory that were reached.
    pub(crate) const fn on_chip_peak(&self) -> usize {
        self.on_chip.peak
    }

    /// Bytes of external memory that were reached.
    pub(crate) const fn external_peak(&self) -> usize {
        self.external.peak
    }

    /// Gives each of these stages its results and cores, in order, and takes away what is read no more.
    ///
    /// # Errors
    /// The stage for which there was no room, or too few cores.
    pub(crate) fn run(
        &mut self,
        needs: &Needs,
        order: &[StageId],
        room: Room,
        extent: Extent,
    ) -> Result<(), StageId> {
        order.iter().try_for_each(|&stage| self.step(needs, stage, room, extent).map(drop).ok_or(stage))
    }

    /// The same for one stage: how far on-chip memory is in use while it runs, or none where there is no room.
    pub(crate) fn step(
        &mut self,
        needs: &Needs,
        stage: StageId,
        room: Room,
        extent: Extent,
    ) -> Option<usize> {
        let step = &needs.steps[stage as usize];
        let left = room.beside(step.cores)?;
        // A stage that wants all cores has them before its results have a place, others take what is left.
        let limit = if step.cores == Cores::All { left } else { room.bytes };
        if self.on_chip.end > limit {
            return None;
        }
        for &buffer in &step.writes {
            self.allocate(needs, buffer, limit, extent)?;
        }
        let end = self.on_chip.end;
        if end > left {
            return None;
        }
        for &buffer in &step.reads {
            self.release(needs, buffer);
        }
        Some(end)
    }

    fn allocate(&mut self, needs: &Needs, value: ValueId, limit: usize, extent: Extent) -> Option<()> {
        let buffer = needs.buffers[value as usize];
        if (extent == Extent::OnChip && !buffer.on_chip) || self.held[value as usize].is_some() {
            return Some(());
        }
        let span = if buffer.on_chip {
            self.on_chip.allocate(buffer.bytes, limit)?
        } else {
            self.external.allocate(buffer.bytes, usize::MAX)?
        };
        self.held[value as usize] = Some((span, buffer.reads));
        Some(())
    }

    fn release(&mut self, needs: &Needs, value: ValueId) {
        let Some((span, left)) = &mut self.held[value as usize] else { return };
        *left -= 1;
        if *left == 0 {
            let pool =
                if needs.buffers[value as usize].on_chip { &mut self.on_chip } else { &mut self.external };
            pool.free(*span);
            self.held[value as usize] = None;
        }
    }
}
