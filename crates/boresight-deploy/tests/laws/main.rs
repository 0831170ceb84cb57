//! What conversion, simulated device and reference promise.

#![expect(clippy::unwrap_used, reason = "an error fails the test")]
#![expect(clippy::cast_possible_truncation, reason = "numbers are drawn in f64 and stored in f32")]

mod device;
mod diagnosis;
mod folding;
mod hand;
mod networks;
mod onnx;
mod ranges;
mod reference;
mod tolerance;
