//! Tests of plans as their users see them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "test data are drawn in f64 and stored in f32")]

mod laws;
mod narrow;
mod networks;
mod projection;
mod threads;
