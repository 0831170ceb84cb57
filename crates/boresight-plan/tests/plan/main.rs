//! Tests of plans as their users see them.

mod laws;
mod networks;
mod projection;
