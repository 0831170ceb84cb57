#![doc = include_str!("../README.md")]

mod metric;
mod objective;
mod observer;
mod quantity;
mod roles;
mod seed;
mod store;
mod trial;

pub use metric::{Accumulate, Metric};
pub use objective::{Direction, Objective};
pub use observer::{Ignore, Observer};
pub use quantity::{Joules, Seconds};
pub use roles::{
    Cost, CostModel, Evaluator, Evolvable, Fit, Genotype, SearchSpace, Strategy, TellError, TrainEvent,
    Trainer,
};
pub use seed::{Seed, Stream};
pub use store::{Memory, Store};
pub use trial::{Context, Fidelity, Outcome, Proposal, Trial, TrialId, Violation};
