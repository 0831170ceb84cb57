//! Who lies where in the device's memory: the compiler's allocator, run over the stages in their order.

use super::graph::{Cores, StageId, index};
use super::needs::Needs;
use super::pool::{Pool, Span};
use crate::Device;

/// Bytes of a block; buffers start at multiples of it and are multiples of it long.
pub(crate) const BLOCK_BYTES: usize = 64;

/// How much there is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Room {
    /// Blocks of on-chip memory.
    pub(crate) blocks: u32,
    /// Blocks that are left to a stage that wants some vector cores, and to one that wants all; none where there are not
    /// that many.
    beside: [Option<u32>; 2],
    /// Bytes of a slice.
    slice: usize,
    slices: usize,
    shaves: usize,
}

impl Room {
    pub(crate) fn of(device: &Device) -> Self {
        let (resources, cmx) = (device.resources(), device.description().cmx);
        let (slice, slices, shaves) = (cmx.slice_bytes, resources.cmx_slices, resources.shaves as usize);
        let beside = |cores| slices.checked_sub(cores).map(|slices| whole_blocks(slices * slice));
        Self {
            blocks: whole_blocks(slices * slice),
            beside: [beside(1), beside(shaves)],
            slice,
            slices,
            shaves,
        }
    }

    /// Vector cores that are free while on-chip memory is in use up to block `end`: each works in a slice of its own.
    pub(crate) fn cores(&self, end: u32) -> usize {
        self.slices.saturating_sub((end as usize * BLOCK_BYTES).div_ceil(self.slice)).min(self.shaves)
    }

    /// Blocks of on-chip memory that may be in use while a stage runs that wants `cores`.
    pub(crate) const fn beside(&self, cores: Cores) -> Option<u32> {
        match cores {
            Cores::None => Some(self.blocks),
            Cores::Two | Cores::Limited => self.beside[0],
            Cores::All => self.beside[1],
        }
    }
}

/// Blocks that so many bytes have room for.
fn whole_blocks(bytes: usize) -> u32 {
    index(bytes / BLOCK_BYTES)
}

/// What one inference reaches of all memory.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    on_chip_peak: u32,
    external: Pool,
    external_peak: u32,
    /// Where buffers are in external memory.
    spans: Vec<Span>,
}

impl Memory {
    /// Takes everything away.
    pub(crate) fn clear(&mut self, buffers: usize) {
        (self.on_chip_peak, self.external_peak) = (0, 0);
        self.external.clear();
        self.spans.clear();
        self.spans.resize(buffers, Span::default());
    }

    /// Bytes of on-chip memory that were reached.
    pub(crate) fn on_chip_bytes(&self) -> u64 {
        bytes(self.on_chip_peak)
    }

    /// Bytes of external memory that were reached.
    pub(crate) fn external_bytes(&self) -> u64 {
        bytes(self.external_peak)
    }

    /// Counts a stage that runs while on-chip memory is in use up to block `used`; none where there is no room.
    pub(crate) fn step(&mut self, needs: &Needs, stage: StageId, place: u32, used: u32) -> Option<()> {
        self.on_chip_peak = self.on_chip_peak.max(used);
        let (writes, reads) = needs.of(stage);
        for &id in writes {
            let buffer = needs.buffer(id);
            if !buffer.on_chip && buffer.life.first == place {
                let span = self.external.allocate(buffer.blocks, u32::MAX)?;
                self.external_peak = self.external_peak.max(span.end());
                self.spans[id as usize] = span;
            }
        }
        for &id in reads {
            let buffer = needs.buffer(id);
            if !buffer.on_chip && buffer.life.ends_at(place) {
                self.external.free(self.spans[id as usize]);
            }
        }
        Some(())
    }
}

fn bytes(blocks: u32) -> u64 {
    u64::from(blocks) * BLOCK_BYTES as u64
}
