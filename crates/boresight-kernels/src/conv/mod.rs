//! Two-dimensional convolution: forward, gradient of the input, gradient of the weights.

mod band;
mod correlate;
mod depthwise;
mod gradient;
mod lanes;
mod narrow;
mod scratch;
mod shape;
#[cfg(test)]
mod tests;
mod walk;
mod winograd;

use crate::dispatch::{Version, dispatch};
use crate::{Arithmetic, Buffer, Planes, Write};
use band::Grid;
use correlate::{Correlation, Finish, Place, Weights};
use depthwise::Depthwise;
use gradient::WeightGradient;
use lanes::launch;
use shape::{Optional, assert_len};
use winograd::{WinogradCorrelation, WinogradGradient};

pub use narrow::{NarrowSums, conv2d_narrow};
pub use shape::ConvShape;

/// Convolves `input` with `weight` into `output`.
///
/// Positions outside the input read `border[channel]` (an empty slice means zeros), and an empty `bias` means zeros.
/// In the arithmetic of a device each output is one chain of fused multiply-adds from 0.0 over (input channel, kernel
/// row, kernel column) in this order, then `+ bias`, then the rounding of its store. [`Arithmetic::Fast`] may go
/// through Winograd's transform instead, with about twice the error. Either has the same bits on every processor.
/// `scratch` grows as needed and holds nothing of value between calls.
///
/// # Panics
/// If a slice's length does not fit `shape`, or `shape` contradicts itself.
pub fn conv2d(
    shape: &ConvShape,
    input: &[f32],
    border: &[f32],
    weight: &[f32],
    bias: &[f32],
    arithmetic: Arithmetic,
    output: &mut [f32],
    scratch: &mut Buffer,
) {
    forward(Version::best(), shape, input, border, weight, bias, arithmetic, output, scratch);
}

/// Gradient of the input of [`conv2d`], from the gradient of its output; what falls on the border is dropped.
///
/// The rounding of the store counts as the identity. Deterministic. `scratch` grows as needed.
///
/// # Panics
/// If a slice's length does not fit `shape`, or `shape` contradicts itself.
pub fn conv2d_grad_input(
    shape: &ConvShape,
    grad_output: &[f32],
    weight: &[f32],
    write: Write,
    grad_input: &mut [f32],
    scratch: &mut Buffer,
) {
    input_gradient(Version::best(), shape, grad_output, weight, write, grad_input, scratch);
}

/// Gradients of the weights and of the bias (an empty slice: none) of [`conv2d`]; both are overwritten.
///
/// Border positions count with their value `border[channel]`. Deterministic. `scratch` grows as needed.
///
/// # Panics
/// If a slice's length does not fit `shape`, or `shape` contradicts itself.
pub fn conv2d_grad_weight(
    shape: &ConvShape,
    input: &[f32],
    border: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
    grad_bias: &mut [f32],
    scratch: &mut Buffer,
) {
    let version = Version::best();
    weight_gradient(version, shape, input, border, grad_output, grad_weight, grad_bias, scratch);
}

/// [`conv2d`] on one instruction set.
fn forward(
    version: Version,
    shape: &ConvShape,
    input: &[f32],
    border: &[f32],
    weight: &[f32],
    bias: &[f32],
    arithmetic: Arithmetic,
    output: &mut [f32],
    scratch: &mut Buffer,
) {
    shape.check(border, weight.len());
    assert_len("input", input.len(), shape.input.len(), Optional::No);
    assert_len("bias", bias.len(), shape.out_channels, Optional::Yes);
    assert_len("output", output.len(), shape.output().len(), Optional::No);
    let finish = Finish::Forward { bias, store: arithmetic.store() };
    let correlation = forward_correlation(shape, input, border, weight, finish, output, scratch);
    match arithmetic {
        Arithmetic::Fast => correlate_fast(version, correlation),
        Arithmetic::Device(_) | Arithmetic::Narrow(_) => correlate_plainly(version, correlation),
    }
}

/// The correlation that a convolution is.
fn forward_correlation<'a>(
    shape: &ConvShape,
    input: &'a [f32],
    border: &'a [f32],
    weight: &'a [f32],
    finish: Finish<'a>,
    output: &'a mut [f32],
    scratch: &'a mut Buffer,
) -> Correlation<'a> {
    let taps = shape.taps();
    Correlation {
        source: input,
        planes: shape.input,
        border,
        grid: shape.grid(),
        groups: shape.groups,
        weights: Weights {
            values: weight,
            steps: [shape.group_outputs() * shape.depth() * taps, shape.depth() * taps, taps],
            first: 0,
            taps: [shape.kernel[1].cast_signed(), 1],
        },
        finish,
        target: output,
        place: Place { planes: shape.output(), first: [0, 0], step: [1, 1] },
        scratch,
    }
}

/// Runs a correlation the way that is fastest.
fn correlate_fast(version: Version, correlation: Correlation<'_>) {
    let channels = [correlation.planes.channels, correlation.place.planes.channels];
    if correlation.groups == 1
        && correlation.place.step == [1, 1]
        && winograd::pays(&correlation.grid, channels)
    {
        launch(version, WinogradCorrelation(correlation));
    } else {
        correlate_plainly(version, correlation);
    }
}

/// Runs a correlation in the one order of operations.
fn correlate_plainly(version: Version, correlation: Correlation<'_>) {
    if Depthwise::fits(&correlation) {
        launch(version, Depthwise(correlation));
    } else {
        launch(version, correlation);
    }
}

/// [`conv2d_grad_input`] on one instruction set.
///
/// The input positions that are equal modulo the stride are read by the same kernel positions: each such phase is a
/// correlation of the gradient with a part of the kernel, mirrored.
fn input_gradient(
    version: Version,
    shape: &ConvShape,
    grad_output: &[f32],
    weight: &[f32],
    write: Write,
    grad_input: &mut [f32],
    scratch: &mut Buffer,
) {
    shape.check(&[], weight.len());
    assert_len("grad_output", grad_output.len(), shape.output().len(), Optional::No);
    assert_len("grad_input", grad_input.len(), shape.input.len(), Optional::No);
    let phases = [0, 1].map(|axis| shape.stride[axis].min(axis_size(shape.input, axis)));
    // The phases write between each other's values: image by image these stay in the cache.
    let images = if phases == [1, 1] { shape.input.batch } else { 1 };
    let shape = &ConvShape { input: Planes { batch: images, ..shape.input }, ..*shape };
    let slopes = grad_output.chunks_exact(shape.output().len().max(1));
    for (slope, target) in slopes.zip(grad_input.chunks_exact_mut(shape.input.len().max(1))) {
        for phase in 0..phases[0] * phases[1] {
            let phase = [phase / phases[1], phase % phases[1]];
            input_phase(version, shape, phase, slope, weight, write, target, scratch);
        }
    }
}

/// The gradient of the inputs at `phase` modulo the stride.
fn input_phase(
    version: Version,
    shape: &ConvShape,
    phase: [usize; 2],
    grad_output: &[f32],
    weight: &[f32],
    write: Write,
    grad_input: &mut [f32],
    scratch: &mut Buffer,
) {
    let [y, x] = [0, 1].map(|axis| Phase::new(shape, axis, phase[axis]));
    let (taps, steps) = (shape.taps(), shape.stride.map(usize::cast_signed));
    let correlation = Correlation {
        source: grad_output,
        planes: shape.output(),
        border: &[],
        grid: Grid {
            size: [y.size, x.size],
            kernel: [y.taps, x.taps],
            stride: [1, 1],
            origin: [y.origin, x.origin],
        },
        groups: shape.groups,
        weights: Weights {
            values: weight,
            steps: [shape.group_outputs() * shape.depth() * taps, taps, shape.depth() * taps],
            first: y.last_tap * shape.kernel[1] + x.last_tap,
            taps: [-steps[0] * shape.kernel[1].cast_signed(), -steps[1]],
        },
        finish: Finish::Gradient(write),
        target: grad_input,
        place: Place { planes: shape.input, first: [y.first, x.first], step: shape.stride },
        scratch,
    };
    correlate_fast(version, correlation);
}

/// [`conv2d_grad_weight`] on one instruction set.
fn weight_gradient(
    version: Version,
    shape: &ConvShape,
    input: &[f32],
    border: &[f32],
    grad_output: &[f32],
    grad_weight: &mut [f32],
    grad_bias: &mut [f32],
    scratch: &mut Buffer,
) {
    shape.check(border, grad_weight.len());
    let planes = shape.output();
    assert_len("input", input.len(), shape.input.len(), Optional::No);
    assert_len("grad_output", grad_output.len(), planes.len(), Optional::No);
    assert_len("grad_bias", grad_bias.len(), shape.out_channels, Optional::Yes);
    let grid = shape.grid();
    let gradient = WeightGradient { shape, grid, input, border, grad_output, grad_weight, scratch };
    if winograd::pays_for_weights(shape) {
        launch(version, WinogradGradient(gradient));
    } else {
        launch(version, gradient);
    }
    if !grad_bias.is_empty() {
        grad_bias.fill(0.0);
        add_channel_sums(version, planes, grad_output, grad_bias);
    }
}

dispatch! {
    /// Adds the sum of each channel to `sums`.
    fn add_channel_sums(planes: Planes, values: &[f32], sums: &mut [f32]) {
        for (index, plane) in values.chunks_exact(planes.plane()).enumerate() {
            let mut lanes = [0.0_f32; 64];
            let (chunks, rest) = plane.as_chunks::<64>();
            for chunk in chunks {
                lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
            }
            let total = lanes.iter().sum::<f32>() + rest.iter().sum::<f32>();
            sums[index % planes.channels] += total;
        }
    }
}

fn axis_size(planes: Planes, axis: usize) -> usize {
    [planes.height, planes.width][axis]
}

/// The input positions of one axis that are equal modulo the stride.
struct Phase {
    /// The first one, and how many there are.
    first: usize,
    size: usize,
    /// Kernel positions that meet them: how many, and the last.
    taps: usize,
    last_tap: usize,
    /// Output that the first position meets at the last of these kernel positions.
    origin: isize,
}

impl Phase {
    fn new(shape: &ConvShape, axis: usize, first: usize) -> Self {
        let stride = shape.stride[axis];
        let padded = first + shape.padding[axis];
        // Position `first` meets output `padded / stride - j` at the kernel position `padded % stride + j * stride`.
        let (output, tap) = (padded / stride, padded % stride);
        let taps = shape.kernel[axis].saturating_sub(tap).div_ceil(stride);
        Self {
            first,
            size: (axis_size(shape.input, axis) - first).div_ceil(stride),
            taps,
            last_tap: tap + taps.saturating_sub(1) * stride,
            origin: output.cast_signed() - taps.saturating_sub(1).cast_signed(),
        }
    }
}
