//! Networks that become ONNX files, and files that become networks.

mod fuzz;
mod goldens;
mod mutation;
mod random;
mod reading;
mod round_trip;
mod tract;
