#![doc = include_str!("../README.md")]

mod conv;
mod dispatch;
mod planes;

pub use conv::{ConvShape, conv2d, conv2d_grad_input, conv2d_grad_weight};
pub use planes::{Planes, Store, Write};
