//! Synthetic maritime scenes, drawn from a seed.
//!
//! Everything is painted as reflectance, from the water up to the clouds, and then counted as a sensor would; counts
//! are reflectances in units of 1/65535.

mod canvas;
mod land;
mod noise;
mod sea;
mod sensor;
mod spectra;
mod vessel;

pub use spectra::SENTINEL2_BANDS;

use crate::dataset::setting;
use crate::{Dataset, Description, Error, FULL_SCALE, Scene, Split};
use boresight_core::{Seed, Stream};
use canvas::{Canvas, Touched};
use land::{Land, Setting};
use sea::Sea;
use vessel::{LABELLED, Vessel};

/// The label of pixels that clouds half hide, under [`Labels::Surfaces`].
const HALF_HIDDEN: u8 = 255;

/// What the masks of synthetic scenes tell apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Labels {
    /// Background and vessels.
    #[default]
    Vessels,
    /// Water, vessels, land and clouds; pixels that clouds half hide are ignored (255).
    Surfaces,
}

/// What to draw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntheticOptions {
    /// The bands, out of [`SENTINEL2_BANDS`].
    pub bands: Vec<String>,
    /// Rows of each scene, 32 to 8192.
    pub height: usize,
    /// Columns of each scene, 32 to 8192.
    pub width: usize,
    /// The number of scenes for training, validation and test, each 1 to 1000.
    pub scenes: [usize; 3],
    /// What masks tell apart.
    pub labels: Labels,
}

impl Default for SyntheticOptions {
    /// Twelve scenes of 320 x 320 pixels in the bands B03, B04, B08 and B11.
    fn default() -> Self {
        let bands = ["B03", "B04", "B08", "B11"].map(str::to_owned).to_vec();
        Self { bands, height: 320, width: 320, scenes: [6, 3, 3], labels: Labels::Vessels }
    }
}

/// Draws a data set of maritime scenes at 10 m a pixel: harbours, coasts and open sea in turn, with waves, glint,
/// wakes, clouds and vessels. Equal seeds and options give equal data sets.
///
/// # Errors
/// When an option lies outside its range or a band is unknown.
pub fn synthetic(seed: Seed, options: &SyntheticOptions) -> Result<Dataset, Error> {
    for (name, side) in [("height", options.height), ("width", options.width)] {
        setting(
            name,
            side as f64,
            (32..=8192).contains(&side),
            "synthetic scenes have 32 to 8192 pixels a side",
        )?;
    }
    for number in options.scenes {
        setting(
            "scenes",
            number as f64,
            (1..=1000).contains(&number),
            "each split has 1 to 1000 synthetic scenes",
        )?;
    }
    let bands: Vec<usize> = options.bands.iter().map(|band| band_index(band)).collect::<Result<_, _>>()?;
    let splits = [0, 1, 2].map(|at| {
        let scenes = 0..options.scenes[at];
        scenes.map(|index| draw_scene(seed, Split::ALL[at], index, options, &bands)).collect()
    });
    let (names, ignore): (&[&str], _) = match options.labels {
        Labels::Vessels => (&["background", "vessel"], None),
        Labels::Surfaces => (&["water", "vessel", "land", "cloud"], Some(HALF_HIDDEN)),
    };
    let class_names = names.iter().map(|&name| name.to_owned()).collect();
    let description =
        Description { bands: options.bands.clone(), class_names, ignore, full_scale: FULL_SCALE };
    Dataset::new(description, splits)
}

fn band_index(band: &str) -> Result<usize, Error> {
    SENTINEL2_BANDS.iter().position(|&known| known == band).ok_or_else(|| Error::UnknownBand {
        band: band.to_owned(),
        available: SENTINEL2_BANDS.map(str::to_owned).to_vec(),
    })
}

fn draw_scene(seed: Seed, split: Split, index: usize, options: &SyntheticOptions, bands: &[usize]) -> Scene {
    let seed = seed.derive(split.word(), index as u64);
    let size = [options.height, options.width];
    let place = [Setting::Harbour, Setting::Coast, Setting::OpenSea][index % 3];
    let mut canvas = Canvas::new(size, bands.to_vec());
    let sea = Sea::plan(seed, size);
    let mut land = Land::plan(seed, size, place);
    sea.paint(seed, &mut canvas);
    land.paint(seed, &mut canvas);
    let clouds = sensor::clouds(seed, size);
    let fleet = launch(seed, size, &land, &clouds, sea.wind);
    paint_fleet(seed, &mut canvas, &fleet, &land.solid);
    sensor::paint_sky(seed, &clouds, &mut canvas);
    let mask = label(&fleet, &land.solid, &clouds, options.labels);
    let name = format!("synthetic-{split}-{index}");
    Scene { name, height: size[0], width: size[1], counts: sensor::counts(seed, &canvas), mask }
}

/// Vessels and the pixels that their hulls touch.
type Fleet = Vec<(Vessel, Vec<Touched>)>;

/// Places vessels where there is room: at quays, and at sea.
fn launch(seed: Seed, size: [usize; 2], land: &Land, clouds: &[f64], wind: f64) -> Fleet {
    let mut stream = seed.derive("fleet", 0).stream();
    let mut taken: Vec<bool> =
        land.solid.iter().zip(clouds).map(|(&land, &cloud)| land || cloud > 0.2).collect();
    let mut fleet = Fleet::new();
    let mut berth = |vessel: Vessel, fleet: &mut Fleet, shy: f64| {
        let hull = vessel.hull(size);
        if has_room(&hull, &taken, shy) {
            for touched in &hull {
                taken[touched.pixel] = true;
            }
            fleet.push((vessel, hull));
        }
    };
    for at in 0..land.quays.len() * 3 {
        let vessel = Vessel::draw(seed.derive("moored", at as u64));
        let quay = stream.pick(&land.quays);
        if let Some(vessel) = quay.and_then(|quay| vessel.moored(quay, &mut stream)) {
            berth(vessel, &mut fleet, 0.25);
        }
    }
    // About one vessel for each 4000 pixels of a sea without land.
    let mean = (size[0] * size[1]) as f64 / 4_000.0;
    for at in 0..poisson(mean, &mut stream) {
        let vessel = Vessel::draw(seed.derive("at sea", at as u64));
        let place = size.map(|side| stream.uniform(0.0, side as f64));
        berth(vessel.at_sea(place, wind, &mut stream), &mut fleet, 0.0);
    }
    fleet
}

/// Whether a hull lies in free water but for this share of what it covers.
fn has_room(hull: &[Touched], taken: &[bool], shy: f64) -> bool {
    let area: f64 = hull.iter().map(|touched| touched.share).sum();
    let blocked: f64 = hull.iter().filter(|touched| taken[touched.pixel]).map(|touched| touched.share).sum();
    area > 0.0 && blocked <= shy * area
}

/// A number of the Poisson distribution (Knuth's product of even draws), at most 10,000.
fn poisson(mean: f64, stream: &mut Stream) -> usize {
    let mut sum = 0.0;
    (0..10_000)
        .find(|_| {
            sum -= (1.0 - stream.unit()).ln();
            sum > mean
        })
        .unwrap_or(10_000)
}

fn paint_fleet(seed: Seed, canvas: &mut Canvas, fleet: &Fleet, is_land: &[bool]) {
    let azimuth = seed.derive("sun", 0).stream().uniform(0.0, std::f64::consts::TAU);
    let sun = [0.8 * azimuth.sin(), 0.8 * azimuth.cos()];
    for (vessel, _) in fleet {
        vessel.paint_wake(canvas, is_land);
    }
    for (vessel, hull) in fleet {
        vessel.paint(canvas, hull, is_land, sun);
    }
}

fn label(fleet: &Fleet, is_land: &[bool], clouds: &[f64], labels: Labels) -> Vec<u8> {
    let surface = |(&land, &cloud): (&bool, &f64)| match (labels, cloud) {
        (Labels::Vessels, _) => 0,
        (Labels::Surfaces, 0.5..) => 3,
        (Labels::Surfaces, 0.15..) => HALF_HIDDEN,
        (Labels::Surfaces, _) => 2 * u8::from(land),
    };
    let mut mask: Vec<u8> = is_land.iter().zip(clouds).map(surface).collect();
    for touched in fleet.iter().flat_map(|(_, hull)| hull) {
        if touched.share >= LABELLED && !is_land[touched.pixel] && clouds[touched.pixel] < 0.15 {
            mask[touched.pixel] = 1;
        }
    }
    mask
}
