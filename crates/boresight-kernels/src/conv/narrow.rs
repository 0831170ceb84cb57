//! Convolution with sums that are rounded to binary16 on the way.
//!
//! Tiles, bands and lanes are those of the plain way; only what becomes of each product differs.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use super::correlate::{Correlation, Finish, Summing};
use super::forward_correlation;
use super::lanes::{Job, Lanes, launch};
use super::shape::{ConvShape, Optional, assert_len};
use crate::Buffer;
use crate::dispatch::Version;
use boresight_numerics::{Accumulator, Format, Overflow, Rounding, Subnormals};

/// How the products of a convolution are summed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NarrowSums {
    /// Where sums are rounded.
    pub accumulator: Accumulator,
    /// How.
    pub rounding: Rounding,
    /// The power of two by which weights and bias are multiplied before, and results divided after.
    pub scale: f32,
    /// Input channels of a group that are summed apart, for [`Accumulator::F16Splits`].
    pub part: usize,
}

/// Convolves as [`conv2d`](crate::conv2d) does, in the same order, but rounds sums as `sums` says; results are not rounded to
/// any format in which they would be stored.
///
/// The bias is added last and the sum rounded once more, but for [`Accumulator::F32`].
///
/// # Panics
/// As [`conv2d`](crate::conv2d).
pub fn conv2d_narrow(
    shape: &ConvShape,
    input: &[f32],
    border: &[f32],
    weight: &[f32],
    bias: &[f32],
    sums: &NarrowSums,
    output: &mut [f32],
    scratch: &mut Buffer,
) {
    narrow(Version::best(), shape, input, border, weight, bias, sums, output, scratch);
}

/// [`conv2d_narrow`] on one instruction set.
pub(super) fn narrow(
    version: Version,
    shape: &ConvShape,
    input: &[f32],
    border: &[f32],
    weight: &[f32],
    bias: &[f32],
    sums: &NarrowSums,
    output: &mut [f32],
    scratch: &mut Buffer,
) {
    shape.check(border, weight.len());
    assert_len("input", input.len(), shape.input.len(), Optional::No);
    assert_len("bias", bias.len(), shape.out_channels, Optional::Yes);
    assert_len("output", output.len(), shape.output().len(), Optional::No);
    let finish = Finish::Summed { bias };
    let correlation = forward_correlation(shape, input, border, weight, finish, output, scratch);
    launch(version, NarrowCorrelation(correlation, Narrow::new(shape, sums)));
}

/// A correlation with its own sums.
struct NarrowCorrelation<'a>(Correlation<'a>, Narrow);

impl Job for NarrowCorrelation<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: the caller vouches for `V`.
        unsafe { self.0.run_by::<V, Narrow>(self.1) }
    }
}

#[derive(Clone, Copy)]
struct Narrow {
    chain: Chain,
    ends: Ends,
    scale: f32,
}

/// Where sums are rounded.
#[derive(Clone, Copy)]
enum Chain {
    /// Nowhere.
    Wide,
    /// After each product, which is rounded before.
    Products,
    /// After each block of so many products.
    Blocks(usize),
    /// After each part of so many products, whose sums are added and rounded again.
    Parts(usize),
}

/// Binary16 with its ends of range.
#[derive(Clone, Copy)]
struct Ends {
    flush: bool,
    saturate: bool,
}

impl Ends {
    #[inline(always)]
    unsafe fn round<V: Lanes>(self, value: V) -> V {
        // SAFETY: the caller vouches for `V`.
        unsafe {
            let rounded = value.round_f16();
            let rounded = if self.flush { rounded.flush(Format::F16.least_normal()) } else { rounded };
            if self.saturate { rounded.saturate(Format::F16.largest()) } else { rounded }
        }
    }
}

impl Narrow {
    fn new(shape: &ConvShape, sums: &NarrowSums) -> Self {
        let chain = match sums.accumulator {
            Accumulator::F16Product => Chain::Products,
            Accumulator::F16Fused => Chain::Blocks(1),
            Accumulator::F16Block(block) => Chain::Blocks(block.get() as usize),
            Accumulator::F16Splits if (1..shape.depth()).contains(&sums.part) => {
                Chain::Parts(sums.part * shape.taps())
            }
            _ => Chain::Wide,
        };
        let ends = Ends {
            flush: sums.rounding.subnormals == Subnormals::Flush,
            saturate: sums.rounding.overflow == Overflow::Saturate,
        };
        Self { chain, ends, scale: sums.scale }
    }

    /// Sum, product and what has been summed before of one tap.
    #[inline(always)]
    unsafe fn step<V: Lanes>(self, pixel: V, factor: V, sum: V) -> V {
        // SAFETY: the caller vouches for `V`.
        unsafe {
            match self.chain {
                // Adding -0 keeps the sign of a product that is zero.
                Chain::Products => {
                    self.ends.round(sum.add(self.ends.round(pixel.mul_add(factor, V::splat(-0.0)))))
                }
                _ => pixel.mul_add(factor, sum),
            }
        }
    }
}

impl Summing for Narrow {
    #[inline(always)]
    unsafe fn sum<V: Lanes, const M: usize, const N: usize>(
        self,
        taps: &[f32],
        mut weight: *const f32,
        bands: [*const f32; N],
        bias: &[f32; 8],
    ) -> [[V; N]; M] {
        let stretch = match self.chain {
            Chain::Wide | Chain::Products => taps.len().max(1),
            Chain::Blocks(products) | Chain::Parts(products) => products,
        };
        // SAFETY: the caller promises M weights per tap and bands that cover a vector at each tap's distance.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; M];
            // Sums of parts; nothing changes what is added to -0.
            let mut totals = [[V::splat(-0.0); N]; M];
            for taps in taps.chunks(stretch) {
                for distance in taps {
                    let pixels = bands.map(|band| V::load(band.add(distance.to_bits() as usize)));
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let factor = V::splat(*weight.add(m) * self.scale);
                        for (sum, pixel) in sums.iter_mut().zip(pixels) {
                            *sum = self.step(pixel, factor, *sum);
                        }
                    }
                    weight = weight.add(M);
                }
                for (sum, total) in sums.iter_mut().flatten().zip(totals.iter_mut().flatten()) {
                    match self.chain {
                        Chain::Wide | Chain::Products => {}
                        Chain::Blocks(_) => *sum = self.ends.round(*sum),
                        Chain::Parts(_) => {
                            *total = self.ends.round(total.add(self.ends.round(*sum)));
                            *sum = V::splat(0.0);
                        }
                    }
                }
            }
            for (m, (sums, totals)) in sums.iter_mut().zip(totals).enumerate() {
                for (sum, total) in sums.iter_mut().zip(totals) {
                    *sum = self.finish(*sum, total, bias[m]);
                }
            }
            sums
        }
    }
}

impl Narrow {
    /// The sum with its bias, scaled back.
    #[inline(always)]
    unsafe fn finish<V: Lanes>(self, sum: V, total: V, bias: f32) -> V {
        // SAFETY: the caller vouches for `V`.
        unsafe {
            let sum = if matches!(self.chain, Chain::Parts(_)) { total } else { sum };
            let sum = sum.add(V::splat(bias * self.scale));
            let sum = if matches!(self.chain, Chain::Wide) { sum } else { self.ends.round(sum) };
            sum.mul_add(V::splat(1.0 / self.scale), V::splat(-0.0))
        }
    }
}

#[cfg(test)]
mod tests;
