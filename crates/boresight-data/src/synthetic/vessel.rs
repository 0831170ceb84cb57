//! Vessels: how long, where, and what they look like; and their wakes.

use super::canvas::{Canvas, Frame, Touched, touched};
use super::land::Quay;
use super::spectra::{FOAM, PAINTS, Spectrum, WHITE};
use boresight_core::{Seed, Stream};

/// The side of a pixel in metres.
const METRES: f64 = 10.0;
/// The share of a pixel that a hull must cover for the pixel to be labelled.
pub(super) const LABELLED: f64 = 0.4;

/// What a deck looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deck {
    /// One paint.
    Plain,
    /// Hatches in a row.
    Hatches,
    /// Stacked boxes of all paints.
    Containers,
    /// White all over.
    Passengers,
}

/// A vessel; lengths in pixels.
#[derive(Clone, Debug)]
pub(super) struct Vessel {
    /// The origin amidships, the first coordinate towards the bow.
    frame: Frame,
    length: f64,
    beam: f64,
    deck: Deck,
    paint: usize,
    brightness: f64,
    /// The length of the wake; 0 for a vessel at rest.
    wake: f64,
    seed: Seed,
}

impl Vessel {
    /// A vessel of realistic length: log-normal around 100 m, 25 m to 330 m; five to seven times as long as broad.
    pub(super) fn draw(seed: Seed) -> Self {
        let mut stream = seed.stream();
        let metres = (100.0_f64.ln() + 0.6 * stream.normal()).exp().clamp(25.0, 330.0);
        let slender = if metres < 60.0 { stream.uniform(3.5, 5.0) } else { stream.uniform(5.0, 7.0) };
        let kinds: &[Deck] = match metres {
            ..70.0 => &[Deck::Passengers, Deck::Plain],
            ..140.0 => &[Deck::Plain, Deck::Hatches, Deck::Hatches, Deck::Passengers],
            _ => &[Deck::Plain, Deck::Hatches, Deck::Containers, Deck::Containers, Deck::Passengers],
        };
        let deck = stream.pick(kinds).copied().unwrap_or(Deck::Plain);
        let paint = stream.pick(&[1, 1, 2, 2, 2, 3, 4, 5, 6]).copied().unwrap_or(1);
        Self {
            frame: Frame::new([0.0, 0.0], 0.0),
            length: metres / METRES,
            beam: metres / slender / METRES,
            deck,
            paint,
            brightness: (0.25 * stream.normal()).exp(),
            wake: 0.0,
            seed: seed.derive("deck", 0),
        }
    }

    /// The vessel lying along a quay, or `None` where it is longer than the quay.
    pub(super) fn moored(mut self, quay: &Quay, stream: &mut Stream) -> Option<Self> {
        let room = quay.length - self.length;
        let out = self.beam / 2.0 + stream.uniform(0.2, 0.7);
        self.frame = quay.frame.moved_to([self.length / 2.0 + room * stream.unit(), out]);
        if stream.chance(0.5) {
            self.frame = self.frame.turned().turned();
        }
        (room > 0.0).then_some(self)
    }

    /// The vessel at a place at sea: at anchor with its bow in the wind, or under way with a wake.
    pub(super) fn at_sea(mut self, place: [f64; 2], wind: f64, stream: &mut Stream) -> Self {
        let under_way = stream.chance(0.4);
        let heading = if under_way {
            stream.uniform(0.0, std::f64::consts::TAU)
        } else {
            wind + 0.15 * stream.normal()
        };
        self.frame = Frame::new(place, heading);
        self.wake = if under_way { self.length * stream.uniform(2.0, 7.0) } else { 0.0 };
        self
    }

    /// The pixels that the hull covers.
    pub(super) fn hull(&self, size: [usize; 2]) -> Vec<Touched> {
        let reach = [self.length / 2.0, self.beam / 2.0];
        touched(size, &self.frame, reach, |[u, v]| v.abs() < self.half_beam(u))
    }

    /// Half the beam at a place between stern and bow.
    fn half_beam(&self, u: f64) -> f64 {
        let along = u / self.length + 0.5;
        let shape = match along {
            ..0.0 => 0.0,
            ..0.08 => 0.8 + 2.5 * along,
            ..0.76 => 1.0,
            ..1.0 => 1.0 - ((along - 0.76) / 0.24).powf(1.8),
            _ => 0.0,
        };
        shape * self.beam / 2.0
    }

    /// Paints the hull over what is water, and its shadow beside it.
    pub(super) fn paint(&self, canvas: &mut Canvas, hull: &[Touched], is_land: &[bool], sun: [f64; 2]) {
        let shadow =
            Frame { origin: [self.frame.origin[0] - sun[0], self.frame.origin[1] - sun[1]], ..self.frame };
        let reach = [self.length / 2.0, self.beam / 2.0];
        for touched in touched(canvas.size, &shadow, reach, |[u, v]| v.abs() < self.half_beam(u)) {
            canvas.dim(touched.pixel, 1.0 - 0.35 * touched.share);
        }
        let cells: Vec<usize> = {
            let mut stream = self.seed.stream();
            (0..64).map(|_| stream.below(PAINTS.len())).collect()
        };
        for touched in hull.iter().filter(|touched| !is_land[touched.pixel]) {
            let (surface, shade) = self.surface(touched.local, &cells);
            canvas.cover(touched.pixel, touched.share, surface, shade * self.brightness);
        }
    }

    /// What lies at a place of the deck, and how bright.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "places on the deck, at least 0"
    )]
    fn surface(&self, [u, v]: [f64; 2], cells: &[usize]) -> (&'static Spectrum, f64) {
        let along = (u / self.length + 0.5).clamp(0.0, 1.0);
        let bridge = (0.06..0.2).contains(&along) && self.length > 5.0;
        match self.deck {
            Deck::Passengers => (&WHITE, 0.75),
            _ if bridge => (&WHITE, 0.9),
            Deck::Plain => (&PAINTS[self.paint], 1.0),
            Deck::Hatches => {
                let hatch = ((along * 13.0) as usize).is_multiple_of(2);
                if hatch { (&PAINTS[5], 0.8) } else { (&PAINTS[self.paint], 0.9) }
            }
            Deck::Containers => {
                let cell = (along * self.length / 1.3) as usize * 2 + usize::from(v > 0.0);
                (&PAINTS[cells[cell % cells.len()]], 1.1)
            }
        }
    }

    /// Paints the wake over water: a turbulent trail and two arms.
    pub(super) fn paint_wake(&self, canvas: &mut Canvas, is_land: &[bool]) {
        if self.wake <= 0.0 {
            return;
        }
        let stern = -self.length / 2.0;
        let behind = self.frame.moved_to([stern - self.wake / 2.0, 0.0]);
        let (trail, slope) = (0.35 * self.beam, 0.27);
        let reach = [self.wake / 2.0, slope * self.wake + self.beam];
        let foam = |distance: f64, across: f64| {
            let fade = (-2.5 * distance / self.wake).exp();
            let core = (-(across / (trail + 0.03 * distance)).powi(2)).exp();
            let arm = (-((across - trail - slope * distance) / (0.5 + 0.02 * distance)).powi(2)).exp();
            fade * (0.055 * core + 0.014 * arm)
        };
        for touched in touched(canvas.size, &behind, reach, |[u, _]| u.abs() < reach[0]) {
            let distance = self.wake / 2.0 - touched.local[0];
            if !is_land[touched.pixel] {
                canvas.add(touched.pixel, touched.share * foam(distance, touched.local[1].abs()), &FOAM);
            }
        }
    }
}
