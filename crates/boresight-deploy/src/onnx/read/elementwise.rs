//! Operators that work on each value, or on the channels of each pixel.

use super::call::Call;
use super::constant::shown;
use super::reader::{Map, Reader, Value};
use crate::onnx::Error;
use crate::onnx::proto::data_type;
use boresight_ir::{Op, Role};

impl<'a> Reader<'a> {
    pub(super) fn unary(&mut self, call: Call<'a>, op: Op) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let entry = self.add(call, op, vec![map.entry], Vec::new())?;
        self.set(call, 0, Value::Map(Map { entry, ..map }));
        Ok(())
    }

    /// What hands on its input: a cast between formats, dropout, identity.
    pub(super) fn alias(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        self.set(call, 0, Value::Map(map));
        Ok(())
    }

    pub(super) fn cast(&mut self, call: Call<'a>) -> Result<(), Error> {
        let to = i32::try_from(call.int("to", 0)?).unwrap_or_default();
        if !matches!(to, data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE) {
            return Err(call.attribute_error("to", data_type::name(to), "FLOAT, FLOAT16 or DOUBLE"));
        }
        self.alias(call)
    }

    pub(super) fn dropout(&mut self, call: Call<'a>) -> Result<(), Error> {
        let training = self.constant(call, 2, "whether it trains")?;
        let is_on = |constant: &super::constant::Constant| constant.as_integers() != Some(&[0]);
        if training.as_ref().is_some_and(is_on) {
            return Err(call.operand_error("whether it trains", "not false".into(), "false"));
        }
        self.alias(call)
    }

    pub(super) fn leaky_relu(&mut self, call: Call<'a>) -> Result<(), Error> {
        let slope = call.float("alpha", 0.01)?;
        self.unary(call, Op::LeakyRelu { slope })
    }

    pub(super) fn prelu(&mut self, call: Call<'a>) -> Result<(), Error> {
        let slope = self.constant(call, 1, "the slope")?;
        let slope = slope.as_ref().and_then(super::constant::Constant::scalar);
        let slope = slope.ok_or_else(|| {
            call.operand_error("the slope", "another for each channel".into(), "the same everywhere")
        })?;
        self.unary(call, Op::LeakyRelu { slope })
    }

    pub(super) fn gelu_operator(&mut self, call: Call<'a>) -> Result<(), Error> {
        match call.word("approximate", "none")? {
            "none" => self.unary(call, Op::Gelu),
            other => Err(call.attribute_error("approximate", other.into(), "none")),
        }
    }

    pub(super) fn clip(&mut self, call: Call<'a>) -> Result<(), Error> {
        let (low, high) = if call.opset < 11 {
            (call.float("min", f32::MIN)?, call.float("max", f32::MAX)?)
        } else {
            (self.bound(call, 1, f32::MIN)?, self.bound(call, 2, f32::MAX)?)
        };
        // An infinite limit limits nothing.
        let (low, high) = (low.max(f32::MIN), high.min(f32::MAX));
        let is = |value: f32, expected: f32| value.to_bits() == expected.to_bits();
        let op = match low {
            0.0 if is(high, 6.0) => Op::Relu6,
            0.0 if is(high, f32::MAX) => Op::Relu,
            _ => Op::Clip { low, high },
        };
        self.unary(call, op)
    }

    fn bound(&mut self, call: Call<'a>, at: usize, otherwise: f32) -> Result<f32, Error> {
        let Some(bound) = self.constant(call, at, "a limit")? else { return Ok(otherwise) };
        let value = bound.scalar().filter(|value| bound.len() == 1 && !value.is_nan());
        value.ok_or_else(|| call.operand_error("a limit", bound.to_string(), "one number"))
    }

    /// `max(0, min(1, alpha * x + beta))`.
    pub(super) fn hard_sigmoid(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let (alpha, beta) = (call.float("alpha", 0.2)?, call.float("beta", 0.5)?);
        let scaled = self.scaled(call, &map, "scale", alpha, beta)?;
        let entry = self.add(call, Op::Clip { low: 0.0, high: 1.0 }, vec![scaled.entry], Vec::new())?;
        self.set(call, 0, Value::Map(Map { entry, ..map }));
        Ok(())
    }

    /// `x * max(0, min(1, x / 6 + 0.5))`.
    pub(super) fn hard_swish(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let scaled = self.scaled(call, &map, "scale", 1.0 / 6.0, 0.5)?;
        let op = Op::Clip { low: 0.0, high: 1.0 };
        let clipped = self.add_helper(call, "clip", op, vec![scaled.entry], Vec::new())?;
        let entry = self.add(call, Op::Mul, vec![map.entry, clipped], Vec::new())?;
        self.set(call, 0, Value::Map(Map { entry, ..map }));
        Ok(())
    }

    /// Up to version 12 a softmax normalises over its axis and all after it, later over its axis alone.
    pub(super) fn softmax(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let shape = self.shape(map.entry);
        let rank = map.dims.len();
        let is_old = call.opset < 13;
        let axis = call.axis(call.int("axis", if is_old { 1 } else { -1 })?, rank)?;
        let channel_axis = if map.channels_last { rank - 1 } else { 1 };
        let is_channels = axis == channel_axis && map.dims.get(axis) == Some(&shape.channels);
        if !is_channels || (is_old && axis + 1 != rank && shape.plane() != 1) {
            let found = format!("{axis} of {}", shown(&map.dims));
            return Err(call.attribute_error("axis", found, "the channels of each pixel"));
        }
        self.unary(call, Op::Softmax)
    }

    pub(super) fn batch_norm(&mut self, call: Call<'a>) -> Result<(), Error> {
        if call.flag("training_mode", false)? {
            return Err(call.attribute_error("training_mode", "1".into(), "0"));
        }
        if !call.flag("spatial", true)? {
            return Err(call.attribute_error("spatial", "0".into(), "1"));
        }
        let map = self.map(call, 0)?;
        let channels = self.shape(map.entry).channels;
        if map.channels_last || map.dims.get(1) != Some(&channels) {
            let found = format!("a map of {}", shown(&map.dims));
            return Err(call.operand_error("the first input", found, "the channels behind the batch"));
        }
        let epsilon = call.float("epsilon", 1e-5)?;
        let mut tensors = Vec::with_capacity(4);
        for (at, role, operand) in [
            (1, Role::Scale, "the scale"),
            (2, Role::Shift, "the shift"),
            (3, Role::Mean, "the mean"),
            (4, Role::Variance, "the variance"),
        ] {
            let values = self.weights(call, at, operand, &[channels])?;
            let absent = || call.operand_error(operand, "absent".into(), "a constant");
            tensors.push((role, values.ok_or_else(absent)?));
        }
        let entry = self.add(call, Op::BatchNorm { epsilon }, vec![map.entry], tensors)?;
        self.set(call, 0, Value::Map(Map { entry, ..map }));
        Ok(())
    }
}
