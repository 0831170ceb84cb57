#![doc = include_str!("../README.md")]

mod deployment;
mod diagnosis;
mod error;
pub mod onnx;
mod ranges;
pub mod reference;
mod simulator;
mod tolerance;

pub use boresight_plan::Mapping;
pub use deployment::{Band, Deployment, without_batch_norm};
pub use diagnosis::{Cause, Diagnosis, Finding, Remedy, diagnose};
pub use error::Error;
pub use ranges::{LayerRange, Range, Ratio, layer_ranges};
pub use simulator::{Memory, Simulator, argmax};
pub use tolerance::tolerance;
