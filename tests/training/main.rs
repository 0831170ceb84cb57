//! Training of the reference network, held to PyTorch.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod golden;
#[path = "../../examples/training_step/reference.rs"]
mod reference;
