//! What can be wrong with an ONNX file, or with what is to become one.

use std::path::PathBuf;

/// Why a network cannot be written as ONNX, or a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The network, its weights and its statistics do not go together; or what a file describes is no network.
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
    /// The bytes are no protobuf, or not that of an ONNX file.
    #[error("not an ONNX file: {reason}")]
    Damaged {
        /// What the parser says.
        reason: String,
    },
    /// A file beyond a limit.
    #[error("the file has more {what} than the limit of {limit}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: usize,
    },
    /// A file without a graph.
    #[error("the file has no graph")]
    NoGraph,
    /// A file that does not say which version of the operators it uses.
    #[error("the file names no version of the ONNX operators")]
    NoOpset,
    /// A version of the operators that is not read.
    #[error("the file uses version {found} of the ONNX operators, {least} to {most} are read")]
    Opset {
        /// The file's version.
        found: i64,
        /// The oldest version that is read.
        least: i64,
        /// The newest version that is read.
        most: i64,
    },
    /// An operator that has no counterpart in a network.
    #[error("node '{node}': operator {op_type} of domain '{domain}', version {opset}, has no counterpart")]
    Operator {
        /// The node.
        node: String,
        /// Its operator.
        op_type: String,
        /// The operator's domain.
        domain: String,
        /// The version of ONNX's operators that the file uses.
        opset: i64,
    },
    /// A node with a graph inside: control flow.
    #[error("node '{node}' ({op_type}) has a graph inside")]
    Subgraph {
        /// The node.
        node: String,
        /// Its operator.
        op_type: String,
    },
    /// A node reads a value that no node before it makes, or an output does.
    #[error("'{reader}' reads '{value}', which nothing before it makes")]
    Undefined {
        /// The reading node, or the output.
        reader: String,
        /// The value.
        value: String,
    },
    /// Two nodes make a value of one name.
    #[error("value '{value}' is made twice")]
    Duplicate {
        /// The value.
        value: String,
    },
    /// An attribute that an operator does not have, or with a value that has no counterpart.
    #[error("node '{node}' ({op_type}): attribute {attribute} is {found}, expected {expected}")]
    Attribute {
        /// The node.
        node: String,
        /// Its operator.
        op_type: String,
        /// The attribute.
        attribute: String,
        /// Its value.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// An input of a node that has no counterpart.
    #[error("node '{node}' ({op_type}): {operand} is {found}, expected {expected}")]
    Operand {
        /// The node.
        node: String,
        /// Its operator.
        op_type: String,
        /// Which input, in words.
        operand: &'static str,
        /// What it is.
        found: String,
        /// What can be read.
        expected: &'static str,
    },
    /// A tensor of a type that is not read.
    #[error("tensor '{tensor}' has type {found}, expected {expected}")]
    DataType {
        /// The tensor.
        tensor: String,
        /// Its type.
        found: String,
        /// The types that are read.
        expected: &'static str,
    },
    /// A tensor whose data are not as long as its dimensions say.
    #[error("tensor '{tensor}' has dimensions {dims}, its data have another length: {found} {unit}")]
    Length {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        dims: String,
        /// How long its data are.
        found: usize,
        /// In what their length is counted.
        unit: &'static str,
    },
    /// Dimensions that no tensor can have.
    #[error("'{tensor}' has dimensions {dims}, expected {expected}")]
    Dimensions {
        /// The tensor.
        tensor: String,
        /// Its dimensions.
        dims: String,
        /// What can be read.
        expected: &'static str,
    },
    /// A tensor outside the file, where the reader was given no folder, or described in a way that is not allowed.
    #[error("tensor '{tensor}' lies outside the file, at '{location}': {rule}")]
    External {
        /// The tensor.
        tensor: String,
        /// Where it says that it lies.
        location: String,
        /// What it breaks.
        rule: &'static str,
    },
    /// A tensor outside the file that cannot be read.
    #[error("tensor '{tensor}': {} cannot be read: {kind}", path.display())]
    Unreadable {
        /// The tensor.
        tensor: String,
        /// Where it lies.
        path: PathBuf,
        /// What the operating system says.
        kind: std::io::ErrorKind,
    },
    /// Not exactly one input that is used.
    #[error("the graph must read one input, it reads {}", list(names))]
    Inputs {
        /// Their names.
        names: Vec<String>,
    },
    /// Not exactly one output, and none chosen.
    #[error("the graph must have one output or one must be chosen, it has {}", list(names))]
    Outputs {
        /// Their names.
        names: Vec<String>,
    },
    /// The output that was chosen does not exist.
    #[error("there is no output '{chosen}', the graph has {}", list(names))]
    UnknownOutput {
        /// The chosen name.
        chosen: String,
        /// Names of the outputs.
        names: Vec<String>,
    },
    /// An input whose rows and columns the file leaves open.
    #[error("input '{input}' has dimensions {dims}: rows and columns must be given")]
    NeedsSize {
        /// The input.
        input: String,
        /// Its dimensions.
        dims: String,
    },
    /// An input whose rows and columns are others than those given.
    #[error("input '{input}' has dimensions {dims}, {}x{} pixels were asked for", size[0], size[1])]
    Size {
        /// The input.
        input: String,
        /// Its dimensions.
        dims: String,
        /// Rows and columns that were given.
        size: [usize; 2],
    },
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 8;
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut shown = names.iter().take(SHOWN).map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        shown.push_str(", and more");
    }
    shown
}
