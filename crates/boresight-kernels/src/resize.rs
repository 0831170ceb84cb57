//! Nearest and bilinear resizing to any size, forward and backward.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use crate::dispatch::{Version, dispatch};
use crate::{Planes, Store, Write};
use std::ops::Range;

/// Checks the lengths of a map and its resized form, and returns the latter's shape.
#[track_caller]
fn check(planes: Planes, size: [usize; 2], full: usize, resized: usize) -> Planes {
    let output = Planes { height: size[0], width: size[1], ..planes };
    assert!(planes.plane() > 0 && output.plane() > 0, "a plane is empty");
    assert_eq!((full, resized), (planes.len(), output.len()), "a feature map does not fill its planes");
    output
}

/// Nearest resizing to `size` (rows, columns): output row i is input row floor(i * input rows / output rows), and
/// columns alike.
///
/// # Panics
/// When a slice's length does not fit or a plane is empty.
pub fn upsample_nearest(planes: Planes, size: [usize; 2], x: &[f32], y: &mut [f32]) {
    let output = check(planes, size, x.len(), y.len());
    nearest(Version::best(), planes, output, x, y);
}

dispatch! {
    fn nearest(input: Planes, output: Planes, x: &[f32], y: &mut [f32]) {
        for (x, y) in x.chunks_exact(input.plane()).zip(y.chunks_exact_mut(output.plane())) {
            for (row, x) in x.chunks_exact(input.width).enumerate() {
                let copies = covered(row, input.height, output.height);
                if copies.is_empty() {
                    continue;
                }
                let y = &mut y[copies.start * output.width..copies.end * output.width];
                let (first, others) = y.split_at_mut(output.width);
                stretch(x, first);
                others.chunks_exact_mut(output.width).for_each(|other| other.copy_from_slice(first));
            }
        }
    }
}

/// The output positions that read input position `at`.
#[inline(always)]
fn covered(at: usize, input: usize, output: usize) -> Range<usize> {
    (at * output).div_ceil(input)..((at + 1) * output).div_ceil(input)
}

/// Repeats the values of `x` to the length of `y`.
#[inline(always)]
fn stretch(x: &[f32], y: &mut [f32]) {
    if y.len() == 2 * x.len() {
        y.as_chunks_mut::<2>().0.iter_mut().zip(x).for_each(|(y, &x)| *y = [x, x]);
    } else {
        let len = y.len();
        for (at, &value) in x.iter().enumerate() {
            y[covered(at, x.len(), len)].fill(value);
        }
    }
}

/// Gradient of [`upsample_nearest`]: the sum over all outputs that read a value.
///
/// # Panics
/// As [`upsample_nearest`].
pub fn upsample_nearest_grad(
    planes: Planes,
    size: [usize; 2],
    grad_y: &[f32],
    write: Write,
    grad_x: &mut [f32],
) {
    let output = check(planes, size, grad_x.len(), grad_y.len());
    if write == Write::Set {
        grad_x.fill(0.0);
    }
    nearest_grad(Version::best(), planes, output, grad_y, grad_x);
}

dispatch! {
    fn nearest_grad(input: Planes, output: Planes, grad_y: &[f32], grad_x: &mut [f32]) {
        for (g, d) in grad_y.chunks_exact(output.plane()).zip(grad_x.chunks_exact_mut(input.plane())) {
            for (row, d) in d.chunks_exact_mut(input.width).enumerate() {
                let copies = covered(row, input.height, output.height);
                for g in g[copies.start * output.width..copies.end * output.width].chunks_exact(output.width) {
                    gather(g, d);
                }
            }
        }
    }
}

/// Adds to every value of `d` the gradients of its copies in a stretched row.
#[inline(always)]
fn gather(g: &[f32], d: &mut [f32]) {
    let len = d.len();
    if g.len() == 2 * len {
        d.iter_mut().zip(g.as_chunks::<2>().0).for_each(|(d, g)| *d += g[0] + g[1]);
    } else {
        for (at, d) in d.iter_mut().enumerate() {
            *d += g[covered(at, len, g.len())].iter().sum::<f32>();
        }
    }
}

/// Where one output position reads: `(1 - weight) * x[low] + weight * x[high]`.
#[derive(Clone, Copy, Default)]
struct Tap {
    low: usize,
    high: usize,
    weight: f32,
}

impl Tap {
    /// The source of output position `at` is (at + 1/2) * input / output - 1/2, held inside the input; found in
    /// integers, so that only the weight is rounded, once.
    #[inline(always)]
    fn new(at: usize, input: usize, output: usize) -> Self {
        let numerator = ((2 * at + 1) * input).saturating_sub(output);
        let low = numerator / (2 * output);
        if low + 1 < input {
            let weight = (numerator % (2 * output)) as f32 / (2 * output) as f32;
            Self { low, high: low + 1, weight }
        } else {
            Self { low: input - 1, high: input - 1, weight: 0.0 }
        }
    }
}

/// (1 - weight) * a + weight * b; with weight 0 exactly `a`, even beside an infinite `b`.
#[inline(always)]
fn blend(a: f32, b: f32, weight: f32) -> f32 {
    if weight > 0.0 { (1.0 - weight) * a + weight * b } else { a }
}

/// Columns whose taps are worked out together.
const COLUMNS: usize = 128;

/// The taps of up to [`COLUMNS`] output columns.
#[inline(always)]
fn column_taps(columns: Range<usize>, input: usize, output: usize) -> [Tap; COLUMNS] {
    let mut taps = [Tap::default(); COLUMNS];
    for (tap, column) in taps.iter_mut().zip(columns) {
        *tap = Tap::new(column, input, output);
    }
    taps
}

/// The blocks of columns that cover a width.
#[inline(always)]
fn column_blocks(width: usize) -> impl Iterator<Item = Range<usize>> {
    (0..width).step_by(COLUMNS).map(move |start| start..width.min(start + COLUMNS))
}

/// Bilinear resizing to `size` (rows, columns) with half-pixel centres (`align_corners = false`) and clamped edges.
///
/// Rows are blended first, then columns, each as `(1 - weight) * a + weight * b` in `f32`, or `a` where the weight is
/// 0; then the result is stored.
///
/// # Panics
/// When a slice's length does not fit or a plane is empty.
pub fn upsample_bilinear(planes: Planes, size: [usize; 2], store: Store, x: &[f32], y: &mut [f32]) {
    let output = check(planes, size, x.len(), y.len());
    bilinear(Version::best(), planes, output, store, x, y);
}

dispatch! {
    fn bilinear(input: Planes, output: Planes, store: Store, x: &[f32], y: &mut [f32]) {
        if output.width == 2 * input.width {
            for (x, y) in x.chunks_exact(input.plane()).zip(y.chunks_exact_mut(output.plane())) {
                for (row, y) in y.chunks_exact_mut(output.width).enumerate() {
                    let tap = Tap::new(row, input.height, output.height);
                    double(rows(x, input.width, tap), tap.weight, store, y);
                }
            }
        } else {
            for columns in column_blocks(output.width) {
                let taps = column_taps(columns.clone(), input.width, output.width);
                for (x, y) in x.chunks_exact(input.plane()).zip(y.chunks_exact_mut(output.plane())) {
                    for (row, y) in y.chunks_exact_mut(output.width).enumerate() {
                        let tap = Tap::new(row, input.height, output.height);
                        let (upper, lower) = rows(x, input.width, tap);
                        for (y, column) in y[columns.clone()].iter_mut().zip(&taps) {
                            let left = blend(upper[column.low], lower[column.low], tap.weight);
                            let right = blend(upper[column.high], lower[column.high], tap.weight);
                            *y = store.apply(blend(left, right, column.weight));
                        }
                    }
                }
            }
        }
    }
}

/// The two rows of a plane that a tap reads.
#[inline(always)]
fn rows(x: &[f32], width: usize, tap: Tap) -> (&[f32], &[f32]) {
    (&x[tap.low * width..][..width], &x[tap.high * width..][..width])
}

/// One output row of twice the input's width: weights 1/4 and 3/4, and the edge values alone at both ends.
#[inline(always)]
fn double((upper, lower): (&[f32], &[f32]), weight: f32, store: Store, y: &mut [f32]) {
    let last = upper.len() - 1;
    y[0] = store.apply(blend(upper[0], lower[0], weight));
    y[2 * last + 1] = store.apply(blend(upper[last], lower[last], weight));
    let left = upper[..last].iter().zip(&lower[..last]);
    let right = upper[1..].iter().zip(&lower[1..]);
    let pairs = y[1..=2 * last].as_chunks_mut::<2>().0;
    for ((pair, (&a, &b)), (&c, &d)) in pairs.iter_mut().zip(left).zip(right) {
        let (left, right) = (blend(a, b, weight), blend(c, d, weight));
        *pair = [store.apply(0.75 * left + 0.25 * right), store.apply(0.25 * left + 0.75 * right)];
    }
}

/// Gradient of [`upsample_bilinear`].
///
/// # Panics
/// As [`upsample_bilinear`].
pub fn upsample_bilinear_grad(
    planes: Planes,
    size: [usize; 2],
    grad_y: &[f32],
    write: Write,
    grad_x: &mut [f32],
) {
    let output = check(planes, size, grad_x.len(), grad_y.len());
    if write == Write::Set {
        grad_x.fill(0.0);
    }
    bilinear_grad(Version::best(), planes, output, grad_y, grad_x);
}

dispatch! {
    fn bilinear_grad(input: Planes, output: Planes, grad_y: &[f32], grad_x: &mut [f32]) {
        for columns in column_blocks(output.width) {
            let doubled = output.width == 2 * input.width;
            if doubled && columns.start > 0 {
                break;
            }
            let taps = column_taps(columns.clone(), input.width, output.width);
            for (g, d) in grad_y.chunks_exact(output.plane()).zip(grad_x.chunks_exact_mut(input.plane())) {
                for (row, g) in g.chunks_exact(output.width).enumerate() {
                    let tap = Tap::new(row, input.height, output.height);
                    for (at, share) in [(tap.low, 1.0 - tap.weight), (tap.high, tap.weight)] {
                        let d = &mut d[at * input.width..][..input.width];
                        if doubled {
                            double_grad(g, share, d);
                        } else {
                            scatter(&g[columns.clone()], &taps, share, d);
                        }
                    }
                }
            }
        }
    }
}

/// Adds `share` times the gradients of some columns to the values that they read.
#[inline(always)]
fn scatter(g: &[f32], taps: &[Tap; COLUMNS], share: f32, d: &mut [f32]) {
    for (&g, tap) in g.iter().zip(taps) {
        d[tap.low] += share * (1.0 - tap.weight) * g;
        d[tap.high] += share * tap.weight * g;
    }
}

/// Adds `share` times the gradient of a row of twice the width.
#[inline(always)]
fn double_grad(g: &[f32], share: f32, d: &mut [f32]) {
    let last = d.len() - 1;
    if last == 0 {
        d[0] += share * (g[0] + g[1]);
        return;
    }
    d[0] += share * (g[0] + 0.75 * g[1] + 0.25 * g[2]);
    d[last] += share * (0.25 * g[2 * last - 1] + 0.75 * g[2 * last] + g[2 * last + 1]);
    let windows = g[1..].as_chunks::<2>().0;
    for (d, (before, after)) in d[1..last].iter_mut().zip(windows.iter().zip(&windows[1..])) {
        *d += share * (0.25 * (before[0] + after[1]) + 0.75 * (before[1] + after[0]));
    }
}

#[cfg(test)]
mod tests;
