//! Networks that become ONNX files, and files that become networks.

mod random;
mod round_trip;
mod tract;
