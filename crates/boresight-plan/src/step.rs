//! One step of a plan: an operator with its shapes and the places of its parameters.

use boresight_ir::{Filling, Resize, Window};
use boresight_kernels::{Activation, ConvShape, Planes};
use std::ops::Range;

/// Number of a tensor: that of the node that makes it; tensor 0 is the image.
pub(crate) type TensorId = usize;

#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) kind: Kind,
    pub(crate) inputs: Vec<TensorId>,
    pub(crate) output: TensorId,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Convolve {
        shape: ConvShape,
        weight: Range<usize>,
        bias: Range<usize>,
        border: Range<usize>,
        after: After,
    },
    Normalise(Norm),
    ScaleShift {
        scale: Range<usize>,
        shift: Range<usize>,
    },
    Activate(Activation),
    Softmax,
    MaxPool(Window),
    AvgPool(Window),
    GlobalAvgPool,
    Upsample(Resize),
    Concat,
    /// A sum and what is done to it while it is in a cache.
    Add(Activation),
    Mul,
    ChannelScale,
    Slice {
        start: usize,
    },
    Pad {
        rows: [usize; 2],
        columns: [usize; 2],
        filling: Filling,
        border: Range<usize>,
    },
    ZeroStuff {
        stride: [usize; 2],
    },
    Dropout {
        rate: f32,
        name: String,
        mask: Range<usize>,
    },
}

/// What a plan for inference takes into a convolution.
#[derive(Clone, Debug)]
pub(crate) struct After {
    /// A batch normalisation that alone reads the sums; it is folded into the weights.
    pub(crate) norm: Option<Norm>,
    /// What is done to each result while it is in a cache.
    pub(crate) activation: Activation,
}

impl After {
    pub(crate) const NOTHING: Self = Self { norm: None, activation: Activation::Identity };
}

/// A batch normalisation with the activation that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    pub(crate) scale: Range<usize>,
    pub(crate) shift: Range<usize>,
    pub(crate) mean: Range<usize>,
    pub(crate) variance: Range<usize>,
    pub(crate) epsilon: f32,
    pub(crate) activation: Activation,
    /// Place of the batch mean in the workspace's statistics; the batch variance follows it.
    pub(crate) statistics: usize,
}

/// A tensor of the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tensor {
    pub(crate) planes: Planes,
    /// Its slot in the workspace; unused for the image and for what is fused away.
    pub(crate) slot: usize,
    /// The step that makes it anew on the way back, where it is not kept.
    pub(crate) remade: Option<usize>,
    /// Whether it is never kept: its only reader makes it where it wants it.
    pub(crate) deferred: bool,
    /// The slot of its gradient, where one is needed.
    pub(crate) gradient: Option<usize>,
}
