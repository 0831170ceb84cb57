//! The forward pass.

use crate::step::{Kind, Norm, Step, TensorId};
use crate::{Mode, Plan, Store, Workspace};
use boresight_core::Seed;
use boresight_ir::Resize;
use boresight_kernels as kernels;
use boresight_kernels::Write;
use boresight_numerics::round_slice_f16;

impl Plan {
    /// Logits `[batch, classes, height, width]` of `images` `[batch, channels, height, width]`.
    ///
    /// `weights` is the whole flat buffer in the order of [`Plan::layout`].
    ///
    /// # Panics
    /// When a slice has another length than the plan, or the workspace belongs to another plan.
    pub fn forward<'memory>(
        &self,
        weights: &[f32],
        images: &[f32],
        mode: Mode,
        memory: &'memory mut Workspace,
    ) -> &'memory [f32] {
        assert_eq!(weights.len(), self.layout.len(), "weights must have the layout of the plan");
        assert_eq!(images.len(), self.input_planes().len(), "images must have the shape of the plan");
        memory.mode = mode;
        for step in &self.steps {
            let slot = self.tensors[step.output].slot;
            let mut output = std::mem::take(&mut memory.values[slot]);
            let len = self.tensors[step.output].planes.len();
            self.run(step, weights, images, memory, &mut output[..len]);
            memory.values[slot] = output;
        }
        &memory.values[self.tensors[self.output].slot][..self.output_planes().len()]
    }

    /// Moves running statistics towards the batch statistics of the last forward pass in [`Mode::Train`]:
    /// `running += momentum * (batch - running)`, with the unbiased batch variance.
    pub fn commit_statistics(&self, memory: &Workspace, momentum: f32, weights: &mut [f32]) {
        for step in &self.steps {
            let Kind::Normalise(norm) = &step.kind else { continue };
            let planes = self.tensors[step.output].planes;
            let count = (planes.batch * planes.plane()) as f32;
            let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
            let (mean, variance) = norm.batch(&memory.statistics);
            for (running, batch) in weights[norm.mean.clone()].iter_mut().zip(mean) {
                *running += momentum * (batch - *running);
            }
            for (running, batch) in weights[norm.variance.clone()].iter_mut().zip(variance) {
                *running += momentum * (batch * unbiased - *running);
            }
        }
    }

    /// The value of a tensor.
    pub(crate) fn value<'data>(
        &self,
        tensor: TensorId,
        images: &'data [f32],
        values: &'data [Vec<f32>],
    ) -> &'data [f32] {
        if tensor == 0 {
            images
        } else {
            &values[self.tensors[tensor].slot][..self.tensors[tensor].planes.len()]
        }
    }

    fn run(&self, step: &Step, weights: &[f32], images: &[f32], memory: &mut Workspace, output: &mut [f32]) {
        let Workspace { values, statistics, masks, scratch, mode, .. } = memory;
        let input = step.inputs[0];
        let planes = self.tensors[input].planes;
        let size = [self.tensors[step.output].planes.height, self.tensors[step.output].planes.width];
        let store = self.store;
        let x = self.value(input, images, values);
        match &step.kind {
            Kind::Convolve { shape, weight, bias, border } => {
                let [weight, bias, border] = [weight, bias, border].map(|range| &weights[range.clone()]);
                kernels::conv2d(shape, x, border, weight, bias, store, output, scratch);
            }
            Kind::Normalise(norm) => norm.forward(planes, weights, x, *mode, statistics, output),
            Kind::ScaleShift { scale, shift } => {
                kernels::scale_shift(
                    planes,
                    x,
                    &weights[scale.clone()],
                    &weights[shift.clone()],
                    store,
                    output,
                );
            }
            Kind::Activate(activation) => kernels::activate(*activation, store, x, output),
            Kind::MaxPool(window) => kernels::max_pool(planes, window.kernel, window.stride, x, output),
            Kind::AvgPool(window) => {
                kernels::avg_pool(planes, window.kernel, window.stride, store, x, output);
            }
            Kind::GlobalAvgPool => kernels::global_avg_pool(planes, store, x, output),
            Kind::Upsample(Resize::Nearest) => kernels::upsample_nearest(planes, size, x, output),
            Kind::Upsample(Resize::Bilinear) => kernels::upsample_bilinear(planes, size, store, x, output),
            Kind::Concat => self.concat(step, images, values, output),
            Kind::Add => kernels::add(x, self.value(step.inputs[1], images, values), store, output),
            Kind::ChannelScale => {
                let factors = self.value(step.inputs[1], images, values);
                kernels::channel_scale(planes, x, factors, store, output);
            }
            Kind::Slice { start } => {
                let target = self.tensors[step.output].planes;
                kernels::copy_channels(planes, *start, target.channels, x, target, 0, Write::Set, output);
            }
            Kind::Dropout { rate, name, mask } => match *mode {
                Mode::Evaluate => output.copy_from_slice(x),
                Mode::Train(seed) => {
                    let mask = &mut masks[mask.clone()];
                    dropout_mask(seed, name, *rate, mask);
                    kernels::dropout(mask, x, output);
                    // 1 / (1 - rate) is no power of two in general, so a stored value is rounded again.
                    if store == Store::F16 {
                        round_slice_f16(output);
                    }
                }
            },
        }
    }

    fn concat(&self, step: &Step, images: &[f32], values: &[Vec<f32>], output: &mut [f32]) {
        let target = self.tensors[step.output].planes;
        let mut at = 0;
        for &input in &step.inputs {
            let planes = self.tensors[input].planes;
            let x = self.value(input, images, values);
            kernels::copy_channels(planes, 0, planes.channels, x, target, at, Write::Set, output);
            at += planes.channels;
        }
    }
}

impl Norm {
    fn forward(
        &self,
        planes: kernels::Planes,
        weights: &[f32],
        x: &[f32],
        mode: Mode,
        statistics: &mut [f32],
        output: &mut [f32],
    ) {
        let [scale, shift] = [&self.scale, &self.shift].map(|range| &weights[range.clone()]);
        let channels = scale.len();
        match mode {
            Mode::Train(_) => {
                let (mean, variance) =
                    statistics[self.statistics..self.statistics + 2 * channels].split_at_mut(channels);
                let (epsilon, activation) = (self.epsilon, self.activation);
                kernels::batch_norm_train(
                    planes, x, scale, shift, epsilon, activation, output, mean, variance,
                );
            }
            Mode::Evaluate => {
                let [mean, variance] = [&self.mean, &self.variance].map(|range| &weights[range.clone()]);
                let (epsilon, activation) = (self.epsilon, self.activation);
                kernels::batch_norm_eval(
                    planes, x, scale, shift, mean, variance, epsilon, activation, output,
                );
            }
        }
    }

    /// Mean and biased variance of the batch.
    pub(crate) fn batch<'data>(&self, statistics: &'data [f32]) -> (&'data [f32], &'data [f32]) {
        let channels = self.scale.len();
        statistics[self.statistics..self.statistics + 2 * channels].split_at(channels)
    }
}

/// Draws what dropout node `node` multiplies by in a step of [`Mode::Train`] with this seed: 0 with probability
/// `rate`, in `[0, 1)`, else `1 / (1 - rate)`.
pub fn dropout_mask(seed: Seed, node: &str, rate: f32, mask: &mut [f32]) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate in [0, 1) times 2^32"
    )]
    let threshold = (f64::from(rate) * 4_294_967_296.0) as u64;
    let kept = 1.0 / (1.0 - rate);
    let mut stream = seed.derive(node, 0).stream();
    // Two values from each 64 random bits.
    for pair in mask.chunks_mut(2) {
        let bits = stream.bits();
        for (value, half) in pair.iter_mut().zip([bits >> 32, bits & 0xffff_ffff]) {
            *value = if half < threshold { 0.0 } else { kept };
        }
    }
}
