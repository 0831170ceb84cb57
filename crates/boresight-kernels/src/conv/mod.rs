//! Two-dimensional convolution: forward, gradient of the input, gradient of the weights.

mod shape;

use crate::{Store, Write};
use shape::{Optional, assert_len};

pub use shape::ConvShape;

/// Convolves `input` with `weight` into `output`.
///
/// Positions outside the input read `border[channel]` (an empty slice means zero). Each output is one chain of
/// fused multiply-adds from 0.0 over (input channel, kernel row, kernel column) in this order, then `+ bias`
/// (an empty slice means none), then the rounding that `store` asks for: the same bits on every processor.
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
    store: Store,
    output: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    scratch.clear();
    shape.check(border, weight.len());
    let planes = shape.output();
    assert_len("input", input.len(), shape.input.len(), Optional::No);
    assert_len("bias", bias.len(), shape.out_channels, Optional::Yes);
    assert_len("output", output.len(), planes.len(), Optional::No);
    output.fill(0.0);
    each_product(shape, |product| {
        let pixel = product.pixel.map_or_else(|| value_or_zero(border, product.channel), |at| input[at]);
        output[product.output] = pixel.mul_add(weight[product.weight], output[product.output]);
    });
    for (index, value) in output.iter_mut().enumerate() {
        let channel = index / planes.plane() % planes.channels;
        *value = store.apply(*value + value_or_zero(bias, channel));
    }
}

/// Gradient of the input of [`conv2d`], from the gradient of its output; what falls on the border is dropped.
///
/// The rounding of the store counts as the identity. Deterministic.
///
/// # Panics
/// If a slice's length does not fit `shape`, or `shape` contradicts itself.
pub fn conv2d_grad_input(
    shape: &ConvShape,
    grad_output: &[f32],
    weight: &[f32],
    write: Write,
    grad_input: &mut [f32],
    scratch: &mut Vec<f32>,
) {
    scratch.clear();
    shape.check(&[], weight.len());
    assert_len("grad_output", grad_output.len(), shape.output().len(), Optional::No);
    assert_len("grad_input", grad_input.len(), shape.input.len(), Optional::No);
    if write == Write::Set {
        grad_input.fill(0.0);
    }
    each_product(shape, |product| {
        if let Some(pixel) = product.pixel {
            grad_input[pixel] =
                grad_output[product.output].mul_add(weight[product.weight], grad_input[pixel]);
        }
    });
}

/// Gradients of the weights and of the bias (an empty slice: none) of [`conv2d`]; both are overwritten.
///
/// Border positions count with their value `border[channel]`. Deterministic.
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
    scratch: &mut Vec<f32>,
) {
    scratch.clear();
    shape.check(border, grad_weight.len());
    let planes = shape.output();
    assert_len("input", input.len(), shape.input.len(), Optional::No);
    assert_len("grad_output", grad_output.len(), planes.len(), Optional::No);
    assert_len("grad_bias", grad_bias.len(), shape.out_channels, Optional::Yes);
    grad_weight.fill(0.0);
    each_product(shape, |product| {
        let pixel = product.pixel.map_or_else(|| value_or_zero(border, product.channel), |at| input[at]);
        let slot = &mut grad_weight[product.weight];
        *slot = grad_output[product.output].mul_add(pixel, *slot);
    });
    grad_bias.fill(0.0);
    if !grad_bias.is_empty() {
        for (index, &grad) in grad_output.iter().enumerate() {
            grad_bias[index / planes.plane() % planes.channels] += grad;
        }
    }
}

fn value_or_zero(values: &[f32], channel: usize) -> f32 {
    values.get(channel).copied().unwrap_or(0.0)
}

/// One product of the defining sum: indices into output, weights and input (`None`: the border).
struct Product {
    output: usize,
    weight: usize,
    channel: usize,
    pixel: Option<usize>,
}

/// Visits every product, per output in the order (input channel, kernel row, kernel column).
fn each_product(shape: &ConvShape, mut visit: impl FnMut(Product)) {
    let (input, planes, depth) = (shape.input, shape.output(), shape.depth());
    let [rows, columns] = shape.kernel;
    for output in 0..planes.len() {
        let (x, y) = (output % planes.width, output / planes.width % planes.height);
        let (out_channel, image) =
            (output / planes.plane() % planes.channels, output / planes.plane() / planes.channels);
        for tap in 0..depth * rows * columns {
            let (kx, ky, c) = (tap % columns, tap / columns % rows, tap / columns / rows);
            let channel = out_channel / shape.group_outputs() * depth + c;
            let iy = (y * shape.stride[0] + ky).checked_sub(shape.padding[0]).filter(|&iy| iy < input.height);
            let ix = (x * shape.stride[1] + kx).checked_sub(shape.padding[1]).filter(|&ix| ix < input.width);
            let row = (image * input.channels + channel) * input.height;
            let pixel = iy.zip(ix).map(|(iy, ix)| (row + iy) * input.width + ix);
            visit(Product { output, weight: out_channel * depth * rows * columns + tap, channel, pixel });
        }
    }
}
