//! The powers of two by which the MYRIAD plugin multiplies the constants of convolutions.

use crate::myriad_constant;

/// Exponent that the plugin reads from a binary16 zero or subnormal number.
const NO_EXPONENT: i32 = -15;
/// Exponent of the largest binary16 numbers.
const MOST: i32 = 15;
/// The largest shift of a convolution.
const LIMIT: i32 = 8;

/// The shifts of a network's convolutions, asked for in the order in which the device runs them.
///
/// The plugin multiplies weights and bias of a convolution on the NCE by a power of two, rounds them once more, and has
/// the results multiplied by its reciprocal. What it takes off all shifts depends on the first such convolution.
///
/// # Source
/// Read out of the graph compiler of OpenVINO 2021.4.2: the scales of 156 networks and 369,976 weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MyriadScaling {
    /// What is taken off each shift; known from the first convolution on.
    drop: Option<i32>,
}

impl MyriadScaling {
    /// Before the first convolution.
    pub const fn new() -> Self {
        Self { drop: None }
    }

    /// The exponent of the power of two for the next convolution, 0 or more.
    ///
    /// `weights` are its weights in binary16, `inputs` the input channels of one of its groups; `input_is_scaled` tells
    /// whether a scale below 0.1 stands directly on the network's input.
    pub fn shift(&mut self, weights: &[f32], inputs: usize, input_is_scaled: bool) -> i32 {
        let (mut sum, mut count, mut largest) = (0_i64, 0_i64, NO_EXPONENT);
        for exponent in weights.iter().map(|&weight| exponent(weight)) {
            if exponent > NO_EXPONENT {
                sum += i64::from(exponent);
                count += 1;
                largest = largest.max(exponent);
            }
        }
        // Integer division cuts towards zero, as the plugin does; the mean lies between -14 and 16.
        #[expect(clippy::cast_possible_truncation, reason = "a mean of exponents of binary16")]
        let mean = if count == 0 { NO_EXPONENT } else { (sum / count) as i32 };
        let mut shift = (-mean).min(MOST - largest);
        if self.drop.is_none() {
            let small = shift < 4 && inputs > 1 && !input_is_scaled;
            self.drop = Some(if small { 5 } else { 0 });
            if shift > 10 {
                shift -= 8;
            }
        }
        (shift.min(LIMIT) - self.drop.unwrap_or(0)).max(0)
    }
}

/// Exponent of a binary16 value; that of zero and subnormal numbers is -15.
fn exponent(value: f32) -> i32 {
    let biased = (value.abs().to_bits() >> 23).cast_signed();
    (biased - 127).max(NO_EXPONENT)
}

/// The constants that the plugin makes of binary16 ones for this power of two, divided by it again: what they are worth.
///
/// Only rounding to binary16 at the ends of its range changes a value: one may become zero or be cut.
pub fn myriad_rescale(constants: &mut [f32], shift: i32) {
    let scale = 2.0_f32.powi(shift);
    for constant in constants {
        *constant = myriad_constant(*constant * scale) / scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_exponent_sets_the_shift() {
        // Exponents -5, -4 and none: the mean of two, -4.5, is cut to -4.
        assert_eq!(MyriadScaling::new().shift(&[0.04, -0.07, 0.0], 16, false), 4);
        // 2^7 as the largest leaves room for 8.
        assert_eq!(MyriadScaling::new().shift(&[1e-3; 16], 16, false), 8);
        // A first shift of 15 is above 10, so 8 are taken off.
        assert_eq!(MyriadScaling::new().shift(&[0.0; 4], 16, false), 7);
    }

    #[test]
    fn large_first_weights_cost_all_layers_five() {
        let mut scaling = MyriadScaling::new();
        assert_eq!(scaling.shift(&[0.3; 4], 16, false), 0);
        assert_eq!(scaling.shift(&[1e-3; 4], 16, false), 3);
        for (inputs, scaled) in [(1, false), (16, true)] {
            let mut scaling = MyriadScaling::new();
            assert_eq!(scaling.shift(&[0.3; 4], inputs, scaled), 2);
            assert_eq!(scaling.shift(&[1e-3; 4], 16, false), 8);
        }
    }

    #[test]
    fn a_bias_can_be_cut_and_a_subnormal_weight_is_rescued() {
        let mut constants = [300.0, -1.0, 1e-5, 1e-9];
        myriad_rescale(&mut constants, 8);
        assert_eq!(constants[..2], [255.875, -1.0]);
        assert!((constants[2] - 1e-5).abs() < 1e-8 && constants[3].abs() < 1e-12, "{constants:?}");
    }
}
