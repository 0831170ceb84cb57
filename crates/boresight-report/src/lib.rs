#![doc = include_str!("../README.md")]

mod bars;
mod error;
mod font;
mod overlay;
mod picture;

pub use bars::{Bar, BarChart, BarGroup};
pub use error::Error;
pub use overlay::{Legend, Overlay};
pub use picture::{Picture, write_png};
