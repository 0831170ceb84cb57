#![doc = include_str!("../README.md")]

mod backward;
mod compile;
mod error;
mod folding;
mod forward;
mod narrow;
mod part;
mod place;
mod powers;
mod projection;
mod remake;
mod slots;
mod step;
mod workspace;

pub use boresight_kernels::{Arithmetic, Machine, Store, Team};
pub use compile::Plan;
pub use error::Error;
pub use folding::FoldingSimulation;
pub use forward::dropout_mask;
pub use narrow::{LayerSums, Penalty, TrainingExtras};
pub use powers::power_scales;
pub use projection::{Mapping, Projection};
pub use workspace::{Mode, Workspace};
