//! The vocabulary of every kernel: the shape of a feature map, and how a result is written and stored.

/// Shape of a feature map `[batch, channels, height, width]`, row-major and without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planes {
    /// Images.
    pub batch: usize,
    /// Planes per image.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

impl Planes {
    /// Values of the whole feature map.
    #[inline]
    pub const fn len(self) -> usize {
        self.batch * self.channels * self.plane()
    }

    /// Whether the feature map holds no value.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Values of one plane.
    #[inline]
    pub const fn plane(self) -> usize {
        self.height * self.width
    }
}

/// Whether a gradient overwrites what stands in its slice or is added to it.
///
/// A value that several operators read collects the gradients of all of them: the first writes with `Set`,
/// the others with `Add`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// Overwrites.
    Set,
    /// Adds.
    Add,
}

impl Write {
    /// The value to store for the gradient `value` where `old` stands.
    #[inline(always)]
    pub(crate) fn apply(self, old: f32, value: f32) -> f32 {
        match self {
            Self::Set => value,
            Self::Add => old + value,
        }
    }
}

/// The number format in which an operator's results are stored; they stay `f32` in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// Results are kept as computed.
    F32,
    /// Results are rounded to the nearest binary16 value, ties to even; beyond 65519.996 they become infinite.
    F16,
}

impl Store {
    /// `value` as it is stored.
    #[inline(always)]
    pub(crate) fn apply(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => round_to_f16(value),
        }
    }
}

/// The binary16 value nearest to `value`, ties to even, as the conversion instructions of x86 give it.
///
/// Has no branch, so that loops over it become vector code.
#[inline(always)]
pub(crate) fn round_to_f16(value: f32) -> f32 {
    const INFINITY: u32 = 0x7F80_0000;
    let sign = value.to_bits() & 0x8000_0000;
    let magnitude = value.to_bits() & 0x7FFF_FFFF;
    // Normal range: 13 of the 23 fraction bits go, the carry may run into the exponent.
    let rounded = (magnitude.wrapping_add(0x0FFF + ((magnitude >> 13) & 1))) & !0x1FFF;
    let normal = if rounded >= 0x4780_0000 { INFINITY } else { rounded };
    // Below 2^-14: the last place of 0.5 is 2^-24, the binary16 quantum, so the sum rounds to it.
    let subnormal = ((f32::from_bits(magnitude) + 0.5) - 0.5).to_bits();
    let finite = if magnitude < 0x3880_0000 { subnormal } else { normal };
    let quiet_nan = (magnitude | 0x0040_0000) & !0x1FFF;
    f32::from_bits(sign | if magnitude > INFINITY { quiet_nan } else { finite })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary16_rounding_is_to_nearest_even_with_overflow_to_infinity() {
        let cases: [(f32, f32); 10] = [
            (1.0, 1.0),
            (1.0 + 1.0 / 2048.0, 1.0),
            (1.0 + 3.0 / 2048.0, 1.0 + 2.0 / 1024.0),
            (-2049.0, -2048.0),
            (65_519.0, 65_504.0),
            (65_520.0, f32::INFINITY),
            (-1e30, f32::NEG_INFINITY),
            (2f32.powi(-25), 0.0),
            (1.5 * 2f32.powi(-24), 2f32.powi(-23)),
            (-0.0, -0.0),
        ];
        for (value, expected) in cases {
            assert_eq!(round_to_f16(value).to_bits(), expected.to_bits(), "{value}");
        }
        assert!(round_to_f16(f32::NAN).is_nan());
    }

    #[test]
    fn adding_keeps_what_stood_there() {
        assert_eq!(Write::Add.apply(2.0, 3.0).to_bits(), 5f32.to_bits());
        assert_eq!(Write::Set.apply(2.0, 3.0).to_bits(), 3f32.to_bits());
    }
}
