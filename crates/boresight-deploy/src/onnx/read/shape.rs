//! What reshaping operators make of dimensions; nothing here moves a value.

use super::call::Call;
use super::constant::{Constant, count, shown};
use crate::onnx::Error;
use std::collections::BTreeSet;

/// Dimensions that a tensor may have.
const RANK_LIMIT: usize = 8;

/// Dimensions that `Reshape` makes of `dims`.
pub(super) fn reshaped(call: Call<'_>, dims: &[usize], target: &[i64]) -> Result<Vec<usize>, Error> {
    let wrong = || {
        let found = shown(&target[..target.len().min(RANK_LIMIT + 1)]);
        call.operand_error("the shape", found, "dimensions for as many values as there are")
    };
    if target.len() > RANK_LIMIT {
        return Err(wrong());
    }
    let zero_is_size = call.flag("allowzero", false)?;
    let mut open = None;
    let mut sizes = Vec::with_capacity(target.len());
    for (at, &size) in target.iter().enumerate() {
        sizes.push(match size {
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            0 if !zero_is_size => *dims.get(at).ok_or_else(wrong)?,
            _ => usize::try_from(size).map_err(|_| wrong())?,
        });
    }
    let (have, known) = (count(dims).ok_or_else(wrong)?, count(&sizes).ok_or_else(wrong)?);
    if let Some(at) = open {
        sizes[at] = have.checked_div(known).ok_or_else(wrong)?;
    }
    if count(&sizes) == Some(have) { Ok(sizes) } else { Err(wrong()) }
}

/// Dimensions that `Squeeze` makes of `dims`: without `axes` it drops every one of size 1.
pub(super) fn squeezed(call: Call<'_>, dims: &[usize], axes: Option<&[i64]>) -> Result<Vec<usize>, Error> {
    let Some(axes) = axes else {
        return Ok(dims.iter().copied().filter(|&size| size != 1).collect());
    };
    let axes = axes.iter().map(|&axis| call.axis(axis, dims.len())).collect::<Result<BTreeSet<_>, _>>()?;
    if axes.iter().any(|&axis| dims[axis] != 1) {
        return Err(call.operand_error("the input", shown(dims), "size 1 along the axes"));
    }
    let kept = dims.iter().enumerate().filter(|(axis, _)| !axes.contains(axis));
    Ok(kept.map(|(_, &size)| size).collect())
}

/// Dimensions that `Unsqueeze` makes of `dims`.
pub(super) fn unsqueezed(call: Call<'_>, dims: &[usize], axes: &[i64]) -> Result<Vec<usize>, Error> {
    let rank = dims.len() + axes.len();
    let wrong = || call.operand_error("the input", shown(dims), "at most 8 dimensions in the end, axes once");
    if rank > RANK_LIMIT {
        return Err(wrong());
    }
    let places = axes.iter().map(|&axis| call.axis(axis, rank)).collect::<Result<BTreeSet<_>, _>>()?;
    if places.len() != axes.len() {
        return Err(wrong());
    }
    let mut rest = dims.iter().copied();
    Ok((0..rank).filter_map(|axis| if places.contains(&axis) { Some(1) } else { rest.next() }).collect())
}

/// Dimensions that `Flatten` makes of `dims`.
pub(super) fn flattened(call: Call<'_>, dims: &[usize]) -> Result<Vec<usize>, Error> {
    let axis = call.int("axis", 1)?;
    let rank = i64::try_from(dims.len()).unwrap_or(i64::MAX);
    let axis = if axis == rank { dims.len() } else { call.axis(axis, dims.len())? };
    let product = |dims: &[usize]| {
        count(dims).ok_or_else(|| call.operand_error("the input", shown(dims), "dimensions with a product"))
    };
    Ok(vec![product(&dims[..axis])?, product(&dims[axis..])?])
}

/// The order of axes that `Transpose` makes of `rank` axes: reversed where it does not say.
pub(super) fn order(call: Call<'_>, rank: usize) -> Result<Vec<usize>, Error> {
    let Some(order) = call.ints("perm")? else { return Ok((0..rank).rev().collect()) };
    let places: Option<Vec<usize>> = order.iter().map(|&axis| usize::try_from(axis).ok()).collect();
    let is_order = |places: &Vec<usize>| {
        let mut sorted = places.clone();
        sorted.sort_unstable();
        sorted.into_iter().eq(0..rank)
    };
    let found = || shown(&order[..order.len().min(RANK_LIMIT + 1)]);
    places.filter(is_order).ok_or_else(|| call.attribute_error("perm", found(), "every axis once"))
}

/// What a slice keeps of one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: usize,
    pub(super) len: usize,
    /// Distance of neighbours, below 0 where the order is turned round.
    pub(super) step: isize,
}

/// What `Slice` keeps of each axis, from its attributes or from `[starts, ends, axes, steps]`.
pub(super) fn parts(
    call: Call<'_>,
    dims: &[usize],
    inputs: [Option<&Constant>; 4],
) -> Result<Vec<Part>, Error> {
    let list = |at: usize, name: &str| -> Result<Option<Vec<i64>>, Error> {
        let Some(input) = inputs[at] else { return Ok(call.ints(name)?.map(<[i64]>::to_vec)) };
        let integers = input.as_integers().map(<[i64]>::to_vec);
        integers.map(Some).ok_or_else(|| call.operand_error("a range", input.to_string(), "integers"))
    };
    let [starts, ends] = [list(0, "starts")?, list(1, "ends")?].map(Option::unwrap_or_default);
    let in_order = || (0..i64::try_from(starts.len()).unwrap_or(0)).collect();
    let axes = list(2, "axes")?.unwrap_or_else(in_order);
    let steps = list(3, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    let lengths = [starts.len(), ends.len(), axes.len(), steps.len()];
    if lengths != [starts.len(); 4] || starts.is_empty() || steps.contains(&0) {
        let found = format!("{lengths:?} long");
        return Err(call.operand_error("the ranges", found, "one for each axis, with steps other than 0"));
    }
    let mut parts: Vec<Part> = dims.iter().map(|&len| Part { start: 0, len, step: 1 }).collect();
    for (at, &axis) in axes.iter().enumerate() {
        let axis = call.axis(axis, dims.len())?;
        parts[axis] = part(starts[at], ends[at], steps[at], dims[axis]);
    }
    Ok(parts)
}

/// The part of an axis of `size` from `start` to before `end`; both count from the end where they are negative.
fn part(start: i64, end: i64, step: i64, size: usize) -> Part {
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let place = |place: i64| if place < 0 { place.saturating_add(size) } else { place };
    // Backwards, the end may lie before the first place.
    let (least, most) = if step > 0 { (0, size) } else { (-1, size - 1) };
    let (start, end) = (place(start).clamp(least, most), place(end).clamp(least, most));
    let way = if step > 0 { end - start } else { start - end };
    let len = way.max(0).cast_unsigned().div_ceil(step.unsigned_abs());
    let len = usize::try_from(len).unwrap_or(0);
    // A step that is never taken may be of any size.
    let step = if len > 1 { isize::try_from(step).unwrap_or(1) } else { 1 };
    Part { start: usize::try_from(start).unwrap_or(0), len, step }
}
