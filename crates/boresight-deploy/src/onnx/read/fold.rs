//! Operators on known values: how exporters write sizes, and weights that they keep in another shape.

use super::call::Call;
use super::constant::{Budget, Constant, Data, count};
use super::shape::{reshaped, squeezed, unsqueezed};
use crate::onnx::Error;
use crate::onnx::proto::data_type;
use boresight_numerics::round_f16;

/// What a node makes of `inputs` that are all known.
///
/// # Errors
/// When the operator is not one of these, its inputs do not suit it, or the result exceeds `budget`.
pub(super) fn fold(
    call: Call<'_>,
    inputs: &[Option<Constant>],
    budget: &mut Budget,
) -> Result<Constant, Error> {
    let operands = Operands { call, inputs };
    let first = || operands.get(0);
    match call.op_type() {
        "Identity" | "Dropout" => Ok(first()?.clone()),
        "Cast" => cast(call, first()?, budget),
        "ConstantOfShape" => filled(&operands, budget),
        "Reshape" => view(first()?, reshaped(call, &first()?.dims, operands.integers(1)?)?),
        "Squeeze" => view(first()?, squeezed(call, &first()?.dims, operands.axes(1)?.as_deref())?),
        "Unsqueeze" => {
            let axes = operands.axes(1)?;
            view(first()?, unsqueezed(call, &first()?.dims, axes.as_deref().unwrap_or_default())?)
        }
        "Gather" => gather(&operands, budget),
        "Concat" => concat(&operands, budget),
        "Slice" => slice(&operands, budget),
        "Transpose" => transpose(&operands, budget),
        "Floor" => map(&operands, budget, f32::floor, Some),
        "Ceil" => map(&operands, budget, f32::ceil, Some),
        "Neg" => map(&operands, budget, |value| -value, i64::checked_neg),
        "Sqrt" => map(&operands, budget, f32::sqrt, |_| None),
        "Add" => pairs(&operands, budget, |a, b| a + b, i64::checked_add),
        "Sub" => pairs(&operands, budget, |a, b| a - b, i64::checked_sub),
        "Mul" => pairs(&operands, budget, |a, b| a * b, i64::checked_mul),
        "Div" => pairs(&operands, budget, |a, b| a / b, i64::checked_div),
        _ => Err(call.operand_error("the input", "constant".into(), "a map of the network")),
    }
}

struct Operands<'a> {
    call: Call<'a>,
    inputs: &'a [Option<Constant>],
}

impl<'a> Operands<'a> {
    fn find(&self, at: usize) -> Option<&'a Constant> {
        self.inputs.get(at).and_then(Option::as_ref)
    }

    fn get(&self, at: usize) -> Result<&'a Constant, Error> {
        self.find(at).ok_or_else(|| self.error("absent"))
    }

    fn integers(&self, at: usize) -> Result<&'a [i64], Error> {
        self.get(at)?.as_integers().ok_or_else(|| self.error("floating-point numbers"))
    }

    /// Axes from an input of newer versions or the attribute of older ones.
    fn axes(&self, at: usize) -> Result<Option<Vec<i64>>, Error> {
        if self.find(at).is_some() {
            return Ok(Some(self.integers(at)?.to_vec()));
        }
        Ok(self.call.ints("axes")?.map(<[i64]>::to_vec))
    }

    fn error(&self, found: &str) -> Error {
        self.call.operand_error("an input", found.into(), "constants that suit the operator")
    }

    /// A tensor of `dims` with the values of `source` at these places.
    fn collected<Places: Iterator<Item = usize>>(
        &self,
        source: &Constant,
        dims: Vec<usize>,
        budget: &mut Budget,
        places: impl FnOnce() -> Places,
    ) -> Result<Constant, Error> {
        let count = count(&dims).ok_or_else(|| self.error("too large"))?;
        budget.take(count)?;
        // Where there are no values, there may still be places without end.
        let places = || places().take(count);
        let data = match &source.data {
            Data::Floats(values) => {
                places().map(|at| values.get(at).copied()).collect::<Option<_>>().map(Data::Floats)
            }
            Data::Integers(values) => {
                places().map(|at| values.get(at).copied()).collect::<Option<_>>().map(Data::Integers)
            }
        };
        let data = data.ok_or_else(|| self.error("a place that there is not"))?;
        Ok(Constant { dims, data })
    }
}

/// The same values with other dimensions.
#[expect(clippy::unnecessary_wraps, reason = "stands beside operators that may fail")]
fn view(constant: &Constant, dims: Vec<usize>) -> Result<Constant, Error> {
    Ok(Constant { dims, data: constant.data.clone() })
}

#[expect(clippy::cast_possible_truncation, reason = "a cast to integers drops what is behind the point")]
fn cast(call: Call<'_>, constant: &Constant, budget: &mut Budget) -> Result<Constant, Error> {
    budget.take(constant.len())?;
    let to = i32::try_from(call.int("to", 0)?).unwrap_or_default();
    let is_half = to == data_type::FLOAT16;
    let float = |value: f32| if is_half { round_f16(value) } else { value };
    let data = match (&constant.data, to) {
        (Data::Floats(values), data_type::FLOAT | data_type::DOUBLE | data_type::FLOAT16) => {
            Data::Floats(values.iter().map(|&value| float(value)).collect())
        }
        (Data::Integers(values), data_type::FLOAT | data_type::DOUBLE | data_type::FLOAT16) => {
            Data::Floats(values.iter().map(|&value| float(value as f32)).collect())
        }
        (Data::Floats(values), data_type::INT64) => {
            Data::Integers(values.iter().map(|&value| value as i64).collect())
        }
        (Data::Integers(values), data_type::INT64) => Data::Integers(values.clone()),
        (Data::Integers(values), data_type::INT32) => {
            let narrow: Result<_, _> =
                values.iter().map(|&value| i32::try_from(value).map(i64::from)).collect();
            Data::Integers(narrow.map_err(|_| {
                call.operand_error("the input", "beyond INT32".into(), "integers that INT32 holds")
            })?)
        }
        _ => {
            let expected = "FLOAT, FLOAT16, DOUBLE, INT64 or, for integers, INT32";
            return Err(call.attribute_error("to", data_type::name(to), expected));
        }
    };
    Ok(Constant { dims: constant.dims.clone(), data })
}

fn filled(operands: &Operands<'_>, budget: &mut Budget) -> Result<Constant, Error> {
    let wrong = || operands.error("no dimensions");
    let dims = operands.integers(0)?.iter().map(|&size| usize::try_from(size)).collect::<Result<Vec<_>, _>>();
    let dims = dims.map_err(|_| wrong())?;
    let count = count(&dims).filter(|_| dims.len() <= 8).ok_or_else(wrong)?;
    budget.take(count)?;
    let data = match operands.call.tensor("value")? {
        None => Data::Floats(vec![0.0; count].into()),
        Some(value) => {
            let value = super::constant::decode(value, "value", None, budget)?;
            match &value.data {
                Data::Floats(values) if values.len() == 1 => Data::Floats(vec![values[0]; count].into()),
                Data::Integers(values) if values.len() == 1 => Data::Integers(vec![values[0]; count].into()),
                _ => return Err(wrong()),
            }
        }
    };
    Ok(Constant { dims, data })
}

fn gather(operands: &Operands<'_>, budget: &mut Budget) -> Result<Constant, Error> {
    let (source, indices) = (operands.get(0)?, operands.get(1)?);
    let axis = operands.call.axis(operands.call.int("axis", 0)?, source.dims.len())?;
    let size = source.dims[axis];
    let places = operands.integers(1)?.iter().map(|&index| {
        let from_end = if index < 0 { size as i128 } else { 0 };
        usize::try_from(i128::from(index) + from_end).ok().filter(|&place| place < size)
    });
    let places: Option<Vec<usize>> = places.collect();
    let places = places.ok_or_else(|| operands.error("an index that there is not"))?;
    let mut dims = source.dims[..axis].to_vec();
    dims.extend(&indices.dims);
    dims.extend(&source.dims[axis + 1..]);
    let inner: usize = source.dims[axis + 1..].iter().product();
    let outer: usize = source.dims[..axis].iter().product();
    operands.collected(source, dims, budget, || {
        (0..outer)
            .flat_map(|block| places.iter().map(move |&place| block * size + place))
            .flat_map(move |row| (0..inner).map(move |at| row * inner + at))
    })
}

fn concat(operands: &Operands<'_>, budget: &mut Budget) -> Result<Constant, Error> {
    let first = operands.get(0)?;
    let axis = operands.call.axis(operands.call.int("axis", 0)?, first.dims.len())?;
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    let mut parts = Vec::with_capacity(operands.inputs.len());
    for at in 0..operands.inputs.len() {
        let part = operands.get(at)?;
        let fits = part.dims.len() == dims.len()
            && part.dims.iter().zip(&first.dims).enumerate().all(|(at, (a, b))| at == axis || a == b);
        let sum = part.dims.get(axis).and_then(|size| dims[axis].checked_add(*size));
        dims[axis] = sum.filter(|_| fits).ok_or_else(|| operands.error("of other dimensions"))?;
        parts.push(part);
    }
    let count = count(&dims).ok_or_else(|| operands.error("too large"))?;
    budget.take(count)?;
    // Where there are no values, there may still be blocks without end.
    let outer: usize = if count == 0 { 0 } else { dims[..axis].iter().product() };
    let floats: Option<Vec<&[f32]>> = parts.iter().map(|part| part.floats()).collect();
    let integers: Option<Vec<&[i64]>> = parts.iter().map(|part| part.as_integers()).collect();
    let data = match (floats, integers) {
        (Some(parts), _) => Data::Floats(interleaved(&parts, outer).into()),
        (_, Some(parts)) => Data::Integers(interleaved(&parts, outer).into()),
        _ => return Err(operands.error("of different types")),
    };
    Ok(Constant { dims, data })
}

/// A block of each part, `outer` times.
fn interleaved<T: Copy>(parts: &[&[T]], outer: usize) -> Vec<T> {
    let blocks = |block: usize| {
        parts.iter().flat_map(move |part| {
            let length = part.len() / outer.max(1);
            part[block * length..(block + 1) * length].iter().copied()
        })
    };
    (0..outer).flat_map(blocks).collect()
}

fn slice(operands: &Operands<'_>, budget: &mut Budget) -> Result<Constant, Error> {
    let source = operands.get(0)?;
    let inputs = [1, 2, 3, 4].map(|at| operands.find(at));
    let parts = super::shape::parts(operands.call, &source.dims, inputs)?;
    let dims: Vec<usize> = parts.iter().map(|part| part.len).collect();
    let strides = strides(&source.dims);
    let start = parts.iter().zip(&strides).map(|(part, stride)| part.start * stride.unsigned_abs()).sum();
    let strides = parts.iter().zip(&strides).map(|(part, stride)| part.step * stride).collect();
    operands.collected(source, dims.clone(), budget, || walk(dims, strides, start))
}

fn transpose(operands: &Operands<'_>, budget: &mut Budget) -> Result<Constant, Error> {
    let source = operands.get(0)?;
    let order = super::shape::order(operands.call, source.dims.len())?;
    let strides = strides(&source.dims);
    let dims: Vec<usize> = order.iter().map(|&axis| source.dims[axis]).collect();
    let strides = order.iter().map(|&axis| strides[axis]).collect();
    operands.collected(source, dims.clone(), budget, || walk(dims, strides, 0))
}

/// Distance of neighbours along each axis; products of sizes stay far below the limit.
fn strides(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis] * dims[axis].cast_signed();
    }
    strides
}

/// Places of all values of a tensor of `dims` in row-major order, neighbours being `strides` apart.
fn walk(dims: Vec<usize>, strides: Vec<isize>, start: usize) -> impl Iterator<Item = usize> {
    let count = if dims.contains(&0) { 0 } else { dims.iter().product() };
    let mut index = vec![0; dims.len()];
    let mut place = start;
    (0..count).map(move |_| {
        let found = place;
        for axis in (0..dims.len()).rev() {
            index[axis] += 1;
            place = place.wrapping_add_signed(strides[axis]);
            if index[axis] < dims[axis] {
                break;
            }
            // Back to the first place of the axis; on the way the place may lie outside.
            place = place.wrapping_add_signed(-strides[axis] * dims[axis].cast_signed());
            index[axis] = 0;
        }
        found
    })
}

fn map(
    operands: &Operands<'_>,
    budget: &mut Budget,
    float: impl Fn(f32) -> f32,
    integer: impl Fn(i64) -> Option<i64>,
) -> Result<Constant, Error> {
    let constant = operands.get(0)?;
    budget.take(constant.len())?;
    let data = match &constant.data {
        Data::Floats(values) => Data::Floats(values.iter().map(|&value| float(value)).collect()),
        Data::Integers(values) => {
            let values: Option<_> = values.iter().map(|&value| integer(value)).collect();
            Data::Integers(values.ok_or_else(|| operands.error("integers without a result"))?)
        }
    };
    Ok(Constant { dims: constant.dims.clone(), data })
}

fn pairs(
    operands: &Operands<'_>,
    budget: &mut Budget,
    float: impl Fn(f32, f32) -> f32,
    integer: impl Fn(i64, i64) -> Option<i64>,
) -> Result<Constant, Error> {
    let (first, second) = (operands.get(0)?, operands.get(1)?);
    let dims = broadcast(&first.dims, &second.dims).ok_or_else(|| operands.error("of other dimensions"))?;
    let count = count(&dims).ok_or_else(|| operands.error("too large"))?;
    budget.take(count)?;
    let places = |constant: &Constant| {
        let own = strides(&constant.dims);
        let missing = dims.len() - constant.dims.len();
        let stride = |axis: usize| match axis.checked_sub(missing) {
            Some(axis) if constant.dims[axis] != 1 => own[axis],
            _ => 0,
        };
        walk(dims.clone(), (0..dims.len()).map(stride).collect(), 0)
    };
    let places = places(first).zip(places(second));
    let data = match (&first.data, &second.data) {
        (Data::Floats(a), Data::Floats(b)) => {
            Data::Floats(places.map(|(left, right)| float(a[left], b[right])).collect())
        }
        (Data::Integers(a), Data::Integers(b)) => {
            let values: Option<_> = places.map(|(left, right)| integer(a[left], b[right])).collect();
            Data::Integers(values.ok_or_else(|| operands.error("integers without a result"))?)
        }
        _ => return Err(operands.error("of different types")),
    };
    Ok(Constant { dims, data })
}

/// Dimensions to which both operands are repeated.
fn broadcast(first: &[usize], second: &[usize]) -> Option<Vec<usize>> {
    let rank = first.len().max(second.len());
    let size = |dims: &[usize], axis: usize| {
        let missing = rank - dims.len();
        axis.checked_sub(missing).map_or(1, |axis| dims[axis])
    };
    let axis = |axis| match (size(first, axis), size(second, axis)) {
        (a, b) if a == b || b == 1 => Some(a),
        (1, b) => Some(b),
        _ => None,
    };
    (0..rank).map(axis).collect()
}
