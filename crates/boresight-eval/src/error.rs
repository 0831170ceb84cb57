//! Why a candidate gets no verdict.

use std::path::PathBuf;

/// Why a candidate gets no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data cannot be tiled.
    #[error(transparent)]
    Data(#[from] boresight_data::Error),
    /// Training cannot take place.
    #[error(transparent)]
    Train(#[from] boresight_train::Error),
    /// The network cannot be deployed.
    #[error(transparent)]
    Deploy(#[from] boresight_deploy::Error),
    /// The network cannot be written as an ONNX file.
    #[error(transparent)]
    Onnx(Box<boresight_deploy::onnx::Error>),
    /// The network is not valid.
    #[error(transparent)]
    Network(#[from] boresight_ir::Error),
    /// The network cannot be run.
    #[error(transparent)]
    Plan(#[from] boresight_plan::Error),
    /// The loss cannot be computed.
    #[error(transparent)]
    Loss(#[from] boresight_kernels::Error),
    /// Labels cannot be counted.
    #[error(transparent)]
    Metrics(#[from] boresight_metrics::Error),
    /// The observer broke the evaluation off.
    #[error("interrupted")]
    Interrupted,
    /// An objective that nobody knows.
    #[error("'{name}' is no objective; known are {known}")]
    UnknownMeasure {
        /// What was given.
        name: String,
        /// Every known name.
        known: String,
    },
    /// An objective that the cost model says nothing about.
    #[error("'{name}' cannot be an objective: the cost model of {device} does not know it")]
    NotPredicted {
        /// The objective.
        name: &'static str,
        /// The device.
        device: String,
    },
    /// An accuracy among what is asked before training.
    #[error("'{name}' is known only after training; known before are {known}")]
    NeedsTraining {
        /// What was asked for.
        name: &'static str,
        /// Every measure that is known before.
        known: String,
    },
    /// The network reads another number of bands, or another tile, than the data have.
    #[error("the network reads {network}, the data give {data}")]
    Shape {
        /// Shape that the network reads.
        network: boresight_ir::Shape,
        /// Shape of a tile.
        data: boresight_ir::Shape,
    },
    /// A scene has another number of bands than the network reads.
    #[error("a scene of {pixels} pixels has {counts} counts, but the network reads {bands} bands")]
    SceneBands {
        /// Its counts over all bands.
        counts: usize,
        /// Its pixels.
        pixels: usize,
        /// Bands that the network reads.
        bands: usize,
    },
    /// A description of a network is damaged.
    #[error("{path} does not describe a network: {source}")]
    Description {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// What an ONNX file tells of its input is incomplete or broken.
    #[error("metadata '{key}' of the file: {rule}")]
    Metadata {
        /// The entry.
        key: String,
        /// What is wrong with it.
        rule: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A device failed.
    #[error("the device behind '{device}' failed: {reason}")]
    Device {
        /// Its command.
        device: String,
        /// What went wrong, in its own words where it has any.
        reason: String,
    },
    /// The network's tiles are not square.
    #[error("the network reads tiles of {height} x {width} pixels, but scenes are cut into square ones")]
    NotSquare {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// The device refuses a network that it took before.
    #[error("the device refuses the network: {reason}")]
    Refused {
        /// The node and the rule.
        reason: String,
    },
    /// Training of the finalist left the finite numbers.
    #[error("the finalist's training diverged: {reason}")]
    Diverged {
        /// What was seen.
        reason: String,
    },
}

impl From<boresight_deploy::onnx::Error> for Error {
    fn from(error: boresight_deploy::onnx::Error) -> Self {
        Self::Onnx(Box::new(error))
    }
}
