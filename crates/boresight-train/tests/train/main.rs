//! Tests of training as its users see it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "test data are drawn in f64 and stored in f32")]

mod align;
mod bridge;
mod cases;
mod checkpoint;
mod composed;
mod gradients;
#[path = "../../../boresight-plan/tests/plan/networks.rs"]
mod networks;
mod oracle;
mod trainer;
