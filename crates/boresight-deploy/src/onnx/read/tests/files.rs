//! Files by hand.

use crate::onnx::proto::{self, attribute_type, data_type};
use crate::onnx::{Error, Model, ReadOptions, read};
use prost::Message;

/// A file that reads `input` of `[1, 4, 6, 6]` and makes `logits`.
pub(super) fn file(opset: i64, nodes: Vec<proto::Node>, tensors: Vec<proto::Tensor>) -> proto::Model {
    let graph = proto::Graph {
        node: nodes,
        initializer: tensors,
        input: vec![value("input", &[Some(1), Some(4), Some(6), Some(6)])],
        output: vec![value("logits", &[])],
        ..proto::Graph::default()
    };
    let opset_import = vec![proto::OperatorSet { domain: String::new(), version: opset }];
    proto::Model { ir_version: 7, graph: Some(graph), opset_import, ..proto::Model::default() }
}

/// What is made of a file.
pub(super) fn open(file: &proto::Model) -> Result<Model, Error> {
    read(&file.encode_to_vec(), &ReadOptions::default())
}

/// Why a file of one node, whose result is `logits`, is refused.
pub(super) fn refusal(opset: i64, node: proto::Node, tensors: Vec<proto::Tensor>) -> String {
    open(&file(opset, vec![node], tensors)).unwrap_err().to_string()
}

pub(super) fn value(name: &str, dims: &[Option<i64>]) -> proto::ValueInfo {
    let dim = |&dim_value: &Option<i64>| proto::Dimension { dim_value, dim_param: None };
    let shape = proto::TensorShape { dim: dims.iter().map(dim).collect() };
    let tensor = proto::TensorType { elem_type: data_type::FLOAT, shape: Some(shape) };
    proto::ValueInfo { name: name.into(), r#type: Some(proto::Type { tensor_type: Some(tensor) }) }
}

/// A node named after its operator.
pub(super) fn node(
    op_type: &str,
    inputs: &[&str],
    output: &str,
    attributes: &[proto::Attribute],
) -> proto::Node {
    proto::Node {
        input: inputs.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        name: format!("the {op_type}"),
        op_type: op_type.into(),
        attribute: attributes.to_vec(),
        domain: String::new(),
    }
}

fn attribute(name: &str, kind: i32) -> proto::Attribute {
    proto::Attribute { name: name.into(), r#type: Some(kind), ..proto::Attribute::default() }
}

pub(super) fn int(name: &str, value: i64) -> proto::Attribute {
    proto::Attribute { i: Some(value), ..attribute(name, attribute_type::INT) }
}

pub(super) fn ints(name: &str, values: &[i64]) -> proto::Attribute {
    proto::Attribute { ints: values.to_vec(), ..attribute(name, attribute_type::INTS) }
}

pub(super) fn word(name: &str, value: &str) -> proto::Attribute {
    proto::Attribute { s: Some(value.into()), ..attribute(name, attribute_type::STRING) }
}

/// A tensor of ones.
pub(super) fn ones(name: &str, dims: &[i64]) -> proto::Tensor {
    let count = dims.iter().product::<i64>().unsigned_abs();
    proto::Tensor {
        dims: dims.to_vec(),
        data_type: data_type::FLOAT,
        name: name.into(),
        float_data: (0..count).map(|_| 1.0).collect(),
        ..proto::Tensor::default()
    }
}

pub(super) fn integers(name: &str, values: &[i64]) -> proto::Tensor {
    proto::Tensor {
        dims: vec![i64::try_from(values.len()).unwrap()],
        data_type: data_type::INT64,
        name: name.into(),
        int64_data: values.to_vec(),
        ..proto::Tensor::default()
    }
}
