//! Batch normalisation with a fused activation, and the per-channel linear map; forward and backward.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use crate::activation::{Activation, Function, with_function};
use crate::buffer::Shared;
use crate::dispatch::{Version, dispatch};
use crate::gradient::Gradient;
use crate::rows::{PairSums, map};
use crate::{Planes, Store, Team};
use std::ops::Range;

/// Where each image keeps the plane of one channel.
#[inline(always)]
fn channel_planes(planes: Planes, channel: usize) -> impl Iterator<Item = Range<usize>> {
    let plane = planes.plane();
    (0..planes.batch).map(move |image| {
        let start = (image * planes.channels + channel) * plane;
        start..start + plane
    })
}

/// Values of one channel over the whole batch.
#[inline(always)]
fn count(planes: Planes) -> f64 {
    (planes.batch * planes.plane()).max(1) as f64
}

/// Mean and biased variance of one channel, summed about the mean of its first values.
#[inline(always)]
fn moments(planes: Planes, channel: usize, x: &[f32]) -> (f64, f64) {
    let origin = channel_planes(planes, channel).next().map_or(0.0, |range| origin(&x[range]));
    let mut sums = PairSums::ZERO;
    for range in channel_planes(planes, channel) {
        sums.add(&x[range.clone()], &x[range], |x, _| {
            let offset = x - origin;
            (offset, offset * offset)
        });
    }
    let origin = f64::from(origin);
    let (sum, squares) = sums.totals();
    let offset = sum / count(planes);
    let variance = squares / count(planes) - offset * offset;
    // Rounding may leave a tiny negative number; NaN passes.
    (origin + offset, if variance < 0.0 { 0.0 } else { variance })
}

/// The mean of the first values of a plane: near enough to that of the channel that squares about it keep their digits.
#[inline(always)]
fn origin(plane: &[f32]) -> f32 {
    let first = &plane[..plane.len().min(64)];
    first.iter().sum::<f32>() / first.len().max(1) as f32
}

/// Normalisation and linear map of one channel: (x - mean) * scale + beta.
#[derive(Clone, Copy)]
struct Affine {
    mean: f32,
    /// 1 / sqrt(variance + epsilon).
    rate: f32,
    /// gamma * rate.
    scale: f32,
    beta: f32,
}

impl Affine {
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
    fn new(mean: f32, variance: f32, epsilon: f32, gamma: f32, beta: f32) -> Self {
        let rate = (1.0 / (f64::from(variance) + f64::from(epsilon)).sqrt()) as f32;
        Self { mean, rate, scale: gamma * rate, beta }
    }

    #[inline(always)]
    fn apply(self, x: f32) -> f32 {
        (x - self.mean) * self.scale + self.beta
    }
}

/// Checks the lengths that all kernels of this file share.
#[track_caller]
fn check(planes: Planes, maps: [usize; 2], vectors: [usize; 4]) {
    assert!(maps.iter().all(|&len| len == planes.len()), "a feature map does not fill its planes");
    assert!(
        vectors.iter().all(|&len| len == planes.channels),
        "a vector does not hold one value per channel"
    );
}

/// Batch normalisation in its training form, followed by an activation:
/// y = activation((x - mean) / sqrt(variance + epsilon) * gamma + beta), with the statistics of this very batch.
///
/// `gamma`, `beta` and the results `mean` and `variance` (biased) hold one value per channel.
/// The statistics are summed in stretches of binary32, the stretches in binary64.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn batch_norm_train(
    team: &Team,
    planes: Planes,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    epsilon: f32,
    activation: Activation,
    y: &mut [f32],
    mean: &mut [f32],
    variance: &mut [f32],
) {
    check(planes, [x.len(), y.len()], [gamma.len(), beta.len(), mean.len(), variance.len()]);
    let (version, y, share) = (Version::best(), Shared::new(y), team.share(planes.channels));
    let statistics = mean.chunks_mut(share).zip(variance.chunks_mut(share)).enumerate();
    team.each(statistics, |(part, (mean, variance))| {
        let first = part * share;
        train(version, planes, first, x, gamma, beta, epsilon, activation, y, mean, variance);
    });
}

dispatch! {
    /// The channels from `first` on; `mean` and `variance` are theirs alone.
    fn train(
        planes: Planes, first: usize, x: &[f32], gamma: &[f32], beta: &[f32], epsilon: f32,
        activation: Activation, y: Shared<'_>, mean: &mut [f32], variance: &mut [f32],
    ) {
        for (channel, (mean, variance)) in (first..).zip(mean.iter_mut().zip(variance)) {
            let (channel_mean, channel_variance) = moments(planes, channel, x);
            (*mean, *variance) = (narrow(channel_mean), narrow(channel_variance));
            let affine = Affine::new(*mean, *variance, epsilon, gamma[channel], beta[channel]);
            normalise(planes, channel, x, affine, activation, y);
        }
    }
}

/// Batch normalisation in its evaluation form, followed by an activation; as [`batch_norm_train`], but with the
/// given statistics.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn batch_norm_eval(
    team: &Team,
    planes: Planes,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    activation: Activation,
    y: &mut [f32],
) {
    check(planes, [x.len(), y.len()], [gamma.len(), beta.len(), mean.len(), variance.len()]);
    let (version, y) = (Version::best(), Shared::new(y));
    team.each(channel_parts(team, planes), |channels| {
        eval(version, planes, channels, x, gamma, beta, mean, variance, epsilon, activation, y);
    });
}

/// The channels, divided among the threads of a team.
fn channel_parts(team: &Team, planes: Planes) -> impl Iterator<Item = Range<usize>> {
    let share = team.share(planes.channels);
    (0..planes.channels).step_by(share).map(move |first| first..planes.channels.min(first + share))
}

dispatch! {
    fn eval(
        planes: Planes, channels: Range<usize>, x: &[f32], gamma: &[f32], beta: &[f32], mean: &[f32],
        variance: &[f32], epsilon: f32, activation: Activation, y: Shared<'_>,
    ) {
        for channel in channels {
            let affine = Affine::new(mean[channel], variance[channel], epsilon, gamma[channel], beta[channel]);
            normalise(planes, channel, x, affine, activation, y);
        }
    }
}

/// One channel of the forward pass.
#[inline(always)]
fn normalise(
    planes: Planes,
    channel: usize,
    x: &[f32],
    affine: Affine,
    activation: Activation,
    y: Shared<'_>,
) {
    for range in channel_planes(planes, channel) {
        // SAFETY: each channel is in one part of the task alone, and planes of different channels do not overlap.
        let (x, y) = (&x[range.clone()], unsafe { y.part(range) });
        with_function!(activation, f => {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = f.value(affine.apply(x));
            }
        });
    }
}

/// Rounds a sum of binary64 to the `f32` of the interface.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
fn narrow(value: f64) -> f32 {
    value as f32
}

/// Gradients of [`batch_norm_train`] through activation, linear map and the statistics of the batch.
///
/// `mean` and `variance` are those that the forward pass returned; the value before the activation is computed
/// anew, bit by bit as there. `gradient` is that of the result, and becomes that of `x`; given a `sum`, that of `x` is
/// added to it instead and `gradient` holds nothing of value. `grad_gamma` and `grad_beta` are overwritten.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn batch_norm_grad(
    team: &Team,
    planes: Planes,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    activation: Activation,
    gradient: &mut [f32],
    sum: Option<&mut [f32]>,
    grad_gamma: &mut [f32],
    grad_beta: &mut [f32],
) {
    check(planes, [x.len(), gradient.len()], [gamma.len(), beta.len(), mean.len(), variance.len()]);
    check(planes, [x.len(); 2], [grad_gamma.len(), grad_beta.len(), gamma.len(), beta.len()]);
    let statistics = Statistics { mean, variance, epsilon, origin: Origin::Batch };
    let outputs = Outputs { gradient: Gradient::new(gradient, sum), grad_gamma, grad_beta };
    norm_grads(team, planes, x, gamma, beta, statistics, activation, outputs);
}

/// Gradients of [`batch_norm_eval`]: the statistics are constants. Otherwise as [`batch_norm_grad`].
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn batch_norm_eval_grad(
    team: &Team,
    planes: Planes,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    mean: &[f32],
    variance: &[f32],
    epsilon: f32,
    activation: Activation,
    gradient: &mut [f32],
    sum: Option<&mut [f32]>,
    grad_gamma: &mut [f32],
    grad_beta: &mut [f32],
) {
    check(planes, [x.len(), gradient.len()], [gamma.len(), beta.len(), mean.len(), variance.len()]);
    check(planes, [x.len(); 2], [grad_gamma.len(), grad_beta.len(), gamma.len(), beta.len()]);
    let statistics = Statistics { mean, variance, epsilon, origin: Origin::Given };
    let outputs = Outputs { gradient: Gradient::new(gradient, sum), grad_gamma, grad_beta };
    norm_grads(team, planes, x, gamma, beta, statistics, activation, outputs);
}

/// Whether the statistics depend on the input.
#[derive(Clone, Copy)]
enum Origin {
    Batch,
    Given,
}

#[derive(Clone, Copy)]
struct Statistics<'a> {
    mean: &'a [f32],
    variance: &'a [f32],
    epsilon: f32,
    origin: Origin,
}

struct Outputs<'a> {
    gradient: Gradient<'a>,
    grad_gamma: &'a mut [f32],
    grad_beta: &'a mut [f32],
}

/// Divides the channels among the threads.
fn norm_grads(
    team: &Team,
    planes: Planes,
    x: &[f32],
    gamma: &[f32],
    beta: &[f32],
    statistics: Statistics<'_>,
    activation: Activation,
    outputs: Outputs<'_>,
) {
    let (version, share) = (Version::best(), team.share(planes.channels));
    let Outputs { gradient, grad_gamma, grad_beta } = outputs;
    let parts = grad_gamma.chunks_mut(share).zip(grad_beta.chunks_mut(share)).enumerate();
    team.each(parts, |(part, (grad_gamma, grad_beta))| {
        let outputs = Outputs { gradient, grad_gamma, grad_beta };
        norm_grad(version, planes, part * share, x, gamma, beta, statistics, activation, outputs);
    });
}

dispatch! {
    /// The channels from `first` on; `grad_gamma` and `grad_beta` of the outputs are theirs alone.
    fn norm_grad(
        planes: Planes, first: usize, x: &[f32], gamma: &[f32], beta: &[f32], statistics: Statistics<'_>,
        activation: Activation, outputs: Outputs<'_>,
    ) {
        let totals = outputs.grad_gamma.iter_mut().zip(outputs.grad_beta);
        for (channel, (grad_gamma, grad_beta)) in (first..).zip(totals) {
            let (mean, variance) = (statistics.mean[channel], statistics.variance[channel]);
            let affine = Affine::new(mean, variance, statistics.epsilon, gamma[channel], beta[channel]);
            with_function!(activation, f => {
                let (sum, product) = channel_sums(planes, channel, x, affine, f, outputs.gradient);
                *grad_beta = narrow(sum);
                *grad_gamma = narrow(product * f64::from(affine.rate));
                let slope = match statistics.origin {
                    Origin::Batch => {
                        let rate = f64::from(affine.rate);
                        (narrow(sum / count(planes)), narrow(product / count(planes) * rate * rate))
                    }
                    Origin::Given => (0.0, 0.0),
                };
                channel_grad(planes, channel, x, affine, f, slope, outputs.gradient);
            });
        }
    }
}

/// Values that are taken through the activation together, on their way to a sum or a gradient.
const BLOCK: usize = 256;

/// The blocks that cover the planes of one channel.
#[inline(always)]
fn channel_blocks(planes: Planes, channel: usize) -> impl Iterator<Item = Range<usize>> {
    channel_planes(planes, channel)
        .flat_map(|plane| plane.clone().step_by(BLOCK).map(move |start| start..plane.end.min(start + BLOCK)))
}

/// The gradient of one block before the activation.
#[inline(always)]
fn before_activation<F: Function>(x: &[f32], affine: Affine, f: F, grad_y: &[f32]) -> [f32; BLOCK] {
    let mut gradient = [0.0; BLOCK];
    for ((gradient, &x), &g) in gradient.iter_mut().zip(x).zip(grad_y) {
        *gradient = f.chain(affine.apply(x), g);
    }
    gradient
}

/// Sums of g and g * (x - mean) over a channel, where g is the gradient before the activation; where the activation is
/// costly, g is left in place of the result's gradient.
#[inline(always)]
fn channel_sums<F: Function>(
    planes: Planes,
    channel: usize,
    x: &[f32],
    affine: Affine,
    f: F,
    gradient: Gradient<'_>,
) -> (f64, f64) {
    let mut sums = PairSums::ZERO;
    for range in channel_blocks(planes, channel) {
        // SAFETY: as in `normalise`.
        let (x, place) = (&x[range.clone()], unsafe { gradient.place.part(range) });
        let g = &before_activation(x, affine, f, place)[..x.len()];
        sums.add(x, g, |x, g| (g, g * (x - affine.mean)));
        if F::COSTLY {
            place.copy_from_slice(g);
        }
    }
    sums.totals()
}

impl Affine {
    /// The input's gradient, given that before the activation and the slopes of the statistics.
    #[inline(always)]
    fn chain(self, x: f32, g: f32, slope: (f32, f32)) -> f32 {
        self.scale * (g - slope.0 - (x - self.mean) * slope.1)
    }
}

/// The input's gradient of one channel, after [`channel_sums`].
#[inline(always)]
fn channel_grad<F: Function>(
    planes: Planes,
    channel: usize,
    x: &[f32],
    affine: Affine,
    f: F,
    slope: (f32, f32),
    gradient: Gradient<'_>,
) {
    for range in channel_planes(planes, channel) {
        let x = &x[range.clone()];
        // SAFETY: as in `normalise`.
        unsafe {
            if F::COSTLY {
                gradient.pass(range, x, |x, g| affine.chain(x, g, slope));
            } else {
                gradient.pass(range, x, |x, g| affine.chain(x, f.chain(affine.apply(x), g), slope));
            }
        }
    }
}

/// y = x * scale + shift, with one value of `scale` and `shift` per channel; one fused multiply-add, then stored.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn scale_shift(planes: Planes, x: &[f32], scale: &[f32], shift: &[f32], store: Store, y: &mut [f32]) {
    check(planes, [x.len(), y.len()], [scale.len(), shift.len(), scale.len(), shift.len()]);
    scale_shift_all(Version::best(), planes, x, scale, shift, store, y);
}

dispatch! {
    fn scale_shift_all(planes: Planes, x: &[f32], scale: &[f32], shift: &[f32], store: Store, y: &mut [f32]) {
        for channel in 0..planes.channels {
            let (scale, shift) = (scale[channel], shift[channel]);
            for range in channel_planes(planes, channel) {
                map(store, &x[range.clone()], &mut y[range], |x| x.mul_add(scale, shift));
            }
        }
    }
}

/// Gradients of [`scale_shift`]; `grad_scale` and `grad_shift` are overwritten, `gradient` and `sum` are as for
/// [`batch_norm_grad`].
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn scale_shift_grad(
    team: &Team,
    planes: Planes,
    x: &[f32],
    scale: &[f32],
    gradient: &mut [f32],
    sum: Option<&mut [f32]>,
    grad_scale: &mut [f32],
    grad_shift: &mut [f32],
) {
    let vectors = [scale.len(), grad_scale.len(), grad_shift.len(), scale.len()];
    check(planes, [x.len(), gradient.len()], vectors);
    let (version, gradient) = (Version::best(), Gradient::new(gradient, sum));
    let share = team.share(planes.channels);
    let parts = grad_scale.chunks_mut(share).zip(grad_shift.chunks_mut(share)).enumerate();
    team.each(parts, |(part, (grad_scale, grad_shift))| {
        let first = part * share;
        scale_shift_grad_all(version, planes, first, x, scale, gradient, grad_scale, grad_shift);
    });
}

dispatch! {
    /// The channels from `first` on; `grad_scale` and `grad_shift` are theirs alone.
    fn scale_shift_grad_all(
        planes: Planes, first: usize, x: &[f32], scale: &[f32], gradient: Gradient<'_>, grad_scale: &mut [f32],
        grad_shift: &mut [f32],
    ) {
        for (channel, (grad_scale, grad_shift)) in (first..).zip(grad_scale.iter_mut().zip(grad_shift)) {
            let factor = scale[channel];
            let mut sums = PairSums::ZERO;
            for range in channel_planes(planes, channel) {
                let x = &x[range.clone()];
                // SAFETY: as in `normalise`.
                unsafe {
                    sums.add(x, gradient.place.part(range.clone()), |x, g| (g, g * x));
                    gradient.pass(range, x, |_, g| g * factor);
                }
            }
            let (shift, scale) = sums.totals();
            (*grad_shift, *grad_scale) = (narrow(shift), narrow(scale));
        }
    }
}

#[cfg(test)]
mod tests;
