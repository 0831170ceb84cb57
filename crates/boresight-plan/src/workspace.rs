//! The memory that a plan works in.

use boresight_core::Seed;

/// How a forward pass behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch statistics and dropout; the seed is that of this step's dropout.
    Train(Seed),
    /// Running statistics, no dropout.
    Evaluate,
}

/// The memory that one plan works in; reused from step to step without an allocation.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub(crate) values: Vec<Vec<f32>>,
    pub(crate) gradients: Vec<Vec<f32>>,
    pub(crate) statistics: Vec<f32>,
    pub(crate) masks: Vec<f32>,
    pub(crate) scratch: Vec<f32>,
    /// Tensors whose gradient an earlier reader of this backward pass has written.
    pub(crate) written: Vec<bool>,
    pub(crate) mode: Mode,
}
