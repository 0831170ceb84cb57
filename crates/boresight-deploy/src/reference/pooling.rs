//! Pooling; windows lie within the map.

use super::Map;
use boresight_ir::{Shape, Window};
use boresight_numerics::NumericProfile;

/// Largest value of each window, row by row; the first of equal ones (zeros of both signs are equal), and NaN if the
/// window holds one.
pub(super) fn max(window: Window, x: &Map, shape: Shape) -> Map {
    over_windows(window, x, shape, |values| {
        let mut values = values.iter();
        let mut best = values.next().copied().unwrap_or(f32::NEG_INFINITY);
        for &value in values {
            if value > best || value.is_nan() {
                best = value;
            }
        }
        best
    })
}

/// Mean of each window: the sum from zero, row by row in binary32, divided by the window's size.
pub(super) fn average(window: Window, x: &Map, shape: Shape) -> Map {
    over_windows(window, x, shape, |values| {
        let mut sum = 0.0_f32;
        for value in values {
            sum += value;
        }
        sum / values.len() as f32
    })
}

/// Mean of each window on a device that sums in binary16: the sum is rounded after each value, row by row, and divided
/// by the window's size in binary32.
pub(super) fn narrow_average(window: Window, x: &Map, shape: Shape, profile: &NumericProfile) -> Map {
    over_windows(window, x, shape, |values| {
        let mut sum = 0.0_f32;
        for value in values {
            sum = profile.accumulator_rounding().apply(sum + value);
        }
        sum / values.len() as f32
    })
}

/// Mean of each channel, in binary64 and rounded to binary32 once.
///
/// Pixel `i`, row by row, goes to partial sum `i % 128`; then the upper half of the partial sums is added to the lower
/// half, until one is left.
pub(super) fn global_average(x: &Map) -> Map {
    let (channels, height, width) = x.dim();
    Map::from_shape_fn((channels, 1, 1), |(channel, _, _)| {
        let mut sums = [0.0_f64; 128];
        for row in 0..height {
            for column in 0..width {
                sums[(row * width + column) % 128] += f64::from(x[[channel, row, column]]);
            }
        }
        for half in [64, 32, 16, 8, 4, 2, 1] {
            for at in 0..half {
                sums[at] += sums[at + half];
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "the one rounding that the mean has")]
        let mean = (sums[0] / (height * width) as f64) as f32;
        mean
    })
}

/// `summary` of the values of each window, which come row by row.
fn over_windows(window: Window, x: &Map, shape: Shape, summary: impl Fn(&[f32]) -> f32) -> Map {
    Map::from_shape_fn((shape.channels, shape.height, shape.width), |(channel, row, column)| {
        let mut values = Vec::new();
        for ky in 0..window.kernel[0] {
            for kx in 0..window.kernel[1] {
                let (y, x_at) = (row * window.stride[0] + ky, column * window.stride[1] + kx);
                values.push(x[[channel, y, x_at]]);
            }
        }
        summary(&values)
    })
}
