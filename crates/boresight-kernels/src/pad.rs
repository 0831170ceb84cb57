//! Rows and columns around a map and between its pixels. Values are moved, never changed.

use crate::rows::pass;
use crate::{Planes, Write};

/// Checks the lengths of a map of `input` and of one of `output`.
#[track_caller]
fn check(input: Planes, output: Planes, lengths: [usize; 2]) {
    assert!(!input.is_empty(), "a feature map is empty");
    assert_eq!(lengths, [input.len(), output.len()], "a feature map does not fill its planes");
}

/// Shape with `rows` above and below and `columns` left and right.
const fn padded(planes: Planes, rows: [usize; 2], columns: [usize; 2]) -> Planes {
    Planes {
        height: rows[0] + planes.height + rows[1],
        width: columns[0] + planes.width + columns[1],
        ..planes
    }
}

/// Puts `rows` above and below each plane and `columns` left and right, which hold what `filling` says of the channel.
///
/// # Panics
/// When a slice's length does not fit or the map is empty.
pub fn pad(
    planes: Planes,
    rows: [usize; 2],
    columns: [usize; 2],
    filling: impl Fn(usize) -> f32,
    x: &[f32],
    y: &mut [f32],
) {
    let output = padded(planes, rows, columns);
    check(planes, output, [x.len(), y.len()]);
    let maps = x.chunks_exact(planes.plane()).zip(y.chunks_exact_mut(output.plane()));
    for (at, (x, y)) in maps.enumerate() {
        y.fill(filling(at % planes.channels));
        let inner = y.chunks_exact_mut(output.width).skip(rows[0]);
        for (x, y) in x.chunks_exact(planes.width).zip(inner) {
            y[columns[0]..][..planes.width].copy_from_slice(x);
        }
    }
}

/// Gradient of [`pad`]: that of the part within.
///
/// # Panics
/// As [`pad`].
pub fn pad_grad(
    planes: Planes,
    rows: [usize; 2],
    columns: [usize; 2],
    grad_y: &[f32],
    write: Write,
    grad_x: &mut [f32],
) {
    let output = padded(planes, rows, columns);
    check(planes, output, [grad_x.len(), grad_y.len()]);
    let maps = grad_y.chunks_exact(output.plane()).zip(grad_x.chunks_exact_mut(planes.plane()));
    for (g, d) in maps {
        let inner = g.chunks_exact(output.width).skip(rows[0]);
        for (g, d) in inner.zip(d.chunks_exact_mut(planes.width)) {
            pass(write, &g[columns[0]..][..planes.width], d, |g| g);
        }
    }
}

/// Shape with `stride` (rows, columns) from each pixel to what was its neighbour.
const fn stuffed(planes: Planes, stride: [usize; 2]) -> Planes {
    Planes {
        height: planes.height.saturating_sub(1) * stride[0] + 1,
        width: planes.width.saturating_sub(1) * stride[1] + 1,
        ..planes
    }
}

/// Puts zeros between the pixels of each plane, none around them, so that what were neighbours lie `stride` (rows,
/// columns) apart.
///
/// # Panics
/// When a slice's length does not fit, the map is empty or a stride is zero.
pub fn zero_stuff(planes: Planes, stride: [usize; 2], x: &[f32], y: &mut [f32]) {
    let output = stuffed(planes, stride);
    check(planes, output, [x.len(), y.len()]);
    y.fill(0.0);
    for (x, y) in x.chunks_exact(planes.plane()).zip(y.chunks_exact_mut(output.plane())) {
        let targets = y.chunks_exact_mut(output.width).step_by(stride[0]);
        for (x, y) in x.chunks_exact(planes.width).zip(targets) {
            for (y, &x) in y.iter_mut().step_by(stride[1]).zip(x) {
                *y = x;
            }
        }
    }
}

/// Gradient of [`zero_stuff`]: that of the pixels alone.
///
/// # Panics
/// As [`zero_stuff`].
pub fn zero_stuff_grad(planes: Planes, stride: [usize; 2], grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
    let output = stuffed(planes, stride);
    check(planes, output, [grad_x.len(), grad_y.len()]);
    let maps = grad_y.chunks_exact(output.plane()).zip(grad_x.chunks_exact_mut(planes.plane()));
    for (g, d) in maps {
        let sources = g.chunks_exact(output.width).step_by(stride[0]);
        for (g, d) in sources.zip(d.chunks_exact_mut(planes.width)) {
            for (d, &g) in d.iter_mut().zip(g.iter().step_by(stride[1])) {
                *d = write.apply(*d, g);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{bits, numbers, written};
    use proptest::prelude::*;

    fn shapes() -> impl Strategy<Value = Planes> {
        [1_usize..3, 1..4, 1..6, 1..6].prop_map(|[batch, channels, height, width]| Planes {
            batch,
            channels,
            height,
            width,
        })
    }

    /// The values of a map as (plane, row, column, value).
    fn places(planes: Planes, values: &[f32]) -> impl Iterator<Item = ([usize; 3], f32)> {
        let (plane, width) = (planes.plane(), planes.width);
        values
            .iter()
            .enumerate()
            .map(move |(at, &value)| ([at / plane, at % plane / width, at % width], value))
    }

    proptest! {
        #[test]
        fn padding_surrounds_and_its_gradient_crops(
            planes in shapes(), rows in prop::array::uniform2(0_usize..4), columns in prop::array::uniform2(0_usize..4),
            seed: u64,
        ) {
            let (x, filling) = (numbers(seed, planes.len()), numbers(seed ^ 1, planes.channels));
            let output = padded(planes, rows, columns);
            let mut y = vec![f32::NAN; output.len()];
            pad(planes, rows, columns, |channel| filling[channel], &x, &mut y);
            let grad_x = written(x.len(), |write, grad_x| pad_grad(planes, rows, columns, &y, write, grad_x));
            prop_assert_eq!(bits(&grad_x), bits(&x));
            for ([plane, row, column], value) in places(output, &y) {
                let inside = (rows[0]..rows[0] + planes.height).contains(&row)
                    && (columns[0]..columns[0] + planes.width).contains(&column);
                let expected = if inside {
                    x[plane * planes.plane() + (row - rows[0]) * planes.width + column - columns[0]]
                } else {
                    filling[plane % planes.channels]
                };
                prop_assert_eq!(value.to_bits(), expected.to_bits());
            }
        }

        #[test]
        fn zeros_stand_between_pixels_and_the_gradient_passes_them_over(
            planes in shapes(), stride in prop::array::uniform2(1_usize..4), seed: u64,
        ) {
            let x = numbers(seed, planes.len());
            let output = stuffed(planes, stride);
            let mut y = vec![f32::NAN; output.len()];
            zero_stuff(planes, stride, &x, &mut y);
            for ([plane, row, column], value) in places(output, &y) {
                let is_pixel = row.is_multiple_of(stride[0]) && column.is_multiple_of(stride[1]);
                let source = plane * planes.plane() + row / stride[0] * planes.width + column / stride[1];
                prop_assert_eq!(value.to_bits(), if is_pixel { x[source].to_bits() } else { 0 });
            }
            // What stands between the pixels does not count.
            let grad_y: Vec<f32> = places(output, &y)
                .map(|([_, row, column], value)| {
                    let is_pixel = row.is_multiple_of(stride[0]) && column.is_multiple_of(stride[1]);
                    if is_pixel { value } else { 7.0 }
                })
                .collect();
            let grad_x = written(x.len(), |write, grad_x| zero_stuff_grad(planes, stride, &grad_y, write, grad_x));
            prop_assert_eq!(bits(&grad_x), bits(&x));
        }
    }

    #[test]
    fn one_pixel_is_surrounded_by_what_its_channel_is_filled_with() {
        let planes = Planes { batch: 1, channels: 2, height: 1, width: 1 };
        let mut y = [f32::NAN; 8];
        pad(planes, [0, 1], [1, 0], |channel| [5.0, f32::NEG_INFINITY][channel], &[1.0, 2.0], &mut y);
        let lowest = f32::NEG_INFINITY;
        assert_eq!(bits(&y), bits(&[5.0, 1.0, 5.0, 5.0, lowest, 2.0, lowest, lowest]));
    }

    #[test]
    fn two_by_two_pixels_are_spread() {
        let planes = Planes { batch: 1, channels: 1, height: 2, width: 2 };
        let mut y = [f32::NAN; 8];
        zero_stuff(planes, [1, 3], &[1.0, 2.0, 3.0, 4.0], &mut y);
        assert_eq!(bits(&y), bits(&[1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 4.0]));
    }

    #[test]
    #[should_panic(expected = "a feature map does not fill its planes")]
    fn a_result_without_room_for_the_padding_is_refused() {
        let planes = Planes { batch: 1, channels: 1, height: 1, width: 1 };
        pad(planes, [1, 1], [0, 0], |_| 0.0, &[1.0], &mut [0.0; 2]);
    }
}
