//! The way from reflectances to counts: clouds, haze, optics, native pixels, noise.

use super::canvas::Canvas;
use super::noise::{fractal, smoothstep};
use super::spectra::{CLOUD, HAZE, NATIVE_PIXEL};
use crate::MAX_COUNT;
use boresight_core::Seed;

/// Counts for a reflectance of 1.
const COUNTS: f64 = 65_535.0;

/// The share of each pixel that clouds hide.
pub(super) fn clouds(seed: Seed, size: [usize; 2]) -> Vec<f64> {
    let mut stream = seed.derive("weather", 0).stream();
    if stream.chance(0.55) {
        return vec![0.0; size[0] * size[1]];
    }
    let threshold = stream.uniform(0.28, 0.5);
    let field = fractal(seed.derive("clouds", 0), size, stream.uniform(30.0, 80.0), 5);
    field.iter().map(|&value| 0.95 * smoothstep(threshold, threshold + 0.22, value)).collect()
}

/// Lays clouds, their shadows and haze over the picture.
pub(super) fn paint_sky(seed: Seed, clouds: &[f64], canvas: &mut Canvas) {
    let mut stream = seed.derive("sky", 0).stream();
    let [height, width] = canvas.size;
    let shift = [8 + stream.below(12), 8 + stream.below(12)];
    let strength = stream.uniform(0.0, 0.03);
    let haze = fractal(seed.derive("haze", 0), canvas.size, 150.0, 2);
    for pixel in 0..height * width {
        let (y, x) = (pixel / width + shift[0], pixel % width + shift[1]);
        if y < height && x < width {
            canvas.dim(pixel, 1.0 - 0.55 * clouds[y * width + x]);
        }
        canvas.add(pixel, strength * (1.0 + 0.7 * haze[pixel]), &HAZE);
        if clouds[pixel] > 0.0 {
            canvas.cover(pixel, clouds[pixel], &CLOUD, 0.6 + 0.6 * clouds[pixel]);
        }
    }
}

/// The counts of every band.
pub(super) fn counts(seed: Seed, canvas: &Canvas) -> Vec<u16> {
    let mut counts = Vec::with_capacity(canvas.planes.len() * canvas.size[0] * canvas.size[1]);
    for (plane, &band) in canvas.planes.iter().zip(&canvas.bands) {
        let native = averaged(&blurred(plane, canvas.size), canvas.size, NATIVE_PIXEL[band]);
        measure(seed.derive("sensor", band as u64), &native, canvas.size[1], &mut counts);
    }
    counts
}

/// The optics spread a tenth of a pixel's light to each neighbour.
fn blurred(plane: &[f64], [height, width]: [usize; 2]) -> Vec<f64> {
    let spread = |before: f64, here: f64, after: f64| 0.1 * (before + after) + 0.8 * here;
    let mut across = Vec::with_capacity(plane.len());
    for row in plane.chunks_exact(width) {
        across.extend(
            (0..width).map(|x| spread(row[x.saturating_sub(1)], row[x], row[(x + 1).min(width - 1)])),
        );
    }
    let at = |y: usize, x: usize| across[y * width + x];
    let down =
        |y: usize, x: usize| spread(at(y.saturating_sub(1), x), at(y, x), at((y + 1).min(height - 1), x));
    (0..height).flat_map(|y| (0..width).map(move |x| down(y, x))).collect()
}

/// Means over squares of this side, repeated over each square.
fn averaged(plane: &[f64], [height, width]: [usize; 2], side: usize) -> Vec<f64> {
    let mut result = plane.to_vec();
    for top in (0..height).step_by(side) {
        for left in (0..width).step_by(side) {
            let (rows, columns) = (top..(top + side).min(height), left..(left + side).min(width));
            let number = (rows.len() * columns.len()) as f64;
            let sum: f64 =
                rows.clone().map(|y| plane[y * width..][columns.clone()].iter().sum::<f64>()).sum();
            rows.for_each(|y| result[y * width..][columns.clone()].fill(sum / number));
        }
    }
    result
}

/// The sum of three even draws: close enough to the normal distribution, and cheap.
fn noise(bits: u64) -> f64 {
    let part = |shift: u32| ((bits >> shift) & 0x1f_ffff) as f64;
    (part(0) + part(21) + part(42)) / f64::from(1 << 21) - 1.5
}

/// Adds the seams of the detectors and noise that grows with the light, and counts.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates at 0")]
fn measure(seed: Seed, plane: &[f64], width: usize, counts: &mut Vec<u16>) {
    let mut stream = seed.stream();
    let seam = stream.below(width);
    let step = 1.0 + 0.01 * stream.uniform(-1.0, 1.0);
    for (pixel, &light) in plane.iter().enumerate() {
        let light = light.max(0.0) * if pixel % width < seam { 1.0 } else { step };
        let noise = noise(stream.bits());
        let reflectance = light + 2.0 * noise * (2.5e-7 + 6e-6 * light).sqrt();
        counts.push(((reflectance * COUNTS + 0.5) as u16).min(MAX_COUNT));
    }
}
