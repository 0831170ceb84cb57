//! What can be wrong with an ONNX file, or with what is to become one.

/// Why a network cannot be written as ONNX, or a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network, its weights and its statistics do not go together.
    #[error(transparent)]
    Network(#[from] boresight_ir::Error),
    /// No form has this name.
    #[error("'{found}' is no form of numbers: it is fp32, fp16 or fp16-weights")]
    UnknownForm {
        /// The name.
        found: String,
    },
    /// A batch of no images.
    #[error("a file for batches of 0 images")]
    EmptyBatch,
    /// An operator that the writer does not know.
    #[error("node '{node}': operator {op} cannot be written as ONNX")]
    CannotWrite {
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// A number that FP16 cannot hold.
    #[error("value {index} of '{tensor}' is {value}, FP16 ends at 65504")]
    Overflow {
        /// The constant.
        tensor: String,
        /// Place of the number in it.
        index: usize,
        /// The number.
        value: String,
    },
}
