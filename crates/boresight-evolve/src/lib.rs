#![doc = include_str!("../README.md")]

pub mod benchmarks;
mod error;
mod evolution;
mod genetic;
mod novelty;
pub mod pareto;
pub mod parts;
mod pending;
mod random;
mod ranking;
mod real;

pub use error::Error;
pub use evolution::{Evolution, EvolutionSettings, Pace};
pub use genetic::{GeneticAlgorithm, GeneticSettings};
pub use novelty::{CanonicalKey, Novelty};
pub use parts::Parts;
pub use pending::Pending;
pub use random::RandomSearch;
pub use ranking::{Candidate, FitnessForm, Ranking, Standing};
pub use real::{Bounded, Polynomial, RealSpace, RealVector, SimulatedBinary};
