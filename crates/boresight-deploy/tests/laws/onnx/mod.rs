//! Networks that become ONNX files, and files that become networks.

mod goldens;
mod random;
mod round_trip;
mod tract;
