//! Operators that give a map other dimensions and leave its values where they are.

use super::call::Call;
use super::constant::{Constant, shown};
use super::reader::{Map, Reader, Value};
use super::shape;
use crate::onnx::Error;

impl<'a> Reader<'a> {
    /// `Reshape`, `Flatten`, `Squeeze` or `Unsqueeze` of a map.
    pub(super) fn view(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let list = self.constant(call, 1, "the dimensions")?;
        let list = match &list {
            None => call.ints("axes")?,
            Some(list) => Some(
                list.as_integers()
                    .ok_or_else(|| call.operand_error("the dimensions", list.to_string(), "integers"))?,
            ),
        };
        let dims = match (call.op_type(), list) {
            ("Flatten", _) => shape::flattened(call, &map.dims)?,
            ("Squeeze", axes) => shape::squeezed(call, &map.dims, axes)?,
            ("Unsqueeze", Some(axes)) => shape::unsqueezed(call, &map.dims, axes)?,
            ("Reshape", Some(target)) => shape::reshaped(call, &map.dims, target)?,
            _ => return Err(call.operand_error("the dimensions", "absent".into(), "a constant")),
        };
        let keeps_batch = dims.first() == Some(&self.batch) && dims.len() > 1;
        if self.is_reordered(&map) || !keeps_batch {
            let found = format!("from {} to {}", shown(&map.dims), shown(&dims));
            return Err(call.operand_error(
                "the dimensions",
                found,
                "the batch first, and an order that stays",
            ));
        }
        self.set(call, 0, Value::Map(Map { entry: map.entry, dims, channels_last: false }));
        Ok(())
    }

    /// Bringing the channels of an image last, or back.
    pub(super) fn transpose(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let order = shape::order(call, map.dims.len())?;
        let dims: Vec<usize> = order.iter().map(|&axis| map.dims[axis]).collect();
        let is_image = map.dims == self.image(map.entry).dims;
        let channels_last = match (map.channels_last, order.as_slice()) {
            (channels_last, order) if order.iter().copied().eq(0..order.len()) => channels_last,
            (false, [0, 2, 3, 1]) if is_image => true,
            (true, [0, 3, 1, 2]) => false,
            _ => {
                let found = format!("{} of {}", shown(&order), shown(&map.dims));
                let expected = "[0, 2, 3, 1] of an image, or back";
                return Err(call.attribute_error("perm", found, expected));
            }
        };
        self.set(call, 0, Value::Map(Map { entry: map.entry, dims, channels_last }));
        Ok(())
    }

    /// The dimensions of a map, which are known.
    pub(super) fn dimensions(&mut self, call: Call<'a>) -> Result<(), Error> {
        let dims = match self.input(call, 0)? {
            Some(Value::Map(map)) => map.dims,
            Some(Value::Constant(constant)) => constant.dims,
            Some(Value::Erf(erf)) => erf.of.dims,
            None => return Err(call.operand_error("the input", "absent".into(), "a map or a constant")),
        };
        let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX);
        let place = |name: &str, otherwise| -> Result<usize, Error> {
            let at = call.int(name, otherwise)?;
            let at = if at < 0 { at.saturating_add(rank) } else { at };
            Ok(usize::try_from(at.clamp(0, rank)).unwrap_or(0))
        };
        let (start, end) = (place("start", 0)?, place("end", rank)?);
        let part = dims.get(start..end).unwrap_or_default();
        let sizes = part.iter().map(|&size| i64::try_from(size).unwrap_or(i64::MAX)).collect();
        self.set(call, 0, Value::Constant(Constant::integers(sizes)));
        Ok(())
    }
}
