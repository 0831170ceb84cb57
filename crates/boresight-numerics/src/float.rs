//! Rounding binary32 values to the values of narrower formats; results are kept as binary32.

/// Sign bit cleared.
const MAGNITUDE: u32 = 0x7fff_ffff;
/// Exponent field of binary32; as a value, infinity.
const EXPONENT: u32 = 0x7f80_0000;
/// The bit that makes a NaN quiet.
const QUIET: u32 = 0x0040_0000;

/// The power of two of this exponent, which lies in -126..=127.
const fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits((exponent + 127).cast_unsigned() << 23)
}

// For binary16: the least and the largest power of two, and what lifts a power of two by 13 exponents.
const LEAST: f32 = power_of_two(-14);
const MOST: f32 = power_of_two(15);
const ALIGN: f32 = power_of_two(13);
// 65536 * 2^112 is the least product of a binary16 step that overflows binary32.
const UP: f32 = power_of_two(112);
const DOWN: f32 = power_of_two(-112);

/// `value` rounded to the nearest binary16 value, ties to even.
///
/// Subnormal binary16 values (down to 2^-24) are kept, magnitudes from 65520 up become infinity, zeros keep their
/// sign. A NaN stays a NaN of its sign. Branch-free.
///
/// # Source
/// IEEE 754-2019, sections 3.6 and 4.3.1.
///
/// # Examples
/// ```
/// use boresight_numerics::round_f16;
/// assert_eq!(round_f16(2049.0).to_bits(), 2048.0_f32.to_bits());
/// assert_eq!(round_f16(65520.0), f32::INFINITY);
/// ```
#[expect(clippy::inline_always, reason = "must take on the instruction set of the kernel that calls it")]
#[inline(always)]
#[must_use]
pub fn round_f16(value: f32) -> f32 {
    // Adding 2^(e + 13) to a magnitude in [2^e, 2^(e + 1)) leaves ten bits behind the leading one, rounded to
    // nearest even by the adder itself; for e < -14 the spacing stays that of e = -14.
    let bits = value.to_bits();
    let magnitude = bits & MAGNITUDE;
    let leading = f32::from_bits(magnitude & EXPONENT);
    let leading = if leading > LEAST { leading } else { LEAST };
    let leading = if leading < MOST { leading } else { MOST };
    let aligned = leading * ALIGN;
    let rounded = (f32::from_bits(magnitude) + aligned) - aligned;
    let rounded = rounded * UP * DOWN;
    f32::from_bits(rounded.to_bits() | (bits ^ magnitude))
}

/// Rounds every value as [`round_f16`] does, in place.
#[expect(clippy::inline_always, reason = "must take on the instruction set of the kernel that calls it")]
#[inline(always)]
pub fn round_slice_f16(values: &mut [f32]) {
    for value in values {
        *value = round_f16(*value);
    }
}

/// `value` rounded to the nearest bfloat16 value, ties to even.
///
/// Subnormal values are kept, magnitudes that round beyond the largest finite one (about 3.39e38) become infinity.
/// A NaN stays NaN with its sign and the upper seven bits of its payload. Branch-free.
///
/// # Examples
/// ```
/// use boresight_numerics::round_bf16;
/// assert_eq!(round_bf16(257.0).to_bits(), 256.0_f32.to_bits());
/// ```
#[expect(clippy::inline_always, reason = "must take on the instruction set of the kernel that calls it")]
#[inline(always)]
#[must_use]
pub fn round_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let magnitude = bits & MAGNITUDE;
    let odd = (magnitude >> 16) & 1;
    // The carry runs from the fraction into the exponent, and from the largest exponent into infinity.
    let rounded = (magnitude + 0x7fff + odd) & !0xffff;
    let rounded = if magnitude > EXPONENT { magnitude & !0xffff | QUIET } else { rounded };
    f32::from_bits(rounded | (bits ^ magnitude))
}

/// Rounds every value as [`round_bf16`] does, in place.
#[expect(clippy::inline_always, reason = "must take on the instruction set of the kernel that calls it")]
#[inline(always)]
pub fn round_slice_bf16(values: &mut [f32]) {
    for value in values {
        *value = round_bf16(*value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};
    use proptest::prelude::*;

    fn assert_f16(value: f32) {
        let expected = f16::from_f32(value).to_f32();
        let rounded = round_f16(value);
        if value.is_nan() {
            assert!(rounded.is_nan() && rounded.is_sign_negative() == value.is_sign_negative());
            return;
        }
        assert_eq!(rounded.to_bits(), expected.to_bits(), "{value:e} became {rounded:e}, not {expected:e}");
    }

    fn assert_bf16(value: f32) {
        let expected = bf16::from_f32(value).to_f32();
        let rounded = round_bf16(value);
        assert_eq!(rounded.to_bits(), expected.to_bits(), "{value:e} became {rounded:e}, not {expected:e}");
    }

    /// `low`, the midpoint to `high` (exact in binary32), and the binary32 neighbours of both.
    fn around(low: f32, high: f32) -> [f32; 6] {
        let middle = low / 2.0 + high / 2.0;
        [low, low.next_up(), low.next_down(), middle, middle.next_up(), middle.next_down()]
    }

    #[test]
    fn every_binary16_value_stays_as_it_is() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits).to_f32();
            assert!(value.is_nan() || round_f16(value).to_bits() == value.to_bits(), "{bits:#06x}");
        }
    }

    #[test]
    fn values_midpoints_and_their_neighbours_round_as_half_does() {
        // 0x7bff is 65504; the next step of the same spacing, 65536, is where infinity takes over.
        for bits in 0..=0x7bff_u16 {
            let low = f16::from_bits(bits).to_f32();
            let high = if bits == 0x7bff { 65536.0 } else { f16::from_bits(bits + 1).to_f32() };
            for value in around(low, high) {
                assert_f16(value);
                assert_f16(-value);
            }
        }
    }

    #[test]
    fn every_bfloat16_value_and_midpoint_rounds_as_half_does() {
        for bits in 0..0x7f7f_u16 {
            let (low, high) = (bf16::from_bits(bits).to_f32(), bf16::from_bits(bits + 1).to_f32());
            for value in around(low, high) {
                assert_bf16(value);
                assert_bf16(-value);
            }
        }
        assert_bf16(f32::MAX);
        assert_bf16(f32::INFINITY);
    }

    #[test]
    fn nan_stays_nan() {
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7f80_0001, 0xffff_ffff, 0x7fa0_1234] {
            assert_f16(f32::from_bits(bits));
            assert_bf16(f32::from_bits(bits));
        }
    }

    #[test]
    fn hand_computed_values_round_to_the_nearest_with_ties_to_even() {
        // (value, rounded): the spacing is 2 above 2048, 8 above 8192, 32 above 32768 and 2^-24 below 2^-14.
        let cases = [
            (2049.0, 2048.0),
            (2051.0, 2052.0),
            (8196.0, 8192.0),
            (8204.0, 8208.0),
            (65519.996, 65504.0),
            (65520.0, f32::INFINITY),
            (2.0_f32.powi(-25), 0.0),
            (1.5 * 2.0_f32.powi(-24), 2.0_f32.powi(-23)),
            (0.1, 0.099_975_586),
        ];
        for (value, rounded) in cases {
            assert_eq!(round_f16(value).to_bits(), f32::to_bits(rounded), "{value}");
            assert_eq!(round_f16(-value).to_bits(), f32::to_bits(-rounded), "-{value}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_bits_round_as_half_does(bits: u32) {
            assert_f16(f32::from_bits(bits));
            assert_bf16(f32::from_bits(bits));
        }

        #[test]
        fn a_slice_is_rounded_value_by_value(bits in proptest::collection::vec(any::<u32>(), 0..40)) {
            let values: Vec<f32> = bits.iter().map(|&bits| f32::from_bits(bits)).collect();
            let (mut binary16, mut bfloat16) = (values.clone(), values.clone());
            round_slice_f16(&mut binary16);
            round_slice_bf16(&mut bfloat16);
            for ((value, half), brain) in values.iter().zip(&binary16).zip(&bfloat16) {
                prop_assert_eq!(half.to_bits(), round_f16(*value).to_bits());
                prop_assert_eq!(brain.to_bits(), round_bf16(*value).to_bits());
            }
        }
    }
}
