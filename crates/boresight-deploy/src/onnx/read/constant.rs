//! Tensors whose values are known.

use super::external;
use crate::onnx::Error;
use crate::onnx::proto::{self, data_type};
use half::f16;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Dimensions that a tensor may have.
const RANK_LIMIT: usize = 8;

/// A tensor of known values, in row-major order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Constant {
    pub(super) dims: Vec<usize>,
    pub(super) data: Data,
}

/// The values.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Data {
    Floats(Arc<[f32]>),
    Integers(Arc<[i64]>),
}

impl Constant {
    /// Integers in one dimension.
    pub(super) fn integers(values: Vec<i64>) -> Self {
        Self { dims: vec![values.len()], data: Data::Integers(values.into()) }
    }

    pub(super) fn len(&self) -> usize {
        match &self.data {
            Data::Floats(values) => values.len(),
            Data::Integers(values) => values.len(),
        }
    }

    /// The values, where they are floating-point numbers.
    pub(super) fn floats(&self) -> Option<&[f32]> {
        match &self.data {
            Data::Floats(values) => Some(values),
            Data::Integers(_) => None,
        }
    }

    /// The values, where they are integers.
    pub(super) fn as_integers(&self) -> Option<&[i64]> {
        match &self.data {
            Data::Floats(_) => None,
            Data::Integers(values) => Some(values),
        }
    }

    /// The one floating-point number, where all values are equal to it bit by bit.
    pub(super) fn scalar(&self) -> Option<f32> {
        let (first, rest) = self.floats()?.split_first()?;
        rest.iter().all(|value| value.to_bits() == first.to_bits()).then_some(*first)
    }
}

impl fmt::Display for Constant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.data {
            Data::Floats(_) => "numbers",
            Data::Integers(_) => "integers",
        };
        write!(f, "a constant of {} {kind}", shown(&self.dims))
    }
}

/// Dimensions as text.
pub(super) fn shown<T: fmt::Debug>(dims: &[T]) -> String {
    format!("{dims:?}")
}

/// How many values a tensor of `dims` has, if that is a number that anything could be: no product of some of the sizes
/// overflows then, though another size is zero.
pub(super) fn count(dims: &[usize]) -> Option<usize> {
    const LIMIT: usize = 1 << 48;
    let product = |product: usize, &size: &usize| product.checked_mul(size.max(1));
    let all = dims.iter().try_fold(1, product).filter(|&all| all <= LIMIT)?;
    Some(if dims.contains(&0) { 0 } else { all })
}

/// The values of a tensor of the file; `left` is how many more may be kept.
pub(super) fn decode(
    tensor: &proto::Tensor,
    name: &str,
    folder: Option<&Path>,
    left: &mut Budget,
) -> Result<Constant, Error> {
    let dims = dimensions(tensor, name)?;
    let wrong_dims = || Error::Dimensions {
        tensor: name.to_owned(),
        dims: shown(&tensor.dims),
        expected: "sizes with a product",
    };
    let count = count(&dims).ok_or_else(wrong_dims)?;
    left.take(count)?;
    let width = width(tensor.data_type, name)?;
    let outside;
    let raw = if tensor.data_location == proto::EXTERNAL {
        outside = external::load(tensor, name, folder, count.checked_mul(width).ok_or_else(wrong_dims)?)?;
        Some(&*outside)
    } else {
        tensor.raw_data.as_deref().filter(|raw| !raw.is_empty())
    };
    let data = match raw {
        Some(raw) if Some(raw.len()) == count.checked_mul(width) => from_raw(tensor.data_type, raw),
        Some(raw) => return Err(wrong_length(tensor, name, raw.len(), "bytes")),
        None => from_fields(tensor, name, count)?,
    };
    Ok(Constant { dims, data })
}

fn dimensions(tensor: &proto::Tensor, name: &str) -> Result<Vec<usize>, Error> {
    let wrong = |expected| Error::Dimensions {
        tensor: name.to_owned(),
        dims: shown(&tensor.dims[..tensor.dims.len().min(RANK_LIMIT + 1)]),
        expected,
    };
    if tensor.dims.len() > RANK_LIMIT {
        return Err(wrong("at most 8 of them"));
    }
    let sizes = tensor.dims.iter().map(|&size| usize::try_from(size)).collect::<Result<_, _>>();
    sizes.map_err(|_| wrong("sizes from 0 up"))
}

/// Bytes of one value.
fn width(kind: i32, name: &str) -> Result<usize, Error> {
    match kind {
        data_type::BOOL => Ok(1),
        data_type::FLOAT16 => Ok(2),
        data_type::FLOAT | data_type::INT32 => Ok(4),
        data_type::INT64 | data_type::DOUBLE => Ok(8),
        _ => Err(Error::DataType {
            tensor: name.to_owned(),
            found: data_type::name(kind),
            expected: "FLOAT, FLOAT16, DOUBLE, INT64, INT32 or BOOL",
        }),
    }
}

fn wrong_length(tensor: &proto::Tensor, name: &str, found: usize, unit: &'static str) -> Error {
    Error::Length { tensor: name.to_owned(), dims: shown(&tensor.dims), found, unit }
}

/// Values of a type that [`width`] knows, from as many bytes as they have.
#[expect(clippy::cast_possible_truncation, reason = "binary64 constants are rounded to what a network holds")]
fn from_raw(kind: i32, raw: &[u8]) -> Data {
    match kind {
        data_type::FLOAT => Data::Floats(values(raw, f32::from_le_bytes)),
        data_type::FLOAT16 => Data::Floats(values(raw, |bytes| f16::from_le_bytes(bytes).to_f32())),
        data_type::DOUBLE => Data::Floats(values(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
        data_type::INT32 => Data::Integers(values(raw, |bytes| i32::from_le_bytes(bytes).into())),
        data_type::INT64 => Data::Integers(values(raw, i64::from_le_bytes)),
        _ => Data::Integers(values(raw, |[byte]: [u8; 1]| byte.into())),
    }
}

fn values<const WIDTH: usize, T>(raw: &[u8], value: impl Fn([u8; WIDTH]) -> T) -> Arc<[T]> {
    raw.as_chunks().0.iter().map(|&bytes| value(bytes)).collect()
}

#[expect(clippy::cast_possible_truncation, reason = "binary64 constants are rounded to what a network holds")]
fn from_fields(tensor: &proto::Tensor, name: &str, count: usize) -> Result<Data, Error> {
    let check = |found: usize| {
        if found == count { Ok(()) } else { Err(wrong_length(tensor, name, found, "values")) }
    };
    Ok(match tensor.data_type {
        data_type::FLOAT => {
            check(tensor.float_data.len())?;
            Data::Floats(tensor.float_data.as_slice().into())
        }
        data_type::DOUBLE => {
            check(tensor.double_data.len())?;
            Data::Floats(tensor.double_data.iter().map(|&value| value as f32).collect())
        }
        data_type::INT64 => {
            check(tensor.int64_data.len())?;
            Data::Integers(tensor.int64_data.as_slice().into())
        }
        data_type::FLOAT16 => {
            check(tensor.int32_data.len())?;
            Data::Floats(halves(&tensor.int32_data, name)?)
        }
        _ => {
            check(tensor.int32_data.len())?;
            Data::Integers(tensor.int32_data.iter().map(|&value| value.into()).collect())
        }
    })
}

/// Binary16 numbers that are kept as the integers of their bits.
fn halves(bits: &[i32], name: &str) -> Result<Arc<[f32]>, Error> {
    let half = |&bits: &i32| {
        let bits = u16::try_from(bits).map_err(|_| Error::DataType {
            tensor: name.to_owned(),
            found: format!("FLOAT16 and a value of {bits}"),
            expected: "the bits of binary16",
        })?;
        Ok(f16::from_bits(bits).to_f32())
    };
    bits.iter().map(half).collect()
}

/// How many values may still be kept.
pub(super) struct Budget {
    limit: usize,
    left: usize,
}

impl Budget {
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, left: limit }
    }

    /// Takes `count` values from what is left.
    pub(super) fn take(&mut self, count: usize) -> Result<(), Error> {
        let left = self.left.checked_sub(count);
        self.left = left.ok_or(Error::TooLarge { what: "values", limit: self.limit })?;
        Ok(())
    }
}
