#![doc = include_str!("../README.md")]

mod dataset;
mod error;
mod folder;
mod image;
mod light;
mod normalisation;
mod sampler;
mod synthetic;
mod tiling;

pub use dataset::{Dataset, Description, MAX_COUNT, Scene, Split, Tile};
pub use error::Error;
pub use folder::{FULL_SCALE, FolderOptions, read_folder};
pub use image::{MaskStyle, Raster, band_paths, read_bands, write_mask_png};
pub use light::Light;
pub use normalisation::Normalisation;
pub use sampler::{Augmentation, Sampler, SamplerOptions};
pub use synthetic::{Labels, SENTINEL2_BANDS, SyntheticOptions, synthetic};
pub use tiling::{TileAt, Tiling};
