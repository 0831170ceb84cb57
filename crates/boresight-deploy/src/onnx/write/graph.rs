//! A graph under construction: nodes, constants and the shapes of values.

use crate::onnx::names::Names;
use crate::onnx::proto::{self, attribute_type, data_type};
use crate::onnx::{Error, Form};
use boresight_ir::Shape;
use boresight_numerics::round_f16;
use half::f16;

pub(super) use crate::onnx::proto::Attribute;

/// A graph in which every name is used once.
pub(super) struct Graph {
    form: Form,
    batch: usize,
    node_names: Names,
    value_names: Names,
    proto: proto::Graph,
}

/// One node.
pub(super) struct Call {
    pub(super) op_type: &'static str,
    pub(super) name: String,
    pub(super) inputs: Vec<String>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) output: String,
}

impl Graph {
    pub(super) fn new(name: &str, form: Form, batch: usize) -> Self {
        let proto = proto::Graph { name: name.to_owned(), ..proto::Graph::default() };
        Self { form, batch, node_names: Names::default(), value_names: Names::default(), proto }
    }

    /// A name for a node.
    pub(super) fn node_name(&mut self, wanted: &str) -> String {
        self.node_names.fresh(wanted)
    }

    /// A name for a value.
    pub(super) fn value_name(&mut self, wanted: &str) -> String {
        self.value_names.fresh(wanted)
    }

    /// Images in a batch.
    pub(super) const fn batch(&self) -> usize {
        self.batch
    }

    /// Trained values as the file holds them.
    pub(super) fn held(&self, values: &[f32]) -> Vec<f32> {
        match self.form {
            Form::Fp32 => values.to_vec(),
            Form::Fp16 | Form::Fp16Weights => values.iter().map(|&value| round_f16(value)).collect(),
        }
    }

    /// Makes `name` the graph's input.
    pub(super) fn set_input(&mut self, name: &str, shape: Shape) {
        let info = self.info(name, dimensions(self.batch, shape));
        self.proto.input.push(info);
    }

    /// Makes `name` the graph's output; it must have a shape already.
    pub(super) fn set_output(&mut self, name: &str) {
        let is_output = |info: &mut proto::ValueInfo| info.name == name;
        self.proto.output.extend(self.proto.value_info.extract_if(.., is_output));
    }

    /// Adds a node that makes one map of `shape`.
    pub(super) fn add(&mut self, call: Call, shape: Shape) {
        let dims = dimensions(self.batch, shape);
        self.add_with_dims(call, dims);
    }

    /// The same where the result is laid out as `[batch, height, width, channels]`.
    pub(super) fn add_channels_last(&mut self, call: Call, shape: Shape) {
        let dims = vec![self.batch, shape.height, shape.width, shape.channels];
        self.add_with_dims(call, dims);
    }

    fn add_with_dims(&mut self, call: Call, dims: Vec<usize>) {
        let info = self.info(&call.output, dims);
        self.proto.value_info.push(info);
        self.push(call);
    }

    fn push(&mut self, call: Call) {
        let Call { op_type, name, inputs, attributes, output } = call;
        self.proto.node.push(proto::Node {
            input: inputs,
            output: vec![output],
            name,
            op_type: op_type.to_owned(),
            attribute: attributes,
            domain: String::new(),
        });
    }

    fn info(&self, name: &str, dims: Vec<usize>) -> proto::ValueInfo {
        let elem_type = if self.form == Form::Fp16 { data_type::FLOAT16 } else { data_type::FLOAT };
        value_info(name, elem_type, dims)
    }

    /// Adds a trained tensor in the format of the form; the name under which a node reads it.
    pub(super) fn weight(&mut self, wanted: &str, dims: &[usize], values: &[f32]) -> Result<String, Error> {
        let name = self.value_name(wanted);
        let tensor = match self.form {
            Form::Fp32 => float(&name, dims, values),
            Form::Fp16 | Form::Fp16Weights => float16(&name, dims, values)?,
        };
        self.proto.initializer.push(tensor);
        if self.form != Form::Fp16Weights {
            return Ok(name);
        }
        let output = self.value_name(&format!("{name}/fp32"));
        let info = self.info(&output, dims.to_vec());
        self.proto.value_info.push(info);
        let call = Call {
            op_type: "Cast",
            name: self.node_name(&format!("{name}/Cast")),
            inputs: vec![name],
            attributes: vec![int("to", data_type::FLOAT.into())],
            output: output.clone(),
        };
        self.push(call);
        Ok(output)
    }

    /// Adds numbers that belong to an operator, in the format of the activations.
    pub(super) fn constant(&mut self, wanted: &str, dims: &[usize], values: &[f32]) -> Result<String, Error> {
        let name = self.value_name(wanted);
        let tensor = match self.form {
            Form::Fp32 | Form::Fp16Weights => float(&name, dims, values),
            Form::Fp16 => float16(&name, dims, values)?,
        };
        self.proto.initializer.push(tensor);
        Ok(name)
    }

    /// Adds numbers that are FP32 in every form.
    pub(super) fn floats(&mut self, wanted: &str, values: &[f32]) -> String {
        let name = self.value_name(wanted);
        self.proto.initializer.push(float(&name, &[values.len()], values));
        name
    }

    /// Adds integers.
    pub(super) fn integers(&mut self, wanted: &str, values: &[usize]) -> String {
        let name = self.value_name(wanted);
        let raw = values.iter().flat_map(|&value| integer(value).to_le_bytes()).collect();
        self.proto.initializer.push(tensor(&name, data_type::INT64, &[values.len()], raw));
        name
    }

    pub(super) fn finish(self) -> proto::Graph {
        self.proto
    }
}

fn dimensions(batch: usize, shape: Shape) -> Vec<usize> {
    vec![batch, shape.channels, shape.height, shape.width]
}

fn value_info(name: &str, elem_type: i32, dims: Vec<usize>) -> proto::ValueInfo {
    let dim = |size| proto::Dimension { dim_value: Some(integer(size)), dim_param: None };
    let shape = proto::TensorShape { dim: dims.into_iter().map(dim).collect() };
    let tensor_type = proto::TensorType { elem_type, shape: Some(shape) };
    proto::ValueInfo { name: name.to_owned(), r#type: Some(proto::Type { tensor_type: Some(tensor_type) }) }
}

fn float(name: &str, dims: &[usize], values: &[f32]) -> proto::Tensor {
    let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, data_type::FLOAT, dims, raw)
}

fn float16(name: &str, dims: &[usize], values: &[f32]) -> Result<proto::Tensor, Error> {
    let mut raw = Vec::with_capacity(2 * values.len());
    for (at, &value) in values.iter().enumerate() {
        let rounded = f16::from_f32(value);
        // An infinity that was one before is meant: padding for a maximum has one.
        if rounded.is_infinite() && value.is_finite() {
            return Err(Error::Overflow { tensor: name.to_owned(), index: at, value: value.to_string() });
        }
        raw.extend(rounded.to_le_bytes());
    }
    Ok(tensor(name, data_type::FLOAT16, dims, raw))
}

fn tensor(name: &str, data_type: i32, dims: &[usize], raw: Vec<u8>) -> proto::Tensor {
    proto::Tensor {
        dims: dims.iter().map(|&size| integer(size)).collect(),
        data_type,
        name: name.to_owned(),
        raw_data: Some(raw),
        ..proto::Tensor::default()
    }
}

/// A size as ONNX keeps it; sizes of networks are far below the limit.
pub(super) fn integer(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn attribute(name: &str, kind: i32) -> Attribute {
    Attribute { name: name.to_owned(), r#type: Some(kind), ..Attribute::default() }
}

/// An attribute with an integer.
pub(super) fn int(name: &str, value: i64) -> Attribute {
    Attribute { i: Some(value), ..attribute(name, attribute_type::INT) }
}

/// An attribute with several integers.
pub(super) fn ints(name: &str, values: &[usize]) -> Attribute {
    let ints = values.iter().map(|&value| integer(value)).collect();
    Attribute { ints, ..attribute(name, attribute_type::INTS) }
}

/// An attribute with a number.
pub(super) fn number(name: &str, value: f32) -> Attribute {
    Attribute { f: Some(value), ..attribute(name, attribute_type::FLOAT) }
}

/// An attribute with a word.
pub(super) fn word(name: &str, value: &str) -> Attribute {
    Attribute { s: Some(value.as_bytes().to_vec()), ..attribute(name, attribute_type::STRING) }
}
