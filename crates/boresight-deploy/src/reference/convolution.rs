//! Two-dimensional convolution.

use super::Map;
use super::sums::Chain;
use boresight_ir::{Conv2d, Shape};

/// A convolution with its constants.
pub(super) struct Convolution<'a> {
    /// Kernel, stride, padding and groups.
    pub(super) conv: Conv2d,
    /// `[out, in / groups, kernel rows, kernel columns]`.
    pub(super) weight: &'a [f32],
    /// `[out]`; empty: none.
    pub(super) bias: &'a [f32],
    /// What padded positions hold, for each channel of the input; empty: zero.
    pub(super) border: &'a [f32],
    /// How products are summed.
    pub(super) chain: Chain,
}

impl Convolution<'_> {
    /// The map of `shape` that the convolution makes of `x`.
    pub(super) fn apply(&self, x: &Map, shape: Shape) -> Map {
        Map::from_shape_fn((shape.channels, shape.height, shape.width), |(output, row, column)| {
            self.value(x, output, [row, column])
        })
    }

    /// One value: products over input channels, kernel rows and kernel columns in this order, padded positions included,
    /// and the bias at the end.
    fn value(&self, x: &Map, output: usize, at: [usize; 2]) -> f32 {
        let Conv2d { out_channels, kernel, stride, groups, .. } = self.conv;
        let depth = x.dim().0 / groups;
        let group = output / (out_channels / groups);
        let mut weights = self.weight[output * depth * kernel[0] * kernel[1]..].iter();
        let mut sum = self.chain;
        for channel in group * depth..(group + 1) * depth {
            for ky in 0..kernel[0] {
                for kx in 0..kernel[1] {
                    let pixel = self.read(x, channel, [at[0] * stride[0] + ky, at[1] * stride[1] + kx]);
                    let weight = weights.next().copied().unwrap_or_default();
                    sum.add(pixel, weight);
                }
            }
        }
        sum.result(if self.bias.is_empty() { 0.0 } else { self.bias[output] })
    }

    /// The value at a row and column of the padded input.
    fn read(&self, x: &Map, channel: usize, padded: [usize; 2]) -> f32 {
        let (_, height, width) = x.dim();
        let [top, left] = self.conv.padding;
        let inside = (top..top + height).contains(&padded[0]) && (left..left + width).contains(&padded[1]);
        if inside {
            x[[channel, padded[0] - top, padded[1] - left]]
        } else {
            self.border.get(channel).copied().unwrap_or(0.0)
        }
    }
}
