#![doc = include_str!("../README.md")]

mod axis;
mod compile;
mod device;
mod error;
mod model;
pub mod nce;
mod predict;
mod stage;
mod support;
mod table;
pub mod tiling;

pub use device::{Calibration, Cmx, Description, Device, Link, Power, Rates, Resources, Transfer};
pub use error::{Error, Limit};
pub use model::{Remembering, Vpu};
pub use predict::{Advice, Beyond, Prediction};
pub use stage::{StageRow, Unit, Work};
pub use table::Table;
