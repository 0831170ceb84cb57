//! Networks as ONNX files: [`Export`] writes one, [`read`] takes one in.
//!
//! The writer keeps to operators that the graph compiler of the Myriad X (OpenVINO 2021.4) takes, with fixed shapes. The
//! reader takes the usual spellings of the operators that a [`boresight_ir::Network`] has, and refuses everything else
//! by name; a file may come from anywhere, so nothing that it says is believed before it is checked.
//!
//! A file that was written is read back as the network that it was, node by node, name by name and bit by bit, but for
//! these: dropout is left out; a nonzero border or a normalisation becomes a node on the input and other biases; in
//! forms with FP16 constants are what FP16 made of them; a clip from 0 to 6 is a `ReLU6`, one from 0 to the
//! largest number a `ReLU`; a channel scale of a map of one pixel is a product; zero stuffing and padding that became part of a
//! transposed convolution or a max pooling are named after it.

mod error;
mod form;
mod names;
mod proto;
mod read;
mod write;

pub use error::Error;
pub use form::{Form, Opset};
pub use read::{Limits, Model, ReadOptions, read};
pub use write::Export;
