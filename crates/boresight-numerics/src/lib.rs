#![doc = include_str!("../README.md")]

mod error;
mod float;
mod format;
mod myriad;
mod profile;
mod rules;
mod scaling;
mod written;

pub use error::Error;
pub use float::{round_bf16, round_f16, round_slice_bf16, round_slice_f16};
pub use format::{Format, Overflow, Rounding, Subnormals};
pub use myriad::{myriad_constant, myriad_constant_bits};
pub use profile::{ConversionCount, NumericProfile};
pub use rules::{Accumulator, BatchNorm, Constants, Functions, Places, PoolingSum, Rule, Scaling, Table};
pub use scaling::{MyriadScaling, myriad_rescale};
