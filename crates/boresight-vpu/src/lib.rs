#![doc = include_str!("../README.md")]

mod axis;
mod device;
mod error;
mod fuse;
mod lower;
mod model;
pub mod nce;
pub mod tiling;

pub use device::{Cmx, Description, Device, Link, Rates, Resources, Transfer};
pub use error::{Error, Limit};
pub use lower::{Stage, Unit, Work, lower};
pub use model::{StageRow, Vpu};
