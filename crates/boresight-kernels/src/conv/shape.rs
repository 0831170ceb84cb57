//! Dimensions of a convolution and the checks that every kernel makes of its slices.

use super::band::Grid;
use crate::Planes;

/// Dimensions of a 2-D convolution; weights are `[out_channels, input.channels / groups, kernel rows, columns]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvShape {
    /// The feature map that is read.
    pub input: Planes,
    /// Planes of the result.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step between outputs, in rows and columns of the input.
    pub stride: [usize; 2],
    /// Border rows above and below, border columns left and right.
    pub padding: [usize; 2],
    /// Independent groups of channels; both channel counts are multiples of it.
    pub groups: usize,
}

impl ConvShape {
    /// Shape of the result: `floor((size + 2 padding - kernel) / stride) + 1` rows and columns.
    ///
    /// # Panics
    /// If the kernel does not fit into the padded input, or a stride is zero.
    pub fn output(&self) -> Planes {
        Planes {
            batch: self.input.batch,
            channels: self.out_channels,
            height: self.steps(0, self.input.height),
            width: self.steps(1, self.input.width),
        }
    }

    /// Number of weights.
    ///
    /// # Panics
    /// If `groups` is zero.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.depth() * self.taps()
    }

    /// Multiply-accumulates of one forward pass over the batch, padded positions included.
    ///
    /// # Panics
    /// As [`ConvShape::output`] and [`ConvShape::weight_len`].
    pub fn macs(&self) -> u64 {
        self.output().len() as u64 * (self.depth() * self.taps()) as u64
    }

    /// Positions of the kernel.
    pub(super) fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Input channels that one output reads.
    pub(super) fn depth(&self) -> usize {
        self.input.channels / self.groups
    }

    /// Output channels of one group.
    pub(super) fn group_outputs(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Which positions of the input each output reads.
    pub(super) fn grid(&self) -> Grid {
        let planes = self.output();
        Grid {
            size: [planes.height, planes.width],
            kernel: self.kernel,
            stride: self.stride,
            origin: self.padding.map(|padding| -padding.cast_signed()),
        }
    }

    fn steps(&self, axis: usize, size: usize) -> usize {
        let padded = size + 2 * self.padding[axis];
        assert!(
            padded >= self.kernel[axis],
            "the kernel {:?} exceeds the padded input {:?}",
            self.kernel,
            self
        );
        assert!(self.stride[axis] > 0, "the stride {:?} stands still", self.stride);
        (padded - self.kernel[axis]) / self.stride[axis] + 1
    }

    /// Checks what all kernels share.
    pub(super) fn check(&self, border: &[f32], weight: usize) {
        assert!(self.groups > 0, "a convolution has at least one group");
        assert!(
            self.input.channels.is_multiple_of(self.groups) && self.out_channels.is_multiple_of(self.groups),
            "{} input and {} output channels do not divide into {} groups",
            self.input.channels,
            self.out_channels,
            self.groups
        );
        assert!(self.taps() > 0, "the kernel {:?} is empty", self.kernel);
        assert_len("border", border.len(), self.input.channels, Optional::Yes);
        assert_len("weight", weight, self.weight_len(), Optional::No);
    }
}

/// Whether a slice may be left out by passing an empty one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Optional {
    Yes,
    No,
}

/// Checks the length of the slice `name`.
pub(super) fn assert_len(name: &str, found: usize, expected: usize, optional: Optional) {
    let left_out = optional == Optional::Yes && found == 0;
    assert!(left_out || found == expected, "{name} holds {found} values, the shape needs {expected}");
}
