#![doc = include_str!("../README.md")]

mod batch;
pub mod benchmarks;
mod error;
mod evolution;
mod genetic;
mod guided;
mod halving;
mod local;
mod novelty;
pub mod pareto;
pub mod parts;
mod pending;
mod process;
mod random;
mod ranking;
mod real;
mod source;
mod stagnation;

pub use error::Error;
pub use evolution::{Evolution, EvolutionSettings, Pace};
pub use genetic::{GeneticAlgorithm, GeneticSettings};
pub use guided::{
    Acquisition, ExpectedImprovement, Features, GuidedParts, GuidedSearch, GuidedSettings, LowerBound,
};
pub use halving::{Halving, HalvingParts, HalvingSettings};
pub use local::{LocalParts, LocalSearch, LocalSettings};
pub use novelty::{CanonicalKey, Novelty};
pub use parts::Parts;
pub use pending::Pending;
pub use random::{RandomParts, RandomSearch};
pub use ranking::{Candidate, FitnessForm, Ranking, Standing};
pub use real::{Bounded, Polynomial, RealSpace, RealVector, SimulatedBinary};
pub use stagnation::Stagnation;
