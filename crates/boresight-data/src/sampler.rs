//! Tiles to learn from: where to cut, and how to vary what was cut.

use crate::dataset::{fits, setting};
use crate::{Error, MAX_COUNT, Scene, Tile};
use boresight_core::{Seed, Stream};

/// How training tiles are varied; the default varies in every way.
#[derive(Clone, Debug, PartialEq)]
pub struct Augmentation {
    /// Mirror half of the tiles left to right.
    pub flips: bool,
    /// Turn tiles by 0, 90, 180 or 270 degrees.
    pub quarter_turns: bool,
    /// Multiply all bands by one number in `1 - gain ..= 1 + gain`; 0 to 1.
    pub gain: f64,
    /// Multiply each band by its own number in `1 - band_gain ..= 1 + band_gain`; 0 to 1.
    pub band_gain: f64,
}

impl Default for Augmentation {
    fn default() -> Self {
        Self { flips: true, quarter_turns: true, gain: 0.1, band_gain: 0.05 }
    }
}

impl Augmentation {
    /// Tiles as they are.
    pub const NONE: Self = Self { flips: false, quarter_turns: false, gain: 0.0, band_gain: 0.0 };
}

/// How training tiles are drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerOptions {
    /// The share of tiles cut around a foreground pixel, 0 to 1; the others lie anywhere.
    pub vessel_share: f64,
    /// How far from a tile's middle that pixel may lie along each side, as a share of the side; 0 to 0.5.
    pub jitter: f64,
    /// Windows of which that with the most contrast is taken where a tile lies anywhere, at least 1. Most of a scene is
    /// open water or even land; a detector is led astray by surf, quays and roofs.
    pub draws: usize,
    /// The label that counts for nothing.
    pub ignore: Option<u8>,
    /// How tiles are varied.
    pub augmentation: Augmentation,
}

impl Default for SamplerOptions {
    fn default() -> Self {
        Self {
            vessel_share: 0.75,
            jitter: 0.5,
            draws: 4,
            ignore: None,
            augmentation: Augmentation::default(),
        }
    }
}

/// Draws training tiles; which tile is drawn depends on the seed and the tile's number alone.
#[derive(Clone, Debug)]
pub struct Sampler<'scenes> {
    scenes: &'scenes [Scene],
    tile: usize,
    options: SamplerOptions,
    /// Pixels of all scenes up to and including each one.
    areas: Vec<usize>,
    /// For each foreground class that occurs, its label and its pixels up to and including each row of each scene.
    foreground: Vec<(u8, Vec<usize>)>,
}

impl<'scenes> Sampler<'scenes> {
    /// A sampler of `tile` x `tile` pixels from `scenes`.
    ///
    /// # Errors
    /// When there is no scene, a tile does not fit each of them, or an option lies outside its range.
    pub fn new(scenes: &'scenes [Scene], tile: usize, options: &SamplerOptions) -> Result<Self, Error> {
        let Augmentation { gain, band_gain, .. } = options.augmentation;
        for (name, share) in
            [("vessel_share", options.vessel_share), ("gain", gain), ("band_gain", band_gain)]
        {
            setting(name, share, (0.0..=1.0).contains(&share), "it must lie in 0..=1")?;
        }
        setting("draws", options.draws as f64, options.draws > 0, "it must be at least 1")?;
        setting("jitter", options.jitter, (0.0..=0.5).contains(&options.jitter), "it must lie in 0..=0.5")?;
        setting("scenes", scenes.len() as f64, !scenes.is_empty(), "tiles are cut from one scene at least")?;
        scenes.iter().try_for_each(|scene| fits(scene, tile))?;
        let areas = running_sum(scenes.iter().map(Scene::pixels));
        let foreground = foreground(scenes, options.ignore);
        Ok(Self { scenes, tile, options: options.clone(), areas, foreground })
    }

    /// The tile with this number in the epoch of `seed`.
    pub fn sample(&self, seed: Seed, index: u64) -> Tile {
        let mut tile = Tile::default();
        self.sample_into(seed, index, &mut tile);
        tile
    }

    /// Writes the tile with this number in the epoch of `seed` over `tile`, reusing its buffers.
    pub fn sample_into(&self, seed: Seed, index: u64, tile: &mut Tile) {
        let mut stream = seed.derive("tile", index).stream();
        let (scene, y, x) = self.place(&mut stream);
        let turn = Turn::draw(&self.options.augmentation, &mut stream);
        tile.counts.clear();
        tile.mask.clear();
        let common = jittered(self.options.augmentation.gain, &mut stream);
        let window = [y, x, self.tile];
        for plane in scene.counts.chunks_exact(scene.pixels()) {
            let gain = common * jittered(self.options.augmentation.band_gain, &mut stream);
            let start = tile.counts.len();
            turn.cut(plane, scene.width, window, &mut tile.counts);
            amplify(&mut tile.counts[start..], gain);
        }
        turn.cut(&scene.mask, scene.width, window, &mut tile.mask);
    }

    /// A scene and the first row and column of a window in it.
    fn place(&self, stream: &mut Stream) -> (&'scenes Scene, usize, usize) {
        let around_foreground = stream.chance(self.options.vessel_share);
        let class = if around_foreground { stream.pick(&self.foreground) } else { None };
        match class {
            Some((class, rows)) => self.place_around(*class, rows, stream),
            None => self.place_anywhere(stream),
        }
    }

    /// The window with the most contrast of some that lie anywhere; the first of equals.
    fn place_anywhere(&self, stream: &mut Stream) -> (&'scenes Scene, usize, usize) {
        let mut best = self.draw_anywhere(stream);
        for _ in 1..self.options.draws {
            let next = self.draw_anywhere(stream);
            if self.contrast(next) > self.contrast(best) {
                best = next;
            }
        }
        best
    }

    /// Variance of the last band, of every eighth value in every eighth row.
    fn contrast(&self, (scene, y, x): (&Scene, usize, usize)) -> f64 {
        let plane = &scene.counts[scene.counts.len() - scene.pixels()..];
        let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
        for row in (y..y + self.tile).step_by(8) {
            for &value in plane[row * scene.width + x..][..self.tile].iter().step_by(8) {
                let value = f64::from(value);
                count += 1.0;
                sum += value;
                squares += value * value;
            }
        }
        squares / count - (sum / count) * (sum / count)
    }

    fn draw_anywhere(&self, stream: &mut Stream) -> (&'scenes Scene, usize, usize) {
        let pixel = stream.below(self.areas[self.areas.len() - 1]);
        let scene = &self.scenes[self.areas.partition_point(|&end| end <= pixel)];
        let y = stream.below(scene.height - self.tile + 1);
        (scene, y, stream.below(scene.width - self.tile + 1))
    }

    fn place_around(&self, class: u8, rows: &[usize], stream: &mut Stream) -> (&'scenes Scene, usize, usize) {
        let drawn = stream.below(rows[rows.len() - 1]);
        let mut row = rows.partition_point(|&end| end <= drawn);
        let before = if row == 0 { 0 } else { rows[row - 1] };
        let mut scene = &self.scenes[0];
        for candidate in self.scenes {
            scene = candidate;
            if row < candidate.height {
                break;
            }
            row -= candidate.height;
        }
        let labels = &scene.mask[row * scene.width..(row + 1) * scene.width];
        let mut columns = labels.iter().enumerate().filter(|&(_, &label)| label == class);
        let column = columns.nth(drawn - before).map_or(0, |(column, _)| column);
        let y = self.start(row, scene.height, stream);
        (scene, y, self.start(column, scene.width, stream))
    }

    /// The first row or column of a window around `at` on a side of this length.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the shift lies in 0..=tile, and a tile fits a scene"
    )]
    fn start(&self, at: usize, side: usize, stream: &mut Stream) -> usize {
        let middle = 0.5 + stream.uniform(-self.options.jitter, self.options.jitter);
        let shift = ((middle * self.tile as f64) as usize).min(self.tile - 1);
        at.saturating_sub(shift).min(side - self.tile)
    }
}

/// For each class but background and `ignore` that occurs: its pixels up to and including each row of each scene.
fn foreground(scenes: &[Scene], ignore: Option<u8>) -> Vec<(u8, Vec<usize>)> {
    let rows: Vec<&[u8]> = scenes.iter().flat_map(|scene| scene.mask.chunks_exact(scene.width)).collect();
    let mut occurs = [false; 256];
    for label in rows.iter().copied().flatten() {
        occurs[usize::from(*label)] = true;
    }
    let classes = (1..=u8::MAX).filter(|&class| occurs[usize::from(class)] && Some(class) != ignore);
    let count = |class: u8, row: &[u8]| row.iter().map(|&label| usize::from(label == class)).sum::<usize>();
    classes.map(|class| (class, running_sum(rows.iter().map(|row| count(class, row))))).collect()
}

fn running_sum(parts: impl Iterator<Item = usize>) -> Vec<usize> {
    let sum = |total: &mut usize, part: usize| {
        *total += part;
        Some(*total)
    };
    parts.scan(0, sum).collect()
}

/// A number in `1 - range ..= 1 + range`.
fn jittered(range: f64, stream: &mut Stream) -> f64 {
    1.0 + range * stream.uniform(-1.0, 1.0)
}

/// Multiplies counts and rounds them to counts.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, and the range is that of counts"
)]
fn amplify(counts: &mut [u16], gain: f64) {
    for count in counts {
        *count = ((f64::from(*count) * gain + 0.5) as u16).min(MAX_COUNT);
    }
}

/// One of the eight ways to lay a square onto itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    transpose: bool,
    upside_down: bool,
    mirrored: bool,
}

impl Turn {
    fn draw(augmentation: &Augmentation, stream: &mut Stream) -> Self {
        let (flip, quarters) = (stream.chance(0.5), stream.below(4));
        let quarters = if augmentation.quarter_turns { quarters } else { 0 };
        // A quarter turn is a transposition followed by a mirror; flips alone draw from all four mirrorings.
        let turned = Self {
            transpose: quarters % 2 == 1,
            upside_down: quarters >= 2,
            mirrored: quarters == 1 || quarters == 2,
        };
        let flipped_over = augmentation.flips && !augmentation.quarter_turns && stream.chance(0.5);
        Self {
            upside_down: turned.upside_down != flipped_over,
            mirrored: turned.mirrored != (augmentation.flips && flip),
            ..turned
        }
    }

    /// Appends the window `[y, x, tile]` of a plane, turned.
    fn cut<T: Copy>(self, plane: &[T], width: usize, [y, x, tile]: [usize; 3], out: &mut Vec<T>) {
        let turned = |flip: bool, at: usize| if flip { tile - 1 - at } else { at };
        for row in 0..tile {
            let row = turned(self.upside_down, row);
            out.extend((0..tile).map(|column| {
                let column = turned(self.mirrored, column);
                let (row, column) = if self.transpose { (column, row) } else { (row, column) };
                plane[(y + row) * width + x + column]
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A scene whose counts name their pixel and band, without labels.
    fn scene(height: usize, width: usize) -> Scene {
        let counts = (0..2 * height * width).map(|at| u16::try_from(at).unwrap()).collect();
        Scene { name: "s".into(), height, width, counts, mask: vec![0; height * width] }
    }

    fn plain(vessel_share: f64) -> SamplerOptions {
        SamplerOptions {
            vessel_share,
            draws: 1,
            augmentation: Augmentation::NONE,
            ..SamplerOptions::default()
        }
    }

    #[test]
    fn a_tile_depends_on_seed_and_number_alone() {
        let scenes = [scene(20, 30), scene(25, 16)];
        let sampler = Sampler::new(&scenes, 8, &SamplerOptions::default()).unwrap();
        let epoch = Seed::new(4);
        let mut reused = sampler.sample(epoch, 9);
        for index in [3, 1, 2, 3] {
            sampler.sample_into(epoch, index, &mut reused);
            assert_eq!(reused, sampler.sample(epoch, index));
        }
        assert_ne!(sampler.sample(epoch, 1), sampler.sample(epoch, 2));
        assert_ne!(sampler.sample(epoch, 1), sampler.sample(Seed::new(5), 1));
    }

    #[test]
    fn without_augmentation_a_tile_is_a_crop() {
        let scenes = [scene(20, 30)];
        let sampler = Sampler::new(&scenes, 8, &plain(0.0)).unwrap();
        for index in 0..50 {
            let tile = sampler.sample(Seed::new(1), index);
            let (y, x) = (usize::from(tile.counts[0]) / 30, usize::from(tile.counts[0]) % 30);
            assert_eq!(tile, scenes[0].crop(y, x, 8).unwrap());
        }
    }

    #[test]
    fn foreground_tiles_hold_foreground_and_classes_are_drawn_evenly() {
        let mut scenes = [scene(40, 30), scene(50, 60)];
        scenes[1].mask[35 * 60 + 59] = 1;
        scenes[0].mask[3 * 30..8 * 30].fill(2);
        scenes[0].mask[20 * 30..30 * 30].fill(9);
        let options = SamplerOptions { ignore: Some(9), ..plain(1.0) };
        let sampler = Sampler::new(&scenes, 8, &options).unwrap();
        let tiles: Vec<Tile> = (0..400).map(|index| sampler.sample(Seed::new(2), index)).collect();
        let rare = tiles.iter().filter(|tile| tile.mask.contains(&1)).count();
        let common = tiles.iter().filter(|tile| tile.mask.contains(&2)).count();
        assert_eq!(rare + common, 400);
        // Four standard deviations of 400 fair draws.
        assert!(rare.abs_diff(200) <= 40, "{rare}");
    }

    #[test]
    fn without_foreground_every_tile_lies_anywhere() {
        let scenes = [scene(9, 9)];
        let sampler = Sampler::new(&scenes, 9, &plain(1.0)).unwrap();
        assert_eq!(sampler.sample(Seed::new(3), 0), scenes[0].crop(0, 0, 9).unwrap());
    }

    #[test]
    fn larger_scenes_are_drawn_more_often() {
        let mut scenes = [scene(10, 10), scene(30, 10)];
        scenes[1].mask.fill(1);
        let sampler = Sampler::new(&scenes, 4, &plain(0.0)).unwrap();
        let hits = (0..800).filter(|&index| sampler.sample(Seed::new(6), index).mask[0] == 1).count();
        // Three of four pixels are the second scene's; four standard deviations are 49 draws.
        assert!(hits.abs_diff(600) <= 49, "{hits}");
    }

    #[test]
    fn of_several_windows_the_one_with_most_contrast_is_taken() {
        let mut flat = scene(64, 64);
        flat.counts.fill(5);
        // Only windows that reach into the last columns see anything in the last band.
        for row in flat.counts[64 * 64..].chunks_mut(64) {
            row[40..].iter_mut().step_by(2).for_each(|count| *count = 900);
        }
        let scenes = [flat];
        let busy = |draws| {
            let options = SamplerOptions { draws, ..plain(0.0) };
            let sampler = Sampler::new(&scenes, 32, &options).unwrap();
            (0..200)
                .filter(|&index| sampler.sample(Seed::new(5), index).counts[1024..].contains(&900))
                .count()
        };
        assert!(busy(4) > busy(1), "{} and {}", busy(4), busy(1));
        assert!(matches!(
            Sampler::new(&scenes, 32, &SamplerOptions { draws: 0, ..plain(0.0) }),
            Err(Error::Setting { .. })
        ));
    }

    #[test]
    fn flips_and_turns_reach_their_whole_group() {
        let scenes = [scene(3, 3)];
        for (flips, quarter_turns, size) in
            [(false, false, 1), (true, false, 4), (false, true, 4), (true, true, 8)]
        {
            let augmentation = Augmentation { flips, quarter_turns, ..Augmentation::NONE };
            let options = SamplerOptions { augmentation, ..plain(0.0) };
            let sampler = Sampler::new(&scenes, 3, &options).unwrap();
            let seen: BTreeSet<Vec<u16>> =
                (0..200).map(|index| sampler.sample(Seed::new(8), index).counts).collect();
            assert_eq!(seen.len(), size);
            let quarter = vec![6, 3, 0, 7, 4, 1, 8, 5, 2, 15, 12, 9, 16, 13, 10, 17, 14, 11];
            assert_eq!(seen.contains(&quarter), quarter_turns);
        }
    }

    #[test]
    fn gains_saturate_at_the_largest_count_and_keep_zero() {
        let mut counts = [0, 1, 10, 60_000, 65_504];
        amplify(&mut counts, 1.1);
        assert_eq!(counts, [0, 1, 11, 65_504, 65_504]);
        let mut counts = [0, 7, 65_504];
        amplify(&mut counts, 1.0);
        assert_eq!(counts, [0, 7, 65_504]);
    }

    #[test]
    fn options_outside_their_range_are_refused() {
        let scenes = [scene(9, 9)];
        let gain = Augmentation { gain: f64::NAN, ..Augmentation::NONE };
        for options in [
            plain(1.5),
            SamplerOptions { jitter: 0.6, ..plain(0.0) },
            SamplerOptions { augmentation: gain, ..plain(0.0) },
        ] {
            assert!(matches!(Sampler::new(&scenes, 3, &options), Err(Error::Setting { .. })));
        }
        assert!(matches!(Sampler::new(&scenes, 10, &plain(0.0)), Err(Error::TileSize { .. })));
        assert!(matches!(Sampler::new(&[], 1, &plain(0.0)), Err(Error::Setting { .. })));
    }

    proptest! {
        #[test]
        fn gains_stay_within_their_ranges(seed: u64, level in 1000..60_000_u16) {
            let mut bright = scene(6, 6);
            bright.counts.fill(level);
            let options = SamplerOptions {
                augmentation: Augmentation { gain: 0.1, band_gain: 0.03, ..Augmentation::NONE },
                ..plain(0.0)
            };
            let scenes = [bright];
            let tile = Sampler::new(&scenes, 4, &options).unwrap().sample(Seed::new(seed), 0);
            let ratio: Vec<f64> = [0, 16].map(|at| f64::from(tile.counts[at]) / f64::from(level)).to_vec();
            let slack = 0.5 / f64::from(level);
            for &gain in &ratio {
                prop_assert!((0.9 * 0.97 - slack..=1.1 * 1.03 + slack).contains(&gain));
            }
            let apart = ratio[0] / ratio[1];
            prop_assert!((0.97 / 1.03 - 2e-3..=1.03 / 0.97 + 2e-3).contains(&apart) || level > 57_000);
        }
    }
}
