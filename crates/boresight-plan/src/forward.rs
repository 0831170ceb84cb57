//! The forward pass.

use crate::part::{Part, by_images};
use crate::step::{Kind, Norm, Step};
use crate::{Mode, Plan, Store, Workspace};
use boresight_core::Seed;
use boresight_ir::Resize;
use boresight_kernels as kernels;
use boresight_kernels::{Buffer, ConvShape, Team, Write};
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
            let mut output = std::mem::take(&mut memory.slots[slot]);
            self.run(step, weights, images, memory, &mut output[..self.tensors[step.output].planes.len()]);
            memory.slots[slot] = output;
        }
        &memory.slots[self.tensors[self.output].slot][..self.output_planes().len()]
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

    fn run(&self, step: &Step, weights: &[f32], images: &[f32], memory: &mut Workspace, output: &mut [f32]) {
        match &step.kind {
            Kind::Normalise(norm) => {
                let Workspace { slots, statistics, mode, team, .. } = memory;
                let planes = self.tensors[step.inputs[0]].planes;
                let whole = Part { plan: self, step, weights, images, slots, first: 0, count: planes.batch };
                norm.forward(self.team_for(step, team), whole, *mode, statistics, output);
            }
            Kind::Dropout { rate, name, mask } => {
                let Mode::Train(seed) = memory.mode else {
                    return self.run_parts(step, weights, images, memory, output);
                };
                let Workspace { slots, masks, team, .. } = memory;
                let (team, image) = (self.team_for(step, team), self.image_len(step.output));
                let whole = Part {
                    plan: self,
                    step,
                    weights,
                    images,
                    slots,
                    first: 0,
                    count: self.input_planes().batch,
                };
                let masks = masks[mask.clone()].chunks_mut(image);
                team.each(masks.zip(output.chunks_mut(image)).enumerate(), |(image, (mask, output))| {
                    dropout_mask(seed, name, image, *rate, mask);
                    kernels::dropout(mask, whole.of(image..image + 1).value(0), output);
                    // 1 / (1 - rate) is no power of two in general, so a stored value is rounded again.
                    if self.arithmetic.store() == Store::F16 {
                        round_slice_f16(output);
                    }
                });
            }
            _ => self.run_parts(step, weights, images, memory, output),
        }
    }

    /// Runs a step in which no image sees another.
    fn run_parts(
        &self,
        step: &Step,
        weights: &[f32],
        images: &[f32],
        memory: &mut Workspace,
        output: &mut [f32],
    ) {
        let (whole, team, scratch) = self.whole(step, weights, images, memory);
        let parts = by_images(whole, team, step.output, output);
        team.each_with(scratch, parts, |scratch, (part, output)| part.forward(scratch, output));
    }
}

impl Part<'_> {
    fn forward(self, scratch: &mut Buffer, output: &mut [f32]) {
        let (x, planes, target) = (self.value(0), self.operand(0), self.result());
        let (arithmetic, size) = (self.plan.arithmetic, [target.height, target.width]);
        let store = arithmetic.store();
        match &self.step.kind {
            Kind::Convolve { shape, weight, bias, border } => {
                let shape = ConvShape { input: planes, ..*shape };
                let [weight, bias, border] = [weight, bias, border].map(|range| &self.weights[range.clone()]);
                kernels::conv2d(&shape, x, border, weight, bias, arithmetic, output, scratch);
            }
            Kind::ScaleShift { scale, shift } => {
                let [scale, shift] = [scale, shift].map(|range| &self.weights[range.clone()]);
                kernels::scale_shift(planes, x, scale, shift, store, output);
            }
            Kind::Activate(activation) => kernels::activate(*activation, store, x, output),
            Kind::MaxPool(window) => kernels::max_pool(planes, window.kernel, window.stride, x, output),
            Kind::AvgPool(window) => {
                kernels::avg_pool(planes, window.kernel, window.stride, store, x, output);
            }
            Kind::GlobalAvgPool => kernels::global_avg_pool(planes, store, x, output),
            Kind::Upsample(Resize::Nearest) => kernels::upsample_nearest(planes, size, x, output),
            Kind::Upsample(Resize::Bilinear) => kernels::upsample_bilinear(planes, size, store, x, output),
            Kind::Concat => self.concat(output),
            Kind::Add => kernels::add(x, self.value(1), store, output),
            Kind::ChannelScale => kernels::channel_scale(planes, x, self.value(1), store, output),
            Kind::Slice { start } => {
                kernels::copy_channels(planes, *start, target.channels, x, target, 0, Write::Set, output);
            }
            // Without batch statistics, without masks: both have been run where these are.
            Kind::Normalise(_) | Kind::Dropout { .. } => output.copy_from_slice(x),
        }
    }

    fn concat(self, output: &mut [f32]) {
        let mut at = 0;
        for operand in 0..self.step.inputs.len() {
            let (planes, x) = (self.operand(operand), self.value(operand));
            kernels::copy_channels(planes, 0, planes.channels, x, self.result(), at, Write::Set, output);
            at += planes.channels;
        }
    }
}

impl Norm {
    fn forward(&self, team: &Team, whole: Part<'_>, mode: Mode, statistics: &mut [f32], output: &mut [f32]) {
        let (weights, planes, x) = (whole.weights, whole.operand(0), whole.value(0));
        let [scale, shift] = [&self.scale, &self.shift].map(|range| &weights[range.clone()]);
        let (channels, epsilon, activation) = (scale.len(), self.epsilon, self.activation);
        match mode {
            Mode::Train(_) => {
                let (mean, variance) =
                    statistics[self.statistics..self.statistics + 2 * channels].split_at_mut(channels);
                kernels::batch_norm_train(
                    team, planes, x, scale, shift, epsilon, activation, output, mean, variance,
                );
            }
            Mode::Evaluate => {
                let [mean, variance] = [&self.mean, &self.variance].map(|range| &weights[range.clone()]);
                kernels::batch_norm_eval(
                    team, planes, x, scale, shift, mean, variance, epsilon, activation, output,
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

/// Draws what dropout node `node` multiplies image `image` of the batch by in a step of [`Mode::Train`] with this seed:
/// 0 with probability `rate`, in `[0, 1)`, else `1 / (1 - rate)`.
pub fn dropout_mask(seed: Seed, node: &str, image: usize, rate: f32, mask: &mut [f32]) {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate in [0, 1) times 2^32"
    )]
    let threshold = (f64::from(rate) * 4_294_967_296.0) as u64;
    let kept = 1.0 / (1.0 - rate);
    let mut stream = seed.derive(node, image as u64).stream();
    // Two values from each 64 random bits.
    for pair in mask.chunks_mut(2) {
        let bits = stream.bits();
        for (value, half) in pair.iter_mut().zip([bits >> 32, bits & 0xffff_ffff]) {
            *value = if half < threshold { 0.0 } else { kept };
        }
    }
}
