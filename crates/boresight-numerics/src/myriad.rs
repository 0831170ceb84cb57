//! How the OpenVINO MYRIAD plugin turns binary32 constants into binary16.

use half::f16;

/// The largest finite binary16 value, 65504, as binary32 bits.
const LARGEST: u32 = 0x477f_e000;
/// 2^-14, the least normal binary16 value, as binary32 bits.
const LEAST_NORMAL: u32 = 0x3880_0000;
/// 2^-15 as binary32 bits. A magnitude rounds up to it, in 11 significant bits, from 2^-15 * (1 - 2^-12) on.
const LEAST_KEPT: u32 = 0x3800_0000;
const INFINITY: u32 = 0x7f80_0000;
const QUIET_NAN: u32 = 0x7fc0_0000;

/// The constant that the MYRIAD plugin stores in place of `value`; always a binary16 value, never a subnormal one.
///
/// The magnitude is rounded to 11 significant bits, half away from zero. Then what lies below 2^-15 becomes zero
/// with its sign, what lies below 2^-14 becomes 2^-14, and what lies above 65504 becomes 65504. Infinities are kept.
/// A NaN becomes the plain quiet NaN of the other sign (payloads were not probed).
///
/// # Source
/// Read out of the graph compiler of OpenVINO 2021.4.2: 24 probed values (in this crate's tests) and 66,560 weights.
///
/// # Examples
/// ```
/// use boresight_numerics::myriad_constant;
/// assert_eq!(myriad_constant(70_000.0).to_bits(), 65_504.0_f32.to_bits());
/// assert_eq!(myriad_constant(-1e-5).to_bits(), (-0.0_f32).to_bits());
/// ```
#[must_use]
pub fn myriad_constant(value: f32) -> f32 {
    let bits = value.to_bits();
    let magnitude = bits & 0x7fff_ffff;
    let sign = bits ^ magnitude;
    if magnitude > INFINITY {
        return f32::from_bits(QUIET_NAN | (sign ^ 0x8000_0000));
    }
    if magnitude == INFINITY {
        return value;
    }
    // Half of the last kept bit is added and the rest cut off; a carry runs into the exponent.
    let rounded = (magnitude + 0x1000) & !0x1fff;
    let kept = if rounded < LEAST_KEPT { 0 } else { rounded.clamp(LEAST_NORMAL, LARGEST) };
    f32::from_bits(sign | kept)
}

/// The binary16 bits of [`myriad_constant`], as the plugin writes them into its graph file.
#[must_use]
pub fn myriad_constant_bits(value: f32) -> u16 {
    f16::from_f32(myriad_constant(value)).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Constants of a binary32 network and the binary16 bits found in the compiled graph
    /// (measured compiler read-out: OpenVINO 2021.4.2, MYRIAD plugin, `ScaleShift` weights).
    const READ_OUT: [(f32, u16); 24] = [
        (1.000_488_3, 0x3c01),
        (1.001_464_8, 0x3c02),
        (1.000_489_2, 0x3c01),
        (-1.000_488_3, 0xbc01),
        (65_504.0, 0x7bff),
        (65_519.0, 0x7bff),
        (65_520.0, 0x7bff),
        (70_000.0, 0x7bff),
        (-70_000.0, 0xfbff),
        (1e6, 0x7bff),
        (1e-5, 0x0000),
        (6e-8, 0x0000),
        (3.1e-8, 0x0000),
        (2.980_232_2e-8, 0x0000),
        (2.9e-8, 0x0000),
        (6.100_535_4e-5, 0x0400),
        (8.940_697e-8, 0x0000),
        (1.490_116_1e-7, 0x0000),
        (f32::INFINITY, 0x7c00),
        (f32::NAN, 0xfe00),
        (0.1, 0x2e66),
        (0.333_333_34, 0x3555),
        (6.103_515_6e-5, 0x0400),
        (3.051_757_8e-5, 0x0400),
    ];

    #[test]
    fn every_probed_constant_is_converted_as_the_compiler_converts_it() {
        for (value, bits) in READ_OUT {
            assert_eq!(myriad_constant_bits(value), bits, "{value:e}");
        }
    }

    #[test]
    fn the_flush_starts_just_below_two_to_the_minus_fifteen() {
        let least_kept = 2.0_f32.powi(-15) * (1.0 - 2.0_f32.powi(-12));
        let raised = 2.0_f32.powi(-14).to_bits();
        assert_eq!(myriad_constant(least_kept).to_bits(), raised);
        assert_eq!(myriad_constant(least_kept.next_down()).to_bits(), 0);
        assert_eq!(myriad_constant(-least_kept.next_down()).to_bits(), (-0.0_f32).to_bits());
        assert_eq!(myriad_constant(2.0_f32.powi(-14).next_down()).to_bits(), raised);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn a_constant_is_a_normal_binary16_value_or_a_zero(bits: u32) {
            let constant = myriad_constant(f32::from_bits(bits));
            let stored = f16::from_f32(constant);
            prop_assert_eq!(stored.to_f32().to_bits(), constant.to_bits());
            prop_assert!(!stored.is_finite() || stored.is_normal() || constant.abs().to_bits() == 0);
        }

        #[test]
        fn in_the_normal_range_no_binary16_value_is_nearer(value in 6.2e-5_f32..65_504.0) {
            let constant = myriad_constant(value);
            let bits = f16::from_f32(constant).to_bits();
            let error = (f64::from(constant) - f64::from(value)).abs();
            for other in [bits - 1, bits + 1] {
                prop_assert!(error <= (f16::from_bits(other).to_f64() - f64::from(value)).abs());
            }
        }

        #[test]
        fn the_sign_never_changes_the_magnitude(bits in 0_u32..0x7f80_0000) {
            let value = f32::from_bits(bits);
            prop_assert_eq!(myriad_constant(-value).to_bits(), (-myriad_constant(value)).to_bits());
        }
    }
}
