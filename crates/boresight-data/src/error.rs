//! Everything that data can do wrong, each as one sentence.

use crate::Split;
use std::path::PathBuf;

/// Why data could not be read, cut or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// A file is longer than any honest file of its kind.
    #[error("{} has {bytes} bytes, more than the {limit} that are read", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The longest that is read.
        limit: u64,
    },
    /// The data folder does not exist.
    #[error("data folder {} does not exist or is no folder", path.display())]
    MissingFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The table of scenes does not exist.
    #[error("{} is missing; a data folder lists its scenes and their splits there", path.display())]
    MissingTable {
        /// The table.
        path: PathBuf,
    },
    /// The table of scenes lacks a column.
    #[error("{} has no column '{column}' in its first line", path.display())]
    MissingColumn {
        /// The table.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
    /// A row of the table of scenes is too short.
    #[error("{} line {line} has {found} columns, its first line names {expected}", path.display())]
    ColumnCount {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// How many columns it has.
        found: usize,
        /// How many the first line names.
        expected: usize,
    },
    /// A scene's name could lead out of the folder.
    #[error(
        "{} line {line} names the scene '{scene}'; a name consists of letters, digits, '_', '-' and single '.'",
        path.display()
    )]
    SceneName {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The name.
        scene: String,
    },
    /// A band's name could lead out of the folder.
    #[error("{} line {line} names the band '{band}'; a name consists of letters and digits", path.display())]
    BandName {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The name.
        band: String,
    },
    /// A scene is listed twice, which would let splits leak.
    #[error("{} line {line} lists the scene '{scene}' a second time", path.display())]
    DuplicateScene {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The scene.
        scene: String,
    },
    /// A split has another name than the three known.
    #[error("{} line {line} has the split '{split}'; splits are train, val and test", path.display())]
    UnknownSplit {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The word found.
        split: String,
    },
    /// A split has no scene.
    #[error("the {split} split has no scene; train, val and test need one each")]
    EmptySplit {
        /// The split.
        split: Split,
    },
    /// A dataset.toml breaks a rule.
    #[error("{}: {rule}", path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// The rule, and what breaks it.
        rule: String,
    },
    /// A band does not exist in every scene.
    #[error("band '{band}' is unknown; available are {}", available.join(", "))]
    UnknownBand {
        /// The band.
        band: String,
        /// The bands that exist.
        available: Vec<String>,
    },
    /// A band exists in some scenes only.
    #[error("band '{band}' is missing in scene '{scene}'; every scene has {}", available.join(", "))]
    MissingBand {
        /// The band.
        band: String,
        /// The first scene that lacks it.
        scene: String,
        /// The bands that every scene has.
        available: Vec<String>,
    },
    /// A band is asked for twice.
    #[error("band '{band}' is named twice")]
    DuplicateBand {
        /// The band.
        band: String,
    },
    /// There are no bands at all.
    #[error("no band is left: a data set needs at least one band that every scene has")]
    NoBands,
    /// An image of a scene does not exist.
    #[error("{} is missing (.tif and .tiff would do as well)", path.display())]
    MissingImage {
        /// The image, as PNG.
        path: PathBuf,
    },
    /// A file is no image that can be read.
    #[error("{} is no readable PNG or TIFF image: {source}", path.display())]
    Decode {
        /// The image.
        path: PathBuf,
        /// What the decoder said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file begins like neither PNG nor TIFF.
    #[error("{} is neither a PNG nor a TIFF image", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// An image has colours where one grey value a pixel is needed.
    #[error("{} is a {found} image; {rule}", path.display())]
    ColourType {
        /// The image.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it must be.
        rule: &'static str,
    },
    /// An image has a depth that means nothing here.
    #[error("{} has {bits} bits a pixel; {rule}", path.display())]
    Depth {
        /// The image.
        path: PathBuf,
        /// Its bits a pixel.
        bits: u8,
        /// What it must have.
        rule: &'static str,
    },
    /// An image is larger than any that is read.
    #[error("{} claims {width} x {height} pixels; images have 1 to {limit} pixels in all", path.display())]
    Dimensions {
        /// The image.
        path: PathBuf,
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// The most pixels that are read.
        limit: u64,
    },
    /// Two images of a scene have different sizes.
    #[error(
        "{} is {} x {} pixels, but {} is {} x {}; bands and mask of a scene have one size",
        path.display(), size[1], size[0], reference.display(), expected[1], expected[0]
    )]
    SizeMismatch {
        /// The image.
        path: PathBuf,
        /// Its height and width.
        size: [usize; 2],
        /// The image that it must match.
        reference: PathBuf,
        /// That image's height and width.
        expected: [usize; 2],
    },
    /// A mask holds a value that is no class.
    #[error("{} has the value {value} in row {y}, column {x}; allowed are {allowed}", path.display())]
    MaskValue {
        /// The mask.
        path: PathBuf,
        /// The value.
        value: u8,
        /// Its row, counted from 0.
        y: usize,
        /// Its column, counted from 0.
        x: usize,
        /// The values that are allowed.
        allowed: String,
    },
    /// A tile has no pixels or does not fit a scene.
    #[error("tiles of {tile} x {tile} pixels do not fit scene '{scene}' of {width} x {height}")]
    TileSize {
        /// The side of a tile.
        tile: usize,
        /// The scene.
        scene: String,
        /// The scene's height.
        height: usize,
        /// The scene's width.
        width: usize,
    },
    /// A tile has no pixels or does not fit an image.
    #[error("tiles of {tile} x {tile} pixels do not fit an image of {width} x {height}")]
    Tiling {
        /// The side of a tile.
        tile: usize,
        /// The image's height.
        height: usize,
        /// The image's width.
        width: usize,
    },
    /// A tile reaches over the edge of its scene.
    #[error("the tile of {tile} pixels at row {y}, column {x} reaches over the edge of its scene")]
    TileOutside {
        /// The side of the tile.
        tile: usize,
        /// Its first row.
        y: usize,
        /// Its first column.
        x: usize,
    },
    /// A scene's buffers do not have the lengths that its shape asks for.
    #[error(
        "scene '{scene}' has {counts} counts and {labels} labels for {bands} bands of {width} x {height}"
    )]
    SceneShape {
        /// The scene.
        scene: String,
        /// How many counts it has.
        counts: usize,
        /// How many labels it has.
        labels: usize,
        /// How many bands the data set has.
        bands: usize,
        /// The scene's height.
        height: usize,
        /// The scene's width.
        width: usize,
    },
    /// A count is no finite binary16 number.
    #[error("scene '{scene}' has the count {count}; counts lie in 0..=65504")]
    CountRange {
        /// The scene.
        scene: String,
        /// The count.
        count: u16,
    },
    /// A label is neither a class nor the ignore value.
    #[error("scene '{scene}' has the label {label}, which is neither one of {classes} classes nor ignored")]
    Label {
        /// The scene.
        scene: String,
        /// The label.
        label: u8,
        /// The number of classes.
        classes: usize,
    },
    /// A setting lies outside its range.
    #[error("{name} is {value}; {rule}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its value.
        value: f64,
        /// Its range.
        rule: &'static str,
    },
}
