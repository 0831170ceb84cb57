//! Activations of single values. NaN stays NaN in all of them.

use boresight_kernels::math;

/// `max(x, 0)`; never a negative zero.
pub(super) fn relu(x: f32) -> f32 {
    if x <= 0.0 { 0.0 } else { x }
}

/// `min(max(x, 0), 6)`.
pub(super) fn relu6(x: f32) -> f32 {
    let x = relu(x);
    if x >= 6.0 { 6.0 } else { x }
}

/// `x (1 + erf(x / sqrt 2)) / 2`, by this project's own polynomials: every library's `erf` has other last bits.
pub(super) fn gelu(x: f32) -> f32 {
    math::gelu(x)
}

/// `1 / (1 + exp(-x))`, by this project's own polynomials.
pub(super) fn sigmoid(x: f32) -> f32 {
    math::sigmoid(x)
}
