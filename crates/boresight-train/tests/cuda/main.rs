//! The composed network on the first NVIDIA GPU, held against the one on the CPU.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "test data are drawn in f64 and stored in f32")]

mod agreement;
#[path = "../train/cases.rs"]
mod cases;
mod gpu;
#[path = "../../examples/gpu_step/learning.rs"]
mod learning;
#[path = "../../../boresight-plan/tests/plan/networks.rs"]
mod networks;
#[expect(dead_code, reason = "the plan and finite differences are for the tests on the CPU")]
#[path = "../train/oracle.rs"]
mod oracle;
mod training;
