#![doc = include_str!("../README.md")]

mod blocks;
mod code;
mod decode;
mod draw;
mod error;
mod features;
mod genotype;
mod settings;
mod shrink;
mod space;

pub use boresight_ir::Resize;
pub use error::Error;
pub use genotype::{Activation, Block, BlockKind, ChannelRule, Pool, Stage, UnetGenotype};
pub use settings::SpaceSettings;
pub use space::{UnetSpace, supports_everything};
