//! Matrix products with constants: convolutions that see the whole map.

use super::call::Call;
use super::constant::{Constant, shown};
use super::reader::{Map, Reader, Value, holds};
use crate::onnx::Error;
use boresight_ir::{Conv2d, Op, Role};
use std::sync::Arc;

impl<'a> Reader<'a> {
    pub(super) fn gemm(&mut self, call: Call<'a>) -> Result<(), Error> {
        if call.flag("transA", false)? {
            return Err(call.attribute_error("transA", "1".into(), "0: the map is not transposed"));
        }
        let (alpha, beta) = (call.float("alpha", 1.0)?, call.float("beta", 1.0)?);
        let bias = self.constant(call, 2, "the addend")?;
        self.linear(call, call.flag("transB", false)?, alpha, bias.map(|bias| (bias, beta)))
    }

    pub(super) fn matrix_product(&mut self, call: Call<'a>) -> Result<(), Error> {
        self.linear(call, false, 1.0, None)
    }

    fn linear(
        &mut self,
        call: Call<'a>,
        is_transposed: bool,
        alpha: f32,
        bias: Option<(Constant, f32)>,
    ) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let shape = self.shape(map.entry);
        if map.channels_last || map.dims.len() != 2 || !holds(&map.dims, shape) {
            let found = format!("a map of {}", shown(&map.dims));
            return Err(call.operand_error("the first input", found, "[batch, features]"));
        }
        let matrix = self.constant(call, 1, "the matrix")?;
        let matrix = matrix.ok_or_else(|| call.operand_error("the matrix", "absent".into(), "a constant"))?;
        let ((&[features, out_channels], false) | (&[out_channels, features], true)) =
            (matrix.dims.as_slice(), is_transposed)
        else {
            return Err(wrong_matrix(call, &matrix));
        };
        if features != shape.len() {
            return Err(wrong_matrix(call, &matrix));
        }
        let values = self.as_weights(call, "the matrix", &matrix)?;
        let weight = if is_transposed { values } else { transposed(&values, out_channels) };
        let mut tensors = vec![(Role::Weight, times(weight, alpha))];
        let has_bias = bias.is_some();
        if let Some((bias, beta)) = bias {
            let bias = self.addend(call, &bias, out_channels)?;
            tensors.push((Role::Bias, times(bias, beta)));
        }
        let kernel = [shape.height, shape.width];
        let conv =
            Conv2d { out_channels, kernel, stride: [1, 1], padding: [0, 0], groups: 1, bias: has_bias };
        let entry = self.add(call, Op::Conv2d(conv), vec![map.entry], tensors)?;
        let dims = vec![self.batch, out_channels];
        self.set(call, 0, Value::Map(Map { entry, dims, channels_last: false }));
        Ok(())
    }

    /// A constant that is added to `[batch, outputs]`, as one value for each output.
    fn addend(&mut self, call: Call<'a>, bias: &Constant, outputs: usize) -> Result<Arc<[f32]>, Error> {
        if let (Some(value), true) = (bias.scalar(), bias.len() == 1) {
            self.budget.take(outputs)?;
            return Ok(vec![value; outputs].into());
        }
        if bias.dims != [outputs] && bias.dims != [1, outputs] {
            return Err(call.operand_error("the addend", bias.to_string(), "one value for each output"));
        }
        self.as_weights(call, "the addend", bias)
    }
}

fn wrong_matrix(call: Call<'_>, matrix: &Constant) -> Error {
    call.operand_error(
        "the matrix",
        matrix.to_string(),
        "two dimensions, one of them the features of the map",
    )
}

/// A matrix of this many columns, columns becoming rows.
fn transposed(matrix: &[f32], columns: usize) -> Arc<[f32]> {
    (0..columns).flat_map(|column| matrix.iter().skip(column).step_by(columns.max(1)).copied()).collect()
}

fn times(values: Arc<[f32]>, factor: f32) -> Arc<[f32]> {
    if factor.to_bits() == 1.0_f32.to_bits() {
        values
    } else {
        values.iter().map(|value| value * factor).collect()
    }
}
