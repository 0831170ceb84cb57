//! Operators and shapes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Shape of one image's feature map: `[channels, height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Channels.
    pub channels: usize,
    /// Rows of pixels.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

impl Shape {
    /// The shape `[channels, height, width]`.
    pub const fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { channels, height, width }
    }

    /// Pixels of one channel.
    pub const fn plane(self) -> usize {
        self.height * self.width
    }

    /// Values in all.
    pub const fn len(self) -> usize {
        self.channels * self.plane()
    }

    /// Whether there is no value at all.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The same channels with another size.
    #[must_use]
    pub const fn resized(self, height: usize, width: usize) -> Self {
        Self { channels: self.channels, height, width }
    }

    /// The same size with other channels.
    #[must_use]
    pub const fn with_channels(self, channels: usize) -> Self {
        Self { channels, height: self.height, width: self.width }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.height, self.width)
    }
}

/// A convolution; weights are `[out_channels, in_channels / groups, kernel rows, kernel columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Channels that it makes.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Steps down and across.
    pub stride: [usize; 2],
    /// Rows added above and below, columns added left and right. Padding has value zero, but for a convolution of
    /// the network's input, which pads with the input's border value.
    pub padding: [usize; 2],
    /// Groups of channels that do not see each other; as many as channels make it depthwise.
    pub groups: usize,
    /// Whether it adds a bias for each channel.
    pub bias: bool,
}

impl Conv2d {
    /// A dense convolution with an odd square kernel, stride 1, output size equal to input size and a bias.
    pub const fn same(out_channels: usize, kernel: usize) -> Self {
        let padding = kernel / 2;
        Self {
            out_channels,
            kernel: [kernel; 2],
            stride: [1; 2],
            padding: [padding; 2],
            groups: 1,
            bias: true,
        }
    }

    /// The same as a depthwise convolution: each channel by itself.
    #[must_use]
    pub const fn depthwise(self) -> Self {
        Self { groups: self.out_channels, ..self }
    }

    /// The same without a bias, as before a batch normalisation.
    #[must_use]
    pub const fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// The same with this stride in both directions.
    #[must_use]
    pub const fn strided(self, stride: usize) -> Self {
        Self { stride: [stride; 2], ..self }
    }
}

/// A pooling window, without padding; rows and columns that it does not reach are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Rows and columns.
    pub kernel: [usize; 2],
    /// Steps down and across.
    pub stride: [usize; 2],
}

impl Window {
    /// A square window that steps by its own size.
    pub const fn square(size: usize) -> Self {
        Self { kernel: [size; 2], stride: [size; 2] }
    }
}

/// How upsampling interpolates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resize {
    /// Pixel `floor(i * in / out)`.
    Nearest,
    /// Bilinear between half-pixel centres, edges clamped (`align_corners = false`).
    Bilinear,
}

/// What padding adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filling {
    /// Zero; around the network's input its border value, as for convolutions.
    Zero,
    /// Negative infinity: what a maximum never chooses.
    Lowest,
}

/// An operator of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Op {
    /// The network's input; reads nothing. Its border value for each channel is kept with the weights.
    Input,
    /// Convolution.
    Conv2d(Conv2d),
    /// Batch normalisation with batch statistics in training and running ones afterwards.
    BatchNorm {
        /// Added to the variance, above 0.
        epsilon: f32,
    },
    /// `x * scale + shift` for each channel: a batch normalisation as it is deployed where no convolution takes it.
    ScaleShift,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x / 2 * (1 + erf(x / sqrt 2))`.
    Gelu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `x` above zero, `x * slope` below.
    LeakyRelu {
        /// The slope, finite.
        slope: f32,
    },
    /// `min(max(x, low), high)`.
    Clip {
        /// The smallest result, finite.
        low: f32,
        /// The largest result, finite and not below `low`.
        high: f32,
    },
    /// `exp(x)` over the sum of the `exp` of all channels at a pixel.
    Softmax,
    /// Largest value of each window.
    MaxPool(Window),
    /// Mean of each window.
    AvgPool(Window),
    /// Mean of each channel: a map of 1x1 pixels.
    GlobalAvgPool,
    /// Upsampling to a size.
    Upsample {
        /// How it interpolates.
        resize: Resize,
        /// Rows and columns of the result.
        size: [usize; 2],
    },
    /// Channels of all inputs, one after the other.
    Concat,
    /// Sum of two inputs of one shape.
    Add,
    /// Product of two inputs of one shape, value by value.
    Mul,
    /// The first input times the second, which has one value a channel (1x1 pixels).
    ChannelScale,
    /// A range of channels of the input: one part of a channel split.
    Slice {
        /// First channel.
        start: usize,
        /// How many channels.
        channels: usize,
    },
    /// Rows and columns around the map.
    Pad {
        /// Rows added above and below.
        rows: [usize; 2],
        /// Columns added left and right.
        columns: [usize; 2],
        /// What they hold.
        filling: Filling,
    },
    /// Zeros between pixels, none around them: `(size - 1) * stride + 1` rows and columns. Before a convolution of
    /// stride 1 it makes a transposed convolution.
    ZeroStuff {
        /// Distance of what were neighbours, down and across.
        stride: [usize; 2],
    },
    /// Sets this share of values to zero in training; does nothing afterwards.
    Dropout {
        /// The share, in `[0, 1)`.
        rate: f32,
    },
}

impl Op {
    /// The operator's name in messages and tables.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Conv2d(_) => "conv2d",
            Self::BatchNorm { .. } => "batch_norm",
            Self::ScaleShift => "scale_shift",
            Self::Relu => "relu",
            Self::Relu6 => "relu6",
            Self::Gelu => "gelu",
            Self::Sigmoid => "sigmoid",
            Self::LeakyRelu { .. } => "leaky_relu",
            Self::Clip { .. } => "clip",
            Self::Softmax => "softmax",
            Self::MaxPool(_) => "max_pool",
            Self::AvgPool(_) => "avg_pool",
            Self::GlobalAvgPool => "global_avg_pool",
            Self::Upsample { .. } => "upsample",
            Self::Concat => "concat",
            Self::Add => "add",
            Self::Mul => "mul",
            Self::ChannelScale => "channel_scale",
            Self::Slice { .. } => "slice",
            Self::Pad { .. } => "pad",
            Self::ZeroStuff { .. } => "zero_stuff",
            Self::Dropout { .. } => "dropout",
        }
    }
}
