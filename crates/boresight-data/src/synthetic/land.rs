//! Coast, harbour and islets: where land is, what it looks like, where vessels moor.

use super::canvas::{Canvas, Frame, Touched, touched};
use super::noise::{fractal, smoothstep};
use super::spectra::{ASPHALT, CONCRETE, PAINTS, ROCK, SAND, SOIL, Spectrum, VEGETATION};
use boresight_core::{Seed, Stream};

/// What lies along the edge of a scene's sea.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// Quays, basins, piers and a breakwater.
    Harbour,
    /// A natural shore.
    Coast,
    /// Islets at most.
    OpenSea,
}

/// A straight edge where vessels moor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quay {
    /// Begins at the origin and runs along the first coordinate; water has a positive second coordinate.
    pub(super) frame: Frame,
    pub(super) length: f64,
}

/// A rectangle `[from, to]` along both coordinates of the shore.
#[derive(Clone, Copy, Debug)]
struct Block {
    u: [f64; 2],
    v: [f64; 2],
}

impl Block {
    fn holds(&self, [u, v]: [f64; 2]) -> bool {
        u >= self.u[0] && u < self.u[1] && v >= self.v[0] && v < self.v[1]
    }
}

/// The land of a scene.
pub(super) struct Land {
    /// Whether each pixel is land.
    pub(super) solid: Vec<bool>,
    pub(super) quays: Vec<Quay>,
    /// The first coordinate runs along the shore, the second out to sea.
    frame: Frame,
    place: Setting,
    /// The harbour reaches this far to both sides.
    reach: f64,
    piers: Vec<Block>,
    basins: Vec<Block>,
}

/// How far inland a port reaches, in pixels.
const PORT_DEPTH: f64 = 48.0;

impl Land {
    pub(super) fn plan(seed: Seed, size: [usize; 2], setting: Setting) -> Self {
        let mut stream = seed.derive("shore", 0).stream();
        let side = size[0].min(size[1]) as f64;
        let middle = size.map(|side| side as f64 / 2.0);
        let frame = Frame::new(middle, stream.uniform(0.0, std::f64::consts::TAU));
        let inland =
            if setting == Setting::OpenSea { -2.0 * side } else { -side * stream.uniform(0.02, 0.25) };
        let mut land = Self {
            solid: Vec::new(),
            quays: Vec::new(),
            frame: frame.moved_to([0.0, inland]),
            place: setting,
            reach: 0.0,
            piers: Vec::new(),
            basins: Vec::new(),
        };
        if setting == Setting::Harbour {
            land.reach = side * stream.uniform(0.4, 0.6);
            land.build_harbour(&mut stream);
        }
        land.raise(seed, size);
        land
    }

    /// Lays fronts, basins and piers in a row along the shore.
    fn build_harbour(&mut self, stream: &mut Stream) {
        let mut at = -self.reach;
        while at < self.reach {
            let front = at + stream.uniform(15.0, 45.0);
            self.add_quay(self.frame.moved_to([at, 0.0]), front - at);
            at =
                if stream.chance(0.5) { self.add_basin(front, stream) } else { self.add_pier(front, stream) };
        }
        let [from, out] = [stream.uniform(-0.9, 0.1) * self.reach, stream.uniform(75.0, 100.0)];
        let u = [from, from + stream.uniform(0.6, 0.9) * self.reach];
        self.piers.push(Block { u, v: [out, out + stream.uniform(1.4, 2.2)] });
    }

    fn add_quay(&mut self, frame: Frame, length: f64) {
        self.quays.push(Quay { frame, length });
    }

    fn add_basin(&mut self, from: f64, stream: &mut Stream) -> f64 {
        let (to, depth) = (from + stream.uniform(10.0, 28.0), stream.uniform(25.0, 60.0));
        self.basins.push(Block { u: [from, to], v: [-depth, 1.0] });
        self.add_quay(self.frame.moved_to([from, 0.0]).turned_back(), depth);
        self.add_quay(self.frame.moved_to([from, -depth]), to - from);
        self.add_quay(self.frame.moved_to([to, -depth]).turned(), depth);
        to
    }

    fn add_pier(&mut self, from: f64, stream: &mut Stream) -> f64 {
        let (to, length) = (from + stream.uniform(2.5, 11.0), stream.uniform(20.0, 60.0));
        self.piers.push(Block { u: [from, to], v: [-1.0, length] });
        self.add_quay(self.frame.moved_to([from, 0.0]).turned(), length);
        self.add_quay(self.frame.moved_to([to, length]).turned_back(), length);
        to
    }

    fn raise(&mut self, seed: Seed, size: [usize; 2]) {
        let shore = fractal(seed.derive("shoreline", 0), size, 70.0, 6);
        let mut solid = vec![false; size[0] * size[1]];
        for (pixel, land) in solid.iter_mut().enumerate() {
            let local = self.frame.local(middle_of(pixel, size[1]));
            let natural =
                60.0 * shore[pixel] * smoothstep(self.reach - 8.0, self.reach + 12.0, local[0].abs());
            let edge = if self.reach > 0.0 { natural } else { 60.0 * shore[pixel] };
            let dug = self.basins.iter().any(|basin| basin.holds(local));
            *land = local[1] < edge && !dug || self.piers.iter().any(|pier| pier.holds(local));
        }
        self.solid = solid;
    }

    /// Paints all land, islets included.
    pub(super) fn paint(&mut self, seed: Seed, canvas: &mut Canvas) {
        if self.solid.contains(&true) {
            let zones = fractal(seed.derive("zones", 0), canvas.size, 80.0, 6);
            self.paint_ground(seed, &zones, canvas);
            self.paint_quays(canvas);
            self.paint_buildings(seed, &zones, canvas);
        }
        self.paint_islets(seed, canvas);
    }

    /// `zones` tells cities (above 0) from nature (below).
    fn paint_ground(&self, seed: Seed, zones: &[f64], canvas: &mut Canvas) {
        let texture = fractal(seed.derive("texture", 0), canvas.size, 9.0, 3);
        let growth = fractal(seed.derive("growth", 0), canvas.size, 26.0, 4);
        let mut stream = seed.derive("ground", 0).stream();
        for pixel in (0..self.solid.len()).filter(|&pixel| self.solid[pixel]) {
            let local = self.frame.local(middle_of(pixel, canvas.size[1]));
            let speckle = stream.uniform(-1.0, 1.0);
            let (ground, roughness) = self.ground(local, zones[pixel], texture[pixel]);
            canvas.cover(pixel, 1.0, ground, 1.0 + roughness * speckle + 0.35 * texture[pixel]);
            let (green, most) =
                if roughness > 0.3 { (growth[pixel] + 0.1, 0.6) } else { (growth[pixel], 0.5) };
            if roughness > 0.3 || zones[pixel] < 0.0 && !self.in_port(local) {
                canvas.cover(pixel, most * smoothstep(-0.2, 0.4, green) * stream.unit(), &VEGETATION, 0.9);
                canvas.cover(pixel, 0.6 * smoothstep(0.05, 0.5, -green), &SOIL, 0.9 + 0.2 * speckle);
            }
        }
    }

    /// What covers the ground, and how much its brightness varies.
    fn ground(&self, [u, v]: [f64; 2], zone: f64, texture: f64) -> (&'static Spectrum, f64) {
        let street = |at: f64, period: f64| at.rem_euclid(period) < 1.2 && texture > -0.3;
        if self.in_port([u, v]) {
            if zone > 0.1 { (&CONCRETE, 0.14) } else { (&ASPHALT, 0.16) }
        } else if self.place == Setting::Coast && zone.abs() < 0.03 {
            (&SAND, 0.1)
        } else if zone < -0.08 {
            (&VEGETATION, 0.15)
        } else if zone < 0.0 {
            (&SOIL, 0.12)
        } else if street(u + 6.0 * zone, 11.0) || street(v - 9.0 * zone, 8.0) {
            (&ASPHALT, 0.1)
        } else {
            (&CONCRETE, 0.45)
        }
    }

    fn in_port(&self, local: [f64; 2]) -> bool {
        self.reach > 0.0 && local[0].abs() < self.reach + 8.0 && local[1] > -PORT_DEPTH
    }

    fn paint_quays(&self, canvas: &mut Canvas) {
        for quay in &self.quays {
            let middle = quay.frame.moved_to([quay.length / 2.0, -0.6]);
            let half = [quay.length / 2.0, 0.6];
            self.cover(canvas, &rectangle(canvas.size, &middle, half), &CONCRETE, 1.15);
        }
    }

    /// Covers the touched pixels that are land.
    fn cover(&self, canvas: &mut Canvas, shape: &[Touched], surface: &Spectrum, brightness: f64) {
        for touched in shape.iter().filter(|touched| self.solid[touched.pixel]) {
            canvas.cover(touched.pixel, touched.share, surface, brightness);
        }
    }

    fn paint_buildings(&self, seed: Seed, zones: &[f64], canvas: &mut Canvas) {
        let [height, width] = canvas.size;
        for at in 0..height * width / 70 {
            let mut stream = seed.derive("building", at as u64).stream();
            let (y, x) = (stream.below(height), stream.below(width));
            let pixel = y * width + x;
            let local = self.frame.local(middle_of(pixel, width));
            let port = self.in_port(local);
            if !self.solid[pixel] || !port && (zones[pixel] < 0.0 || stream.chance(0.4)) {
                continue;
            }
            let frame = self.frame.moved_to(local);
            let frame = if stream.chance(0.4) { frame.turned() } else { frame };
            if port && stream.chance(0.3) {
                self.paint_containers(canvas, &frame, &mut stream);
            } else {
                self.paint_roof(canvas, &frame, if port { 1.8 } else { 1.0 }, &mut stream);
            }
        }
    }

    fn paint_roof(&self, canvas: &mut Canvas, frame: &Frame, size: f64, stream: &mut Stream) {
        let half = [size * stream.uniform(0.8, 5.0), size * stream.uniform(0.5, 1.6)];
        let Some(paint) = stream.pick(&[0, 0, 1, 1, 1, 2, 2, 4, 5, 5, 6]) else { return };
        let brightness = (0.3 * stream.normal()).exp();
        self.cover(canvas, &rectangle(canvas.size, frame, half), &PAINTS[*paint], brightness);
    }

    fn paint_containers(&self, canvas: &mut Canvas, frame: &Frame, stream: &mut Stream) {
        let half = [stream.uniform(3.0, 9.0), stream.uniform(1.0, 3.0)];
        for touched in rectangle(canvas.size, frame, half) {
            let (paint, brightness) = (stream.below(PAINTS.len()), stream.uniform(0.7, 1.3));
            self.cover(
                canvas,
                &[Touched { share: 0.8 * touched.share, ..touched }],
                &PAINTS[paint],
                brightness,
            );
        }
    }

    fn paint_islets(&mut self, seed: Seed, canvas: &mut Canvas) {
        let mut stream = seed.derive("islets", 0).stream();
        let most = if self.place == Setting::Harbour { 1 } else { 4 };
        for _ in 0..stream.below(most + 1) {
            let [height, width] = canvas.size.map(|side| side as f64);
            let frame = Frame::new(
                [stream.uniform(0.0, height), stream.uniform(0.0, width)],
                stream.uniform(0.0, std::f64::consts::TAU),
            );
            let radius = stream.uniform(1.0, 2.6_f64).powi(2);
            let (lobes, phase) = (2.0 + stream.below(3) as f64, stream.uniform(0.0, 6.0));
            let edge = |[u, v]: [f64; 2]| radius * (1.0 + 0.25 * (lobes * v.atan2(u) + phase).sin());
            let reach = [radius * 1.3, radius * 1.3];
            for touched in touched(canvas.size, &frame, reach, |at| at[0].hypot(1.5 * at[1]) < edge(at)) {
                let green = touched.local[0].hypot(touched.local[1]) < radius - 2.0;
                let surface = if green { &VEGETATION } else { &ROCK };
                canvas.cover(touched.pixel, touched.share, surface, stream.uniform(0.8, 1.2));
                self.solid[touched.pixel] |= touched.share > 0.5;
            }
        }
    }
}

/// A rectangle around the frame's origin.
pub(super) fn rectangle(size: [usize; 2], frame: &Frame, half: [f64; 2]) -> Vec<Touched> {
    touched(size, frame, half, |[u, v]| u.abs() < half[0] && v.abs() < half[1])
}

/// The middle of a pixel.
pub(super) fn middle_of(pixel: usize, width: usize) -> [f64; 2] {
    [(pixel / width) as f64 + 0.5, (pixel % width) as f64 + 0.5]
}
