//! The cost model against the real Myriad X compiler: the same networks through both, stage by stage.
//!
//! Needs what `python3 tools/myriad/setup.py` puts into the user's cache (or into `BORESIGHT_MYRIAD_CACHE`); without it
//! each test says so on the terminal and does nothing.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail in its helpers too")]

mod convolutions;
mod judge;
mod networks;
mod operators;
mod recorded;
mod refusals;
