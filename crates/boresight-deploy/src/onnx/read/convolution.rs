//! Convolutions and transposed convolutions.

use super::call::Call;
use super::constant::{Constant, shown};
use super::reader::Reader;
use crate::onnx::Error;
use boresight_ir::{Conv2d, Filling, Op, Role};
use std::sync::Arc;

/// Rows and columns added before and after.
pub(super) type Pads = [[usize; 2]; 2];

impl<'a> Reader<'a> {
    pub(super) fn convolution(&mut self, call: Call<'a>) -> Result<(), Error> {
        let source = self.image_input(call, 0)?;
        let weight = self.kernel(call)?;
        let &[out_channels, group_channels, rows, columns] = weight.dims.as_slice() else {
            return Err(wrong_kernel(call, &weight));
        };
        let (kernel, stride) = ([rows, columns], call.sizes("strides", 1)?);
        let groups = self.groups(call, source, group_channels, &weight)?;
        let pads = self.pads(call, source, kernel, stride)?;
        let bias = self.weights(call, 2, "the bias", &[out_channels])?;
        let weight = self.as_weights(call, "the weights", &weight)?;
        let conv = Conv2d { out_channels, kernel, stride, padding: [0, 0], groups, bias: bias.is_some() };
        self.padded_convolution(call, source, pads, conv, (weight, bias))
    }

    /// A transposed convolution is a convolution of the image with zeros between its pixels, by the kernel turned by half
    /// a turn.
    pub(super) fn transposed_convolution(&mut self, call: Call<'a>) -> Result<(), Error> {
        let mut source = self.image_input(call, 0)?;
        let weight = self.kernel(call)?;
        let &[channels, group_outputs, rows, columns] = weight.dims.as_slice() else {
            return Err(wrong_kernel(call, &weight));
        };
        let kernel = [rows, columns];
        let groups = call.positive("group", 1)?;
        let wrong = || wrong_kernel(call, &weight);
        let out_channels = group_outputs.checked_mul(groups).ok_or_else(wrong)?;
        if channels != self.shape(source).channels || channels % groups != 0 || weight.len() == 0 {
            return Err(wrong());
        }
        let stride: [usize; 2] = call.sizes("strides", 1)?;
        let (pads, more) = (transposed_pads(call)?, call.sizes("output_padding", 0)?);
        let bias = self.weights(call, 2, "the bias", &[out_channels])?;
        if is_zero_stuffing(&weight, groups, pads, more, bias.as_deref()) {
            let entry = self.add(call, Op::ZeroStuff { stride }, vec![source], Vec::new())?;
            self.set_image(call, entry);
            return Ok(());
        }
        if stride != [1, 1] {
            source = self.add_helper(call, "stuff", Op::ZeroStuff { stride }, vec![source], Vec::new())?;
        }
        let pads = added(call, kernel, pads, more)?;
        let values = self.as_weights(call, "the weights", &weight)?;
        let weight = turned(&values, [channels, group_outputs, rows * columns], groups);
        let conv =
            Conv2d { out_channels, kernel, stride: [1, 1], padding: [0, 0], groups, bias: bias.is_some() };
        self.padded_convolution(call, source, pads, conv, (weight, bias))
    }

    /// A convolution that pads by itself where its pads are alike on both sides, and reads a padded map otherwise.
    pub(super) fn padded_convolution(
        &mut self,
        call: Call<'a>,
        source: usize,
        pads: Pads,
        conv: Conv2d,
        (weight, bias): (Arc<[f32]>, Option<Arc<[f32]>>),
    ) -> Result<(), Error> {
        let (padding, source) = if pads[0] == pads[1] {
            (pads[0], source)
        } else {
            ([0, 0], self.pad(call, source, pads, Filling::Zero)?)
        };
        let mut tensors = vec![(Role::Weight, weight)];
        tensors.extend(bias.map(|bias| (Role::Bias, bias)));
        let entry = self.add(call, Op::Conv2d(Conv2d { padding, ..conv }), vec![source], tensors)?;
        self.set_image(call, entry);
        Ok(())
    }

    /// Padding that a node needs besides.
    pub(super) fn pad(
        &mut self,
        call: Call<'a>,
        source: usize,
        [[top, left], [bottom, right]]: Pads,
        filling: Filling,
    ) -> Result<usize, Error> {
        let op = Op::Pad { rows: [top, bottom], columns: [left, right], filling };
        self.add_helper(call, "pad", op, vec![source], Vec::new())
    }

    /// The weights of a convolution, checked against its attributes.
    fn kernel(&mut self, call: Call<'a>) -> Result<Constant, Error> {
        let weight = self.constant(call, 1, "the weights")?;
        let weight =
            weight.ok_or_else(|| call.operand_error("the weights", "absent".into(), "a constant"))?;
        check_dilations(call)?;
        if let Some(kernel) = call.ints("kernel_shape")? {
            let sizes: [usize; 2] = call.as_sizes("kernel_shape", kernel)?;
            if weight.dims.get(2..) != Some(&sizes[..]) {
                return Err(call.attribute_error("kernel_shape", shown(kernel), "the kernel of the weights"));
            }
        }
        Ok(weight)
    }

    fn groups(
        &self,
        call: Call<'a>,
        source: usize,
        group_channels: usize,
        weight: &Constant,
    ) -> Result<usize, Error> {
        let groups = call.positive("group", 1)?;
        if group_channels.checked_mul(groups) == Some(self.shape(source).channels) {
            Ok(groups)
        } else {
            Err(wrong_kernel(call, weight))
        }
    }

    /// Pads of a window over `source`, given or to be computed.
    pub(super) fn pads(
        &self,
        call: Call<'a>,
        source: usize,
        kernel: [usize; 2],
        stride: [usize; 2],
    ) -> Result<Pads, Error> {
        let shape = self.shape(source);
        let total = |size: usize, kernel: usize, stride: usize| {
            // As many windows as steps fit into the image, the last of them reaching over its end.
            let windows = size.div_ceil(stride.max(1));
            ((windows - 1) * stride).saturating_add(kernel).saturating_sub(size)
        };
        let totals = [total(shape.height, kernel[0], stride[0]), total(shape.width, kernel[1], stride[1])];
        let (less, more) = (totals.map(|total| total / 2), totals.map(|total| total - total / 2));
        match call.word("auto_pad", "NOTSET")? {
            "NOTSET" | "" => explicit_pads(call),
            "VALID" => Ok([[0; 2]; 2]),
            "SAME_UPPER" => Ok([less, more]),
            "SAME_LOWER" => Ok([more, less]),
            other => {
                let expected = "NOTSET, VALID, SAME_UPPER or SAME_LOWER";
                Err(call.attribute_error("auto_pad", other.into(), expected))
            }
        }
    }
}

fn explicit_pads(call: Call<'_>) -> Result<Pads, Error> {
    let [top, left, bottom, right] = call.sizes("pads", 0)?;
    Ok([[top, left], [bottom, right]])
}

fn transposed_pads(call: Call<'_>) -> Result<Pads, Error> {
    if let Some(shape) = call.ints("output_shape")? {
        let found = shown(&shape[..shape.len().min(8)]);
        return Err(call.attribute_error("output_shape", found, "pads instead"));
    }
    match call.word("auto_pad", "NOTSET")? {
        "NOTSET" => explicit_pads(call),
        "VALID" => Ok([[0; 2]; 2]),
        other => Err(call.attribute_error("auto_pad", other.into(), "NOTSET or VALID")),
    }
}

/// Refuses windows with holes.
pub(super) fn check_dilations(call: Call<'_>) -> Result<(), Error> {
    match call.ints("dilations")? {
        Some(dilations) if dilations.iter().any(|&dilation| dilation != 1) => {
            let found = shown(&dilations[..dilations.len().min(8)]);
            Err(call.attribute_error("dilations", found, "1 everywhere"))
        }
        _ => Ok(()),
    }
}

fn wrong_kernel(call: Call<'_>, weight: &Constant) -> Error {
    let expected = "[out, in / groups, rows, columns], or [in, out / groups, rows, columns] where transposed";
    call.operand_error("the weights", weight.to_string(), expected)
}

/// Whether a transposed convolution does nothing but to put zeros between pixels.
fn is_zero_stuffing(
    weight: &Constant,
    groups: usize,
    pads: Pads,
    more: [usize; 2],
    bias: Option<&[f32]>,
) -> bool {
    let is_one = |value: &f32| value.to_bits() == 1.0_f32.to_bits();
    weight.dims == [groups, 1, 1, 1]
        && weight.floats().is_some_and(|values| values.iter().all(is_one))
        && (pads, more, bias) == ([[0; 2]; 2], [0; 2], None)
}

/// What the zero-stuffed image is padded with: as much as the kernel reaches out, less what the operator takes away.
fn added(call: Call<'_>, kernel: [usize; 2], pads: Pads, more: [usize; 2]) -> Result<Pads, Error> {
    let mut added = [[0; 2]; 2];
    for axis in 0..2 {
        let reach = kernel[axis].saturating_sub(1);
        for side in 0..2 {
            let more = if side == 1 { more[axis] } else { 0 };
            let sum = reach.checked_add(more).and_then(|sum| sum.checked_sub(pads[side][axis]));
            added[side][axis] =
                sum.ok_or_else(|| call.attribute_error("pads", shown(&pads), "none as wide as the kernel"))?;
        }
    }
    Ok(added)
}

/// Weights `[in, out / groups, taps]` as a convolution has them: `[out, in / groups, taps]`, turned by half a turn.
fn turned(weight: &[f32], [channels, group_outputs, taps]: [usize; 3], groups: usize) -> Arc<[f32]> {
    let group_channels = channels / groups;
    let mut turned = Vec::with_capacity(weight.len());
    for output in 0..group_outputs * groups {
        for channel in 0..group_channels {
            let channel = output / group_outputs * group_channels + channel;
            let start = (channel * group_outputs + output % group_outputs) * taps;
            turned.extend(weight[start..start + taps].iter().rev());
        }
    }
    turned.into()
}
