//! Operators made of those Candle operations whose backward rules are right, or with rules of their own.
//!
//! Candle's own pooling, upsampling, `relu` and convolution with rests are not among them.

use super::rule::{with_rule, with_rule_for_three};
use boresight_ir::{Conv2d, Resize, Window};
use candle_core::{DType, Device, Result, Tensor};

/// Every `step`-th of `count` places of a dimension, from `start` on.
fn strided(x: &Tensor, dim: usize, start: usize, step: usize, count: usize) -> Result<Tensor> {
    if step == 1 {
        return x.narrow(dim, start, count);
    }
    let places: Vec<i64> = (0..count).map_while(|at| i64::try_from(start + at * step).ok()).collect();
    x.contiguous()?.index_select(&Tensor::from_vec(places, count, x.device())?, dim)
}

/// `x` with rows and columns before and behind it, `[rows, columns]`, that hold `border`, one value a channel, or zero.
pub(super) fn pad(x: &Tensor, margins: [[usize; 2]; 2], border: Option<&Tensor>) -> Result<Tensor> {
    let mut padded = x.clone();
    for (dim, [before, behind]) in [(2, margins[0]), (3, margins[1])] {
        let strips = [strip(&padded, dim, before, border)?, strip(&padded, dim, behind, border)?];
        let parts: Vec<&Tensor> = match &strips {
            [None, None] => continue,
            [before, behind] => before.iter().chain([&padded]).chain(behind).collect(),
        };
        padded = Tensor::cat(&parts, dim)?;
    }
    Ok(padded)
}

/// A strip of this length along `dim` that fits `x`, if it has a length.
fn strip(x: &Tensor, dim: usize, length: usize, border: Option<&Tensor>) -> Result<Option<Tensor>> {
    if length == 0 {
        return Ok(None);
    }
    let mut shape = x.dims().to_vec();
    shape[dim] = length;
    Ok(Some(match border {
        Some(border) => border.reshape((1, border.elem_count(), 1, 1))?.broadcast_as(shape)?.contiguous()?,
        None => Tensor::zeros(shape, x.dtype(), x.device())?,
    }))
}

/// Convolution to `size` pixels; what lies beyond the edge reads `border`, or zero.
pub(super) fn convolve(
    x: &Tensor,
    conv: Conv2d,
    [weight, bias]: [Option<&Tensor>; 2],
    border: Option<&Tensor>,
    size: [usize; 2],
) -> Result<Tensor> {
    let Some(weight) = weight else { return Ok(x.clone()) };
    let (_, _, height, width) = x.dims4()?;
    let read = [0, 1].map(|axis| (size[axis] - 1) * conv.stride[axis] + conv.kernel[axis]);
    let whole = [0, 1].map(|axis| [height, width][axis] + 2 * conv.padding[axis]);
    let is_even = conv.stride[0] == conv.stride[1];
    let is_depthwise = conv.groups > 1 && weight.dim(1)? == 1;
    // Without rests, Candle's gradient of a convolution has the right size on both axes. It pads both axes alike.
    let y = if is_even
        && !is_depthwise
        && border.is_none()
        && read == whole
        && conv.padding[0] == conv.padding[1]
    {
        x.conv2d(weight, conv.padding[0], conv.stride[0], 1, conv.groups)?
    } else {
        let x = pad(x, conv.padding.map(|margin| [margin; 2]), border)?;
        let x = x.narrow(2, 0, read[0])?.narrow(3, 0, read[1])?.contiguous()?;
        if is_depthwise {
            depthwise(&x, weight, conv, size)?
        } else if is_even {
            x.conv2d(weight, 0, conv.stride[0], 1, conv.groups)?
        } else {
            let y = x.conv2d(weight, 0, 1, 1, conv.groups)?;
            strided(&strided(&y, 2, 0, conv.stride[0], size[0])?, 3, 0, conv.stride[1], size[1])?
        }
    };
    match bias {
        Some(bias) => y.broadcast_add(&per_channel(bias, &y)?),
        None => Ok(y),
    }
}

/// A convolution whose outputs read one channel each: one product a tap.
fn depthwise(x: &Tensor, weight: &Tensor, conv: Conv2d, size: [usize; 2]) -> Result<Tensor> {
    let multiplier = conv.out_channels / conv.groups;
    let x = if multiplier == 1 {
        x.clone()
    } else {
        let sources = (0..conv.out_channels).map_while(|output| i64::try_from(output / multiplier).ok());
        x.index_select(&Tensor::from_vec(sources.collect(), conv.out_channels, x.device())?, 1)?
    };
    let taps = taps(&x, Window { kernel: conv.kernel, stride: conv.stride }, size)?;
    let mut sum: Option<Tensor> = None;
    for (at, tap) in taps.iter().enumerate() {
        let factor = weight.narrow(2, at / conv.kernel[1], 1)?.narrow(3, at % conv.kernel[1], 1)?;
        let product = tap.broadcast_mul(&per_channel(&factor, tap)?)?;
        sum = Some(match sum {
            Some(sum) => (sum + product)?,
            None => product,
        });
    }
    Ok(sum.unwrap_or(x))
}

/// For each place of a window, row by row, what all windows see there: `[batch, channels, size]`.
fn taps(x: &Tensor, window: Window, size: [usize; 2]) -> Result<Vec<Tensor>> {
    let mut taps = Vec::with_capacity(window.kernel[0] * window.kernel[1]);
    for row in 0..window.kernel[0] {
        let rows = strided(x, 2, row, window.stride[0], size[0])?;
        for column in 0..window.kernel[1] {
            taps.push(strided(&rows, 3, column, window.stride[1], size[1])?);
        }
    }
    Ok(taps)
}

/// The largest value of each window; the first of equals takes the gradient, NaN wins.
pub(super) fn max_pool(x: &Tensor, window: Window, size: [usize; 2]) -> Result<Tensor> {
    let mut best: Option<Tensor> = None;
    for tap in taps(x, window, size)? {
        best = Some(match best {
            Some(best) => (tap.le(&best)? + best.ne(&best)?)?.where_cond(&best, &tap)?,
            None => tap,
        });
    }
    Ok(best.unwrap_or_else(|| x.clone()))
}

/// `max(x, 0)`; the gradient at 0 is 0, NaN stays.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    let zeros = x.zeros_like()?;
    x.le(&zeros)?.where_cond(&zeros, x)
}

/// `x` above zero, `x * slope` up to it; the gradient at 0 is the slope.
pub(super) fn leaky_relu(x: &Tensor, slope: f64) -> Result<Tensor> {
    x.le(0.0)?.where_cond(&(x * slope)?, x)
}

/// `min(max(x, low), high)`; the gradient at both ends is 0, NaN stays.
pub(super) fn clip(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    let ones = x.ones_like()?;
    let x = x.le(low)?.where_cond(&(&ones * low)?, x)?;
    x.ge(high)?.where_cond(&(&ones * high)?, &x)
}

/// Softmax over the channels; what is subtracted has no gradient, since it changes nothing.
pub(super) fn softmax(x: &Tensor) -> Result<Tensor> {
    let shares = x.broadcast_sub(&x.detach().max_keepdim(1)?)?.exp()?;
    shares.broadcast_div(&shares.sum_keepdim(1)?)
}

/// `1 / (1 + exp(-x))`, through the hyperbolic tangent, whose gradient cannot overflow.
pub(super) fn sigmoid(x: &Tensor) -> Result<Tensor> {
    ((x * 0.5)?.tanh()? * 0.5)? + 0.5
}

/// `x / 2 * (1 + erf(x / sqrt 2))`.
pub(super) fn gelu(x: &Tensor) -> Result<Tensor> {
    let share = (((x * std::f64::consts::FRAC_1_SQRT_2)?.erf()? * 0.5)? + 0.5)?;
    x * share
}

/// `x * scale + shift` for each channel.
pub(super) fn scale_shift(x: &Tensor, scale: &Tensor, shift: &Tensor) -> Result<Tensor> {
    x.broadcast_mul(&per_channel(scale, x)?)?.broadcast_add(&per_channel(shift, x)?)
}

/// Batch normalisation with the mean and the variance that are given, `[channels]` each.
pub(super) fn normalise(
    x: &Tensor,
    [mean, variance]: [&Tensor; 2],
    [scale, shift]: [&Tensor; 2],
    epsilon: f32,
) -> Result<Tensor> {
    let centred = x.broadcast_sub(&per_channel(mean, x)?)?;
    scale_shift(&centred, &(scale * rate(variance, epsilon)?)?, shift)
}

/// Batch normalisation with the mean and the biased variance `[channels]` of the batch, which are the other result.
pub(super) fn batch_norm(
    x: &Tensor,
    [scale, shift]: [&Tensor; 2],
    epsilon: f32,
) -> Result<(Tensor, [Tensor; 2])> {
    let values = x.detach();
    let count = (x.elem_count() / x.dim(1)?) as f64;
    let mean = (channel_sum(&values)? / count)?;
    let centred = values.broadcast_sub(&per_channel(&mean, x)?)?;
    let variance = (channel_sum(&centred.sqr()?)? / count)?;
    let rate = rate(&variance, epsilon)?;
    let factor = (scale.detach() * &rate)?;
    let y = scale_shift(&centred, &factor, &shift.detach())?;
    let backward = move |slope: &Tensor| {
        let of_scale = (channel_sum(&(slope * &centred)?)? * &rate)?;
        let of_shift = channel_sum(slope)?;
        // What each pixel does to all others of its channel through their mean and their variance.
        let through_mean = per_channel(&(&of_shift / count)?, slope)?;
        let through_variance = per_channel(&((&of_scale * &rate)? / count)?, slope)?;
        let apart = slope.broadcast_sub(&through_mean)?;
        let apart = (apart - centred.broadcast_mul(&through_variance)?)?;
        Ok([apart.broadcast_mul(&per_channel(&factor, slope)?)?, of_scale, of_shift])
    };
    Ok((with_rule_for_three([x, scale, shift], &y, backward)?, [mean, variance]))
}

/// The reciprocal of the standard deviation.
fn rate(variance: &Tensor, epsilon: f32) -> Result<Tensor> {
    (variance + f64::from(epsilon))?.sqrt()?.recip()
}

/// The sum of each channel `[channels]`, row by row.
fn channel_sum(x: &Tensor) -> Result<Tensor> {
    x.sum(3)?.sum(2)?.sum(0)
}

/// `[channels]` as it lies against `x`, `[batch, channels, height, width]`, once for each row: so the gradient is
/// summed row by row, too, which is exacter than one sum and keeps all of a GPU busy.
fn per_channel(values: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (batch, channels, height, _) = x.dims4()?;
    values.reshape((1, channels, 1, 1))?.broadcast_as((batch, channels, height, 1))
}

/// A linear map of the rows and one of the columns of every plane: pooling by mean, resizing, zeros between pixels.
#[derive(Clone, Debug)]
pub(super) struct Resampling {
    /// `[rows before, rows after]`.
    rows: Tensor,
    /// `[columns before, columns after]`.
    columns: Tensor,
}

impl Resampling {
    /// The means of windows.
    pub(super) fn mean(
        window: Window,
        [before, after]: [[usize; 2]; 2],
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let axis = |axis: usize| {
            let (kernel, stride) = (window.kernel[axis], window.stride[axis]);
            matrix(before[axis], after[axis], dtype, device, |at| {
                (at * stride..at * stride + kernel).map(|source| (source, 1.0 / kernel as f64)).collect()
            })
        };
        Ok(Self { rows: axis(0)?, columns: axis(1)? })
    }

    /// Upsampling.
    pub(super) fn resize(
        resize: Resize,
        [before, after]: [[usize; 2]; 2],
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let axis = |axis: usize| {
            let (before, after) = (before[axis], after[axis]);
            matrix(before, after, dtype, device, |at| match resize {
                Resize::Nearest => vec![(at * before / after, 1.0)],
                Resize::Bilinear => bilinear(at, before, after),
            })
        };
        Ok(Self { rows: axis(0)?, columns: axis(1)? })
    }

    /// Zeros between pixels.
    pub(super) fn stuff(
        stride: [usize; 2],
        [before, after]: [[usize; 2]; 2],
        dtype: DType,
        device: &Device,
    ) -> Result<Self> {
        let axis = |axis: usize| {
            matrix(before[axis], after[axis], dtype, device, |at| {
                let is_pixel = at.is_multiple_of(stride[axis]);
                is_pixel.then_some((at / stride[axis], 1.0)).into_iter().collect()
            })
        };
        Ok(Self { rows: axis(0)?, columns: axis(1)? })
    }

    /// The map of `x`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let back = Self { rows: self.rows.t()?, columns: self.columns.t()? };
        with_rule(x, &self.map(&x.detach())?, move |slope| back.map(slope))
    }

    fn map(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let (rows, columns) = (self.rows.dim(1)?, self.columns.dim(1)?);
        let x = x.reshape((batch * channels * height, width))?.matmul(&self.columns)?;
        let x = x.reshape((batch * channels, height, columns))?.transpose(1, 2)?;
        let x = x.reshape((batch * channels * columns, height))?.matmul(&self.rows)?;
        let x = x.reshape((batch * channels, columns, rows))?.transpose(1, 2)?;
        x.reshape((batch, channels, rows, columns))
    }
}

/// The sources of place `at` between half-pixel centres, with their weights.
fn bilinear(at: usize, before: usize, after: usize) -> Vec<(usize, f64)> {
    let centre = ((at as f64 + 0.5) * before as f64 / after as f64 - 0.5).max(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place, at least 0")]
    let low = (centre.floor() as usize).min(before - 1);
    let share = centre - low as f64;
    vec![(low, 1.0 - share), ((low + 1).min(before - 1), share)]
}

/// `[before, after]` with the weights of each result's sources.
fn matrix(
    before: usize,
    after: usize,
    dtype: DType,
    device: &Device,
    sources: impl Fn(usize) -> Vec<(usize, f64)>,
) -> Result<Tensor> {
    let mut values = vec![0.0; before * after];
    for at in 0..after {
        for (source, weight) in sources(at) {
            values[source * after + at] += weight;
        }
    }
    Tensor::from_vec(values, (before, after), &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}
