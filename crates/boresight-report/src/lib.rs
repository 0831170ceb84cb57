#![doc = include_str!("../README.md")]

mod error;
mod font;
mod overlay;
mod picture;

pub use error::Error;
pub use overlay::{Legend, Overlay};
pub use picture::{Picture, write_png};
