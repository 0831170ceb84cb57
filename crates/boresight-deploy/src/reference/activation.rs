//! Activations: of single values, and softmax. NaN stays NaN in all of them.

use super::Map;
use boresight_kernels::math;
use boresight_numerics::{Functions, Table};

/// `max(x, 0)`; never a negative zero.
pub(super) fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// `min(max(x, 0), 6)`.
pub(super) fn relu6(x: f32) -> f32 {
    clip(x, 0.0, 6.0)
}

/// `min(max(x, low), high)`.
pub(super) fn clip(x: f32, low: f32, high: f32) -> f32 {
    let x = if x <= low { low } else { x };
    if x >= high { high } else { x }
}

/// `x` above zero, `x * slope` up to it.
pub(super) fn leaky_relu(x: f32, slope: f32) -> f32 {
    if x <= 0.0 { x * slope } else { x }
}

/// `x (1 + erf(x / sqrt 2)) / 2`, by this project's own polynomials: every library's `erf` has other last bits.
pub(super) fn gelu(x: f32, functions: Functions) -> f32 {
    match functions {
        Functions::Exact => math::gelu(x),
        Functions::Table(table) => from_table(table, x, math::gelu, if x < 0.0 { 0.0 } else { x }),
    }
}

/// `1 / (1 + exp(-x))`, by this project's own polynomials.
pub(super) fn sigmoid(x: f32, functions: Functions) -> f32 {
    match functions {
        Functions::Exact => math::sigmoid(x),
        Functions::Table(table) => from_table(table, x, math::sigmoid, if x < 0.0 { 0.0 } else { 1.0 }),
    }
}

/// Between the two places of the table that enclose `x`, linearly in binary32; `beyond` where the table does not reach.
fn from_table(table: Table, x: f32, function: fn(f32) -> f32, beyond: f32) -> f32 {
    let reach = f64::from(table.reach.get());
    if x.is_nan() || f64::from(x.abs()) >= reach {
        return if x.is_nan() { x } else { beyond };
    }
    #[expect(clippy::cast_possible_truncation, reason = "each place is rounded once")]
    let place = |at: f32| (f64::from(at) * table.step() - reach) as f32;
    #[expect(clippy::cast_possible_truncation, reason = "reach and rate are rounded once")]
    let (reach, rate) = (reach as f32, (1.0 / table.step()) as f32);
    let position = (x + reach) * rate;
    let at = position.floor().min(table.intervals.get() as f32 - 1.0);
    let [low, high] = [function(place(at)), function(place(at + 1.0))];
    (high - low).mul_add(position - at, low)
}

/// `exp(x - largest)` of each channel, divided by the sum of these over the channels of the pixel: from zero, channel
/// after channel, in binary32. `exp` is this project's own polynomial.
pub(super) fn softmax(x: &Map) -> Map {
    let (channels, _, _) = x.dim();
    let share = |channel: usize, row: usize, column: usize| {
        let mut largest = f32::NEG_INFINITY;
        for other in 0..channels {
            // NaN is never larger, and makes the sum NaN.
            if x[[other, row, column]] > largest {
                largest = x[[other, row, column]];
            }
        }
        let mut sum = 0.0;
        for other in 0..channels {
            sum += math::exp(x[[other, row, column]] - largest);
        }
        math::exp(x[[channel, row, column]] - largest) / sum
    };
    Map::from_shape_fn(x.dim(), |(channel, row, column)| share(channel, row, column))
}
