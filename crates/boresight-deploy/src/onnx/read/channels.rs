//! Joining and splitting channels.

use super::call::Call;
use super::constant::shown;
use super::reader::{Map, Reader, Value};
use super::shape::{self, Part};
use crate::onnx::Error;
use boresight_ir::Op;

impl<'a> Reader<'a> {
    pub(super) fn concat(&mut self, call: Call<'a>) -> Result<(), Error> {
        let maps = (0..call.node.input.len()).map(|at| self.map(call, at)).collect::<Result<Vec<_>, _>>()?;
        let first = maps.first().ok_or_else(|| call.unknown())?;
        check_axis(call, call.int("axis", 1)?, first)?;
        let mut dims = first.dims.clone();
        dims[1] = 0;
        for map in &maps {
            let fits = !map.channels_last
                && map.dims.len() == dims.len()
                && map.dims.iter().zip(&first.dims).enumerate().all(|(at, (a, b))| at == 1 || a == b)
                && self.shape(map.entry).resized(1, 1).with_channels(1)
                    == self.shape(first.entry).resized(1, 1).with_channels(1);
            if !fits {
                let found = format!("{} beside {}", shown(&map.dims), shown(&first.dims));
                return Err(call.operand_error("an input", found, "maps that differ in channels alone"));
            }
            dims[1] = dims[1].saturating_add(map.dims[1]);
        }
        let entries = maps.iter().map(|map| map.entry).collect();
        let entry = self.add(call, Op::Concat, entries, Vec::new())?;
        self.set(call, 0, Value::Map(Map { entry, dims, channels_last: false }));
        Ok(())
    }

    pub(super) fn split(&mut self, call: Call<'a>) -> Result<(), Error> {
        let source = self.image_input(call, 0)?;
        let map = self.image(source);
        check_axis(call, call.int("axis", 0)?, &map)?;
        let channels = self.shape(source).channels;
        let parts = call.node.output.len().max(1);
        let given = match self.constant(call, 1, "the sizes")? {
            Some(sizes) => sizes.as_integers().map(<[i64]>::to_vec),
            None => call.ints("split")?.map(<[i64]>::to_vec),
        };
        let sizes: Vec<usize> = if let Some(given) = given {
            given.iter().map(|&size| usize::try_from(size).unwrap_or(usize::MAX)).collect()
        } else {
            // The last part may be smaller.
            let size = channels.div_ceil(parts);
            (0..parts).map(|part| size.min(channels.saturating_sub(part * size))).collect()
        };
        let sum = sizes.iter().fold(0_usize, |sum, &size| sum.saturating_add(size));
        if sizes.len() != call.node.output.len() || sum != channels {
            let found = shown(&sizes[..sizes.len().min(8)]);
            return Err(call.operand_error("the sizes", found, "one for each output, all channels in sum"));
        }
        let mut start = 0;
        for (at, (name, channels)) in call.node.output.iter().zip(sizes).enumerate() {
            let wanted = if name.is_empty() { call.name() } else { name };
            let entry = self.add_named(wanted, Op::Slice { start, channels }, vec![source], Vec::new())?;
            self.entries[entry].value = Some(name);
            start += channels;
            let part = self.image(entry);
            self.set(call, at, Value::Map(part));
        }
        Ok(())
    }

    pub(super) fn slice(&mut self, call: Call<'a>) -> Result<(), Error> {
        let source = self.image_input(call, 0)?;
        let map = self.image(source);
        let mut inputs = [None, None, None, None];
        for (at, input) in inputs.iter_mut().enumerate() {
            *input = self.constant(call, at + 1, "a range")?;
        }
        let parts = shape::parts(call, &map.dims, inputs.each_ref().map(Option::as_ref))?;
        let is_whole = |axis: usize| parts[axis] == Part { start: 0, len: map.dims[axis], step: 1 };
        if [0, 2, 3].into_iter().any(|axis| !is_whole(axis)) || parts[1].step != 1 {
            let found = format!("{parts:?} of {}", shown(&map.dims));
            return Err(call.operand_error("the ranges", found, "a range of channels"));
        }
        let op = Op::Slice { start: parts[1].start, channels: parts[1].len };
        let entry = self.add(call, op, vec![source], Vec::new())?;
        self.set_image(call, entry);
        Ok(())
    }
}

/// Checks that an operator works along axis 1: the channels, or everything behind the batch.
fn check_axis(call: Call<'_>, axis: i64, map: &Map) -> Result<(), Error> {
    let axis = call.axis(axis, map.dims.len())?;
    if axis == 1 && !map.channels_last {
        return Ok(());
    }
    let found = format!("{axis} of {}", shown(&map.dims));
    Err(call.attribute_error("axis", found, "the channels"))
}
