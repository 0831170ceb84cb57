//! Linear maps of whole channels.

use super::Map;

/// `(x - mean) * (gamma * rate) + beta` with `rate = 1 / sqrt(variance + epsilon)`, found in binary64 and rounded once;
/// everything else in binary32, without fused steps. The slices have one value a channel.
pub(super) fn batch_norm(x: &Map, epsilon: f32, [gamma, beta, mean, variance]: [&[f32]; 4]) -> Map {
    Map::from_shape_fn(x.dim(), |at| {
        let channel = at.0;
        let rate = 1.0 / (f64::from(variance[channel]) + f64::from(epsilon)).sqrt();
        #[expect(clippy::cast_possible_truncation, reason = "the one rounding that the formula has")]
        let scale = gamma[channel] * rate as f32;
        (x[at] - mean[channel]) * scale + beta[channel]
    })
}

/// `x * scale + shift`: one fused step. The slices have one value a channel.
pub(super) fn scale_shift(x: &Map, scale: &[f32], shift: &[f32]) -> Map {
    Map::from_shape_fn(x.dim(), |at| x[at].mul_add(scale[at.0], shift[at.0]))
}
