#![doc = include_str!("../README.md")]

mod builder;
mod error;
mod infer;
mod json;
mod layout;
mod network;
mod normalisation;
mod op;
mod rewrite;
#[cfg(test)]
mod tests;
mod weights;

pub use builder::Builder;
pub use error::{Error, Rule};
pub use layout::{Layout, Role, Slot};
pub use network::{Hash, Network, Node, NodeId};
pub use normalisation::{InputForm, NormalisationFold, check_statistics};
pub use op::{Conv2d, Filling, Op, Resize, Shape, Window};
pub use rewrite::{fold_batch_norm, separate_batch_norm};
pub use weights::Weights;
