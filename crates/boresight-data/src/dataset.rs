//! Scenes and data sets as plain data.

use crate::Error;
use std::fmt;

/// The largest sensor count: the largest finite binary16 number.
pub const MAX_COUNT: u16 = 65_504;

/// A scene: what the sensor counted, and what each pixel is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// Its name.
    pub name: String,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Sensor counts `[bands, height, width]`, each at most [`MAX_COUNT`].
    pub counts: Vec<u16>,
    /// The class of each pixel `[height, width]`, or the data set's ignore value.
    pub mask: Vec<u8>,
}

/// A square window of a scene.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tile {
    /// Sensor counts `[bands, tile, tile]`.
    pub counts: Vec<u16>,
    /// The class of each pixel `[tile, tile]`, or the data set's ignore value.
    pub mask: Vec<u8>,
}

impl Scene {
    /// The number of pixels of one band.
    pub const fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// The window of `tile` x `tile` pixels whose first row and column are `y` and `x`.
    ///
    /// # Errors
    /// When it reaches over the edge.
    pub fn crop(&self, y: usize, x: usize, tile: usize) -> Result<Tile, Error> {
        let fits = |at: usize, side: usize| at.checked_add(tile).is_some_and(|end| end <= side);
        if tile == 0 || !fits(y, self.height) || !fits(x, self.width) {
            return Err(Error::TileOutside { tile, y, x });
        }
        let bands = self.counts.len() / self.pixels();
        let mut cut = Tile { counts: Vec::with_capacity(bands * tile * tile), mask: Vec::new() };
        for plane in self.counts.chunks_exact(self.pixels()) {
            copy_window(plane, self.width, [y, x, tile], &mut cut.counts);
        }
        copy_window(&self.mask, self.width, [y, x, tile], &mut cut.mask);
        Ok(cut)
    }

    /// Whether its buffers fit `description`.
    pub(crate) fn check(&self, description: &Description) -> Result<(), Error> {
        let (bands, classes) = (description.bands.len(), description.class_names.len());
        let expected = self.height.checked_mul(self.width).filter(|&pixels| pixels > 0);
        if expected != Some(self.mask.len()) || self.mask.len().checked_mul(bands) != Some(self.counts.len())
        {
            return Err(Error::SceneShape {
                scene: self.name.clone(),
                counts: self.counts.len(),
                labels: self.mask.len(),
                bands,
                height: self.height,
                width: self.width,
            });
        }
        if let Some(&count) = self.counts.iter().find(|&&count| count > MAX_COUNT) {
            return Err(Error::CountRange { scene: self.name.clone(), count });
        }
        let known = |label: u8| usize::from(label) < classes || Some(label) == description.ignore;
        match self.mask.iter().find(|&&label| !known(label)) {
            Some(&label) => Err(Error::Label { scene: self.name.clone(), label, classes }),
            None => Ok(()),
        }
    }
}

fn copy_window<T: Copy>(plane: &[T], width: usize, [y, x, tile]: [usize; 3], out: &mut Vec<T>) {
    for row in plane.chunks_exact(width).skip(y).take(tile) {
        out.extend_from_slice(&row[x..x + tile]);
    }
}

/// One of the three parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Split {
    /// What networks learn from.
    Train,
    /// What a search sees.
    Val,
    /// What only the final figures come from.
    Test,
}

impl Split {
    /// All three, in this order.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// Its word in files: `train`, `val` or `test`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.word() == word)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.word())
    }
}

/// What the numbers of a data set mean.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The name of each band.
    pub bands: Vec<String>,
    /// The name of each class, background first.
    pub class_names: Vec<String>,
    /// The label of pixels that count for nothing; no class.
    pub ignore: Option<u8>,
    /// The count that the largest value of an 8-bit image stands for.
    pub full_scale: f64,
}

impl Description {
    fn check(&self) -> Result<(), Error> {
        if self.bands.is_empty() {
            return Err(Error::NoBands);
        }
        for (at, band) in self.bands.iter().enumerate() {
            if self.bands[..at].contains(band) {
                return Err(Error::DuplicateBand { band: band.clone() });
            }
        }
        let classes = self.class_names.len();
        setting(
            "classes",
            classes as f64,
            (2..=255).contains(&classes),
            "2 to 255 classes can be told apart",
        )?;
        let apart = self.ignore.is_none_or(|ignore| usize::from(ignore) >= classes);
        setting(
            "ignore",
            f64::from(self.ignore.unwrap_or(0)),
            apart,
            "the ignore value must not be a class",
        )?;
        let finite = self.full_scale >= 1.0 && self.full_scale <= f64::from(MAX_COUNT);
        setting("full_scale", self.full_scale, finite, "it must lie in 1..=65504")
    }
}

/// An error about `name` unless `holds`.
pub(crate) fn setting(name: &'static str, value: f64, holds: bool, rule: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Setting { name, value, rule }) }
}

/// Scenes of three splits, all with the same bands and classes.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// The name of each band.
    pub bands: Vec<String>,
    /// The number of classes, background (class 0) included.
    pub classes: usize,
    /// The name of each class.
    pub class_names: Vec<String>,
    /// The label of pixels that count for nothing; no class.
    pub ignore: Option<u8>,
    /// The count that the largest value of an 8-bit image stands for.
    pub full_scale: f64,
    /// Whether all bands came from 8-bit images, so that every count is a multiple of `full_scale / 255`, rounded.
    pub eight_bit: bool,
    /// What networks learn from.
    pub train: Vec<Scene>,
    /// What a search sees.
    pub val: Vec<Scene>,
    /// What only the final figures come from.
    pub test: Vec<Scene>,
    /// BLAKE3 over all of the above, as hexadecimal digits.
    pub fingerprint: String,
}

impl Dataset {
    /// A data set of these scenes, `[train, val, test]`.
    ///
    /// # Errors
    /// When the description or a scene breaks a rule, or a split is empty.
    pub fn new(description: Description, splits: [Vec<Scene>; 3]) -> Result<Self, Error> {
        description.check()?;
        for (split, scenes) in Split::ALL.into_iter().zip(&splits) {
            if scenes.is_empty() {
                return Err(Error::EmptySplit { split });
            }
            scenes.iter().try_for_each(|scene| scene.check(&description))?;
        }
        let fingerprint = fingerprint(&description, &splits);
        let Description { bands, class_names, ignore, full_scale } = description;
        let [train, val, test] = splits;
        let classes = class_names.len();
        let eight_bit = false;
        Ok(Self { bands, classes, class_names, ignore, full_scale, eight_bit, train, val, test, fingerprint })
    }

    /// The scenes of one split.
    pub fn split(&self, split: Split) -> &[Scene] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }

    /// Whether tiles of `tile` x `tile` pixels fit every scene.
    ///
    /// # Errors
    /// When they do not: names the first scene that is too small.
    pub fn require_tile(&self, tile: usize) -> Result<(), Error> {
        let mut scenes = Split::ALL.into_iter().flat_map(|split| self.split(split));
        scenes.try_for_each(|scene| fits(scene, tile))
    }
}

/// Whether tiles fit `scene`.
pub(crate) fn fits(scene: &Scene, tile: usize) -> Result<(), Error> {
    let (height, width) = (scene.height, scene.width);
    if tile == 0 || tile > height || tile > width {
        return Err(Error::TileSize { tile, scene: scene.name.clone(), height, width });
    }
    Ok(())
}

fn fingerprint(description: &Description, splits: &[Vec<Scene>; 3]) -> String {
    let mut hash = blake3::Hasher::new();
    let number = |hash: &mut blake3::Hasher, value: usize| {
        hash.update(&(value as u64).to_le_bytes());
    };
    for names in [&description.bands, &description.class_names] {
        number(&mut hash, names.len());
        for name in names {
            number(&mut hash, name.len());
            hash.update(name.as_bytes());
        }
    }
    number(&mut hash, description.ignore.map_or(256, usize::from));
    hash.update(&description.full_scale.to_bits().to_le_bytes());
    let mut bytes = Vec::new();
    for scenes in splits {
        number(&mut hash, scenes.len());
        for scene in scenes {
            number(&mut hash, scene.name.len());
            hash.update(scene.name.as_bytes());
            number(&mut hash, scene.height);
            number(&mut hash, scene.width);
            for part in scene.counts.chunks(1 << 16) {
                bytes.clear();
                bytes.extend(part.iter().flat_map(|count| count.to_le_bytes()));
                hash.update(&bytes);
            }
            hash.update(&scene.mask);
        }
    }
    hash.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description {
            bands: vec!["B03".into(), "B08".into()],
            class_names: vec!["background".into(), "vessel".into()],
            ignore: Some(255),
            full_scale: 26_214.0,
        }
    }

    fn scene(name: &str) -> Scene {
        let counts = (0..2 * 3 * 4).collect();
        Scene {
            name: name.into(),
            height: 3,
            width: 4,
            counts,
            mask: vec![0, 1, 0, 255, 0, 0, 0, 0, 0, 0, 0, 1],
        }
    }

    fn splits() -> [Vec<Scene>; 3] {
        [vec![scene("a")], vec![scene("b")], vec![scene("c")]]
    }

    #[test]
    fn a_crop_holds_the_window_of_every_band_and_of_the_mask() {
        let tile = scene("a").crop(1, 2, 2).unwrap();
        assert_eq!(tile.counts, [6, 7, 10, 11, 18, 19, 22, 23]);
        assert_eq!(tile.mask, [0, 0, 0, 1]);
    }

    #[test]
    fn a_crop_over_the_edge_is_refused() {
        for (y, x, tile) in [(2, 0, 2), (0, 3, 2), (usize::MAX, 0, 2), (0, 0, 0), (0, 0, 4)] {
            assert!(matches!(scene("a").crop(y, x, tile), Err(Error::TileOutside { .. })), "{y} {x} {tile}");
        }
    }

    #[test]
    fn the_fingerprint_sees_every_part() {
        let plain = Dataset::new(description(), splits()).unwrap();
        assert_eq!(plain.fingerprint.len(), 64);
        assert_eq!(plain, Dataset::new(description(), splits()).unwrap());
        let change = |edit: &dyn Fn(&mut Description, &mut [Vec<Scene>; 3])| {
            let (mut description, mut scenes) = (description(), splits());
            edit(&mut description, &mut scenes);
            Dataset::new(description, scenes).unwrap().fingerprint
        };
        let edits = [
            change(&|_, scenes| scenes[0][0].counts[5] += 1),
            change(&|_, scenes| scenes[2][0].mask[5] = 1),
            change(&|_, scenes| scenes[1][0].name.push('b')),
            change(&|_, scenes| scenes.swap(0, 1)),
            change(&|description, _| description.bands[0].push('x')),
            change(&|description, _| description.class_names.push("land".into())),
            change(&|description, _| description.full_scale = 10_000.0),
            change(&|_, scenes| (scenes[0][0].height, scenes[0][0].width) = (4, 3)),
        ];
        for (at, one) in edits.iter().enumerate() {
            assert!(*one != plain.fingerprint && !edits[at + 1..].contains(one), "edit {at}");
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let refused = |edit: &dyn Fn(&mut Description, &mut [Vec<Scene>; 3])| {
            let (mut description, mut scenes) = (description(), splits());
            edit(&mut description, &mut scenes);
            Dataset::new(description, scenes).unwrap_err().to_string()
        };
        assert_eq!(
            refused(&|_, scenes| scenes[1].clear()),
            "the val split has no scene; train, val and test need one each"
        );
        assert_eq!(
            refused(&|_, scenes| scenes[0][0].counts[0] = 65_505),
            "scene 'a' has the count 65505; counts lie in 0..=65504"
        );
        assert_eq!(
            refused(&|_, scenes| scenes[0][0].mask[0] = 2),
            "scene 'a' has the label 2, which is neither one of 2 classes nor ignored"
        );
        assert!(refused(&|_, scenes| scenes[0][0].height = 0).contains("counts and 12 labels"));
        assert!(refused(&|description, _| description.bands.clear()).contains("no band"));
        assert!(refused(&|description, _| description.bands[1] = "B03".into()).contains("named twice"));
        assert!(refused(&|description, _| description.ignore = Some(1)).contains("must not be a class"));
        assert!(refused(&|description, _| description.full_scale = f64::NAN).contains("1..=65504"));
        assert!(refused(&|description, _| description.class_names.truncate(1)).contains("2 to 255"));
    }

    #[test]
    fn a_tile_must_fit_every_scene() {
        let dataset = Dataset::new(description(), splits()).unwrap();
        assert!(dataset.require_tile(3).is_ok());
        let message = dataset.require_tile(4).unwrap_err().to_string();
        assert_eq!(message, "tiles of 4 x 4 pixels do not fit scene 'a' of 4 x 3");
        assert!(dataset.require_tile(0).is_err());
    }
}
