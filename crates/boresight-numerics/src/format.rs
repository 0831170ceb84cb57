//! Number formats, and what happens at both ends of their range.

use crate::{round_bf16, round_f16};
use serde::{Deserialize, Serialize};

/// A format in which numbers are kept; results stay `f32` in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Format {
    /// Binary32.
    #[serde(rename = "f32")]
    F32,
    /// Binary16.
    #[serde(rename = "f16")]
    F16,
    /// Bfloat16.
    #[serde(rename = "bf16")]
    Bf16,
    /// Integers from -127 to 127 times a step that a whole tensor shares: its largest finite magnitude / 127.
    #[serde(rename = "int8")]
    Int8,
}

impl Format {
    /// The largest finite magnitude; infinite where a tensor's own values set it.
    pub const fn largest(self) -> f32 {
        match self {
            Self::F32 => f32::MAX,
            Self::F16 => 65_504.0,
            Self::Bf16 => f32::from_bits(0x7f7f_0000),
            Self::Int8 => f32::INFINITY,
        }
    }

    /// The least magnitude that has all digits of the format; zero where a tensor's own values set it.
    pub const fn least_normal(self) -> f32 {
        match self {
            Self::F32 | Self::Bf16 => f32::MIN_POSITIVE,
            Self::F16 => 1.0 / 16_384.0,
            Self::Int8 => 0.0,
        }
    }
}

/// What becomes of magnitudes below the least normal number of a format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subnormals {
    /// They keep what digits are left.
    #[default]
    Keep,
    /// They become zero, with their sign, after rounding.
    Flush,
}

/// What becomes of finite values beyond the largest number of a format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    /// They become infinite.
    #[default]
    Infinity,
    /// They, and infinities, become the largest finite number, with their sign.
    Saturate,
}

/// Rounding to a format, nearest even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rounding {
    /// The format.
    pub format: Format,
    /// Its lower end.
    pub subnormals: Subnormals,
    /// Its upper end.
    pub overflow: Overflow,
}

impl Rounding {
    /// IEEE 754 rounding to a format: subnormals kept, overflow to infinity.
    pub const fn ieee(format: Format) -> Self {
        Self { format, subnormals: Subnormals::Keep, overflow: Overflow::Infinity }
    }

    /// Whether every binary32 value stays as it is.
    pub fn is_identity(self) -> bool {
        self == Self::ieee(Format::F32)
    }

    /// `value` rounded. A value alone has no tensor to share a step with: [`Format::Int8`] leaves it as it is.
    #[expect(clippy::inline_always, reason = "must take on the instruction set of the kernel that calls it")]
    #[inline(always)]
    #[must_use]
    pub fn apply(self, value: f32) -> f32 {
        let rounded = match self.format {
            Format::F32 | Format::Int8 => value,
            Format::F16 => round_f16(value),
            Format::Bf16 => round_bf16(value),
        };
        let flushed = match self.subnormals {
            Subnormals::Flush if rounded.abs() < self.format.least_normal() => 0.0_f32.copysign(rounded),
            _ => rounded,
        };
        match self.overflow {
            Overflow::Saturate if flushed.abs() > self.format.largest() => {
                self.format.largest().copysign(flushed)
            }
            _ => flushed,
        }
    }

    /// Rounds the values of one tensor in place.
    ///
    /// # Examples
    /// ```
    /// use boresight_numerics::{Format, Rounding};
    /// let mut tensor = [254.0, 1.0, 3.5];
    /// Rounding::ieee(Format::Int8).tensor(&mut tensor);
    /// assert_eq!(tensor, [254.0, 0.0, 4.0]); // a step is 254 / 127; ties go to even multiples of it
    /// ```
    pub fn tensor(self, values: &mut [f32]) {
        if self.format == Format::Int8 {
            return integers(values);
        }
        if !self.is_identity() {
            for value in values {
                *value = self.apply(*value);
            }
        }
    }
}

/// Rounds to 255 multiples of the largest finite magnitude / 127. Infinities become the largest, NaN stays NaN.
fn integers(values: &mut [f32]) {
    let finite = values.iter().map(|value| value.abs()).filter(|magnitude| magnitude.is_finite());
    let step = finite.fold(0.0, f32::max) / 127.0;
    if step > 0.0 {
        for value in values {
            *value = (*value / step).round_ties_even().clamp(-127.0, 127.0) * step;
        }
    } else {
        // All are zero, or too small for a step: nothing is left of them.
        for value in values.iter_mut().filter(|value| value.is_finite()) {
            *value = 0.0_f32.copysign(*value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;
    use proptest::prelude::*;

    fn f16(subnormals: Subnormals, overflow: Overflow) -> Rounding {
        Rounding { format: Format::F16, subnormals, overflow }
    }

    #[test]
    fn the_ends_of_binary16_are_treated_as_asked() {
        let least = 2.0_f32.powi(-14);
        // (value, kept and infinite, flushed and saturated)
        let cases = [
            (least, least, least),
            (least * 0.999_9, least, least),
            (least * 0.75, least * 0.75, 0.0),
            (-least / 2.0, -least / 2.0, -0.0),
            (65_519.0, 65_504.0, 65_504.0),
            (65_520.0, f32::INFINITY, 65_504.0),
            (-1e9, f32::NEG_INFINITY, -65_504.0),
            (f32::INFINITY, f32::INFINITY, 65_504.0),
        ];
        for (value, ieee, narrow) in cases {
            assert_eq!(Rounding::ieee(Format::F16).apply(value).to_bits(), f32::to_bits(ieee), "{value}");
            let found = f16(Subnormals::Flush, Overflow::Saturate).apply(value);
            assert_eq!(found.to_bits(), f32::to_bits(narrow), "{value}");
        }
        assert!(f16(Subnormals::Flush, Overflow::Saturate).apply(f32::NAN).is_nan());
    }

    #[test]
    fn integers_are_multiples_of_a_step_that_the_tensor_shares() {
        let mut tensor = [-12.7, 0.06, 0.04, 5.04, f32::INFINITY];
        Rounding::ieee(Format::Int8).tensor(&mut tensor);
        let expected = [-12.7_f32, 0.1, 0.0, 5.0, 12.7];
        assert!(tensor.iter().zip(expected).all(|(found, value)| (found - value).abs() < 1e-6), "{tensor:?}");
        let mut none = [0.0, -0.0, 0.0];
        Rounding::ieee(Format::Int8).tensor(&mut none);
        assert_eq!(none.map(f32::to_bits), [0, 0x8000_0000, 0]);
    }

    proptest! {
        #[test]
        fn what_is_rounded_stays(bits: u32, flush: bool, saturate: bool, brain: bool) {
            let format = if brain { Format::Bf16 } else { Format::F16 };
            let rounding = Rounding {
                format,
                subnormals: if flush { Subnormals::Flush } else { Subnormals::Keep },
                overflow: if saturate { Overflow::Saturate } else { Overflow::Infinity },
            };
            let once = rounding.apply(f32::from_bits(bits));
            prop_assert!(once.is_nan() || rounding.apply(once).to_bits() == once.to_bits());
            if !brain && !once.is_nan() {
                prop_assert_eq!(f16::from_f32(once).to_f32().to_bits(), once.to_bits());
            }
        }

        #[test]
        fn a_tensor_of_integers_is_at_most_half_a_step_off(
            values in proptest::collection::vec(-1e3_f32..1e3, 1..40),
        ) {
            let mut rounded = values.clone();
            Rounding::ieee(Format::Int8).tensor(&mut rounded);
            let step = values.iter().fold(0.0_f32, |most, value| most.max(value.abs())) / 127.0;
            for (value, found) in values.iter().zip(&rounded) {
                prop_assert!((value - found).abs() <= step * 0.500_01);
            }
            let once = rounded.clone();
            Rounding::ieee(Format::Int8).tensor(&mut rounded);
            prop_assert!(once.iter().zip(&rounded).all(|(once, twice)| (once - twice).abs() <= step * 1e-3));
        }
    }
}
