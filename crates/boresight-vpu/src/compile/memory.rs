//! Who lies where in the device's memory: the compiler's allocator, run over the stages in their order.

use super::graph::{Cores, StageId, ValueId};
use super::needs::{Buffer, Needs};
use super::pool::{Pool, Span};
use crate::Device;

/// How much there is.
#[derive(Clone, Copy, Debug, Default)]
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
            Cores::None => return Some(self.bytes),
            Cores::Two | Cores::Limited => 1,
            Cores::All => self.shaves,
        };
        self.bytes.checked_sub(least * self.slice)
    }
}

/// A buffer that lies in a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) buffer: ValueId,
    /// How often it is still to be read.
    left: u32,
    span: Span,
}

/// One kind of memory while stages run.
///
/// Few buffers lie there at once, so that a list of them is copied and compared faster than a table of all.
#[derive(Debug, Default)]
pub(crate) struct Bank {
    pub(crate) pool: Pool,
    pub(crate) held: Vec<Held>,
}

impl Bank {
    pub(crate) fn clear(&mut self) {
        self.pool.clear();
        self.held.clear();
    }

    fn find(&self, buffer: ValueId) -> Option<usize> {
        self.held.iter().position(|held| held.buffer == buffer)
    }

    /// Gives a buffer its place, if it has none; none where there is no room.
    fn allocate(&mut self, buffer: ValueId, asked: Buffer, limit: usize) -> Option<()> {
        if self.find(buffer).is_none() {
            let span = self.pool.allocate(asked.bytes, limit)?;
            self.held.push(Held { buffer, left: asked.reads, span });
        }
        Some(())
    }

    /// Counts a reading, and takes the buffer away after the last one.
    fn release(&mut self, buffer: ValueId) {
        let Some(at) = self.find(buffer) else { return };
        self.held[at].left -= 1;
        if self.held[at].left == 0 {
            let held = self.held.remove(at);
            self.pool.free(held.span);
        }
    }

    /// Gives a stage its results and cores, and takes away what is read no more, where this is on-chip memory. Returns
    /// how far it is in use while the stage runs, or none where there is no room or there are too few cores.
    ///
    /// External memory has no end, so it decides nothing.
    pub(crate) fn step(&mut self, needs: &Needs, stage: StageId, room: Room) -> Option<usize> {
        let cores = needs.cores(stage);
        let left = room.beside(cores)?;
        // A stage that wants all cores has them before its results have a place, others take what is left.
        let limit = if cores == Cores::All { left } else { room.bytes };
        if self.pool.end > limit {
            return None;
        }
        for &value in needs.writes(stage) {
            let buffer = needs.buffer(value);
            if buffer.on_chip {
                self.allocate(value, buffer, limit)?;
            }
        }
        let end = self.pool.end;
        if end > left {
            return None;
        }
        for &value in needs.reads(stage) {
            if needs.buffer(value).on_chip {
                self.release(value);
            }
        }
        Some(end)
    }

    /// The same where this is external memory.
    fn step_outside(&mut self, needs: &Needs, stage: StageId) -> Option<()> {
        for &value in needs.writes(stage) {
            let buffer = needs.buffer(value);
            if !buffer.on_chip {
                self.allocate(value, buffer, usize::MAX)?;
            }
        }
        for &value in needs.reads(stage) {
            if !needs.buffer(value).on_chip {
                self.release(value);
            }
        }
        Some(())
    }
}

/// What one inference reaches of all memory, in bytes.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) on_chip_peak: usize,
    external: Bank,
}

impl Memory {
    /// Takes everything away.
    pub(crate) fn clear(&mut self) {
        self.on_chip_peak = 0;
        self.external.clear();
    }

    /// Bytes of external memory that were reached.
    pub(crate) const fn external_peak(&self) -> usize {
        self.external.pool.peak
    }

    /// Counts a stage that runs while on-chip memory is in use up to `used`; none where there is no room.
    pub(crate) fn step(&mut self, needs: &Needs, stage: StageId, used: usize) -> Option<()> {
        self.on_chip_peak = self.on_chip_peak.max(used);
        self.external.step_outside(needs, stage)
    }
}
