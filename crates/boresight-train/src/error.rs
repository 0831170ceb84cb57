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
    /// A Candle tensor of another shape than the network's.
    #[error("{what} have shape {found:?}, the network takes {expected:?}")]
    TensorShape {
        /// Which tensor.
        what: &'static str,
        /// Its shape in the network.
        expected: Vec<usize>,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A Candle tensor of another type than f32.
    #[error("{what} are {found}, a plan takes f32")]
    NotF32 {
        /// Which tensor.
        what: &'static str,
        /// Its type.
        found: &'static str,
    },
    /// A Candle tensor on another device than the CPU.
    #[error("{what} must be on the CPU: a plan runs there alone, ComposedNetwork runs on every device")]
    NotOnCpu {
        /// Which tensor.
        what: &'static str,
    },
    /// Images that depend on a variable.
    #[error("images depend on a variable, but a plan has no gradient for them: detach them")]
    ImageGradient,
    /// The memory of a pass serves one backward.
    #[error("this result was differentiated before: apply the network again")]
    SecondBackward,
    /// Candle refuses an operation.
    #[error("candle: {0}")]
    Candle(#[from] candle_core::Error),
}
