//! The memory that a plan works in.

use crate::{LayerSums, Plan};
use boresight_core::Seed;
use boresight_kernels::{Arithmetic, Buffer, Team};
use std::num::NonZeroUsize;

/// How a forward pass behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics and dropout; the seed is that of this step's dropout.
    Train(Seed),
    /// Running statistics, no dropout.
    Evaluate,
}

/// The memory that one plan works in, and the threads that do; reused from step to step without an allocation.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub(crate) team: Team,
    /// Values and gradients, each in the slot that the plan gave it.
    pub(crate) slots: Vec<Buffer>,
    /// Gradients of one convolution's parameters, for each chunk of images but the first.
    pub(crate) partial: Buffer,
    /// Weights and biases that a batch normalisation is folded into.
    pub(crate) folded: Buffer,
    pub(crate) statistics: Buffer,
    pub(crate) masks: Buffer,
    /// How convolutions are summed on a narrow device, by tensor; elsewhere nothing.
    pub(crate) sums: Vec<LayerSums>,
    /// One for each thread.
    pub(crate) desks: Vec<Desk>,
    /// Tensors whose gradient an earlier reader of this backward pass has written.
    pub(crate) written: Vec<bool>,
    pub(crate) mode: Mode,
}

/// What one thread works in.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    /// What kernels lay out anew.
    pub(crate) scratch: Buffer,
    /// Values that are made anew on the way back.
    pub(crate) room: Buffer,
}

impl Plan {
    /// Memory for this plan, on the caller's thread.
    pub fn workspace(&self) -> Workspace {
        self.workspace_on(&Team::alone())
    }

    /// Memory for this plan on the threads of `team`; their number changes no bit of any result.
    pub fn workspace_on(&self, team: &Team) -> Workspace {
        Workspace {
            team: team.clone(),
            slots: self.slot_sizes.iter().map(|&len| Buffer::new(len)).collect(),
            partial: Buffer::new(self.partial),
            folded: Buffer::new(self.folded),
            statistics: Buffer::new(self.statistics),
            masks: Buffer::new(self.masks),
            sums: vec![LayerSums::PLAIN; self.sums_len()],
            desks: (0..team.threads()).map(|_| self.desk()).collect(),
            written: vec![false; self.tensors.len()],
            mode: Mode::Evaluate,
        }
    }

    /// Tensors whose sums a workspace describes.
    fn sums_len(&self) -> usize {
        if matches!(self.arithmetic, Arithmetic::Narrow(_)) { self.tensors.len() } else { 0 }
    }

    fn desk(&self) -> Desk {
        Desk { scratch: Buffer::new(self.scratch), room: Buffer::new(self.room) }
    }

    /// Bytes that a workspace of this plan allocates on one thread: all of them, kernels' scratch counted.
    pub fn peak_bytes(&self) -> usize {
        self.peak_bytes_on(NonZeroUsize::MIN)
    }

    /// As [`Plan::peak_bytes`] for several threads; what the system takes for a thread itself is not counted.
    pub fn peak_bytes_on(&self, threads: NonZeroUsize) -> usize {
        let slots: usize = self.slot_sizes.iter().map(|&len| size_of::<Buffer>() + Buffer::bytes(len)).sum();
        let others: usize =
            [self.partial, self.folded, self.statistics, self.masks].map(Buffer::bytes).iter().sum();
        let desk = size_of::<Desk>() + Buffer::bytes(self.scratch) + Buffer::bytes(self.room);
        let sums = self.sums_len() * size_of::<LayerSums>();
        slots + others + threads.get() * desk + sums + self.tensors.len() * size_of::<bool>()
    }
}
