#![doc = include_str!("../README.md")]

mod checkpoint;
mod error;
mod examples;
mod settings;
mod trainer;

pub use boresight_kernels::Loss;
pub use checkpoint::{read_weights, to_safetensors};
pub use error::Error;
pub use examples::{Examples, Validation};
pub use settings::TrainSettings;
pub use trainer::SegmentationTrainer;
