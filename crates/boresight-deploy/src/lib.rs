#![doc = include_str!("../README.md")]

mod deployment;
mod error;
pub mod onnx;
mod ranges;
pub mod reference;
mod simulator;
mod tolerance;

pub use deployment::{Band, Deployment};
pub use error::Error;
pub use ranges::{LayerRange, Range, layer_ranges};
pub use simulator::{Memory, Simulator, argmax};
pub use tolerance::tolerance;
