//! The forward pass.

use crate::backward::chunk;
use crate::part::{Part, by_images};
use crate::remake::Past;
use crate::step::{Kind, Norm, Step, TensorId};
use crate::{Arithmetic, LayerSums, Mode, Plan, Store, Workspace};
use boresight_core::Seed;
use boresight_ir::{Filling, Resize};
use boresight_kernels as kernels;
use boresight_kernels::{Activation, ConvShape, Machine, NarrowSums, Team, Write};
use boresight_numerics::{Accumulator, PoolingSum, Rounding, round_slice_f16};

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
        for step in self.steps.iter().filter(|step| !self.tensors[step.output].deferred) {
            let slot = self.tensors[step.output].slot;
            let mut output = std::mem::take(&mut memory.slots[slot]);
            let values = &mut output[..self.tensors[step.output].planes.len()];
            self.run(step, weights, images, memory, values);
            self.store(step, memory, values);
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
            Kind::Convolve { shape, weight, bias, border, after } => {
                let Workspace { slots, folded, sums, desks, team, .. } = memory;
                let sums = self.sums(sums, step.output);
                let count = self.input_planes().batch;
                let whole = Part { plan: self, step, weights, images, slots, first: 0, count };
                let own = [&weights[weight.clone()], &weights[bias.clone()]];
                let [weight, bias] = match &after.norm {
                    Some(norm) => norm.fold(shape, weights, own, folded),
                    None => own,
                };
                // Some images at a time, so that the activation finds them in a cache.
                let some = chunk(shape);
                let parts = output.chunks_mut(some * self.image_len(step.output)).enumerate();
                self.team_for(step, team).each_with(desks, parts, |desk, (at, output)| {
                    let part = whole.of(at * some..count.min((at + 1) * some));
                    let (shape, border) =
                        (ConvShape { input: part.operand(0), ..*shape }, &weights[border.clone()]);
                    let x = part.value(0);
                    let scratch = &mut desk.scratch;
                    if let Some(sums) = &sums {
                        kernels::conv2d_narrow(&shape, x, border, weight, bias, sums, output, scratch);
                    } else {
                        let arithmetic = self.arithmetic;
                        kernels::conv2d(&shape, x, border, weight, bias, arithmetic, output, scratch);
                    }
                    if after.activation != Activation::Identity {
                        kernels::activate_in_place(after.activation, self.arithmetic.store(), output);
                    }
                });
            }
            _ => self.run_parts(step, weights, images, memory, output),
        }
    }

    /// How a narrow device sums the convolution that makes a tensor; `None`: in binary32.
    fn sums(&self, sums: &[LayerSums], tensor: TensorId) -> Option<NarrowSums> {
        let Arithmetic::Narrow(machine) = self.arithmetic else { return None };
        let LayerSums { scale, part } = sums[tensor];
        let narrow = NarrowSums { accumulator: machine.accumulator, rounding: machine.sums, scale, part };
        (machine.accumulator != Accumulator::F32).then_some(narrow)
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
        let (whole, past, team, desks) = self.whole(step, weights, images, memory);
        let parts = by_images(whole, team, step.output, output);
        team.each_with(desks, parts, |_, (part, output)| part.forward(past, output));
    }
}

impl Part<'_> {
    /// How the device rounds the sums of a pooling, where it does.
    fn narrow_sums(self, pooling: impl Fn(Machine) -> PoolingSum) -> Option<Rounding> {
        match self.plan.arithmetic {
            Arithmetic::Narrow(machine) if pooling(machine) == PoolingSum::F16 => Some(machine.sums),
            _ => None,
        }
    }

    pub(crate) fn forward(self, past: Past<'_>, output: &mut [f32]) {
        if matches!(self.step.kind, Kind::Concat) {
            return self.concat(past, output);
        }
        let (x, planes, target) = (self.value(0), self.operand(0), self.result());
        let (store, size) = (self.plan.arithmetic.store(), [target.height, target.width]);
        match &self.step.kind {
            Kind::ScaleShift { scale, shift } => {
                let [scale, shift] = [scale, shift].map(|range| &self.weights[range.clone()]);
                kernels::scale_shift(planes, x, scale, shift, store, output);
            }
            Kind::Activate(activation) => match &self.plan.narrow.tables {
                Some(tables) => tables.activate(*activation, x, output),
                None => kernels::activate(*activation, store, x, output),
            },
            Kind::Softmax => kernels::softmax(planes, store, x, output),
            Kind::MaxPool(window) => kernels::max_pool(planes, window.kernel, window.stride, x, output),
            Kind::AvgPool(window) => match self.narrow_sums(|machine| machine.pooling) {
                Some(sums) => {
                    kernels::avg_pool_narrow(planes, window.kernel, window.stride, sums, x, output);
                }
                None => kernels::avg_pool(planes, window.kernel, window.stride, store, x, output),
            },
            Kind::GlobalAvgPool => match self.narrow_sums(|machine| machine.squeeze) {
                Some(sums) => kernels::global_avg_pool_narrow(planes, sums, x, output),
                None => kernels::global_avg_pool(planes, store, x, output),
            },
            Kind::Upsample(Resize::Nearest) => kernels::upsample_nearest(planes, size, x, output),
            Kind::Upsample(Resize::Bilinear) => kernels::upsample_bilinear(planes, size, store, x, output),
            Kind::Add(activation) => add(x, self.value(1), *activation, store, output),
            Kind::Mul => kernels::mul(x, self.value(1), store, output),
            Kind::ChannelScale => kernels::channel_scale(planes, x, self.value(1), store, output),
            Kind::Slice { start } => {
                kernels::copy_channels(planes, *start, target.channels, x, target, 0, Write::Set, output);
            }
            Kind::Pad { rows, columns, filling, border } => {
                let border = &self.weights[border.clone()];
                let value = |channel: usize| match filling {
                    Filling::Zero => border.get(channel).copied().unwrap_or(0.0),
                    Filling::Lowest => f32::NEG_INFINITY,
                };
                kernels::pad(planes, *rows, *columns, value, x, output);
            }
            Kind::ZeroStuff { stride } => kernels::zero_stuff(planes, *stride, x, output),
            // Dropout without masks; the others have been run above, or where their statistics and scratch are.
            Kind::Convolve { .. } | Kind::Normalise(_) | Kind::Concat | Kind::Dropout { .. } => {
                output.copy_from_slice(x);
            }
        }
    }
}

/// A sum, block by block, so that the activation finds it in a cache.
fn add(x: &[f32], z: &[f32], activation: Activation, store: Store, output: &mut [f32]) {
    const BLOCK: usize = 4096;
    for ((x, z), output) in x.chunks(BLOCK).zip(z.chunks(BLOCK)).zip(output.chunks_mut(BLOCK)) {
        kernels::add(x, z, store, output);
        if activation != Activation::Identity {
            kernels::activate_in_place(activation, store, output);
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

    /// Weights and biases of a convolution of `shape` after which this normalisation, with running statistics, is nothing;
    /// they go to `folded`.
    fn fold<'data>(
        &self,
        shape: &ConvShape,
        parameters: &[f32],
        [weight, bias]: [&[f32]; 2],
        folded: &'data mut [f32],
    ) -> [&'data [f32]; 2] {
        let [scale, shift, mean, variance] =
            [&self.scale, &self.shift, &self.mean, &self.variance].map(|range| &parameters[range.clone()]);
        let (new_weight, rest) = folded.split_at_mut(weight.len());
        let new_bias = &mut rest[..shape.out_channels];
        let channel = weight.len() / shape.out_channels;
        let kernels = new_weight.chunks_exact_mut(channel).zip(weight.chunks_exact(channel));
        for (at, ((new, old), new_bias)) in kernels.zip(new_bias.iter_mut()).enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
            let factor =
                (f64::from(scale[at]) / (f64::from(variance[at]) + f64::from(self.epsilon)).sqrt()) as f32;
            new.iter_mut().zip(old).for_each(|(new, old)| *new = old * factor);
            // A convolution without a bias has an empty one.
            let bias = if bias.is_empty() { 0.0 } else { bias[at] };
            *new_bias = (bias - mean[at]) * factor + shift[at];
        }
        [new_weight, new_bias]
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
