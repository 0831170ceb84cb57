#![doc = include_str!("../README.md")]

mod cost;
mod counts;
mod evaluator;
mod json;
mod resume;
mod space;
mod store;
mod strategy;
mod trainer;

pub use cost::cost_model_laws;
pub use counts::{accumulate_laws, metric_laws, refusal_laws};
pub use evaluator::evaluator_laws;
pub use resume::{asynchronous_law, resume_law};
pub use space::{decode_laws, evolvable_laws, space_laws};
pub use store::{durable_store_laws, store_laws};
pub use strategy::{generation_laws, novelty_law, strategy_laws};
pub use trainer::trainer_laws;
