#![doc = include_str!("../README.md")]

mod backward;
mod compile;
mod error;
mod forward;
mod part;
mod place;
mod projection;
mod remake;
mod slots;
mod step;
mod workspace;

pub use boresight_kernels::{Arithmetic, Store, Team};
pub use compile::Plan;
pub use error::Error;
pub use forward::dropout_mask;
pub use projection::Projection;
pub use workspace::{Mode, Workspace};
