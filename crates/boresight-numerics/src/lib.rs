#![doc = include_str!("../README.md")]

mod error;
mod float;
mod myriad;
mod profile;

pub use error::Error;
pub use float::{round_bf16, round_f16, round_slice_bf16, round_slice_f16};
pub use myriad::{myriad_constant, myriad_constant_bits};
pub use profile::{Accumulator, ActivationFormat, ConstantRule, ConversionCount, NumericProfile};
