//! The picture while it is painted: reflectances of the bands that are asked for.

use super::spectra::Spectrum;

/// Reflectances `[band][height * width]`.
pub(super) struct Canvas {
    pub(super) size: [usize; 2],
    /// Where each band stands in a [`Spectrum`].
    pub(super) bands: Vec<usize>,
    pub(super) planes: Vec<Vec<f64>>,
}

impl Canvas {
    pub(super) fn new(size: [usize; 2], bands: Vec<usize>) -> Self {
        let planes = vec![vec![0.0; size[0] * size[1]]; bands.len()];
        Self { size, bands, planes }
    }

    /// Covers a share of a pixel with a surface of this spectrum.
    pub(super) fn cover(&mut self, pixel: usize, share: f64, surface: &Spectrum, brightness: f64) {
        for (plane, &band) in self.planes.iter_mut().zip(&self.bands) {
            plane[pixel] += share * (surface[band] * brightness - plane[pixel]);
        }
    }

    /// Adds light of this spectrum.
    pub(super) fn add(&mut self, pixel: usize, amount: f64, light: &Spectrum) {
        for (plane, &band) in self.planes.iter_mut().zip(&self.bands) {
            plane[pixel] += amount * light[band];
        }
    }

    /// Multiplies a pixel's reflectances.
    pub(super) fn dim(&mut self, pixel: usize, factor: f64) {
        for plane in &mut self.planes {
            plane[pixel] *= factor;
        }
    }
}

/// A place and a direction; lengths in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The origin, as row and column of pixel corners: pixel `(y, x)` has its middle at `(y + 0.5, x + 0.5)`.
    pub(super) origin: [f64; 2],
    /// The unit vector of the first coordinate; the second is a quarter turn ahead.
    pub(super) along: [f64; 2],
}

impl Frame {
    pub(super) fn new(origin: [f64; 2], angle: f64) -> Self {
        Self { origin, along: [angle.sin(), angle.cos()] }
    }

    /// The coordinates of a point.
    pub(super) fn local(&self, [y, x]: [f64; 2]) -> [f64; 2] {
        let (y, x) = (y - self.origin[0], x - self.origin[1]);
        [y * self.along[0] + x * self.along[1], y * self.along[1] - x * self.along[0]]
    }

    /// The point with these coordinates.
    pub(super) fn point(&self, [u, v]: [f64; 2]) -> [f64; 2] {
        let [sine, cosine] = self.along;
        [self.origin[0] + u * sine + v * cosine, self.origin[1] + u * cosine - v * sine]
    }

    /// The same directions at another origin.
    pub(super) fn moved_to(&self, local: [f64; 2]) -> Self {
        Self { origin: self.point(local), along: self.along }
    }

    /// The frame turned by a quarter: its first coordinate is what the second was.
    pub(super) fn turned(&self) -> Self {
        Self { origin: self.origin, along: [self.along[1], -self.along[0]] }
    }

    /// The frame turned by three quarters: its second coordinate is what the first was.
    pub(super) fn turned_back(&self) -> Self {
        Self { origin: self.origin, along: [-self.along[1], self.along[0]] }
    }
}

/// A pixel that a shape touches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Touched {
    pub(super) pixel: usize,
    /// The share of the pixel that the shape covers, above 0 and up to 1.
    pub(super) share: f64,
    /// The pixel's middle in the shape's frame.
    pub(super) local: [f64; 2],
}

/// The pixels touched by a shape that lies within `reach` of the frame's origin along both axes; four by four points
/// a pixel.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the picture's sides")]
pub(super) fn touched(
    [height, width]: [usize; 2],
    frame: &Frame,
    reach: [f64; 2],
    inside: impl Fn([f64; 2]) -> bool,
) -> Vec<Touched> {
    let [sine, cosine] = frame.along.map(f64::abs);
    let half = [reach[0] * sine + reach[1] * cosine, reach[0] * cosine + reach[1] * sine];
    let range = |middle: f64, half: f64, side: usize| {
        let low = (middle - half).floor().max(0.0) as usize;
        low..((middle + half).ceil().max(0.0) as usize).min(side)
    };
    let mut found = Vec::new();
    for y in range(frame.origin[0], half[0], height) {
        for x in range(frame.origin[1], half[1], width) {
            let middle = [y as f64 + 0.5, x as f64 + 0.5];
            let points = (0..16_u8).filter(|&at| {
                let (row, column) = (f64::from(at / 4), f64::from(at % 4));
                inside(frame.local([y as f64 + (row + 0.5) / 4.0, x as f64 + (column + 0.5) / 4.0]))
            });
            let share = points.count() as f64 / 16.0;
            if share > 0.0 {
                found.push(Touched { pixel: y * width + x, share, local: frame.local(middle) });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_maps_points_there_and_back() {
        for angle in [0.0, 0.7, 2.0, 4.5] {
            let frame = Frame::new([3.0, 5.0], angle);
            for frame in [frame, frame.turned(), frame.moved_to([2.0, -1.0])] {
                let back = frame.local(frame.point([1.5, -2.5]));
                assert!((back[0] - 1.5).abs() < 1e-12 && (back[1] + 2.5).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn a_shape_covers_its_area() {
        let frame = Frame::new([20.0, 20.0], 0.5);
        let half = [8.0, 3.0];
        let found = touched([40, 40], &frame, half, |[u, v]| u.abs() < half[0] && v.abs() < half[1]);
        let area: f64 = found.iter().map(|touched| touched.share).sum();
        // Sixteen points a pixel: the edge of 44 pixels' length is wrong by a fraction of a pixel here and there.
        assert!((area - 96.0).abs() < 1.5, "{area}");
    }
}
