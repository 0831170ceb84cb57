//! The example applications as their users meet them: their files, their refusals, and what survives a kill.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod bad_input;
mod deployment;
mod prediction;
mod runs;
mod support;
