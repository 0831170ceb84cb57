//! Pooling without padding, forward and backward.
//!
//! Sizes round down: rows and columns that no window covers neither count nor receive gradient.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use crate::dispatch::{Version, dispatch};
use crate::rows::Sum;
use crate::{Planes, Store, Write};

/// Shape after pooling with windows of `kernel` every `stride` (rows, columns) and no padding.
///
/// # Panics
/// When a stride or a kernel is zero, or the kernel is larger than the plane.
#[track_caller]
fn pooled(planes: Planes, kernel: [usize; 2], stride: [usize; 2]) -> Planes {
    assert!(stride[0] > 0 && stride[1] > 0 && kernel[0] > 0 && kernel[1] > 0, "a kernel or stride is zero");
    assert!(kernel[0] <= planes.height && kernel[1] <= planes.width, "the kernel is larger than the plane");
    Planes {
        height: (planes.height - kernel[0]) / stride[0] + 1,
        width: (planes.width - kernel[1]) / stride[1] + 1,
        ..planes
    }
}

/// Checks the lengths of a feature map and its pooled form, and returns the latter's shape.
#[track_caller]
fn check(planes: Planes, kernel: [usize; 2], stride: [usize; 2], full: usize, small: usize) -> Planes {
    let output = pooled(planes, kernel, stride);
    assert_eq!((full, small), (planes.len(), output.len()), "a feature map does not fill its planes");
    output
}

/// Geometry of one pooling operator.
#[derive(Clone, Copy)]
struct Windows {
    input: Planes,
    output: Planes,
    kernel: [usize; 2],
    stride: [usize; 2],
}

impl Windows {
    /// Whether windows are 2x2 and side by side.
    fn halve(self) -> bool {
        (self.kernel, self.stride) == ([2, 2], [2, 2])
    }

    /// Planes of the whole batch.
    fn planes(self) -> usize {
        self.input.batch * self.input.channels
    }
}

/// The larger number, the first of equals; NaN wins.
#[inline(always)]
fn larger(best: f32, value: f32) -> f32 {
    if value > best || value.is_nan() { value } else { best }
}

/// The maximum of every window; NaN if the window holds one, so that divergence is seen.
///
/// # Panics
/// When a slice's length does not fit, a stride or kernel is zero or the kernel is larger than a plane.
pub fn max_pool(planes: Planes, kernel: [usize; 2], stride: [usize; 2], x: &[f32], y: &mut [f32]) {
    let output = check(planes, kernel, stride, x.len(), y.len());
    max_pool_all(Version::best(), Windows { input: planes, output, kernel, stride }, x, y);
}

dispatch! {
    fn max_pool_all(windows: Windows, x: &[f32], y: &mut [f32]) {
        let Windows { input, output, kernel, stride } = windows;
        for at in 0..windows.planes() {
            let x = &x[at * input.plane()..][..input.plane()];
            let y = &mut y[at * output.plane()..][..output.plane()];
            for (row, y) in y.chunks_exact_mut(output.width).enumerate() {
                let x = &x[row * stride[0] * input.width..];
                if windows.halve() {
                    let (pairs, lower) = (x.as_chunks::<2>().0, x[input.width..].as_chunks::<2>().0);
                    for ((y, a), b) in y.iter_mut().zip(pairs).zip(lower) {
                        *y = larger(larger(larger(a[0], a[1]), b[0]), b[1]);
                    }
                } else {
                    window_maxima(input.width, kernel, stride[1], x, y);
                }
            }
        }
    }
}

/// Maxima of one row of windows that starts at the beginning of `x`.
#[inline(always)]
fn window_maxima(width: usize, kernel: [usize; 2], stride: usize, x: &[f32], y: &mut [f32]) {
    for (y, &first) in y.iter_mut().zip(x.iter().step_by(stride)) {
        *y = first;
    }
    for ky in 0..kernel[0] {
        for kx in 0..kernel[1] {
            let taps = x[ky * width + kx..].iter().step_by(stride);
            y.iter_mut().zip(taps).for_each(|(y, &value)| *y = larger(*y, value));
        }
    }
}

/// Gradient of [`max_pool`]: the first maximum of a window in row-major order takes the window's whole gradient.
///
/// # Panics
/// As [`max_pool`].
pub fn max_pool_grad(
    planes: Planes,
    kernel: [usize; 2],
    stride: [usize; 2],
    x: &[f32],
    grad_y: &[f32],
    write: Write,
    grad_x: &mut [f32],
) {
    let output = check(planes, kernel, stride, x.len(), grad_y.len());
    assert_eq!(grad_x.len(), x.len(), "the gradient and its feature map differ in length");
    max_pool_grad_all(
        Version::best(),
        Windows { input: planes, output, kernel, stride },
        x,
        grad_y,
        write,
        grad_x,
    );
}

dispatch! {
    fn max_pool_grad_all(windows: Windows, x: &[f32], grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
        let Windows { input, output, kernel, stride } = windows;
        // Side by side without remainder, the windows themselves overwrite everything.
        let write = if windows.halve() && input.height % 2 == 0 && input.width % 2 == 0 {
            write
        } else {
            clear(write, grad_x);
            Write::Add
        };
        for at in 0..windows.planes() {
            let x = &x[at * input.plane()..][..input.plane()];
            let grad_x = &mut grad_x[at * input.plane()..][..input.plane()];
            let grad_y = &grad_y[at * output.plane()..][..output.plane()];
            for (row, g) in grad_y.chunks_exact(output.width).enumerate() {
                let start = row * stride[0] * input.width;
                if windows.halve() {
                    let (d_upper, d_lower) = grad_x[start..].split_at_mut(input.width);
                    let (upper, lower) = x[start..].split_at(input.width);
                    halved_grad([upper, lower], g, write, [d_upper, d_lower]);
                } else {
                    window_grads(input.width, kernel, stride[1], &x[start..], g, &mut grad_x[start..]);
                }
            }
        }
    }
}

/// Makes adding to the gradient the same as what `write` asks for.
#[inline(always)]
fn clear(write: Write, gradient: &mut [f32]) {
    if write == Write::Set {
        gradient.fill(0.0);
    }
}

/// Windows of 2x2 whose gradients are worked out together, from local arrays: only then it becomes vector code.
const WINDOWS: usize = 64;

/// Writes the gradients of one row of 2x2 windows to the two rows below them.
#[inline(always)]
fn halved_grad(x: [&[f32]; 2], g: &[f32], write: Write, grad_x: [&mut [f32]; 2]) {
    let rows = x[0].chunks(2 * WINDOWS).zip(x[1].chunks(2 * WINDOWS));
    let [d_upper, d_lower] = grad_x.map(|row| row.chunks_mut(2 * WINDOWS));
    for (((upper, lower), g), (d_upper, d_lower)) in rows.zip(g.chunks(WINDOWS)).zip(d_upper.zip(d_lower)) {
        let ([a, b], [c, d]) = (halves(upper), halves(lower));
        let mut gradients = [[0.0; WINDOWS]; 4];
        let mut whole = [0.0; WINDOWS];
        whole[..g.len()].copy_from_slice(g);
        for at in 0..WINDOWS {
            let best = larger(larger(larger(a[at], b[at]), c[at]), d[at]);
            // The first maximum is the first value that reaches the largest, or that is NaN.
            let is_best = |value: f32| value >= best || value.is_nan();
            let left = whole[at];
            gradients[0][at] = if is_best(a[at]) { left } else { 0.0 };
            let left = if is_best(a[at]) { 0.0 } else { left };
            gradients[1][at] = if is_best(b[at]) { left } else { 0.0 };
            let left = if is_best(b[at]) { 0.0 } else { left };
            gradients[2][at] = if is_best(c[at]) { left } else { 0.0 };
            gradients[3][at] = if is_best(c[at]) { 0.0 } else { left };
        }
        join(g.len(), [&gradients[0], &gradients[1]], write, d_upper);
        join(g.len(), [&gradients[2], &gradients[3]], write, d_lower);
    }
}

/// The even and the odd columns of a block of a row.
#[inline(always)]
fn halves(row: &[f32]) -> [[f32; WINDOWS]; 2] {
    let mut halves = [[0.0; WINDOWS]; 2];
    let [even, odd] = &mut halves;
    for ((even, odd), pair) in even.iter_mut().zip(odd).zip(row.as_chunks::<2>().0) {
        [*even, *odd] = *pair;
    }
    halves
}

/// Writes even and odd columns back to a block of a row.
#[inline(always)]
fn join(count: usize, [even, odd]: [&[f32; WINDOWS]; 2], write: Write, row: &mut [f32]) {
    let pairs = row.as_chunks_mut::<2>().0[..count].iter_mut().zip(even.iter().zip(odd));
    match write {
        Write::Set => {
            for (pair, (&even, &odd)) in pairs {
                *pair = [even, odd];
            }
        }
        Write::Add => {
            for (pair, (&even, &odd)) in pairs {
                *pair = [pair[0] + even, pair[1] + odd];
            }
        }
    }
}

/// Adds the gradients of one row of windows that starts at the beginning of `x`.
#[inline(always)]
fn window_grads(width: usize, kernel: [usize; 2], stride: usize, x: &[f32], g: &[f32], grad_x: &mut [f32]) {
    for (column, &g) in g.iter().enumerate() {
        let corner = column * stride;
        let (mut best, mut place) = (x[corner], corner);
        for ky in 0..kernel[0] {
            let start = corner + ky * width;
            for (at, &value) in x[start..start + kernel[1]].iter().enumerate() {
                let replaces = value > best || (value.is_nan() && !best.is_nan());
                (best, place) = if replaces { (value, start + at) } else { (best, place) };
            }
        }
        grad_x[place] += g;
    }
}

/// The mean of every window: the row-major `f32` sum from zero on, divided by the window's size, then stored.
///
/// # Panics
/// As [`max_pool`].
pub fn avg_pool(
    planes: Planes,
    kernel: [usize; 2],
    stride: [usize; 2],
    store: Store,
    x: &[f32],
    y: &mut [f32],
) {
    let output = check(planes, kernel, stride, x.len(), y.len());
    avg_pool_all(Version::best(), Windows { input: planes, output, kernel, stride }, store, x, y);
}

dispatch! {
    fn avg_pool_all(windows: Windows, store: Store, x: &[f32], y: &mut [f32]) {
        let Windows { input, output, kernel, stride } = windows;
        let size = (kernel[0] * kernel[1]) as f32;
        for at in 0..windows.planes() {
            let x = &x[at * input.plane()..][..input.plane()];
            let y = &mut y[at * output.plane()..][..output.plane()];
            for (row, y) in y.chunks_exact_mut(output.width).enumerate() {
                let x = &x[row * stride[0] * input.width..];
                if windows.halve() {
                    let (pairs, lower) = (x.as_chunks::<2>().0, x[input.width..].as_chunks::<2>().0);
                    for ((y, a), b) in y.iter_mut().zip(pairs).zip(lower) {
                        *y = store.apply((0.0 + a[0] + a[1] + b[0] + b[1]) / 4.0);
                    }
                } else {
                    window_sums(input.width, kernel, stride[1], x, y);
                    for y in y.iter_mut() {
                        *y = store.apply(*y / size);
                    }
                }
            }
        }
    }
}

/// Sums of one row of windows that starts at the beginning of `x`.
#[inline(always)]
fn window_sums(width: usize, kernel: [usize; 2], stride: usize, x: &[f32], y: &mut [f32]) {
    y.fill(0.0);
    for ky in 0..kernel[0] {
        for kx in 0..kernel[1] {
            let taps = x[ky * width + kx..].iter().step_by(stride);
            y.iter_mut().zip(taps).for_each(|(y, &value)| *y += value);
        }
    }
}

/// Gradient of [`avg_pool`]: every value of a window takes an equal share.
///
/// # Panics
/// As [`max_pool`].
pub fn avg_pool_grad(
    planes: Planes,
    kernel: [usize; 2],
    stride: [usize; 2],
    grad_y: &[f32],
    write: Write,
    grad_x: &mut [f32],
) {
    let output = check(planes, kernel, stride, grad_x.len(), grad_y.len());
    clear(write, grad_x);
    avg_pool_grad_all(Version::best(), Windows { input: planes, output, kernel, stride }, grad_y, grad_x);
}

dispatch! {
    fn avg_pool_grad_all(windows: Windows, grad_y: &[f32], grad_x: &mut [f32]) {
        let Windows { input, output, kernel, stride } = windows;
        let share = 1.0 / (kernel[0] * kernel[1]) as f32;
        for at in 0..windows.planes() {
            let grad_x = &mut grad_x[at * input.plane()..][..input.plane()];
            let grad_y = &grad_y[at * output.plane()..][..output.plane()];
            for (row, g) in grad_y.chunks_exact(output.width).enumerate() {
                for ky in 0..kernel[0] {
                    let d = &mut grad_x[(row * stride[0] + ky) * input.width..][..input.width];
                    spread(kernel[1], stride[1], share, g, d);
                }
            }
        }
    }
}

/// Adds the gradients of one row of windows to one of the rows that they cover.
#[inline(always)]
fn spread(kernel: usize, stride: usize, share: f32, g: &[f32], d: &mut [f32]) {
    if (kernel, stride) == (2, 2) {
        for (d, &g) in d.as_chunks_mut::<2>().0.iter_mut().zip(g) {
            d[0] += g * share;
            d[1] += g * share;
        }
    } else {
        for kx in 0..kernel {
            d[kx..].iter_mut().step_by(stride).zip(g).for_each(|(d, &g)| *d += g * share);
        }
    }
}

/// The mean of every plane, `y[b, c]`, summed in binary64 and rounded to `f32` once, then stored.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn global_avg_pool(planes: Planes, store: Store, x: &[f32], y: &mut [f32]) {
    let lengths = (planes.len(), planes.batch * planes.channels);
    assert_eq!((x.len(), y.len()), lengths, "a feature map does not fill its planes");
    global_avg_pool_all(Version::best(), planes.plane(), store, x, y);
}

dispatch! {
    fn global_avg_pool_all(plane: usize, store: Store, x: &[f32], y: &mut [f32]) {
        for (at, y) in y.iter_mut().enumerate() {
            let mut sum = Sum::ZERO;
            sum.add(&x[at * plane..(at + 1) * plane], |x| x);
            #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
            let mean = (sum.total() / plane as f64) as f32;
            *y = store.apply(mean);
        }
    }
}

/// Gradient of [`global_avg_pool`]: every value of a plane takes an equal share.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn global_avg_pool_grad(planes: Planes, grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
    let lengths = (planes.len(), planes.batch * planes.channels);
    assert_eq!((grad_x.len(), grad_y.len()), lengths, "a feature map does not fill its planes");
    let plane = planes.plane();
    for (at, &g) in grad_y.iter().enumerate() {
        let share = g / plane as f32;
        match write {
            Write::Set => grad_x[at * plane..][..plane].fill(share),
            Write::Add => grad_x[at * plane..][..plane].iter_mut().for_each(|d| *d += share),
        }
    }
}

#[cfg(test)]
mod tests;
