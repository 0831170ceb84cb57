//! Smooth random fields.

use boresight_core::Seed;

/// Fractal value noise `[height, width]`, between -1 and 1: `octaves` fields, the first with features of `scale`
/// pixels, each further one half as large and half as strong.
pub(super) fn fractal(seed: Seed, [height, width]: [usize; 2], scale: f64, octaves: u32) -> Vec<f64> {
    let mut field = vec![0.0; height * width];
    let (mut scale, mut strength) = (scale, 0.5 / (1.0 - 0.5_f64.powf(f64::from(octaves))));
    for octave in 0..octaves {
        let spacing = scale.max(1.0);
        let (rows, columns) = (knots(height, spacing), knots(width, spacing));
        let across = columns.last().map_or(0, |knot| knot.0) + 2;
        let down = rows.last().map_or(0, |knot| knot.0) + 2;
        let mut stream = seed.derive("octave", u64::from(octave)).stream();
        let lattice: Vec<f64> = (0..across * down).map(|_| stream.uniform(-1.0, 1.0)).collect();
        for (&(row, lower), values) in rows.iter().zip(field.chunks_exact_mut(width)) {
            let (above, below) = (&lattice[row * across..], &lattice[(row + 1) * across..]);
            for (&(column, right), value) in columns.iter().zip(values) {
                let upper = above[column] + right * (above[column + 1] - above[column]);
                let under = below[column] + right * (below[column + 1] - below[column]);
                *value += strength * (upper + lower * (under - upper));
            }
        }
        (scale, strength) = (scale * 0.5, strength * 0.5);
    }
    field
}

/// The lattice knot before each pixel, and the smooth weight of the knot after it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on a scene's side, at least 0"
)]
fn knots(side: usize, spacing: f64) -> Vec<(usize, f64)> {
    let knot = |at: usize| {
        let place = at as f64 / spacing;
        let part = place.fract();
        (place as usize, part * part * (3.0 - 2.0 * part))
    };
    (0..side).map(knot).collect()
}

/// 0 below `low`, 1 above `high`, smooth between.
pub(super) fn smoothstep(low: f64, high: f64, value: f64) -> f64 {
    let part = ((value - low) / (high - low)).clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_bounded_and_varies() {
        let field = fractal(Seed::new(1), [64, 48], 16.0, 4);
        assert_eq!(field.len(), 64 * 48);
        assert!(field.iter().all(|value| value.abs() <= 1.0));
        let spread = field.iter().map(|value| value * value).sum::<f64>() / field.len() as f64;
        assert!((0.02..0.5).contains(&spread), "{spread}");
    }

    #[test]
    fn neighbours_are_alike() {
        let field = fractal(Seed::new(2), [1, 200], 20.0, 1);
        assert!(field.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.16));
    }
}
