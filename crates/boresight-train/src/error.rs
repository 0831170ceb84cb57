//! Why training cannot take place.

use std::path::PathBuf;

/// Why training cannot take place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network cannot be run.
    #[error(transparent)]
    Plan(#[from] boresight_plan::Error),
    /// The network and its weights or statistics do not go together.
    #[error(transparent)]
    Network(#[from] boresight_ir::Error),
    /// A setting outside its range.
    #[error("{setting} is {value}, it must be {rule}")]
    Setting {
        /// Which.
        setting: &'static str,
        /// Its value as text.
        value: String,
        /// What it must be.
        rule: &'static str,
    },
    /// The training data have no tile.
    #[error("there is no tile to train on")]
    NoExamples,
    /// Labels or class weights do not fit the network.
    #[error(transparent)]
    Loss(#[from] boresight_kernels::Error),
    /// A weights file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A weights file is damaged.
    #[error("{path} is not a safetensors file: {source}")]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What the reader says.
        source: safetensors::SafeTensorError,
    },
    /// A tensor of a weights file does not fit the network.
    #[error("{path}: tensor '{tensor}' is missing or is not f32 of shape {shape:?}")]
    Tensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        tensor: String,
        /// Its shape in the network.
        shape: Vec<usize>,
    },
    /// Candle refuses an operation.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}
