#![doc = include_str!("../README.md")]

mod axis;
mod compile;
mod device;
mod error;
mod model;
mod predict;
mod stage;
mod support;
pub mod nce;
pub mod tiling;

pub use device::{Calibration, Cmx, Description, Device, Link, Power, Rates, Resources, Transfer};
pub use error::{Error, Limit};
pub use model::{Remembering, Vpu};
pub use predict::{Advice, Beyond, Prediction};
pub use stage::{StageRow, Unit, Work};
