//! How far apart two right executions of one network can be.
//!
//! Runtimes add in other orders, fuse other operators and round at other places. [`tolerance`] follows those roundings
//! through the network to each logit: to first order, as independent errors of known variance. Errors of a worst case
//! would grow beyond all use within a few layers; independent ones stay near what is seen.
//!
//! # Source
//! Higham and Mary, *A new approach to probabilistic rounding error analysis*, 2019: rounding errors behave as
//! independent ones of mean zero, and sums of n of them grow with the root of n.

use crate::Deployment;
use boresight_ir::{Conv2d, Filling, Network, Node, NodeId, Op, Resize, Role, Shape, Window};
use boresight_kernels::Planes;
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Standard deviations that a tolerance holds.
const DEVIATIONS: f64 = 8.0;
/// Half the distance of 1 and the next binary32 number.
const UNIT_F32: f64 = 1.0 / 16_777_216.0;
/// Half the distance of 1 and the next binary16 number.
const UNIT_F16: f64 = 1.0 / 2048.0;
/// Half the distance of binary16 subnormal numbers.
const HALF_STEP_F16: f64 = 1.0 / 33_554_432.0;
/// What the exp, erf and division of any runtime may be off, relative to 1: four units of binary32.
const FUNCTION: f64 = 8.0 * UNIT_F32;

/// How far a logit of two executions may differ, for each logit `[classes, height, width]` of one tile of raw sensor counts
/// `[bands, height, width]`: eight standard deviations.
///
/// The executions hold the constants of `deployment`. They compute in binary32; with `stores_f16` what an operator makes may be
/// stored in binary16, by either of them or by both.
///
/// # Panics
/// When `counts` has another length than the network's input.
pub fn tolerance(deployment: &Deployment, counts: &[f32], stores_f16: bool) -> Vec<f32> {
    let network = deployment.network();
    let shape = network.input_shape();
    assert_eq!(counts.len(), shape.len(), "counts must have the shape of the network's input");
    let mut image = counts.to_vec();
    let Shape { channels, height, width } = shape;
    deployment.projection().images(Planes { batch: 1, channels, height, width }, &mut image);
    // Normalising subtracts and divides.
    let noise = |&value: &f32| rounding(f64::from(value), stores_f16);
    let variances = image.iter().map(noise).collect();
    let input = Map { shape, values: image.into_iter().map(f64::from).collect(), variances };
    let mut maps = vec![input];
    for (id, node) in network.iter().skip(1) {
        let inputs: Vec<&Map> = node.inputs.iter().map(|input| &maps[input.index()]).collect();
        let constants = Constants { network, values: deployment.constants(), node: id };
        let mut map = propagate(node, &inputs, &constants);
        if computes(&node.op) {
            for (value, variance) in map.values.iter().zip(&mut map.variances) {
                *variance += rounding(*value, stores_f16);
            }
        }
        maps.push(map);
    }
    maps[network.output().index()]
        .variances
        .iter()
        .map(|variance| narrow(DEVIATIONS * variance.sqrt()))
        .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "a tolerance needs no digits")]
const fn narrow(value: f64) -> f32 {
    value as f32
}

/// Variance of the roundings of a value by two executions: each error lies evenly within half a step.
fn rounding(value: f64, stores_f16: bool) -> f64 {
    let step = if stores_f16 { (UNIT_F16 * value.abs()).max(HALF_STEP_F16) } else { UNIT_F32 * value.abs() };
    2.0 * step * step / 3.0
}

/// Whether an operator makes new values.
const fn computes(op: &Op) -> bool {
    !matches!(
        op,
        Op::MaxPool(_)
            | Op::Upsample { resize: Resize::Nearest, .. }
            | Op::Concat
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::ZeroStuff { .. }
            | Op::Dropout { .. }
    )
}

/// A feature map in binary64, and the variance of what two executions differ by.
#[derive(Clone, Debug)]
struct Map {
    shape: Shape,
    values: Vec<f64>,
    variances: Vec<f64>,
}

struct Constants<'a> {
    network: &'a Network,
    values: &'a [f32],
    node: NodeId,
}

impl<'a> Constants<'a> {
    fn get(&self, role: Role) -> &'a [f32] {
        self.of(self.node, role)
    }

    fn border(&self, source: NodeId) -> &'a [f32] {
        self.of(source, Role::Border)
    }

    fn of(&self, node: NodeId, role: Role) -> &'a [f32] {
        &self.values[self.network.layout().range(node, role).unwrap_or(0..0)]
    }
}

/// The channel that stands at this place of a map.
const fn channel(shape: Shape, at: usize) -> usize {
    at / shape.plane()
}

impl Map {
    /// A map of this shape, each value and variance made of its place.
    fn from_fn(shape: Shape, mut make: impl FnMut(usize) -> (f64, f64)) -> Self {
        let (values, variances) = (0..shape.len()).map(&mut make).unzip();
        Self { shape, values, variances }
    }

    /// Each value with its own function and slope, which also says what the function itself is off.
    fn map(&self, f: impl Fn(f64) -> f64, slope: impl Fn(f64) -> f64, noise: f64) -> Self {
        Self::from_fn(self.shape, |at| {
            let x = self.values[at];
            let off = noise * x.abs().max(1.0);
            (f(x), slope(x).powi(2) * self.variances[at] + off * off)
        })
    }

    /// Values kept within bounds. An error counts where it may carry a value to within them.
    fn clamp(&self, low: f64, high: f64) -> Self {
        Self::from_fn(self.shape, |at| {
            let (x, variance) = (self.values[at], self.variances[at]);
            let reach = DEVIATIONS * variance.sqrt();
            let moves = x + reach > low && x - reach < high;
            (x.clamp(low, high), if moves { variance } else { 0.0 })
        })
    }

    /// Value and variance at a row and a column.
    fn at(&self, channel: usize, row: usize, column: usize) -> (f64, f64) {
        let at = (channel * self.shape.height + row) * self.shape.width + column;
        (self.values[at], self.variances[at])
    }
}

fn propagate(node: &Node, inputs: &[&Map], constants: &Constants<'_>) -> Map {
    let x = inputs[0];
    match node.op {
        Op::Conv2d(conv) => convolve(conv, x, node.shape, constants, constants.border(node.inputs[0])),
        Op::BatchNorm { epsilon } => batch_norm(epsilon, x, constants),
        Op::ScaleShift => {
            let (scale, shift) = (constants.get(Role::Scale), constants.get(Role::Shift));
            affine(x, |channel| (scale[channel].into(), shift[channel].into()))
        }
        Op::Relu => x.clamp(0.0, f64::INFINITY),
        Op::Relu6 => x.clamp(0.0, 6.0),
        Op::Clip { low, high } => x.clamp(low.into(), high.into()),
        Op::LeakyRelu { slope } => {
            let slope = f64::from(slope);
            x.map(|x| if x < 0.0 { x * slope } else { x }, |_| slope.abs().max(1.0), UNIT_F32)
        }
        Op::Gelu => x.map(gelu, gelu_slope, FUNCTION),
        Op::Sigmoid => x.map(sigmoid, |x| sigmoid(x) * (1.0 - sigmoid(x)), FUNCTION),
        Op::Softmax => softmax(x),
        Op::MaxPool(window) => pool(window, x, node.shape, Pool::Largest),
        Op::AvgPool(window) => pool(window, x, node.shape, Pool::Mean),
        Op::GlobalAvgPool => {
            let kernel = [x.shape.height, x.shape.width];
            pool(Window { kernel, stride: [1; 2] }, x, node.shape, Pool::Mean)
        }
        Op::Upsample { resize, .. } => resize_map(resize, x, node.shape),
        Op::Concat => Map {
            shape: node.shape,
            values: inputs.iter().flat_map(|map| &map.values).copied().collect(),
            variances: inputs.iter().flat_map(|map| &map.variances).copied().collect(),
        },
        Op::Add => Map::from_fn(node.shape, |at| {
            let other = inputs[1];
            (x.values[at] + other.values[at], x.variances[at] + other.variances[at])
        }),
        Op::Mul => product(x, inputs[1], |at| at),
        Op::ChannelScale => product(x, inputs[1], |at| channel(x.shape, at)),
        Op::Slice { start, .. } => {
            let range = start * x.shape.plane()..start * x.shape.plane() + node.shape.len();
            Map::from_fn(node.shape, |at| (x.values[range.start + at], x.variances[range.start + at]))
        }
        Op::Pad { rows, columns, filling } => {
            let border = constants.border(node.inputs[0]);
            pad(x, node.shape, [rows[0], columns[0]], |channel| match filling {
                Filling::Zero => border.get(channel).copied().map_or(0.0, f64::from),
                Filling::Lowest => f64::NEG_INFINITY,
            })
        }
        Op::ZeroStuff { stride } => zero_stuff(x, node.shape, stride),
        // Dropout is for training; whatever comes later moves values until it is told here.
        _ => x.clone(),
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// GELU by its tanh form: near enough for a tolerance.
fn gelu(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
}

fn gelu_slope(x: f64) -> f64 {
    let density = (-0.5 * x * x).exp() * FRAC_1_SQRT_2 / PI.sqrt();
    (gelu(x) / if x == 0.0 { 1.0 } else { x }) + x * density
}

/// Sums of products: the errors of the operands, and those of a sum of so many terms in any order.
fn convolve(conv: Conv2d, x: &Map, shape: Shape, constants: &Constants<'_>, border: &[f32]) -> Map {
    let (weight, bias) = (constants.get(Role::Weight), constants.get(Role::Bias));
    let (inputs, outputs) = (x.shape.channels / conv.groups, conv.out_channels / conv.groups);
    let [rows, columns] = conv.kernel;
    let terms = (inputs * rows * columns) as f64;
    Map::from_fn(shape, |at| {
        let (output, row, column) = (channel(shape, at), at % shape.plane() / shape.width, at % shape.width);
        let first = output / outputs * inputs;
        let (mut sum, mut variance, mut squares) = (0.0, 0.0, 0.0);
        for input in 0..inputs {
            for tap in 0..rows * columns {
                let y = row * conv.stride[0] + tap / columns;
                let x_at = column * conv.stride[1] + tap % columns;
                let inside = y >= conv.padding[0]
                    && x_at >= conv.padding[1]
                    && y - conv.padding[0] < x.shape.height
                    && x_at - conv.padding[1] < x.shape.width;
                let (value, error) = if inside {
                    x.at(first + input, y - conv.padding[0], x_at - conv.padding[1])
                } else {
                    (border.get(first + input).copied().map_or(0.0, f64::from), 0.0)
                };
                let tap = f64::from(weight[(output * inputs + input) * rows * columns + tap]);
                sum += tap * value;
                variance += tap * tap * error;
                squares += (tap * value).powi(2);
            }
        }
        let bias = bias.get(output).copied().map_or(0.0, f64::from);
        (sum + bias, variance + of_sum(terms, squares + bias * bias))
    })
}

/// Variance of the roundings of a sum of `terms` terms in binary32, by two executions.
fn of_sum(terms: f64, squares: f64) -> f64 {
    2.0 * UNIT_F32 * UNIT_F32 * terms * squares / 6.0
}

fn batch_norm(epsilon: f32, x: &Map, constants: &Constants<'_>) -> Map {
    let [scale, shift, mean, variance] =
        [Role::Scale, Role::Shift, Role::Mean, Role::Variance].map(|role| constants.get(role));
    affine(x, |channel| {
        let rate = (f64::from(variance[channel]) + f64::from(epsilon)).sqrt().recip();
        let factor = f64::from(scale[channel]) * rate;
        (factor, f64::from(shift[channel]) - f64::from(mean[channel]) * factor)
    })
}

/// A linear map of each channel, in several roundings.
fn affine(x: &Map, of: impl Fn(usize) -> (f64, f64)) -> Map {
    Map::from_fn(x.shape, |at| {
        let (factor, shift) = of(channel(x.shape, at));
        let product = factor * x.values[at];
        let noise = of_sum(6.0, product * product + shift * shift);
        (product + shift, factor * factor * x.variances[at] + noise)
    })
}

fn product(x: &Map, factors: &Map, place: impl Fn(usize) -> usize) -> Map {
    Map::from_fn(x.shape, |at| {
        let (value, factor) = (x.values[at], factors.values[place(at)]);
        let variance = factor * factor * x.variances[at] + value * value * factors.variances[place(at)];
        (value * factor, variance)
    })
}

/// A probability p moves by p (1 - p) of its own logit's error, and by p q of another's.
fn softmax(x: &Map) -> Map {
    let plane = x.shape.plane();
    let column = |at: usize| (0..x.shape.channels).map(move |channel| channel * plane + at % plane);
    Map::from_fn(x.shape, |at| {
        let largest = column(at).map(|at| x.values[at]).fold(f64::NEG_INFINITY, f64::max);
        let exp = |at: usize| (x.values[at] - largest).exp();
        let total: f64 = column(at).map(exp).sum();
        let own = exp(at) / total;
        let variance: f64 = column(at)
            .map(|other| {
                let slope = if other == at { own * (1.0 - own) } else { own * exp(other) / total };
                slope * slope * x.variances[other]
            })
            .sum();
        (own, variance + FUNCTION * FUNCTION)
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pool {
    Largest,
    Mean,
}

fn pool(window: Window, x: &Map, shape: Shape, kind: Pool) -> Map {
    let [rows, columns] = window.kernel;
    let count = (rows * columns) as f64;
    Map::from_fn(shape, |at| {
        let (row, column) = (at % shape.plane() / shape.width, at % shape.width);
        let taps = (0..rows * columns).map(|tap| {
            let (y, x_at) =
                (row * window.stride[0] + tap / columns, column * window.stride[1] + tap % columns);
            x.at(channel(shape, at), y, x_at)
        });
        match kind {
            Pool::Largest => taps.fold((f64::NEG_INFINITY, 0.0), |(best, error), (value, variance)| {
                (best.max(value), f64::max(error, variance))
            }),
            Pool::Mean => {
                let (sum, variance, squares) = taps.fold((0.0, 0.0, 0.0), |(sum, error, squares), (x, e)| {
                    (sum + x, error + e, squares + x * x)
                });
                (sum / count, (variance + of_sum(count, squares)) / (count * count))
            }
        }
    })
}

fn resize_map(resize: Resize, x: &Map, shape: Shape) -> Map {
    let source = |at: usize, from: usize, to: usize| match resize {
        Resize::Nearest => (at * from / to, at * from / to, 0.0),
        Resize::Bilinear => {
            let place = ((at as f64 + 0.5) * from as f64 / to as f64 - 0.5).clamp(0.0, (from - 1) as f64);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a clamped index")]
            let low = place.floor() as usize;
            (low, (low + 1).min(from - 1), place - place.floor())
        }
    };
    Map::from_fn(shape, |at| {
        let (row, column) = (at % shape.plane() / shape.width, at % shape.width);
        let (top, bottom, down) = source(row, x.shape.height, shape.height);
        let (left, right, across) = source(column, x.shape.width, shape.width);
        let corners = [
            (top, left, (1.0 - down) * (1.0 - across)),
            (top, right, (1.0 - down) * across),
            (bottom, left, down * (1.0 - across)),
            (bottom, right, down * across),
        ];
        corners.iter().fold((0.0, 0.0), |(sum, error), &(row, column, share)| {
            let (value, variance) = x.at(channel(shape, at), row, column);
            (sum + share * value, error + share * variance + of_sum(4.0, (share * value).powi(2)))
        })
    })
}

fn pad(x: &Map, shape: Shape, before: [usize; 2], value: impl Fn(usize) -> f64) -> Map {
    Map::from_fn(shape, |at| {
        let (row, column) = (at % shape.plane() / shape.width, at % shape.width);
        let (row, column) = (row.wrapping_sub(before[0]), column.wrapping_sub(before[1]));
        let inside = row < x.shape.height && column < x.shape.width;
        if inside { x.at(channel(shape, at), row, column) } else { (value(channel(shape, at)), 0.0) }
    })
}

fn zero_stuff(x: &Map, shape: Shape, stride: [usize; 2]) -> Map {
    Map::from_fn(shape, |at| {
        let (row, column) = (at % shape.plane() / shape.width, at % shape.width);
        let on = row.is_multiple_of(stride[0]) && column.is_multiple_of(stride[1]);
        if on { x.at(channel(shape, at), row / stride[0], column / stride[1]) } else { (0.0, 0.0) }
    })
}
