//! Operators that move, join and weigh channels: copies, sums, products, scaling per channel, dropout.

use crate::dispatch::{Version, dispatch};
use crate::gradient::Gradient;
use crate::rows::{PairSums, map, map_in_place, map_pairs, pass, pass_pairs};
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

/// y = x * z, stored.
///
/// # Panics
/// When the slices differ in length.
pub fn mul(x: &[f32], z: &[f32], store: Store, y: &mut [f32]) {
    assert_eq!((x.len(), z.len()), (y.len(), y.len()), "the factors and their product differ in length");
    mul_all(Version::best(), x, z, store, y);
}

dispatch! {
    fn mul_all(x: &[f32], z: &[f32], store: Store, y: &mut [f32]) {
        map_pairs(store, x, z, y, |x, z| x * z);
    }
}

/// Gradient of [`mul`] with respect to one factor, given the other one.
///
/// # Panics
/// When the slices differ in length.
pub fn mul_grad(other: &[f32], grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
    let len = grad_x.len();
    assert_eq!((other.len(), grad_y.len()), (len, len), "factor and gradients differ in length");
    write_products(Version::best(), other, grad_y, write, grad_x);
}

/// y *= x: with the other factor as `x`, it turns the gradient of a product into that of a factor where it stands.
///
/// # Panics
/// When the slices differ in length.
pub fn mul_assign(x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "the factors differ in length");
    mul_all_in_place(Version::best(), x, y);
}

dispatch! {
    fn mul_all_in_place(x: &[f32], y: &mut [f32]) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y *= x;
        }
    }
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

/// As [`channel_scale`], in place: `y` is multiplied.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn channel_scale_in_place(planes: Planes, s: &[f32], store: Store, y: &mut [f32]) {
    assert_eq!(y.len(), planes.len(), "a feature map does not fill its planes");
    assert_eq!(s.len(), planes.batch * planes.channels, "not one factor per plane");
    channel_scale_all_in_place(Version::best(), planes.plane(), s, store, y);
}

dispatch! {
    fn channel_scale_all_in_place(plane: usize, s: &[f32], store: Store, y: &mut [f32]) {
        for (at, &s) in s.iter().enumerate() {
            map_in_place(store, &mut y[at * plane..(at + 1) * plane], |y| y * s);
        }
    }
}

/// Gradients of [`channel_scale`]: `gradient`, that of the result, becomes that of `x`; given a `sum`, that is added to it
/// instead and `gradient` holds nothing of value. `grad_s` is written as `write_s` says.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn channel_scale_grad(
    planes: Planes,
    x: &[f32],
    s: &[f32],
    gradient: &mut [f32],
    sum: Option<&mut [f32]>,
    write_s: Write,
    grad_s: &mut [f32],
) {
    assert_eq!(
        (x.len(), gradient.len()),
        (planes.len(), planes.len()),
        "a feature map does not fill its planes"
    );
    let factors = planes.batch * planes.channels;
    assert_eq!((s.len(), grad_s.len()), (factors, factors), "not one factor per plane");
    let gradient = Gradient::new(gradient, sum);
    channel_scale_grad_all(Version::best(), planes.plane(), x, s, gradient, write_s, grad_s);
}

dispatch! {
    fn channel_scale_grad_all(
        plane: usize, x: &[f32], s: &[f32], gradient: Gradient<'_>, write_s: Write, grad_s: &mut [f32],
    ) {
        for (at, (&s, grad_s)) in s.iter().zip(grad_s).enumerate() {
            let range = at * plane..(at + 1) * plane;
            let (x, mut sums) = (&x[range.clone()], PairSums::ZERO);
            // SAFETY: the gradient is borrowed by this call alone.
            unsafe {
                sums.add(x, gradient.place.part(range.clone()), |x, g| (x * g, 0.0));
                gradient.pass(range, x, |_, g| g * s);
            }
            #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
            let total = sums.totals().0 as f32;
            *grad_s = write_s.apply(*grad_s, total);
        }
    }
}

/// Multiplies each value by its mask, which holds 0 or 1 / (1 - rate), drawn by the caller.
///
/// # Panics
/// When the slices differ in length.
pub fn dropout(mask: &[f32], x: &[f32], y: &mut [f32]) {
    assert_eq!((mask.len(), x.len()), (y.len(), y.len()), "mask, input and output differ in length");
    write_products(Version::best(), mask, x, Write::Set, y);
}

/// Gradient of [`dropout`] under the same mask.
///
/// # Panics
/// When the slices differ in length.
pub fn dropout_grad(mask: &[f32], grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
    let len = grad_x.len();
    assert_eq!((mask.len(), grad_y.len()), (len, len), "mask and gradients differ in length");
    write_products(Version::best(), mask, grad_y, write, grad_x);
}

dispatch! {
    fn write_products(x: &[f32], z: &[f32], write: Write, y: &mut [f32]) {
        pass_pairs(write, x, z, y, |x, z| x * z);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_gradient, bits, dot, numbers, passed, wide, written};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn concatenation_splits_into_its_parts(
            batch in 1_usize..4, parts in prop::array::uniform3(1_usize..4), height in 1_usize..4,
            width in 1_usize..5, seed: u64,
        ) {
            let map = |channels| Planes { batch, channels, height, width };
            let whole = map(parts.iter().sum());
            let inputs: Vec<Vec<f32>> =
                parts.iter().map(|&channels| numbers(seed ^ channels as u64, map(channels).len())).collect();
            let mut joined = vec![f32::NAN; whole.len()];
            let mut start = 0;
            for (&channels, x) in parts.iter().zip(&inputs) {
                copy_channels(map(channels), 0, channels, x, whole, start, Write::Set, &mut joined);
                start += channels;
            }
            start = 0;
            for (&channels, x) in parts.iter().zip(&inputs) {
                let back = written(x.len(), |write, back| {
                    copy_channels(whole, start, channels, &joined, map(channels), 0, write, back);
                });
                prop_assert_eq!(bits(&back), bits(x));
                start += channels;
            }
        }

        #[test]
        fn scaling_channels_and_its_gradients_agree_with_the_plain_formula(
            batch in 1_usize..4, channels in 1_usize..4, height in 1_usize..6, width in 1_usize..6, seed: u64,
        ) {
            let planes = Planes { batch, channels, height, width };
            let (x, grad_y) = (numbers(seed, planes.len()), numbers(seed ^ 1, planes.len()));
            let s = numbers(seed ^ 2, batch * channels);
            let plain = |x: &[f64], s: &[f64]| -> Vec<f64> {
                x.iter().enumerate().map(|(at, x)| x * s[at / planes.plane()]).collect()
            };
            let mut y = vec![f32::NAN; x.len()];
            channel_scale(planes, &x, &s, Store::F32, &mut y);
            let mut in_place = x.clone();
            channel_scale_in_place(planes, &s, Store::F32, &mut in_place);
            prop_assert_eq!(bits(&in_place), bits(&y));
            assert_close(&y, &plain(&wide(&x), &wide(&s)), 1e-6);
            let grad_x = passed(&grad_y, |gradient, sum| {
                channel_scale_grad(planes, &x, &s, gradient, sum, Write::Set, &mut s.clone());
            });
            let grad_s = written(s.len(), |write, grad_s| {
                channel_scale_grad(planes, &x, &s, &mut grad_y.clone(), None, write, grad_s);
            });
            assert_gradient(&x, &grad_x, |x| dot(&plain(x, &wide(&s)), &grad_y));
            assert_gradient(&s, &grad_s, |s| dot(&plain(&wide(&x), s), &grad_y));
        }

        #[test]
        fn dropout_and_its_gradient_agree_with_the_plain_formula(
            mask in prop::collection::vec(prop_oneof![Just(0.0_f32), Just(1.25)], 1..40), seed: u64,
        ) {
            let (x, grad_y) = (numbers(seed, mask.len()), numbers(seed ^ 1, mask.len()));
            let plain = |x: &[f64]| -> Vec<f64> {
                x.iter().zip(&mask).map(|(x, &mask)| x * f64::from(mask)).collect()
            };
            let mut y = vec![f32::NAN; x.len()];
            dropout(&mask, &x, &mut y);
            assert_close(&y, &plain(&wide(&x)), 1e-6);
            let grad_x = written(x.len(), |write, grad_x| dropout_grad(&mask, &grad_y, write, grad_x));
            assert_gradient(&x, &grad_x, |x| dot(&plain(x), &grad_y));
        }

        #[test]
        fn products_are_correctly_rounded_and_stored(seed: u64, len in 1_usize..40) {
            let (x, z) = (numbers(seed, len), numbers(seed ^ 1, len));
            let (mut product, mut stored, mut in_place) = (vec![f32::NAN; len], vec![f32::NAN; len], z.clone());
            mul(&x, &z, Store::F32, &mut product);
            mul(&x, &z, Store::F16, &mut stored);
            mul_assign(&x, &mut in_place);
            let expected: Vec<f32> = x.iter().zip(&z).map(|(x, z)| x * z).collect();
            let rounded: Vec<f32> = expected.iter().map(|&y| half::f16::from_f32(y).to_f32()).collect();
            prop_assert_eq!(bits(&product), bits(&expected));
            prop_assert_eq!(bits(&in_place), bits(&expected));
            prop_assert_eq!(bits(&stored), bits(&rounded));
        }

        #[test]
        fn the_gradient_of_a_product_agrees_with_the_plain_formula(seed: u64, len in 1_usize..40) {
            let (x, z, grad_y) = (numbers(seed, len), numbers(seed ^ 1, len), numbers(seed ^ 2, len));
            let plain = |x: &[f64]| -> Vec<f64> { x.iter().zip(&z).map(|(x, &z)| x * f64::from(z)).collect() };
            let grad_x = written(len, |write, grad_x| mul_grad(&z, &grad_y, write, grad_x));
            assert_gradient(&x, &grad_x, |x| dot(&plain(x), &grad_y));
            let mut in_place = grad_y.clone();
            mul_assign(&z, &mut in_place);
            prop_assert_eq!(bits(&in_place), bits(&grad_x));
        }

        #[test]
        fn sums_are_correctly_rounded_and_stored(seed: u64, len in 1_usize..40) {
            let (x, z) = (numbers(seed, len), numbers(seed ^ 1, len));
            let (mut sum, mut stored) = (vec![f32::NAN; len], vec![f32::NAN; len]);
            add(&x, &z, Store::F32, &mut sum);
            add(&x, &z, Store::F16, &mut stored);
            let mut accumulated = z.clone();
            add_assign(&x, &mut accumulated);
            let expected: Vec<f32> = x.iter().zip(&z).map(|(x, z)| x + z).collect();
            let rounded: Vec<f32> = expected.iter().map(|&y| half::f16::from_f32(y).to_f32()).collect();
            prop_assert_eq!(bits(&sum), bits(&expected));
            prop_assert_eq!(bits(&accumulated), bits(&expected));
            prop_assert_eq!(bits(&stored), bits(&rounded));
        }
    }

    #[test]
    #[should_panic(expected = "the range leaves the source")]
    fn a_range_outside_the_map_is_refused() {
        let planes = Planes { batch: 1, channels: 2, height: 1, width: 1 };
        copy_channels(planes, 1, 2, &[0.0; 2], planes, 0, Write::Set, &mut [0.0; 2]);
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let (x, z, s) = (numbers(1, 6 * 143), numbers(2, 6 * 143), numbers(3, 6));
        let run = |version| {
            let (mut sum, mut scaled) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            let (mut grad_x, mut grad_s) = (z.clone(), s.clone());
            add_all(version, &x, &z, Store::F16, &mut sum);
            channel_scale_all(version, 143, &x, &s, Store::F16, &mut scaled);
            let gradient = Gradient::new(&mut grad_x, None);
            channel_scale_grad_all(version, 143, &x, &s, gradient, Write::Add, &mut grad_s);
            let mut masked = z.clone();
            write_products(version, &x, &z, Write::Add, &mut masked);
            let mut product = z.clone();
            mul_all_in_place(version, &x, &mut product);
            mul_all(version, &z, &product.clone(), Store::F16, &mut product);
            [sum, scaled, grad_x, grad_s, masked, product].map(|values| bits(&values))
        };
        let results: Vec<_> = Version::all().into_iter().map(run).collect();
        assert!(results.iter().all(|result| *result == results[0]));
    }
}
