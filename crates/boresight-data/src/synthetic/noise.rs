//! Smooth random fields.

use boresight_core::Seed;
use std::f64::consts::TAU;

/// Fractal gradient noise (after Perlin) `[height, width]`, about between -1 and 1: `octaves` fields, the first with
/// features of `scale` pixels, each further one half as large and half as strong.
pub(super) fn fractal(seed: Seed, [height, width]: [usize; 2], scale: f64, octaves: u32) -> Vec<f64> {
    let mut field = vec![0.0; height * width];
    let (mut scale, mut strength) = (scale, 0.75 / (1.0 - 0.5_f64.powf(f64::from(octaves))));
    for octave in 0..octaves {
        let spacing = scale.max(1.5);
        let (rows, columns) = (knots(height, spacing), knots(width, spacing));
        let across = columns.last().map_or(0, |knot| knot.at) + 2;
        let down = rows.last().map_or(0, |knot| knot.at) + 2;
        let mut stream = seed.derive("octave", u64::from(octave)).stream();
        let lattice: Vec<[f64; 2]> = (0..across * down).map(|_| slope(stream.uniform(0.0, TAU))).collect();
        for (row, values) in rows.iter().zip(field.chunks_exact_mut(width)) {
            let (above, below) = (&lattice[row.at * across..], &lattice[(row.at + 1) * across..]);
            for (column, value) in columns.iter().zip(values) {
                let left = [
                    height_at(above[column.at], row.past, column.past),
                    height_at(below[column.at], row.past - 1.0, column.past),
                ];
                let next = [above[column.at + 1], below[column.at + 1]];
                let right = [
                    height_at(next[0], row.past, column.past - 1.0),
                    height_at(next[1], row.past - 1.0, column.past - 1.0),
                ];
                let upper = left[0] + column.weight * (right[0] - left[0]);
                let lower = left[1] + column.weight * (right[1] - left[1]);
                *value += strength * (upper + row.weight * (lower - upper));
            }
        }
        (scale, strength) = (scale * 0.5, strength * 0.5);
    }
    field
}

fn slope(angle: f64) -> [f64; 2] {
    [angle.sin(), angle.cos()]
}

/// The height of a slope through 0 at a distance.
fn height_at([down, across]: [f64; 2], y: f64, x: f64) -> f64 {
    down * y + across * x
}

/// The lattice knot before a pixel.
struct Knot {
    at: usize,
    /// How far past the knot the pixel lies, in knots.
    past: f64,
    /// The smooth weight of the next knot.
    weight: f64,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place on a scene's side, at least 0"
)]
fn knots(side: usize, spacing: f64) -> Vec<Knot> {
    let knot = |at: usize| {
        let place = (at as f64 + 0.5) / spacing;
        let past = place.fract();
        Knot { at: place as usize, past, weight: past * past * past * (past * (past * 6.0 - 15.0) + 10.0) }
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
        assert!(field.iter().all(|value| value.abs() <= 1.1));
        let spread = field.iter().map(|value| value * value).sum::<f64>() / field.len() as f64;
        assert!((0.02..0.5).contains(&spread), "{spread}");
    }

    #[test]
    fn neighbours_are_alike() {
        let field = fractal(Seed::new(2), [1, 200], 20.0, 1);
        assert!(field.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.2));
    }
}
