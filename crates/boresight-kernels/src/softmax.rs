//! Softmax over the channels of each pixel, forward and backward.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use crate::dispatch::{Version, dispatch};
use crate::{Planes, Store, math};
use std::ops::Range;

/// Pixels that are worked on together.
const PIXELS: usize = 64;

/// One number for each pixel of a block.
type Row = [f32; PIXELS];

/// Neighbouring pixels of one image, at most [`PIXELS`].
#[derive(Clone, Copy)]
struct Block {
    planes: Planes,
    /// Where its first pixel stands in channel 0.
    start: usize,
    len: usize,
}

/// The blocks that cover a feature map.
#[inline(always)]
fn blocks(planes: Planes) -> impl Iterator<Item = Block> {
    let plane = planes.plane();
    (0..planes.batch).flat_map(move |image| {
        let first = image * planes.channels * plane;
        (0..plane).step_by(PIXELS).map(move |at| Block {
            planes,
            start: first + at,
            len: PIXELS.min(plane - at),
        })
    })
}

impl Block {
    /// Where it stands in each channel.
    #[inline(always)]
    fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        (0..self.planes.channels).map(move |channel| {
            let start = self.start + channel * self.planes.plane();
            start..start + self.len
        })
    }

    /// The largest channel of each pixel. A NaN may be passed over here: what is subtracted from it is NaN.
    #[inline(always)]
    fn largest(self, x: &[f32]) -> Row {
        let mut largest = [f32::NEG_INFINITY; PIXELS];
        for range in self.ranges() {
            for (largest, &x) in largest.iter_mut().zip(&x[range]) {
                *largest = if x > *largest { x } else { *largest };
            }
        }
        largest
    }
}

/// Softmax over the channels of each pixel: e^(x - the largest channel), divided by the sum of these, then stored.
///
/// The sum is one of binary32, from channel 0 up. A pixel of which a channel is NaN or +infinity becomes NaN, and so does
/// one whose channels are all -infinity.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn softmax(planes: Planes, store: Store, x: &[f32], y: &mut [f32]) {
    assert_eq!((x.len(), y.len()), (planes.len(), planes.len()), "a feature map does not fill its planes");
    softmax_all(Version::best(), planes, store, x, y);
}

dispatch! {
    fn softmax_all(planes: Planes, store: Store, x: &[f32], y: &mut [f32]) {
        for block in blocks(planes) {
            let (largest, mut sums) = (block.largest(x), [0.0; PIXELS]);
            for range in block.ranges() {
                let pixels = y[range.clone()].iter_mut().zip(&x[range]);
                for (((y, &x), &largest), sum) in pixels.zip(&largest).zip(&mut sums) {
                    *y = math::exp(x - largest);
                    *sum += *y;
                }
            }
            for range in block.ranges() {
                for (y, &sum) in y[range].iter_mut().zip(&sums) {
                    *y = store.apply(*y / sum);
                }
            }
        }
    }
}

/// Turns `gradient`, that of the result of [`softmax`], into that of `x`; given a `sum`, that is added to it instead and
/// `gradient` holds nothing of value.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn softmax_grad(planes: Planes, x: &[f32], gradient: &mut [f32], sum: Option<&mut [f32]>) {
    let len = sum.as_ref().map_or(planes.len(), |sum| sum.len());
    assert_eq!((x.len(), gradient.len()), (planes.len(), len), "a feature map does not fill its planes");
    assert_eq!(len, planes.len(), "a gradient and the sum that it is added to differ in length");
    softmax_grad_all(Version::best(), planes, x, gradient, sum);
}

dispatch! {
    fn softmax_grad_all(planes: Planes, x: &[f32], gradient: &mut [f32], sum: Option<&mut [f32]>) {
        let mut sum = sum;
        for block in blocks(planes) {
            let slope = Slope::new(block, x, gradient);
            for range in block.ranges() {
                let (x, g) = (&x[range.clone()], &mut gradient[range.clone()]);
                match &mut sum {
                    Some(sum) => slope.add(x, g, &mut sum[range]),
                    None => slope.pass(x, g),
                }
            }
        }
    }
}

/// What the gradients of all channels of a block's pixels have in common.
struct Slope {
    largest: Row,
    /// Sum of e^(x - largest).
    sum: Row,
    /// Mean of the result's gradient, weighted by the result.
    mean: Row,
}

impl Slope {
    #[inline(always)]
    fn new(block: Block, x: &[f32], gradient: &[f32]) -> Self {
        let (largest, mut sum, mut mean) = (block.largest(x), [0.0; PIXELS], [0.0; PIXELS]);
        for range in block.ranges() {
            let pixels = x[range.clone()].iter().zip(&gradient[range]);
            for ((((&x, &g), &largest), sum), mean) in pixels.zip(&largest).zip(&mut sum).zip(&mut mean) {
                let share = math::exp(x - largest);
                *sum += share;
                *mean += share * g;
            }
        }
        for (mean, sum) in mean.iter_mut().zip(&sum) {
            *mean /= sum;
        }
        Self { largest, sum, mean }
    }

    /// The gradient of one channel, in place of that of the result.
    #[inline(always)]
    fn pass(&self, x: &[f32], gradient: &mut [f32]) {
        let pixels = gradient.iter_mut().zip(x).zip(&self.largest).zip(&self.sum).zip(&self.mean);
        for ((((g, &x), &largest), &sum), &mean) in pixels {
            *g = math::exp(x - largest) / sum * (*g - mean);
        }
    }

    /// The same, added to `total`.
    #[inline(always)]
    fn add(&self, x: &[f32], gradient: &[f32], total: &mut [f32]) {
        let pixels = total.iter_mut().zip(gradient).zip(x).zip(&self.largest).zip(&self.sum).zip(&self.mean);
        for (((((total, &g), &x), &largest), &sum), &mean) in pixels {
            *total += math::exp(x - largest) / sum * (g - mean);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_gradient, bits, dot, numbers, passed, wide};
    use proptest::prelude::*;

    fn plain(planes: Planes, x: &[f64]) -> Vec<f64> {
        let shares: Vec<f64> = x.iter().map(|x| x.exp()).collect();
        let sum = |at: usize| -> f64 {
            let image = planes.channels * planes.plane();
            let first = at / image * image + at % planes.plane();
            (0..planes.channels).map(|channel| shares[first + channel * planes.plane()]).sum()
        };
        (0..x.len()).map(|at| shares[at] / sum(at)).collect()
    }

    proptest! {
        #[test]
        fn values_and_gradients_agree_with_the_plain_formula(
            batch in 1_usize..3, channels in 1_usize..6, height in 1_usize..8, width in 1_usize..12, seed: u64,
        ) {
            let planes = Planes { batch, channels, height, width };
            let (x, grad_y) = (numbers(seed, planes.len()), numbers(seed ^ 1, planes.len()));
            let mut y = vec![f32::NAN; x.len()];
            softmax(planes, Store::F32, &x, &mut y);
            assert_close(&y, &plain(planes, &wide(&x)), 1e-6);
            let grad_x = passed(&grad_y, |gradient, sum| softmax_grad(planes, &x, gradient, sum));
            assert_gradient(&x, &grad_x, |x| dot(&plain(planes, x), &grad_y));
        }
    }

    #[test]
    fn equal_channels_share_and_large_ones_do_not_overflow() {
        let planes = Planes { batch: 1, channels: 2, height: 1, width: 4 };
        let x = [3.0, 0.0, 1000.0, 65_504.0, 3.0, f32::NEG_INFINITY, -1000.0, 65_504.0];
        let mut y = [f32::NAN; 8];
        softmax(planes, Store::F32, &x, &mut y);
        assert_eq!(bits(&y), bits(&[0.5, 1.0, 1.0, 0.5, 0.5, 0.0, 0.0, 0.5]));
    }

    #[test]
    fn nan_spreads_over_its_pixel_alone() {
        let planes = Planes { batch: 1, channels: 2, height: 1, width: 4 };
        let (nan, infinite) = (f32::NAN, f32::INFINITY);
        let x = [nan, 1.0, infinite, -infinite, 1.0, 1.0, 1.0, -infinite];
        let mut y = [0.0; 8];
        softmax(planes, Store::F16, &x, &mut y);
        let is_nan = y.map(f32::is_nan);
        assert_eq!(is_nan, [true, false, true, true, true, false, true, true], "{y:?}");
    }

    #[test]
    fn stored_shares_are_the_rounded_ones() {
        let planes = Planes { batch: 2, channels: 3, height: 3, width: 5 };
        let x = numbers(1, planes.len());
        let (mut y, mut stored) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        softmax(planes, Store::F32, &x, &mut y);
        softmax(planes, Store::F16, &x, &mut stored);
        let rounded: Vec<f32> = y.iter().map(|&y| half::f16::from_f32(y).to_f32()).collect();
        assert_eq!(bits(&stored), bits(&rounded));
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let planes = Planes { batch: 2, channels: 5, height: 9, width: 17 };
        let (x, g) = (numbers(1, planes.len()), numbers(2, planes.len()));
        let run = |version| {
            let (mut y, mut gradient, mut sum) = (g.clone(), g.clone(), x.clone());
            softmax_all(version, planes, Store::F16, &x, &mut y);
            softmax_grad_all(version, planes, &x, &mut gradient, None);
            softmax_grad_all(version, planes, &x, &mut g.clone(), Some(&mut sum));
            [y, gradient, sum].map(|values| bits(&values))
        };
        let results: Vec<_> = Version::all().into_iter().map(run).collect();
        assert!(results.iter().all(|result| *result == results[0]));
    }
}
