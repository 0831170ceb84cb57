#![doc = include_str!("../README.md")]

mod bridge;
mod checkpoint;
mod composed;
mod error;
mod examples;
mod settings;
mod teacher;
mod trainer;
mod way;

pub use boresight_kernels::Loss;
pub use boresight_plan::{Arithmetic, Mode, Store};
pub use bridge::CandleNetwork;
pub use checkpoint::{read_weights, to_safetensors};
pub use composed::{ComposedNetwork, ComposedPass};
pub use error::Error;
pub use examples::{Examples, Validation};
pub use settings::TrainSettings;
pub use trainer::{Aligned, SegmentationTrainer};
