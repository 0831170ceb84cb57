//! Sums, differences, products and quotients: of two maps, of a map and constants, and those that make up a GELU.

use super::call::Call;
use super::constant::{Constant, Data, shown};
use super::reader::{Erf, Map, Reader, Stage, Value};
use crate::onnx::Error;
use boresight_ir::{Op, Resize, Role};
use std::f32::consts::FRAC_1_SQRT_2;
use std::sync::Arc;

/// How far the constants of a GELU may lie from their values: files in FP16 have them with 11 bits.
const GELU_TOLERANCE: f32 = 1e-3;

impl<'a> Reader<'a> {
    pub(super) fn sum(&mut self, call: Call<'a>) -> Result<(), Error> {
        match self.operands(call)? {
            (Value::Map(first), Value::Map(second)) => self.sum_of_maps(call, first, second),
            (Value::Map(map), Value::Constant(constant)) => self.shift(call, &map, &constant, 1.0, 0),
            (Value::Constant(constant), Value::Map(map)) => self.shift(call, &map, &constant, 1.0, 1),
            (Value::Erf(erf), Value::Constant(one)) | (Value::Constant(one), Value::Erf(erf))
                if erf.stage == Stage::Erf && is_near(&one, 1.0) =>
            {
                self.set(call, 0, Value::Erf(Erf { stage: Stage::Sum, ..erf }));
                Ok(())
            }
            operands => Err(no_counterpart(call, &operands)),
        }
    }

    pub(super) fn difference(&mut self, call: Call<'a>) -> Result<(), Error> {
        match self.operands(call)? {
            (Value::Map(first), Value::Map(second)) => {
                let negative = self.scaled(call, &second, "negative", -1.0, 0.0)?;
                self.sum_of_maps(call, first, negative)
            }
            (Value::Map(map), Value::Constant(constant)) => self.shift(call, &map, &constant, -1.0, 0),
            (Value::Constant(constant), Value::Map(map)) => {
                let shift = self.channel_values(call, &map, &constant)?;
                let scale = self.repeated(map.entry, -1.0)?;
                self.scale_shift(call, map, scale, shift, false)
            }
            operands => Err(no_counterpart(call, &operands)),
        }
    }

    pub(super) fn product(&mut self, call: Call<'a>) -> Result<(), Error> {
        match self.operands(call)? {
            (Value::Map(first), Value::Map(second)) => self.product_of_maps(call, first, second),
            (Value::Map(map), Value::Constant(constant)) | (Value::Constant(constant), Value::Map(map)) => {
                let scale = self.channel_values(call, &map, &constant)?;
                let shift = self.repeated(map.entry, 0.0)?;
                self.scale_shift(call, map, scale, shift, true)
            }
            (Value::Erf(erf), Value::Constant(half)) | (Value::Constant(half), Value::Erf(erf))
                if is_near(&half, 0.5) =>
            {
                match erf.stage {
                    Stage::Sum => {
                        self.set(call, 0, Value::Erf(Erf { stage: Stage::Half, ..erf }));
                        Ok(())
                    }
                    Stage::Product => self.gelu(call, erf.of),
                    Stage::Erf | Stage::Half => Err(lone_erf(call)),
                }
            }
            (Value::Erf(erf), Value::Map(map)) | (Value::Map(map), Value::Erf(erf)) => match erf.stage {
                Stage::Half if map == erf.of => self.gelu(call, map),
                Stage::Sum if map == erf.of => {
                    self.set(call, 0, Value::Erf(Erf { stage: Stage::Product, ..erf }));
                    Ok(())
                }
                Stage::Sum if self.is_scaled(&map, &erf.of, 0.5) => self.gelu(call, erf.of),
                _ => Err(lone_erf(call)),
            },
            operands => Err(no_counterpart(call, &operands)),
        }
    }

    pub(super) fn quotient(&mut self, call: Call<'a>) -> Result<(), Error> {
        match self.operands(call)? {
            (Value::Map(map), Value::Constant(constant)) => {
                let divisors = self.channel_values(call, &map, &constant)?;
                let scale = divisors.iter().map(|divisor| 1.0 / divisor).collect();
                let shift = self.repeated(map.entry, 0.0)?;
                self.scale_shift(call, map, scale, shift, true)
            }
            (Value::Erf(erf), Value::Constant(two)) if erf.stage == Stage::Product && is_near(&two, 2.0) => {
                self.gelu(call, erf.of)
            }
            operands => Err(no_counterpart(call, &operands)),
        }
    }

    pub(super) fn erf(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let entry = &self.entries[map.entry];
        let Some(&source) = entry.inputs.first() else { return Err(lone_erf(call)) };
        let of = Map { entry: source, ..map.clone() };
        if !self.is_scaled(&map, &of, FRAC_1_SQRT_2) {
            return Err(lone_erf(call));
        }
        self.set(call, 0, Value::Erf(Erf { of, stage: Stage::Erf }));
        Ok(())
    }

    fn gelu(&mut self, call: Call<'a>, of: Map) -> Result<(), Error> {
        let entry = self.add(call, Op::Gelu, vec![of.entry], Vec::new())?;
        self.set(call, 0, Value::Map(Map { entry, ..of }));
        Ok(())
    }

    fn operands(&mut self, call: Call<'a>) -> Result<(Value, Value), Error> {
        let absent = || call.operand_error("an input", "absent".into(), "two inputs");
        let first = self.input(call, 0)?.ok_or_else(absent)?;
        Ok((first, self.input(call, 1)?.ok_or_else(absent)?))
    }

    /// Whether `map` is `source` times `factor`, within the tolerance for a GELU's constants.
    fn is_scaled(&self, map: &Map, source: &Map, factor: f32) -> bool {
        let entry = &self.entries[map.entry];
        entry.is_product
            && entry.inputs == [source.entry]
            && (&map.dims, map.channels_last) == (&source.dims, source.channels_last)
            && entry.tensors.iter().all(|(role, values)| {
                let expected = if *role == Role::Scale { factor } else { 0.0 };
                values.iter().all(|value| (value - expected).abs() <= GELU_TOLERANCE * expected)
            })
    }

    /// `map` plus `sign` times a constant; `at` is which input the map is.
    fn shift(
        &mut self,
        call: Call<'a>,
        map: &Map,
        constant: &Constant,
        sign: f32,
        at: usize,
    ) -> Result<(), Error> {
        let values = self.channel_values(call, map, constant)?;
        let shift: Arc<[f32]> = values.iter().map(|value| sign * value).collect();
        if self.is_sole_reader(call, at, map.entry) {
            let entry = &mut self.entries[map.entry];
            if entry.is_product {
                entry.is_product = false;
                entry.tensors.retain(|(role, _)| *role != Role::Shift);
                entry.tensors.push((Role::Shift, shift));
                self.complete(call, map);
                return Ok(());
            }
            if let Op::Conv2d(conv) = &mut entry.op
                && !conv.bias
            {
                conv.bias = true;
                entry.tensors.push((Role::Bias, shift));
                self.complete(call, map);
                return Ok(());
            }
        }
        let scale = self.repeated(map.entry, 1.0)?;
        self.scale_shift(call, map.clone(), scale, shift, false)
    }

    /// Says that `call` only completed the node of `map`.
    fn complete(&mut self, call: Call<'a>, map: &Map) {
        self.rename(map.entry, call);
        self.set(call, 0, Value::Map(map.clone()));
    }

    fn scale_shift(
        &mut self,
        call: Call<'a>,
        map: Map,
        scale: Arc<[f32]>,
        shift: Arc<[f32]>,
        is_product: bool,
    ) -> Result<(), Error> {
        let tensors = vec![(Role::Scale, scale), (Role::Shift, shift)];
        let entry = self.add(call, Op::ScaleShift, vec![map.entry], tensors)?;
        self.entries[entry].is_product = is_product;
        self.set(call, 0, Value::Map(Map { entry, ..map }));
        Ok(())
    }

    /// `map * scale + shift` as a node that `call` needs besides.
    pub(super) fn scaled(
        &mut self,
        call: Call<'a>,
        map: &Map,
        what: &str,
        scale: f32,
        shift: f32,
    ) -> Result<Map, Error> {
        let tensors = vec![
            (Role::Scale, self.repeated(map.entry, scale)?),
            (Role::Shift, self.repeated(map.entry, shift)?),
        ];
        let entry = self.add_helper(call, what, Op::ScaleShift, vec![map.entry], tensors)?;
        Ok(Map { entry, ..map.clone() })
    }

    /// `value` for each channel of an entry.
    fn repeated(&mut self, entry: usize, value: f32) -> Result<Arc<[f32]>, Error> {
        let channels = self.shape(entry).channels;
        self.budget.take(channels)?;
        Ok(vec![value; channels].into())
    }

    /// A constant that is added to or multiplied with a map, as one value for each channel.
    fn channel_values(
        &mut self,
        call: Call<'a>,
        map: &Map,
        constant: &Constant,
    ) -> Result<Arc<[f32]>, Error> {
        let Data::Floats(values) = &constant.data else {
            return Err(call.operand_error("the constant", constant.to_string(), "floating-point numbers"));
        };
        let channels = self.shape(map.entry).channels;
        let wrong = || {
            let found = format!("{constant} beside a map of {}", shown(&map.dims));
            call.operand_error("the constant", found, "one value, or one for each channel")
        };
        let missing = map.dims.len().checked_sub(constant.dims.len()).ok_or_else(wrong)?;
        if let [value] = **values {
            return self.repeated(map.entry, value);
        }
        let channel_axis = if map.channels_last { map.dims.len() - 1 } else { 1 };
        let is_channels = map.dims.get(channel_axis) == Some(&channels);
        let varies = |at: usize| constant.dims[at] != 1 && at + missing != channel_axis;
        if !is_channels || values.len() != channels || (0..constant.dims.len()).any(varies) {
            return Err(wrong());
        }
        self.as_weights(call, "the constant", constant)
    }

    fn sum_of_maps(&mut self, call: Call<'a>, first: Map, second: Map) -> Result<(), Error> {
        let [first, second] = if self.is_pixel_of(&first, &second) {
            [self.spread(call, &first, &second)?, second]
        } else if self.is_pixel_of(&second, &first) {
            let spread = self.spread(call, &second, &first)?;
            [first, spread]
        } else {
            [first, second]
        };
        self.pair(call, Op::Add, first, &second)
    }

    fn product_of_maps(&mut self, call: Call<'a>, first: Map, second: Map) -> Result<(), Error> {
        let (map, factors) = if self.is_pixel_of(&second, &first) {
            (first, second)
        } else if self.is_pixel_of(&first, &second) {
            (second, first)
        } else {
            return self.pair(call, Op::Mul, first, &second);
        };
        let entry = self.add(call, Op::ChannelScale, vec![map.entry, factors.entry], Vec::new())?;
        self.set(call, 0, Value::Map(Map { entry, ..map }));
        Ok(())
    }

    fn pair(&mut self, call: Call<'a>, op: Op, first: Map, second: &Map) -> Result<(), Error> {
        if (&first.dims, first.channels_last) != (&second.dims, second.channels_last) {
            let found = format!("{} and {}", shown(&first.dims), shown(&second.dims));
            let expected = "maps of equal dimensions, or one with a single pixel";
            return Err(call.operand_error("the inputs", found, expected));
        }
        let entry = self.add(call, op, vec![first.entry, second.entry], Vec::new())?;
        self.set(call, 0, Value::Map(Map { entry, ..first }));
        Ok(())
    }

    /// Whether `pixel` is an image of one pixel and `map` one of several, with the same channels.
    fn is_pixel_of(&self, pixel: &Map, map: &Map) -> bool {
        let is_image = |map: &Map| !map.channels_last && map.dims == self.image(map.entry).dims;
        let (one, many) = (self.shape(pixel.entry), self.shape(map.entry));
        is_image(pixel) && is_image(map) && many.plane() > 1 && one == many.resized(1, 1)
    }

    /// An image of one pixel as large as `map`.
    fn spread(&mut self, call: Call<'a>, pixel: &Map, map: &Map) -> Result<Map, Error> {
        let shape = self.shape(map.entry);
        let op = Op::Upsample { resize: Resize::Nearest, size: [shape.height, shape.width] };
        let entry = self.add_helper(call, "spread", op, vec![pixel.entry], Vec::new())?;
        Ok(self.image(entry))
    }
}

fn is_near(constant: &Constant, expected: f32) -> bool {
    constant.scalar().is_some_and(|value| (value - expected).abs() <= GELU_TOLERANCE * expected)
}

fn lone_erf(call: Call<'_>) -> Error {
    call.operand_error("an input", "the error function".into(), "x * 0.5 * (1 + erf(x / sqrt 2)) as a whole")
}

fn no_counterpart(call: Call<'_>, operands: &(Value, Value)) -> Error {
    let kind = |value: &Value| match value {
        Value::Map(_) => "a map",
        Value::Constant(_) => "constants",
        Value::Erf(_) => "a part of a GELU",
    };
    let found = format!("{} and {}", kind(&operands.0), kind(&operands.1));
    call.operand_error("the inputs", found, "operands that the operator has in a network")
}
