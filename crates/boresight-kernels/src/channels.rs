//! Operators that move, join and weigh channels: copies, sums, scaling per channel, dropout.

use crate::dispatch::{Version, dispatch};
use crate::rows::{PairSums, map, map_pairs, pass, pass_pairs};
use crate::{Planes, Store, Write};

/// Copies `count` channels of every image of `x`, from `source_start` on, to the channels of `y` from `target_start` on.
///
/// Serves concatenation, splitting and the gradients of both; channels of `y` outside the range stay as they are.
///
/// # Panics
/// When the two maps differ in batch, height or width, a range leaves its map, or a slice does not fill its planes.
pub fn copy_channels(
    source: Planes,
    source_start: usize,
    count: usize,
    x: &[f32],
    target: Planes,
    target_start: usize,
    write: Write,
    y: &mut [f32],
) {
    assert_eq!(
        Planes { channels: target.channels, ..source },
        target,
        "the maps differ in more than channels"
    );
    assert_eq!((x.len(), y.len()), (source.len(), target.len()), "a feature map does not fill its planes");
    assert!(source_start + count <= source.channels, "the range leaves the source");
    assert!(target_start + count <= target.channels, "the range leaves the target");
    let plane = source.plane();
    for image in 0..source.batch {
        let from = (image * source.channels + source_start) * plane;
        let to = (image * target.channels + target_start) * plane;
        let (x, y) = (&x[from..from + count * plane], &mut y[to..to + count * plane]);
        match write {
            Write::Set => y.copy_from_slice(x),
            Write::Add => accumulate(Version::best(), x, y),
        }
    }
}

dispatch! {
    fn accumulate(x: &[f32], y: &mut [f32]) {
        pass(Write::Add, x, y, |x| x);
    }
}

/// y = x + z, stored. Its gradient with respect to each summand is the gradient of `y` itself.
///
/// # Panics
/// When the slices differ in length.
pub fn add(x: &[f32], z: &[f32], store: Store, y: &mut [f32]) {
    assert_eq!((x.len(), z.len()), (y.len(), y.len()), "the summands and their sum differ in length");
    add_all(Version::best(), x, z, store, y);
}

dispatch! {
    fn add_all(x: &[f32], z: &[f32], store: Store, y: &mut [f32]) {
        map_pairs(store, x, z, y, |x, z| x + z);
    }
}

/// y += x.
///
/// # Panics
/// When the slices differ in length.
pub fn add_assign(x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "the summands differ in length");
    accumulate(Version::best(), x, y);
}

/// Multiplies each plane by its number: y\[b, c, ..\] = x\[b, c, ..\] * s\[b, c\], stored.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn channel_scale(planes: Planes, x: &[f32], s: &[f32], store: Store, y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (planes.len(), planes.len()), "a feature map does not fill its planes");
    assert_eq!(s.len(), planes.batch * planes.channels, "not one factor per plane");
    channel_scale_all(Version::best(), planes.plane(), x, s, store, y);
}

dispatch! {
    fn channel_scale_all(plane: usize, x: &[f32], s: &[f32], store: Store, y: &mut [f32]) {
        for (at, &s) in s.iter().enumerate() {
            let range = at * plane..(at + 1) * plane;
            map(store, &x[range.clone()], &mut y[range], |x| x * s);
        }
    }
}

/// Gradients of [`channel_scale`] with respect to both factors; `grad_s` is summed in binary64.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn channel_scale_grad(
    planes: Planes,
    x: &[f32],
    s: &[f32],
    grad_y: &[f32],
    write_x: Write,
    grad_x: &mut [f32],
    write_s: Write,
    grad_s: &mut [f32],
) {
    let maps = [x.len(), grad_y.len(), grad_x.len()];
    assert!(maps.iter().all(|&len| len == planes.len()), "a feature map does not fill its planes");
    let factors = planes.batch * planes.channels;
    assert_eq!((s.len(), grad_s.len()), (factors, factors), "not one factor per plane");
    channel_scale_grad_all(Version::best(), planes.plane(), x, s, grad_y, write_x, grad_x, write_s, grad_s);
}

dispatch! {
    fn channel_scale_grad_all(
        plane: usize, x: &[f32], s: &[f32], grad_y: &[f32], write_x: Write, grad_x: &mut [f32], write_s: Write,
        grad_s: &mut [f32],
    ) {
        for (at, (&s, grad_s)) in s.iter().zip(grad_s).enumerate() {
            let range = at * plane..(at + 1) * plane;
            let g = &grad_y[range.clone()];
            let mut sums = PairSums::ZERO;
            sums.add(&x[range.clone()], g, |x, g| (f64::from(x) * f64::from(g), 0.0));
            #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
            let total = sums.totals().0 as f32;
            *grad_s = write_s.apply(*grad_s, total);
            pass(write_x, g, &mut grad_x[range], |g| g * s);
        }
    }
}

/// Multiplies each value by its mask, which holds 0 or 1 / (1 - rate), drawn by the caller.
///
/// # Panics
/// When the slices differ in length.
pub fn dropout(mask: &[f32], x: &[f32], y: &mut [f32]) {
    assert_eq!((mask.len(), x.len()), (y.len(), y.len()), "mask, input and output differ in length");
    mask_all(Version::best(), mask, x, Write::Set, y);
}

/// Gradient of [`dropout`] under the same mask.
///
/// # Panics
/// When the slices differ in length.
pub fn dropout_grad(mask: &[f32], grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
    let len = grad_x.len();
    assert_eq!((mask.len(), grad_y.len()), (len, len), "mask and gradients differ in length");
    mask_all(Version::best(), mask, grad_y, write, grad_x);
}

dispatch! {
    fn mask_all(mask: &[f32], x: &[f32], write: Write, y: &mut [f32]) {
        pass_pairs(write, mask, x, y, |mask, x| mask * x);
    }
}
