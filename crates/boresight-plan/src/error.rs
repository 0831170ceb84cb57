//! Why a network cannot be planned.

/// Why a network cannot be planned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The output is the input.
    #[error("the network computes nothing: its output is its input")]
    Empty,
    /// A batch of no images.
    #[error("a batch needs at least one image")]
    EmptyBatch,
    /// A batch normalisation in a network that stores binary16.
    #[error("batch normalisation '{node}' must be folded before activations are stored as binary16")]
    NotFolded {
        /// The node.
        node: String,
    },
    /// A channel scale that reads one value twice.
    #[error("channel scale '{node}' scales a value with itself")]
    SelfScale {
        /// The node.
        node: String,
    },
    /// The network and its statistics do not go together.
    #[error(transparent)]
    Network(#[from] boresight_ir::Error),
    /// An operator that this version cannot run.
    #[error("node '{node}': operator {op} cannot be run")]
    Unsupported {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
}
