//! Open water: turbidity, waves, glint and whitecaps.

use super::canvas::{Canvas, Frame};
use super::land::middle_of;
use super::noise::{fractal, smoothstep};
use super::spectra::{CLEAR_WATER, FOAM, GLINT, Spectrum, TURBID_WATER};
use boresight_core::{Seed, Stream};
use std::f64::consts::TAU;

/// One long-crested wave.
struct Wave {
    rate: [f64; 2],
    phase: f64,
    height: f64,
}

/// How the sea of a scene is.
pub(super) struct Sea {
    /// From 0, a mirror, to 1, breaking waves.
    state: f64,
    /// Extra reflectance of the sun's glitter.
    glint: f64,
    /// Where the glitter is brightest.
    sun: Frame,
    /// The direction of the wind, as an angle.
    pub(super) wind: f64,
    waves: Vec<Wave>,
    turbidity: f64,
}

impl Sea {
    pub(super) fn plan(seed: Seed, size: [usize; 2]) -> Self {
        let mut stream = seed.derive("sea", 0).stream();
        let wind = stream.uniform(0.0, TAU);
        let waves = (0..9).map(|_| Wave::draw(wind, &mut stream)).collect();
        let glint = if stream.chance(0.3) { stream.uniform(0.01, 0.045) } else { stream.uniform(0.0, 0.006) };
        let origin = size.map(|side| stream.uniform(0.0, 1.0) * side as f64);
        Self {
            state: stream.unit(),
            glint,
            sun: Frame::new(origin, stream.uniform(0.0, TAU)),
            wind,
            waves,
            turbidity: stream.uniform(-0.5, 0.4),
        }
    }

    /// Paints every pixel as water.
    pub(super) fn paint(&self, seed: Seed, canvas: &mut Canvas) {
        let size = canvas.size;
        let plumes = fractal(seed.derive("plumes", 0), size, 110.0, 5);
        let slicks = fractal(seed.derive("slicks", 0), size, 45.0, 3);
        let mut stream = seed.derive("ripples", 0).stream();
        let side = size[0].max(size[1]) as f64;
        for pixel in 0..size[0] * size[1] {
            let place = middle_of(pixel, size[1]);
            let mud = smoothstep(-0.5, 0.9, plumes[pixel] + self.turbidity);
            let water = mixed(&CLEAR_WATER, &TURBID_WATER, mud);
            canvas.cover(pixel, 1.0, &water, 1.0);
            let wave: f64 = self.waves.iter().map(|wave| wave.at(place)).sum();
            let calm = smoothstep(0.1, 0.4, slicks[pixel]);
            let ripples = stream.uniform(-1.0, 1.0);
            let sea = (0.2 + self.state) * (1.0 - 0.6 * calm) * (0.004 * wave + 0.0015 * ripples);
            let [u, v] = self.sun.local(place);
            let glitter = self.glint * (-(u / side).powi(2) - (2.5 * v / side).powi(2)).exp();
            let light = sea + glitter * (1.0 + 0.35 * wave - 0.3 * calm) + 0.002 * self.state;
            canvas.add(pixel, light.max(-0.002), &GLINT);
            if self.state > 0.7 && stream.chance(0.0012 * (self.state - 0.7)) {
                canvas.add(pixel, stream.uniform(0.02, 0.12), &FOAM);
            }
        }
    }
}

impl Wave {
    fn draw(wind: f64, stream: &mut Stream) -> Self {
        let length = stream.uniform(2.5_f64.ln(), 32.0_f64.ln()).exp();
        let angle = wind + 0.35 * stream.normal();
        let rate = TAU / length;
        let height = 0.22 * (length / 12.0).powf(0.4);
        Self { rate: [rate * angle.sin(), rate * angle.cos()], phase: stream.uniform(0.0, TAU), height }
    }

    fn at(&self, [y, x]: [f64; 2]) -> f64 {
        self.height * (self.rate[0] * y + self.rate[1] * x + self.phase).sin()
    }
}

fn mixed(low: &Spectrum, high: &Spectrum, share: f64) -> Spectrum {
    std::array::from_fn(|band| low[band] + share * (high[band] - low[band]))
}
