#![doc = include_str!("../README.md")]

mod confusion;
mod error;
mod metric;
mod sample;
mod score;

pub use confusion::Confusion;
pub use error::Error;
pub use metric::{ClassIou, Dice, Mcc, MeanIou};
pub use sample::LabelPair;
pub use score::AbsentClasses;
