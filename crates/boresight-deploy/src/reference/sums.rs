//! The sum of one result of a convolution, product by product.

use boresight_numerics::{Accumulator, NumericProfile, Rounding};

/// A sum under way.
#[derive(Clone, Copy)]
pub(super) struct Chain {
    accumulator: Accumulator,
    rounding: Rounding,
    /// What constants are multiplied by before, and the result divided by after.
    scale: f32,
    /// Products of one part of the input channels, and of the whole sum.
    part: usize,
    whole: usize,
    products: usize,
    sum: f32,
    /// The rounded sums of parts before.
    total: f32,
}

impl Chain {
    /// A sum of nothing: of a result with `whole` products, `part` of them in each part (0: in one).
    pub(super) fn new(profile: &NumericProfile, scale: f32, part: usize, whole: usize) -> Self {
        let is_cut = (1..whole).contains(&part);
        // Without parts this accumulator is one of binary32, and a power of two changes nothing in binary32.
        let accumulator = match profile.accumulator {
            Accumulator::F16Splits if !is_cut => Accumulator::F32,
            other => other,
        };
        Self {
            accumulator,
            rounding: profile.accumulator_rounding(),
            scale,
            part,
            whole,
            products: 0,
            sum: 0.0,
            // Nothing changes what is added to -0.
            total: -0.0,
        }
    }

    /// Takes in one product.
    pub(super) fn add(&mut self, pixel: f32, weight: f32) {
        let weight = weight * self.scale;
        self.products += 1;
        match self.accumulator {
            Accumulator::F16Product => {
                let product = self.rounding.apply(pixel * weight);
                self.sum = self.rounding.apply(self.sum + product);
            }
            _ => self.sum = pixel.mul_add(weight, self.sum),
        }
        let ends = |length: usize| self.products.is_multiple_of(length) || self.products == self.whole;
        match self.accumulator {
            Accumulator::F16Fused => self.sum = self.rounding.apply(self.sum),
            Accumulator::F16Block(block) if ends(block.get() as usize) => {
                self.sum = self.rounding.apply(self.sum);
            }
            Accumulator::F16Splits if ends(self.part) => {
                self.total = self.rounding.apply(self.total + self.rounding.apply(self.sum));
                self.sum = 0.0;
            }
            _ => {}
        }
    }

    /// The sum with the bias, divided by the scale.
    pub(super) fn result(self, bias: f32) -> f32 {
        let sum = if self.accumulator == Accumulator::F16Splits { self.total } else { self.sum };
        let sum = sum + bias * self.scale;
        let sum = if self.accumulator == Accumulator::F32 { sum } else { self.rounding.apply(sum) };
        sum / self.scale
    }
}
