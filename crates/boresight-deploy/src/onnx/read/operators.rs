//! Which operator is read by what.

use super::call::Call;
use super::constant::{Constant, Data, decode};
use super::fold::fold;
use super::graph::check_domain;
use super::reader::{Reader, Value};
use crate::onnx::Error;
use boresight_ir::Op;

/// Attributes that an operator may have; `None` where the operator is not read.
fn attributes(op_type: &str) -> Option<&'static [&'static str]> {
    Some(match op_type {
        "Add" | "Sub" | "Mul" | "Div" | "Relu" | "Sigmoid" | "Erf" | "Identity" | "HardSwish" | "MatMul"
        | "PRelu" | "GlobalAveragePool" | "GlobalMaxPool" | "Floor" | "Ceil" | "Neg" | "Sqrt" => &[],
        "Conv" => &["auto_pad", "dilations", "group", "kernel_shape", "pads", "strides"],
        "ConvTranspose" => &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "output_padding",
            "output_shape",
            "pads",
            "strides",
        ],
        "MaxPool" => {
            &["auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"]
        }
        "AveragePool" => {
            &["auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"]
        }
        "ReduceMean" => &["axes", "keepdims", "noop_with_empty_axes"],
        "Gemm" => &["alpha", "beta", "transA", "transB"],
        "BatchNormalization" => &["epsilon", "momentum", "spatial", "training_mode"],
        "LeakyRelu" => &["alpha"],
        "HardSigmoid" => &["alpha", "beta"],
        "Clip" => &["max", "min"],
        "Gelu" => &["approximate"],
        "Softmax" | "Flatten" | "Concat" | "Gather" => &["axis"],
        "Dropout" => &["ratio", "seed"],
        "Cast" => &["saturate", "to"],
        "Pad" => &["mode", "pads", "value"],
        "Split" => &["axis", "num_outputs", "split"],
        "Slice" => &["axes", "ends", "starts"],
        "Upsample" => &["mode", "scales"],
        "Resize" => &[
            "antialias",
            "axes",
            "coordinate_transformation_mode",
            "cubic_coeff_a",
            "exclude_outside",
            "extrapolation_value",
            "keep_aspect_ratio_policy",
            "mode",
            "nearest_mode",
        ],
        "Reshape" => &["allowzero"],
        "Squeeze" | "Unsqueeze" => &["axes"],
        "Transpose" => &["perm"],
        "Shape" => &["end", "start"],
        "Constant" => &["value", "value_float", "value_floats", "value_int", "value_ints"],
        "ConstantOfShape" => &["value"],
        _ => return None,
    })
}

impl<'a> Reader<'a> {
    /// Reads one node.
    pub(super) fn node(&mut self, call: Call<'a>) -> Result<(), Error> {
        check_domain(call)?;
        // A node with a graph inside says more than that its operator is not read.
        let known = attributes(call.op_type());
        call.check_attributes(known)?;
        if known.is_none() {
            return Err(call.unknown());
        }
        match call.op_type() {
            "Shape" => self.dimensions(call),
            "Constant" => self.literal(call),
            _ if self.is_constant(call)? => self.folded(call),
            _ => self.operator(call),
        }
    }

    fn operator(&mut self, call: Call<'a>) -> Result<(), Error> {
        match call.op_type() {
            "Add" => self.sum(call),
            "Sub" => self.difference(call),
            "Mul" => self.product(call),
            "Div" => self.quotient(call),
            "Erf" => self.erf(call),
            "Conv" => self.convolution(call),
            "ConvTranspose" => self.transposed_convolution(call),
            "Gemm" => self.gemm(call),
            "MatMul" => self.matrix_product(call),
            "BatchNormalization" => self.batch_norm(call),
            "Relu" => self.unary(call, Op::Relu),
            "Sigmoid" => self.unary(call, Op::Sigmoid),
            "LeakyRelu" => self.leaky_relu(call),
            "PRelu" => self.prelu(call),
            "Clip" => self.clip(call),
            "Gelu" => self.gelu_operator(call),
            "HardSigmoid" => self.hard_sigmoid(call),
            "HardSwish" => self.hard_swish(call),
            "Softmax" => self.softmax(call),
            "MaxPool" => self.max_pool(call),
            "AveragePool" => self.average_pool(call),
            "GlobalAveragePool" => self.global_average_pool(call),
            "GlobalMaxPool" => self.global_max_pool(call),
            "ReduceMean" => self.reduce_mean(call),
            "Resize" | "Upsample" => self.resize(call),
            "Pad" => self.padding(call),
            "Concat" => self.concat(call),
            "Split" => self.split(call),
            "Slice" => self.slice(call),
            "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => self.view(call),
            "Transpose" => self.transpose(call),
            "Identity" => self.alias(call),
            "Dropout" => self.dropout(call),
            "Cast" => self.cast(call),
            _ => Err(call.operand_error("the input", "a map of the network".into(), "a constant")),
        }
    }

    /// Whether all that a node reads is known.
    fn is_constant(&mut self, call: Call<'a>) -> Result<bool, Error> {
        for at in 0..call.node.input.len() {
            if !matches!(self.input(call, at)?, None | Some(Value::Constant(_))) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn folded(&mut self, call: Call<'a>) -> Result<(), Error> {
        let inputs: Result<Vec<_>, Error> =
            (0..call.node.input.len()).map(|at| self.constant(call, at, "an input")).collect();
        let constant = fold(call, &inputs?, &mut self.budget)?;
        self.set(call, 0, Value::Constant(constant));
        Ok(())
    }

    fn literal(&mut self, call: Call<'a>) -> Result<(), Error> {
        let folder = self.folder();
        let scalar = |data| Constant { dims: Vec::new(), data };
        let has = |name: &str| call.node.attribute.iter().any(|attribute| attribute.name == name);
        let constant = if let Some(tensor) = call.tensor("value")? {
            decode(tensor, call.name(), folder, &mut self.budget)?
        } else if has("value_float") {
            scalar(Data::Floats([call.float("value_float", 0.0)?].into()))
        } else if has("value_int") {
            scalar(Data::Integers([call.int("value_int", 0)?].into()))
        } else if let Some(values) = call.floats("value_floats")? {
            Constant { dims: vec![values.len()], data: Data::Floats(values.into()) }
        } else if let Some(values) = call.ints("value_ints")? {
            Constant::integers(values.to_vec())
        } else {
            return Err(call.attribute_error("value", "absent".into(), "numbers"));
        };
        self.set(call, 0, Value::Constant(constant));
        Ok(())
    }
}
