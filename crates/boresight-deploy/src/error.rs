//! Why a network cannot be deployed.

/// Why a network cannot be deployed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network, its weights and its statistics do not go together.
    #[error(transparent)]
    Network(#[from] boresight_ir::Error),
    /// The simulated device cannot run it.
    #[error(transparent)]
    Plan(#[from] boresight_plan::Error),
    /// The reference does not know an operator.
    #[error("node '{node}': the reference does not know operator {op}")]
    UnknownOperator {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
}
