//! The graph as the file describes it: what is alive, and who reads what.

use super::call::Call;
use super::constant::shown;
use super::is_onnx;
use crate::onnx::Error;
use crate::onnx::proto::{self, data_type};
use boresight_ir::Shape;
use std::collections::{BTreeMap, BTreeSet};

/// Images that a file's batch may have.
const BATCH_LIMIT: usize = 1 << 16;

/// A graph with one input, one output, and the nodes between them.
pub(super) struct Surface<'a> {
    pub(super) input: &'a proto::ValueInfo,
    pub(super) output: &'a proto::ValueInfo,
    pub(super) initializers: BTreeMap<&'a str, &'a proto::Tensor>,
    /// How often each value is read, by nodes that are alive and by the output.
    pub(super) reads: BTreeMap<&'a str, usize>,
    opset: i64,
    live: Vec<&'a proto::Node>,
}

impl<'a> Surface<'a> {
    pub(super) fn new(graph: &'a proto::Graph, opset: i64, chosen: Option<&str>) -> Result<Self, Error> {
        let mut initializers = BTreeMap::new();
        for tensor in &graph.initializer {
            if initializers.insert(tensor.name.as_str(), tensor).is_some() {
                return Err(Error::Duplicate { value: tensor.name.clone() });
            }
        }
        check_single_assignment(graph, &initializers)?;
        let output = output(graph, chosen)?;
        let mut reads = BTreeMap::from([(output.name.as_str(), 1)]);
        let mut live = Vec::new();
        // Nodes stand behind those that they read, so one pass from the end finds all that lead to the output.
        for node in graph.node.iter().rev() {
            if node.output.iter().any(|name| reads.contains_key(name.as_str())) {
                for name in node.input.iter().filter(|name| !name.is_empty()) {
                    *reads.entry(name.as_str()).or_insert(0) += 1;
                }
                live.push(node);
            }
        }
        live.reverse();
        // Before version 4 of the file format, every initializer was an input too.
        let is_input = |info: &&proto::ValueInfo| {
            let name = info.name.as_str();
            reads.contains_key(name) && !initializers.contains_key(name)
        };
        let mut inputs: Vec<&proto::ValueInfo> = graph.input.iter().filter(is_input).collect();
        let input = match (inputs.pop(), inputs.is_empty()) {
            (Some(input), true) => input,
            (last, _) => {
                let names = inputs.into_iter().chain(last).map(|info| info.name.clone()).collect();
                return Err(Error::Inputs { names });
            }
        };
        Ok(Self { input, output, initializers, reads, opset, live })
    }

    /// Nodes that lead to the output, each behind those that it reads.
    pub(super) fn live_nodes(&self) -> impl Iterator<Item = Call<'a>> {
        self.live.iter().map(|node| Call { node, opset: self.opset })
    }

    /// Shape of one image and number of images that the file's input has.
    pub(super) fn input_shape(&self, size: Option<[usize; 2]>) -> Result<(Shape, usize, usize), Error> {
        let dims = dimensions(self.input)?;
        let name = || self.input.name.clone();
        let wrong = |expected| Error::Dimensions { tensor: name(), dims: text(&dims), expected };
        let batch = dims.first().copied().flatten().unwrap_or(1);
        if !(1..=BATCH_LIMIT).contains(&batch) {
            return Err(wrong("1 to 65536 images"));
        }
        let channels = |dim: Option<usize>| dim.ok_or_else(|| wrong("a fixed number of channels"));
        match *dims.as_slice() {
            [_, features] => Ok((Shape::new(channels(features)?, 1, 1), batch, 2)),
            [_, bands, rows, columns] => {
                let fixed = rows.zip(columns).map(|(rows, columns)| [rows, columns]);
                let size = match (size, fixed) {
                    (Some(size), _) if agrees(size, [rows, columns]) => size,
                    (Some(size), _) => return Err(Error::Size { input: name(), dims: text(&dims), size }),
                    (None, Some(fixed)) => fixed,
                    (None, None) => return Err(Error::NeedsSize { input: name(), dims: text(&dims) }),
                };
                Ok((Shape::new(channels(bands)?, size[0], size[1]), batch, 4))
            }
            _ => Err(wrong("[batch, channels, rows, columns] or [batch, features]")),
        }
    }

    /// Checks the dimensions that the file states for its output against those that it has.
    pub(super) fn check_output(&self, dims: &[usize]) -> Result<(), Error> {
        let Ok(stated) = dimensions(self.output) else { return Ok(()) };
        let fits = stated.len() == dims.len()
            && stated
                .iter()
                .zip(dims)
                .skip(1)
                .all(|(stated, size)| stated.is_none_or(|stated| stated == *size));
        if fits || stated.is_empty() {
            return Ok(());
        }
        let (tensor, dims) =
            (self.output.name.clone(), format!("{} but makes {}", text(&stated), shown(dims)));
        Err(Error::Dimensions { tensor, dims, expected: "both to be equal" })
    }
}

fn agrees(size: [usize; 2], stated: [Option<usize>; 2]) -> bool {
    size.iter().zip(stated).all(|(&size, stated)| stated.is_none_or(|stated| stated == size))
}

fn check_single_assignment(
    graph: &proto::Graph,
    initializers: &BTreeMap<&str, &proto::Tensor>,
) -> Result<(), Error> {
    let mut made = BTreeSet::new();
    let inputs =
        graph.input.iter().map(|info| &info.name).filter(|name| !initializers.contains_key(name.as_str()));
    let outputs = graph.node.iter().flat_map(|node| &node.output).filter(|name| !name.is_empty());
    for name in inputs.chain(outputs) {
        if initializers.contains_key(name.as_str()) || !made.insert(name.as_str()) {
            return Err(Error::Duplicate { value: name.clone() });
        }
    }
    Ok(())
}

fn output<'a>(graph: &'a proto::Graph, chosen: Option<&str>) -> Result<&'a proto::ValueInfo, Error> {
    let names = || graph.output.iter().map(|info| info.name.clone()).collect();
    if let Some(chosen) = chosen {
        let found = graph.output.iter().find(|info| info.name == chosen);
        return found.ok_or_else(|| Error::UnknownOutput { chosen: chosen.to_owned(), names: names() });
    }
    match graph.output.as_slice() {
        [output] => Ok(output),
        _ => Err(Error::Outputs { names: names() }),
    }
}

/// Dimensions of a map of FP32 or FP16 numbers; `None` where the file leaves one open.
fn dimensions(info: &proto::ValueInfo) -> Result<Vec<Option<usize>>, Error> {
    let tensor = info.r#type.as_ref().and_then(|kind| kind.tensor_type.as_ref());
    let kind = tensor.map_or(0, |tensor| tensor.elem_type);
    if !matches!(kind, data_type::FLOAT | data_type::FLOAT16) {
        let (tensor, found) = (info.name.clone(), data_type::name(kind));
        return Err(Error::DataType { tensor, found, expected: "FLOAT or FLOAT16" });
    }
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let dims = shape.map_or(&[][..], |shape| &shape.dim);
    let size = |dim: &proto::Dimension| match dim.dim_value {
        None => Ok(None),
        Some(value) => usize::try_from(value).map(Some),
    };
    dims.iter().map(size).collect::<Result<_, _>>().map_err(|_| Error::Dimensions {
        tensor: info.name.clone(),
        dims: shown(&dims.iter().take(8).map(|dim| dim.dim_value).collect::<Vec<_>>()),
        expected: "sizes from 1 up",
    })
}

fn text(dims: &[Option<usize>]) -> String {
    let size = |dim: &Option<usize>| dim.map_or_else(|| "?".to_owned(), |size| size.to_string());
    format!("[{}]", dims.iter().take(8).map(size).collect::<Vec<_>>().join(", "))
}

/// Checks that a node's operator is one of ONNX itself.
pub(super) fn check_domain(call: Call<'_>) -> Result<(), Error> {
    if is_onnx(&call.node.domain) { Ok(()) } else { Err(call.unknown()) }
}
