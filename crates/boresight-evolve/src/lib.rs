#![doc = include_str!("../README.md")]

mod error;
mod genetic;
pub mod pareto;
mod pending;
mod random;
mod ranking;

pub use error::Error;
pub use genetic::{GeneticAlgorithm, GeneticSettings};
pub use pending::Pending;
pub use random::RandomSearch;
pub use ranking::{Candidate, FitnessForm, Ranking, Standing};
