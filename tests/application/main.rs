//! The example applications as their users meet them: their files, their refusals, and what survives a kill.

mod bad_input;
mod prediction;
mod runs;
mod support;
