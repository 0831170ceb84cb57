//! Elementary functions of `f32`: branch-free, so that loops over them vectorise, and made of `+`, `*`, `/`,
//! fused multiply-add and bit operations alone, so that every machine and instruction set gives the same bits.
//!
//! The largest errors against `f64` are stated at each function and measured by its tests. The polynomials are
//! minimax fits of this project (Remez exchange in 50-digit arithmetic). NaN gives NaN everywhere.

// The tables show every digit that the fit gave.
#![expect(clippy::excessive_precision, reason = "coefficients are written as the fit printed them")]
#![expect(clippy::inline_always, reason = "the functions must take on their caller's instruction set")]
#![expect(clippy::cast_possible_wrap, clippy::cast_sign_loss, reason = "bit patterns, not numbers")]

/// Adding and subtracting it rounds a small number to the nearest integer: 1.5 * 2^23.
const ROUNDER: f32 = 12_582_912.0;
/// The high part of ln 2: its last 9 bits are zero, so a product with a small integer is exact.
const LN2_HIGH: f32 = 0.693_359_375;
/// ln 2 - [`LN2_HIGH`].
const LN2_LOW: f32 = -2.121_944_4e-4;

/// A polynomial by Horner's rule with fused steps; the lowest coefficient comes first.
#[inline(always)]
fn polynomial<const TERMS: usize>(coefficients: [f32; TERMS], x: f32) -> f32 {
    let mut sum = coefficients[TERMS - 1];
    for at in (0..TERMS - 1).rev() {
        sum = sum.mul_add(x, coefficients[at]);
    }
    sum
}

/// 2^`power` for `power` in -126..=127.
#[inline(always)]
fn power_of_two(power: i32) -> f32 {
    f32::from_bits((power.wrapping_add(127) as u32) << 23)
}

/// e^`x`; within 1.1 units in the last place, subnormal results included. Overflow gives infinity.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const TAIL: [f32; 5] = [0.499_999_94, 0.166_665_21, 0.041_668_389, 0.008_368_745_4, 0.001_381_454_1];
    // Comparisons written so that NaN passes.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDER);
    let whole = shifted - ROUNDER;
    let rest = whole.mul_add(-LN2_LOW, whole.mul_add(-LN2_HIGH, x));
    let value = (rest * rest).mul_add(polynomial(TAIL, rest), rest) + 1.0;
    let power = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    // Two factors, since 2^power itself may lie outside the normal numbers.
    let half = power >> 1;
    value * power_of_two(half) * power_of_two(power.wrapping_sub(half))
}

/// The natural logarithm; within 1.1 units in the last place. Zero gives -infinity, negative numbers NaN.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    const TAIL: [f32; 9] = [
        0.333_333_13,
        -0.250_000_09,
        0.200_021_19,
        -0.166_679_96,
        0.142_195_52,
        -0.124_055_88,
        0.118_881_59,
        -0.116_756_55,
        0.067_466_497,
    ];
    const HALF_ROOT: i32 = 0x3f35_04f3;
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits() as i32;
    let power = bits.wrapping_sub(HALF_ROOT) >> 23;
    let fraction = f32::from_bits(bits.wrapping_sub(power << 23) as u32) - 1.0;
    let power = power as f32 - if tiny { 23.0 } else { 0.0 };
    let square = fraction * fraction;
    let tail = (square * fraction).mul_add(polynomial(TAIL, fraction), power * LN2_LOW);
    let value = power.mul_add(LN2_HIGH, square.mul_add(-0.5, tail) + fraction);
    let value = if x < f32::INFINITY { value } else { x };
    let value = if x < 0.0 { f32::NAN } else { value };
    if x.abs() > 0.0 || x.is_nan() { value } else { f32::NEG_INFINITY }
}

/// The logistic function 1 / (1 + e^-x); within 2.5 units in the last place.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let small = exp(-x.abs());
    let numerator = if x < 0.0 { small } else { 1.0 };
    numerator / (1.0 + small)
}

/// The derivative of [`sigmoid`]; within 4 units in the last place.
#[inline(always)]
pub fn sigmoid_slope(x: f32) -> f32 {
    let small = exp(-x.abs());
    let whole = 1.0 + small;
    small / (whole * whole)
}

/// e^(-x²/2) and the upper tail erfc(|x| / √2) / 2 of the standard normal distribution.
#[inline(always)]
fn bell_and_tail(x: f32) -> (f32, f32) {
    // e^(t²) erfc(t) as a polynomial in (t - 2) / (t + 2), for t in 0..=10.6.
    const SCALED: [f32; 11] = [
        0.255_395_68,
        -0.427_185_86,
        0.241_658_26,
        -0.078_977_913,
        0.003_731_740_4,
        0.006_991_845,
        -8.411_484_5e-4,
        -9.609_617e-4,
        3.371_062_8e-5,
        1.366_284_7e-4,
        2.544_224_8e-5,
    ];
    let size = x.abs();
    // Beyond this the tail is below every subnormal number.
    let size = if size > 14.5 { 14.5 } else { size };
    let square = size * size;
    let lost = size.mul_add(size, -square);
    let bell = exp(-0.5 * square);
    let bell = (-0.5 * lost).mul_add(bell, bell);
    let t = size * std::f32::consts::FRAC_1_SQRT_2;
    (bell, 0.5 * bell * polynomial(SCALED, (t - 2.0) / (t + 2.0)))
}

/// The share of the standard normal distribution below `x`: (1 + erf(x / √2)) / 2; its relative error is below
/// 4e-7 for `x` above -5, and below 2e-6 from there down to the smallest normal result.
#[inline(always)]
pub fn normal_share(x: f32) -> f32 {
    let (_, tail) = bell_and_tail(x);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// The Gaussian error linear unit in its exact form, x (1 + erf(x / √2)) / 2; relative error as [`normal_share`].
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    x * normal_share(x)
}

/// The derivative of [`gelu`], Φ(x) + x φ(x); within 2e-7.
#[inline(always)]
pub fn gelu_slope(x: f32) -> f32 {
    const DENSITY: f32 = 0.398_942_28;
    let (bell, tail) = bell_and_tail(x);
    let share = if x < 0.0 { tail } else { 1.0 - tail };
    (x * DENSITY).mul_add(bell, share)
}

#[cfg(test)]
mod tests;
