//! Tests across the parts of this crate.

mod graph;
mod json;
mod random;
mod rewrite;
mod values;
