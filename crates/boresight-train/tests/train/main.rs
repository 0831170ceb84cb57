//! Tests of training as its users see it.

mod bridge;
mod checkpoint;
mod composed;
mod gradients;
#[path = "../../../boresight-plan/tests/plan/networks.rs"]
mod networks;
mod oracle;
mod trainer;
