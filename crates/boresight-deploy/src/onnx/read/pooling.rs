//! Pooling, padding, and means over maps.

use super::call::Call;
use super::constant::shown;
use super::convolution::{Pads, check_dilations};
use super::reader::{Map, Reader, Value};
use crate::onnx::Error;
use boresight_ir::{Filling, Op, Window};

impl<'a> Reader<'a> {
    pub(super) fn max_pool(&mut self, call: Call<'a>) -> Result<(), Error> {
        if call.int("storage_order", 0)? != 0 {
            return Err(call.attribute_error("storage_order", "1".into(), "0"));
        }
        let (source, window, mut pads) = self.window(call)?;
        let more = self.ceiling(call, source, window, pads)?;
        pads[1] = [pads[1][0].saturating_add(more[0]), pads[1][1].saturating_add(more[1])];
        let source = self.padded(call, source, pads, Filling::Lowest)?;
        let entry = self.add(call, Op::MaxPool(window), vec![source], Vec::new())?;
        self.set_image(call, entry);
        Ok(())
    }

    pub(super) fn average_pool(&mut self, call: Call<'a>) -> Result<(), Error> {
        let (source, window, pads) = self.window(call)?;
        if self.ceiling(call, source, window, pads)? != [0, 0] {
            let expected = "0, or an image in which it changes nothing";
            return Err(call.attribute_error("ceil_mode", "1".into(), expected));
        }
        if pads != [[0; 2]; 2] && !call.flag("count_include_pad", false)? {
            let expected = "1 where there are pads: a mean of fewer pixels at the edge has no counterpart";
            return Err(call.attribute_error("count_include_pad", "0".into(), expected));
        }
        let source = self.padded(call, source, pads, Filling::Zero)?;
        let entry = self.add(call, Op::AvgPool(window), vec![source], Vec::new())?;
        self.set_image(call, entry);
        Ok(())
    }

    fn window(&mut self, call: Call<'a>) -> Result<(usize, Window, Pads), Error> {
        let source = self.image_input(call, 0)?;
        check_dilations(call)?;
        let (kernel, stride) = (call.sizes("kernel_shape", 0)?, call.sizes("strides", 1)?);
        let pads = self.pads(call, source, kernel, stride)?;
        Ok((source, Window { kernel, stride }, pads))
    }

    /// Rows and columns that are added at the end for windows that begin inside the image but reach over its end.
    fn ceiling(
        &self,
        call: Call<'a>,
        source: usize,
        window: Window,
        pads: Pads,
    ) -> Result<[usize; 2], Error> {
        if !call.flag("ceil_mode", false)? {
            return Ok([0, 0]);
        }
        let shape = self.shape(source);
        let more = |axis: usize, size: usize| {
            let [kernel, stride] = [window.kernel[axis], window.stride[axis].max(1)];
            let begun = size.saturating_add(pads[0][axis]);
            let padded = begun.saturating_add(pads[1][axis]);
            let steps = padded.saturating_sub(kernel).div_ceil(stride);
            // A last window that would begin behind the image does not count.
            let steps = if steps.saturating_mul(stride) >= begun { steps.saturating_sub(1) } else { steps };
            steps.saturating_mul(stride).saturating_add(kernel).saturating_sub(padded)
        };
        Ok([more(0, shape.height), more(1, shape.width)])
    }

    fn padded(
        &mut self,
        call: Call<'a>,
        source: usize,
        pads: Pads,
        filling: Filling,
    ) -> Result<usize, Error> {
        if pads == [[0; 2]; 2] { Ok(source) } else { self.pad(call, source, pads, filling) }
    }

    pub(super) fn global_average_pool(&mut self, call: Call<'a>) -> Result<(), Error> {
        let source = self.image_input(call, 0)?;
        let entry = self.add(call, Op::GlobalAvgPool, vec![source], Vec::new())?;
        self.set_image(call, entry);
        Ok(())
    }

    pub(super) fn global_max_pool(&mut self, call: Call<'a>) -> Result<(), Error> {
        let source = self.image_input(call, 0)?;
        let shape = self.shape(source);
        let window = Window { kernel: [shape.height, shape.width], stride: [1, 1] };
        let entry = self.add(call, Op::MaxPool(window), vec![source], Vec::new())?;
        self.set_image(call, entry);
        Ok(())
    }

    /// A mean over all pixels of each channel.
    pub(super) fn reduce_mean(&mut self, call: Call<'a>) -> Result<(), Error> {
        let map = self.map(call, 0)?;
        let rank = map.dims.len();
        let wrong = |found: String| call.operand_error("the axes", found, "all but batch and channels");
        let axes = match self.constant(call, 1, "the axes")? {
            Some(axes) => axes.as_integers().ok_or_else(|| wrong(axes.to_string()))?.to_vec(),
            None => call.ints("axes")?.unwrap_or_default().to_vec(),
        };
        let mut places = axes.iter().map(|&axis| call.axis(axis, rank)).collect::<Result<Vec<_>, _>>()?;
        places.sort_unstable();
        let channel_axis = if map.channels_last { rank - 1 } else { 1 };
        let channels = self.shape(map.entry).channels;
        let pixels = (1..rank).filter(|&axis| axis != channel_axis);
        if map.dims.get(channel_axis) != Some(&channels) || rank < 3 || !pixels.eq(places.iter().copied()) {
            return Err(wrong(format!("{} of {}", shown(&axes[..axes.len().min(8)]), shown(&map.dims))));
        }
        let entry = self.add(call, Op::GlobalAvgPool, vec![map.entry], Vec::new())?;
        let mut dims = map.dims;
        if call.flag("keepdims", true)? {
            for axis in places {
                dims[axis] = 1;
            }
        } else {
            dims = vec![self.batch, channels];
        }
        // With one pixel a channel, both orders are the same.
        self.set(call, 0, Value::Map(Map { entry, dims, channels_last: false }));
        Ok(())
    }

    pub(super) fn padding(&mut self, call: Call<'a>) -> Result<(), Error> {
        let source = self.image_input(call, 0)?;
        let mode = call.word("mode", "constant")?;
        if mode != "constant" {
            return Err(call.attribute_error("mode", mode.into(), "constant"));
        }
        let wrong = |found: String| {
            call.operand_error(
                "the pads",
                found,
                "integers from 0 up, those of rows and columns alone above it",
            )
        };
        let given = match self.constant(call, 1, "the pads")? {
            Some(pads) => pads.as_integers().ok_or_else(|| wrong(pads.to_string()))?.to_vec(),
            None => call.ints("pads")?.unwrap_or_default().to_vec(),
        };
        let axes = match self.constant(call, 3, "the axes")? {
            Some(axes) => axes.as_integers().ok_or_else(|| wrong(axes.to_string()))?.to_vec(),
            None => vec![0, 1, 2, 3],
        };
        let shown = || wrong(shown(&given[..given.len().min(8)]));
        if given.len() != 2 * axes.len() {
            return Err(shown());
        }
        let mut pads = [[0_usize; 2]; 4];
        let (before, after) = given.split_at(axes.len());
        for ((&axis, &before), &after) in axes.iter().zip(before).zip(after) {
            let sizes = [before, after].map(|size| usize::try_from(size).ok());
            let [Some(before), Some(after)] = sizes else { return Err(shown()) };
            pads[call.axis(axis, 4)?] = [before, after];
        }
        let [[0, 0], [0, 0], rows, columns] = pads else { return Err(shown()) };
        let filling = self.filling(call)?;
        let entry = self.add(call, Op::Pad { rows, columns, filling }, vec![source], Vec::new())?;
        self.set_image(call, entry);
        Ok(())
    }

    fn filling(&mut self, call: Call<'a>) -> Result<Filling, Error> {
        let value = match self.constant(call, 2, "the value")? {
            Some(constant) => constant.scalar().filter(|_| constant.len() == 1),
            None => Some(call.float("value", 0.0)?),
        };
        match value {
            Some(0.0) => Ok(Filling::Zero),
            // What a maximum never chooses: minus infinity, or the lowest number of FP32 or FP16.
            Some(f32::NEG_INFINITY | f32::MIN | -65504.0) => Ok(Filling::Lowest),
            _ => {
                let found = value.map_or_else(|| "no single number".to_owned(), |value| value.to_string());
                Err(call.operand_error("the value", found, "0, or the lowest number"))
            }
        }
    }
}
