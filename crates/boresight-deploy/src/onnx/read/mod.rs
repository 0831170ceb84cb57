//! The reader.

mod affine;
mod call;
mod channels;
mod constant;
mod convolution;
mod elementwise;
mod external;
mod fold;
mod graph;
mod matrix;
mod operators;
mod pooling;
mod reader;
mod resize;
mod shape;
mod survey;
#[cfg(test)]
mod tests;
mod views;

use super::{Error, proto};
use boresight_ir::{Network, Weights};
use graph::Surface;
use prost::Message;
use reader::Reader;
use std::collections::BTreeMap;
use std::path::Path;

/// Versions of the ONNX operators that are read.
const OPSETS: [i64; 2] = [7, 23];

/// What a file may cost.
///
/// What reading takes in memory stays below ten times the bytes of the file, 1 KiB for each part, and 16 bytes for each
/// value; in time, it is a few passes over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Parts: nodes, attributes, tensors, names of values, dimensions of values and other pieces of the graph.
    pub parts: usize,
    /// Numbers in constants, in what is computed of constants, and in the network's weights.
    pub values: usize,
}

impl Default for Limits {
    /// 512 MiB, 2^19 parts and 2^27 values: more than a device with 512 MB of memory runs.
    fn default() -> Self {
        Self { bytes: 1 << 29, parts: 1 << 19, values: 1 << 27 }
    }
}

/// What a reader is told besides the file.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions<'a> {
    /// Rows and columns of the input, where the file leaves them open.
    pub size: Option<[usize; 2]>,
    /// The output to read, where the graph has several.
    pub output: Option<&'a str>,
    /// Where tensors lie that the file keeps outside itself; without it, such tensors are an error.
    pub folder: Option<&'a Path>,
    /// What the file may cost.
    pub limits: Limits,
}

/// What a file holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// The network, for one image.
    pub network: Network,
    /// Its weights; the border is zero, as in all of ONNX.
    pub weights: Weights,
    /// The version of the ONNX operators.
    pub opset: i64,
    /// What else the file says, by key.
    pub metadata: BTreeMap<String, String>,
    /// Whether its constants reach their operators in FLOAT16, so that a tool chain has nothing to convert.
    pub is_fp16: bool,
    /// Name of the input.
    pub input: String,
    /// Name of the output.
    pub output: String,
}

/// Reads an ONNX file.
///
/// Values are kept in binary32, whatever the file's format: FP16 constants keep their value, FP64 ones are rounded.
/// Nodes that do not lead to the output are not looked at. The network reads one image, whatever the file's batch.
///
/// # Errors
/// When the file is damaged, exceeds the limits, or has something that has no counterpart in a network. A file never
/// causes a panic.
///
/// # Examples
/// ```
/// use boresight_core::Seed;
/// use boresight_deploy::onnx::{Export, ReadOptions, read};
/// use boresight_ir::{Builder, Conv2d, Op, Shape, Weights};
/// let mut builder = Builder::new(Shape::new(4, 32, 32))?;
/// let conv = builder.add("conv", Op::Conv2d(Conv2d::same(2, 3)), &[builder.input()])?;
/// let network = builder.finish(conv)?;
/// let weights = Weights::initial(&network, Seed::new(1));
/// let model = read(&Export::new(&network, &weights).write()?, &ReadOptions::default())?;
/// assert_eq!((model.network, model.weights), (network, weights));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read(bytes: &[u8], options: &ReadOptions<'_>) -> Result<Model, Error> {
    if bytes.len() > options.limits.bytes {
        return Err(Error::TooLarge { what: "bytes", limit: options.limits.bytes });
    }
    survey::survey(bytes, options.limits.parts)?;
    let model = proto::Model::decode(bytes).map_err(|error| Error::Damaged { reason: error.to_string() })?;
    let opset = opset(&model)?;
    let graph = model.graph.as_ref().ok_or(Error::NoGraph)?;
    let surface = Surface::new(graph, opset, options.output)?;
    let mut reader = Reader::new(&surface, options)?;
    for node in surface.live_nodes() {
        reader.node(node)?;
    }
    let (network, weights) = reader.finish(&surface)?;
    let pair = |entry: proto::Entry| (entry.key, entry.value);
    let (input, output) = (surface.input.name.clone(), surface.output.name.clone());
    let metadata = model.metadata_props.iter().cloned().map(pair).collect();
    let is_fp16 = constants_are_fp16(graph);
    Ok(Model { network, weights, opset, metadata, is_fp16, input, output })
}

/// Whether convolutions and products take their constants in FLOAT16; one that is cast to FLOAT before counts as FLOAT.
fn constants_are_fp16(graph: &proto::Graph) -> bool {
    let is_half = |name: &String| {
        let mut tensors = graph.initializer.iter();
        tensors.any(|tensor| tensor.name == *name && tensor.data_type == proto::data_type::FLOAT16)
    };
    let kinds = ["Conv", "ConvTranspose", "Gemm", "MatMul", "Mul", "Add", "BatchNormalization"];
    let nodes = graph.node.iter().filter(|node| kinds.contains(&node.op_type.as_str()));
    nodes.flat_map(|node| &node.input).any(is_half)
}

fn opset(model: &proto::Model) -> Result<i64, Error> {
    let found = model.opset_import.iter().find(|set| is_onnx(&set.domain)).ok_or(Error::NoOpset)?.version;
    let [least, most] = OPSETS;
    if (least..=most).contains(&found) { Ok(found) } else { Err(Error::Opset { found, least, most }) }
}

/// Whether a domain is that of ONNX itself.
fn is_onnx(domain: &str) -> bool {
    domain.is_empty() || domain == "ai.onnx"
}
