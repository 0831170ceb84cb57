//! What reshaping operators make of dimensions; nothing here moves a value.

use super::call::Call;
use super::constant::{Constant, count, shown};
use crate::onnx::Error;
use std::collections::BTreeSet;
use std::ops::Range;

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

/// What `Slice` keeps of each axis, from its attributes or from `[starts, ends, axes, steps]`.
pub(super) fn ranges(
    call: Call<'_>,
    dims: &[usize],
    inputs: [Option<&Constant>; 4],
) -> Result<Vec<Range<usize>>, Error> {
    let list = |at: usize, name: &str| -> Result<Option<Vec<i64>>, Error> {
        let Some(input) = inputs[at] else { return Ok(call.ints(name)?.map(<[i64]>::to_vec)) };
        let integers = input.as_integers().map(<[i64]>::to_vec);
        integers.map(Some).ok_or_else(|| call.operand_error("a range", input.to_string(), "integers"))
    };
    let [starts, ends] = [list(0, "starts")?, list(1, "ends")?].map(Option::unwrap_or_default);
    let steps = list(3, "steps")?;
    let in_order = || (0..i64::try_from(starts.len()).unwrap_or(0)).collect();
    let axes = list(2, "axes")?.unwrap_or_else(in_order);
    let wrong = |found: String| call.operand_error("the ranges", found, "one for each axis, with step 1");
    let lengths = [starts.len(), ends.len(), axes.len()];
    if lengths != [starts.len(); 3] || starts.is_empty() {
        return Err(wrong(format!("{lengths:?} long")));
    }
    if let Some(steps) =
        steps.filter(|steps| steps.len() != starts.len() || steps.iter().any(|&step| step != 1))
    {
        return Err(wrong(format!("of steps {}", shown(&steps[..steps.len().min(8)]))));
    }
    let mut ranges: Vec<Range<usize>> = dims.iter().map(|&size| 0..size).collect();
    for ((&start, &end), &axis) in starts.iter().zip(&ends).zip(&axes) {
        let axis = call.axis(axis, dims.len())?;
        let start = clamped(start, dims[axis]);
        ranges[axis] = start..clamped(end, dims[axis]).max(start);
    }
    Ok(ranges)
}

/// A place that counts from the end where it is negative, cut to `0..=size`.
fn clamped(place: i64, size: usize) -> usize {
    let end = i64::try_from(size).unwrap_or(i64::MAX);
    let place = if place < 0 { place.saturating_add(end) } else { place };
    usize::try_from(place.clamp(0, end)).unwrap_or(0)
}
