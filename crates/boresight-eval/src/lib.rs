#![doc = include_str!("../README.md")]

mod artifact;
mod command;
mod cost;
mod device;
mod error;
mod evaluator;
mod finalist;
mod intake;
mod measure;
mod proxies;
mod scoring;
mod settings;
mod tiles;

pub use artifact::{Artifact, BandStatistics};
pub use command::CommandDevice;
pub use cost::CostEvaluator;
pub use device::{Device, DeviceRunner, Scaled, Simulated, SimulatedRunner};
pub use error::Error;
pub use evaluator::{MappingOf, Phase, Progress, SegmentationEvaluator};
pub use finalist::{FinalTraining, Finalist, Stages};
pub use intake::Intake;
pub use measure::Measure;
pub use proxies::{Proxy, ProxyBatch, ProxyEvaluator};
pub use scoring::{Score, confusion, predict};
pub use settings::EvaluationSettings;
pub use tiles::SceneTiles;
