//! Data sets in folders: `scenes.csv`, `scenes/<scene>_<band>.png`, `scenes/<scene>_mask.png`, `dataset.toml`.

use crate::image::{EXTENSIONS, find_image, read_bytes, read_image, same_size};
use crate::{Dataset, Description, Error, MAX_COUNT, Scene, Split, band_paths, read_bands};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The count that the value 255 of an 8-bit image stands for, unless `dataset.toml` says otherwise: a reflectance of
/// 0.40, counted in units of 1/65535.
pub const FULL_SCALE: f64 = 26_214.0;

/// The longest `scenes.csv` or `dataset.toml` that is read.
const MAX_TEXT: u64 = 1 << 24;

/// What to read from a folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FolderOptions {
    /// The bands and their order; by default those of `dataset.toml`, else all that every scene has.
    pub bands: Option<Vec<String>>,
    /// The count that the value 255 of an 8-bit image stands for; by default that of `dataset.toml`.
    pub full_scale: Option<f64>,
    /// The side of the tiles that must fit every scene.
    pub tile: Option<usize>,
}

/// Reads the data set in the folder `path`; the README tells its layout.
///
/// # Errors
/// When a file is missing or damaged, or breaks a rule of the layout: the error names the file and the rule.
pub fn read_folder(path: &Path, options: &FolderOptions) -> Result<Dataset, Error> {
    if !path.is_dir() {
        return Err(Error::MissingFolder { path: path.to_owned() });
    }
    let configuration = Configuration::read(&path.join("dataset.toml"))?;
    let rows = read_table(&path.join("scenes.csv"))?;
    let folder = path.join("scenes");
    let bands = choose_bands(&folder, &rows, options.bands.as_ref().or(configuration.bands.as_ref()))?;
    let mut description = configuration.description(bands);
    description.full_scale = options.full_scale.unwrap_or(description.full_scale);
    let rules = configuration.mask_rules();
    let mut splits = [const { Vec::new() }; 3];
    let mut all_eight_bit = true;
    for row in rows {
        let (scene, eight_bit) = read_scene(&folder, &row.scene, &description, &rules)?;
        all_eight_bit &= eight_bit;
        splits[row.split as usize].push(scene);
    }
    let dataset = Dataset { eight_bit: all_eight_bit, ..Dataset::new(description, splits)? };
    options.tile.map_or(Ok(()), |tile| dataset.require_tile(tile))?;
    Ok(dataset)
}

/// What `dataset.toml` says.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Configuration {
    full_scale: Option<f64>,
    bands: Option<Vec<String>>,
    classes: Option<Vec<String>>,
    ignore: Option<u8>,
    mask: Option<BTreeMap<String, u8>>,
    #[serde(skip)]
    labels: BTreeMap<u8, u8>,
}

impl Configuration {
    fn read(path: &Path) -> Result<Self, Error> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let broken = |rule: String| Error::Configuration { path: path.to_owned(), rule };
        let text = String::from_utf8(read_bytes(path, MAX_TEXT)?)
            .map_err(|_| broken("it must be UTF-8 text".into()))?;
        let mut found: Self = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            broken(format!("line {line}: {}", error.message().replace('\n', " ")))
        })?;
        found.check().map_err(broken)?;
        Ok(found)
    }

    fn classes(&self) -> usize {
        self.classes.as_ref().map_or(2, Vec::len)
    }

    fn check(&mut self) -> Result<(), String> {
        let classes = self.classes();
        if !(2..=255).contains(&classes) {
            return Err(format!("'classes' names {classes} classes; 2 to 255 can be told apart"));
        }
        if let Some(scale) = self.full_scale.filter(|scale| !(1.0..=f64::from(MAX_COUNT)).contains(scale)) {
            return Err(format!("'full_scale' is {scale}; it must lie in 1..=65504"));
        }
        if let Some(ignore) = self.ignore.filter(|&ignore| usize::from(ignore) < classes) {
            return Err(format!("'ignore' is {ignore}, which is a class; it must be at least {classes}"));
        }
        for (value, &label) in self.mask.iter().flatten() {
            let Ok(value) = value.parse::<u8>() else {
                return Err(format!("'mask' maps '{value}'; mask values are 0 to 255"));
            };
            if usize::from(label) >= classes && Some(label) != self.ignore {
                return Err(format!(
                    "'mask' maps {value} to {label}, which is neither one of {classes} classes nor 'ignore'"
                ));
            }
            self.labels.insert(value, label);
        }
        Ok(())
    }

    fn description(&self, bands: Vec<String>) -> Description {
        let class_names = self.classes.clone().unwrap_or_else(|| vec!["background".into(), "vessel".into()]);
        let full_scale = self.full_scale.unwrap_or(FULL_SCALE);
        Description { bands, class_names, ignore: self.ignore, full_scale }
    }

    /// The ways to read a mask; the first that knows all of its values counts.
    fn mask_rules(&self) -> Vec<MaskRule> {
        if self.mask.is_some() {
            return vec![MaskRule(self.labels.clone())];
        }
        let mut rules = Vec::new();
        let ignored = self.ignore.map(|ignore| (ignore, ignore));
        if self.classes() == 2 && self.ignore != Some(u8::MAX) {
            rules.push(MaskRule([(0, 0), (u8::MAX, 1)].into_iter().chain(ignored).collect()));
        }
        if self.classes.is_some() || rules.is_empty() {
            let classes = (0..=u8::MAX).take(self.classes()).map(|class| (class, class));
            rules.push(MaskRule(classes.chain(ignored).collect()));
        }
        rules
    }
}

/// The label of each value that a mask may hold.
struct MaskRule(BTreeMap<u8, u8>);

impl MaskRule {
    /// The labels of a mask; an error is the first place whose value means nothing.
    fn apply(&self, values: &[u8]) -> Result<Vec<u8>, usize> {
        let mut table = [None; 256];
        for (&value, &label) in &self.0 {
            table[usize::from(value)] = Some(label);
        }
        let label = |(at, &value): (usize, &u8)| table[usize::from(value)].ok_or(at);
        values.iter().enumerate().map(label).collect()
    }

    fn allowed(&self) -> String {
        let words: Vec<String> = self.0.keys().map(u8::to_string).collect();
        words.join(", ")
    }
}

/// The labels of a mask under the first rule that knows all of its values.
fn read_mask(path: &Path, values: &[u8], width: usize, rules: &[MaskRule]) -> Result<Vec<u8>, Error> {
    let mut unknown = 0;
    for rule in rules {
        match rule.apply(values) {
            Ok(labels) => return Ok(labels),
            Err(at) => unknown = unknown.max(at),
        }
    }
    let allowed: Vec<String> = rules.iter().map(MaskRule::allowed).collect();
    Err(Error::MaskValue {
        path: path.to_owned(),
        value: values[unknown],
        y: unknown / width,
        x: unknown % width,
        allowed: allowed.join(" or "),
    })
}

struct Row {
    scene: String,
    split: Split,
    bands: Option<Vec<String>>,
}

/// The rows of `scenes.csv`: plain commas, no quotes.
fn read_table(path: &Path) -> Result<Vec<Row>, Error> {
    if !path.is_file() {
        return Err(Error::MissingTable { path: path.to_owned() });
    }
    let bytes = read_bytes(path, MAX_TEXT)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate().map(|(at, line)| (at + 1, line));
    let header: Vec<&str> = lines.next().map_or("", |(_, line)| line).split(',').map(str::trim).collect();
    let column = |name: &'static str| header.iter().position(|&word| word == name);
    let needed = |column: &'static str, at: Option<usize>| {
        at.ok_or_else(|| Error::MissingColumn { path: path.to_owned(), column })
    };
    let columns = (needed("scene", column("scene"))?, needed("split", column("split"))?, column("bands"));
    let mut rows = Vec::new();
    let mut seen = BTreeSet::new();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let words: Vec<&str> = text.split(',').map(str::trim).collect();
        let (found, expected) = (words.len(), header.len());
        if found != expected {
            return Err(Error::ColumnCount { path: path.to_owned(), line, found, expected });
        }
        let row = read_row(path, line, &words, columns)?;
        if !seen.insert(row.scene.clone()) {
            return Err(Error::DuplicateScene { path: path.to_owned(), line, scene: row.scene });
        }
        rows.push(row);
    }
    Ok(rows)
}

fn read_row(
    path: &Path,
    line: usize,
    words: &[&str],
    columns: (usize, usize, Option<usize>),
) -> Result<Row, Error> {
    let (scene, split, bands) = (words[columns.0], words[columns.1], columns.2.map(|at| words[at]));
    let plain = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-' | '.');
    if scene.is_empty() || scene.starts_with('.') || scene.contains("..") || !scene.chars().all(plain) {
        return Err(Error::SceneName { path: path.to_owned(), line, scene: scene.into() });
    }
    let Some(split) = Split::of(split) else {
        return Err(Error::UnknownSplit { path: path.to_owned(), line, split: split.into() });
    };
    let bands = bands.map(|text| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    if let Some(band) = bands.iter().flatten().find(|band| !band.chars().all(char::is_alphanumeric)) {
        return Err(Error::BandName { path: path.to_owned(), line, band: band.clone() });
    }
    Ok(Row { scene: scene.into(), split, bands: bands.filter(|bands| !bands.is_empty()) })
}

/// The bands to read: those wanted, else all that every scene has, in the order of the first scene.
fn choose_bands(folder: &Path, rows: &[Row], wanted: Option<&Vec<String>>) -> Result<Vec<String>, Error> {
    let files = if rows.iter().any(|row| row.bands.is_none()) { list_files(folder)? } else { Vec::new() };
    let scenes: Vec<Vec<String>> =
        rows.iter().map(|row| row.bands.clone().unwrap_or_else(|| bands_of(&row.scene, &files))).collect();
    let everywhere = |band: &String| scenes.iter().all(|bands| bands.contains(band));
    let mut common: Vec<String> = Vec::new();
    for band in scenes.first().into_iter().flatten().filter(|&band| everywhere(band)) {
        if !common.contains(band) {
            common.push(band.clone());
        }
    }
    let Some(band) = wanted.into_iter().flatten().find(|band| !common.contains(band)) else {
        return Ok(wanted.cloned().unwrap_or(common));
    };
    let (band, available) = (band.clone(), common);
    let known = scenes.iter().any(|bands| bands.contains(&band));
    Err(match rows.iter().zip(&scenes).find(|(_, bands)| !bands.contains(&band)) {
        Some((row, _)) if known => Error::MissingBand { band, scene: row.scene.clone(), available },
        _ => Error::UnknownBand { band, available },
    })
}

/// The names of the images in a folder, without extension, sorted.
fn list_files(folder: &Path) -> Result<Vec<String>, Error> {
    let read = |source| Error::Read { path: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(read)? {
        let path = PathBuf::from(entry.map_err(read)?.file_name());
        let known =
            path.extension().is_some_and(|found| EXTENSIONS.iter().any(|&extension| found == extension));
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        names.extend(stem.filter(|_| known).map(str::to_owned));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// The bands of a scene among image names; a band's name has no `_`, so that scene `a` does not own `a_b_B03`.
fn bands_of(scene: &str, files: &[String]) -> Vec<String> {
    let band = |name: &String| name.strip_prefix(scene)?.strip_prefix('_').map(str::to_owned);
    files.iter().filter_map(band).filter(|band| band != "mask" && !band.contains('_')).collect()
}

/// A scene, and whether all of its bands have 8 bits.
fn read_scene(
    folder: &Path,
    name: &str,
    description: &Description,
    rules: &[MaskRule],
) -> Result<(Scene, bool), Error> {
    let stem = folder.join(name);
    let paths = band_paths(&stem, &description.bands)?;
    let raster = read_bands(&paths, description.full_scale)?;
    let path = find_image(&stem, "mask")?;
    let image = read_image(&path)?;
    let (height, width) = (raster.height, raster.width);
    let reference = paths.first().map_or(stem.as_path(), PathBuf::as_path);
    same_size(&path, [image.height, image.width], reference, [height, width])?;
    let mask = read_mask(&path, &image.into_labels(&path)?, width, rules)?;
    Ok((Scene { name: name.into(), height, width, counts: raster.counts, mask }, raster.eight_bit))
}
