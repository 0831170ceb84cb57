//! The backward pass.

use crate::part::{Part, by_images};
use crate::remake::{Past, Way};
use crate::step::{Kind, Norm, Step, TensorId};
use crate::workspace::Desk;
use crate::{Mode, Plan, Workspace};
use boresight_ir::Resize;
use boresight_kernels as kernels;
use boresight_kernels::{ConvShape, Planes, Team, Write};
use std::iter::once;
use std::ops::Range;

impl Plan {
    /// Writes the gradient of all parameters into `gradient`, given that of the logits of the last forward pass.
    ///
    /// `weights` and `images` are those of that pass; `gradient` is `[parameters]`, the front part of the layout.
    /// One pass forward serves one backward: gradients take the room of values that are no longer read.
    ///
    /// # Panics
    /// When a slice has another length than the plan, or the plan was made by [`Plan::inference`].
    pub fn backward(
        &self,
        weights: &[f32],
        images: &[f32],
        logits_gradient: &[f32],
        memory: &mut Workspace,
        gradient: &mut [f32],
    ) {
        assert_eq!(weights.len(), self.layout.len(), "weights must have the layout of the plan");
        assert_eq!(gradient.len(), self.layout.trainable(), "gradient must have one value a parameter");
        let slot = self.tensors[self.output].gradient;
        #[expect(clippy::expect_used, reason = "documented under # Panics")]
        let slot = slot.expect("a plan made for inference has no backward");
        memory.slots[slot][..logits_gradient.len()].copy_from_slice(logits_gradient);
        memory.written.fill(false);
        for step in self.steps.iter().rev() {
            let Some(slot) = self.tensors[step.output].gradient else { continue };
            let mut place = std::mem::take(&mut memory.slots[slot]);
            let slope = &mut place[..self.tensors[step.output].planes.len()];
            self.look_back(step, memory, slope);
            Pass { plan: self, step, weights, images, slope, memory }.run(gradient);
            memory.slots[slot] = place;
        }
    }
}

/// A rule of batch normalisation: that of batch statistics or that of running ones.
type Rule = fn(
    &Team,
    Planes,
    &[f32],
    &[f32],
    &[f32],
    &[f32],
    &[f32],
    f32,
    kernels::Activation,
    &mut [f32],
    Option<&mut [f32]>,
    &mut [f32],
    &mut [f32],
);

/// Two parts of the gradient that do not overlap.
fn disjoint(gradient: &mut [f32], parts: [Range<usize>; 2]) -> [&mut [f32]; 2] {
    #[expect(clippy::expect_used, reason = "slots of a layout never overlap and end within it")]
    gradient.get_disjoint_mut(parts).expect("slots of a layout do not overlap")
}

/// The backward pass of one step.
struct Pass<'data> {
    plan: &'data Plan,
    step: &'data Step,
    weights: &'data [f32],
    images: &'data [f32],
    /// Gradient of the step's result, which nobody reads afterwards.
    slope: &'data mut [f32],
    memory: &'data mut Workspace,
}

impl Pass<'_> {
    fn run(&mut self, gradient: &mut [f32]) {
        match &self.step.kind {
            Kind::Convolve { shape, weight, bias, border, .. } => {
                self.convolve(shape, [weight, bias, border], gradient);
            }
            Kind::Normalise(norm) => self.normalise(norm, gradient),
            Kind::ScaleShift { scale, shift } => self.scale_shift(scale, shift, gradient),
            Kind::Activate(activation) => self.activate(*activation),
            Kind::Softmax => self.softmax(),
            Kind::Mul => self.multiply(),
            Kind::ChannelScale => self.channel_scale(),
            _ => (0..self.step.inputs.len()).for_each(|operand| self.each_part(operand)),
        }
    }

    /// Calls `write` with the gradient of an operand, if it is needed and does not stand in the place of the result's.
    fn pass_on(&mut self, operand: usize, write: impl FnOnce(&mut Self, Write, &mut [f32])) {
        let tensor = self.step.inputs[operand];
        let Some(slot) = self.plan.tensors[tensor].gradient else { return };
        let mode = self.mark(tensor);
        let mut target = std::mem::take(&mut self.memory.slots[slot]);
        write(self, mode, &mut target[..self.plan.tensors[tensor].planes.len()]);
        self.memory.slots[slot] = target;
    }

    /// Calls `pass` to turn the result's gradient into that of the first operand, given where else the latter is added.
    fn pass_on_in_place(&mut self, pass: impl FnOnce(&mut Self, Option<&mut [f32]>)) {
        if self.is_in_place(0) {
            self.mark(self.step.inputs[0]);
            return pass(self, None);
        }
        self.pass_on(0, |own, write, target| match write {
            Write::Add => pass(own, Some(target)),
            // Another place was planned for it only where something is written there before.
            Write::Set => {
                pass(own, None);
                target.copy_from_slice(own.slope);
            }
        });
    }

    /// Whether the gradient of an operand stands where that of the result does.
    fn is_in_place(&self, operand: usize) -> bool {
        let tensors = &self.plan.tensors;
        tensors[self.step.inputs[operand]].gradient == tensors[self.step.output].gradient
    }

    fn mark(&mut self, tensor: TensorId) -> Write {
        if std::mem::replace(&mut self.memory.written[tensor], true) { Write::Add } else { Write::Set }
    }

    /// Passes the gradient on to an operand, images divided among the threads.
    fn each_part(&mut self, operand: usize) {
        if self.is_in_place(operand) {
            self.mark(self.step.inputs[operand]);
            return;
        }
        self.pass_on(operand, |pass, write, target| {
            let Pass { plan, step, weights, images, ref slope, ref mut memory } = *pass;
            let Workspace { slots, desks, team, masks, mode, statistics, .. } = &mut **memory;
            let past = Past { way: Way::Back, mode: *mode, statistics, masks };
            let count = plan.input_planes().batch;
            let whole = Part { plan, step, weights, images, slots, first: 0, count };
            let team = plan.team_for(step, team);
            let parts = by_images(whole, team, step.inputs[operand], target);
            team.each_with(desks, parts, |desk, (part, target)| {
                for (part, target) in part.each_image(step.inputs[operand], target) {
                    let slope = &slope[part.range(step.output)];
                    part.backward(operand, slope, past, &mut desk.room, write, target);
                }
            });
        });
    }

    /// Both gradients of a convolution, chunk by chunk, while the slope of a chunk is in the cache. Chunks have sums of
    /// their own for the weights, which are added in the order of the chunks.
    fn convolve(&mut self, shape: &ConvShape, ranges: [&Range<usize>; 3], gradient: &mut [f32]) {
        let input = self.step.inputs[0];
        if self.plan.tensors[input].gradient.is_none() {
            return self.convolve_chunks(shape, ranges, gradient, Write::Set, &mut []);
        }
        self.pass_on(0, |pass, write, target| pass.convolve_chunks(shape, ranges, gradient, write, target));
    }

    /// As [`Pass::convolve`]; an empty `target` means that the input needs no gradient.
    fn convolve_chunks(
        &mut self,
        shape: &ConvShape,
        [weight, bias, border]: [&Range<usize>; 3],
        gradient: &mut [f32],
        write: Write,
        target: &mut [f32],
    ) {
        let Pass { plan, step, weights, images, ref slope, ref mut memory } = *self;
        let Workspace { slots, partial, desks, team, mode, statistics, masks, .. } = &mut **memory;
        let past = Past { way: Way::Back, mode: *mode, statistics, masks };
        let [grad_weight, grad_bias] = disjoint(gradient, [weight.clone(), bias.clone()]);
        let batch = shape.input.batch;
        let whole = Part { plan, step, weights, images, slots, first: 0, count: batch };
        let (chunk, size) = (chunk(shape), weight.len() + bias.len());
        let others = (batch.div_ceil(chunk) - 1) * size;
        let sums = partial[..others].chunks_mut(size).map(|sums| sums.split_at_mut(weight.len()));
        let sums = once((&mut *grad_weight, &mut *grad_bias)).chain(sums);
        let image = if target.is_empty() { 0 } else { plan.image_len(step.inputs[0]) };
        let mut rest = target;
        let targets = (0..batch).step_by(chunk).map(|first| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(chunk.min(batch - first) * image);
            rest = others;
            part
        });
        let parts = sums.zip(targets).enumerate();
        plan.team_for(step, team).each_with(
            desks,
            parts,
            |Desk { scratch, room }, (at, ((grad_weight, grad_bias), target))| {
                let part = whole.of(at * chunk..batch.min((at + 1) * chunk));
                let (shape, slope) =
                    (ConvShape { input: part.operand(0), ..*shape }, &slope[part.range(step.output)]);
                let (x, border) = (part.recall(0, past, room), &weights[border.clone()]);
                kernels::conv2d_grad_weight(&shape, x, border, slope, grad_weight, grad_bias, scratch);
                if !target.is_empty() {
                    kernels::conv2d_grad_input(
                        &shape,
                        slope,
                        &weights[weight.clone()],
                        write,
                        target,
                        scratch,
                    );
                }
            },
        );
        for sums in partial[..others].chunks(size) {
            let (weight, bias) = sums.split_at(weight.len());
            kernels::add_assign(weight, grad_weight);
            kernels::add_assign(bias, grad_bias);
        }
    }

    /// The whole batch of the step and the threads for it.
    fn whole(&self) -> (Part<'_>, &Team) {
        let Pass { plan, step, weights, images, .. } = *self;
        let count = plan.input_planes().batch;
        let whole = Part { plan, step, weights, images, slots: &self.memory.slots, first: 0, count };
        (whole, plan.team_for(step, &self.memory.team))
    }

    /// The step's first operand, its shape and the threads for the step.
    fn operand(&self) -> (Planes, &[f32], &Team) {
        let (whole, team) = self.whole();
        (whole.operand(0), whole.value(0), team)
    }

    fn normalise(&mut self, norm: &Norm, gradient: &mut [f32]) {
        let weights = self.weights;
        let [scale, shift] = [&norm.scale, &norm.shift].map(|range| &weights[range.clone()]);
        let [grad_scale, grad_shift] = disjoint(gradient, [norm.scale.clone(), norm.shift.clone()]);
        let (epsilon, activation) = (norm.epsilon, norm.activation);
        self.pass_on_in_place(|pass, sum| {
            let slope = std::mem::take(&mut pass.slope);
            let Workspace { mode, statistics, masks, .. } = &*pass.memory;
            let past = Past { way: Way::Back, mode: *mode, statistics, masks };
            let rule: Rule = match past.mode {
                Mode::Train(_) => kernels::batch_norm_grad,
                Mode::Evaluate => kernels::batch_norm_eval_grad,
            };
            let (mean, variance) = norm.used(past, weights);
            let (planes, x, team) = pass.operand();
            rule(
                team, planes, x, scale, shift, mean, variance, epsilon, activation, slope, sum, grad_scale,
                grad_shift,
            );
            pass.slope = slope;
        });
    }

    fn scale_shift(&mut self, scale: &Range<usize>, shift: &Range<usize>, gradient: &mut [f32]) {
        let [grad_scale, grad_shift] = disjoint(gradient, [scale.clone(), shift.clone()]);
        let scale = &self.weights[scale.clone()];
        self.pass_on_in_place(|pass, sum| {
            let slope = std::mem::take(&mut pass.slope);
            let (planes, x, team) = pass.operand();
            kernels::scale_shift_grad(team, planes, x, scale, slope, sum, grad_scale, grad_shift);
            pass.slope = slope;
        });
    }

    fn activate(&mut self, activation: kernels::Activation) {
        self.pass_on_in_place(|pass, sum| {
            let slope = std::mem::take(&mut pass.slope);
            let (_, x, team) = pass.operand();
            let share = team.share(x.len());
            let sums = optional_chunks(sum, share);
            let parts = x.chunks(share).zip(slope.chunks_mut(share)).zip(sums);
            team.each(parts, |((x, slope), sum)| kernels::activate_grad(activation, x, slope, sum));
            pass.slope = slope;
        });
    }

    fn softmax(&mut self) {
        self.pass_on_in_place(|pass, sum| {
            let slope = std::mem::take(&mut pass.slope);
            let (whole, team) = pass.whole();
            let (plan, input) = (pass.plan, pass.step.inputs[0]);
            let sums = optional_chunks(sum, team.share(whole.count) * plan.image_len(input));
            let parts = by_images(whole, team, input, slope).zip(sums);
            team.each(parts, |((part, slope), sum)| {
                kernels::softmax_grad(part.operand(0), part.value(0), slope, sum);
            });
            pass.slope = slope;
        });
    }

    /// The gradient of the second factor comes first: that of the first one may take the place of the product's.
    fn multiply(&mut self) {
        self.each_part(1);
        if !self.is_in_place(0) {
            return self.each_part(0);
        }
        self.mark(self.step.inputs[0]);
        let slope = std::mem::take(&mut self.slope);
        let (whole, team) = self.whole();
        let other = whole.value(1);
        let share = team.share(other.len());
        team.each(other.chunks(share).zip(slope.chunks_mut(share)), |(other, slope)| {
            kernels::mul_assign(other, slope);
        });
        self.slope = slope;
    }

    fn channel_scale(&mut self) {
        let (plan, step) = (self.plan, self.step);
        self.pass_on_in_place(|pass, sum| {
            pass.pass_on(1, |pass, write_factors, grad_factors| {
                let slope = std::mem::take(&mut pass.slope);
                let Pass { weights, images, ref mut memory, .. } = *pass;
                let Workspace { slots, desks, team, mode, statistics, masks, .. } = &mut **memory;
                let past = Past { way: Way::Back, mode: *mode, statistics, masks };
                let count = plan.input_planes().batch;
                let whole = Part { plan, step, weights, images, slots, first: 0, count };
                let team = plan.team_for(step, team);
                let sums = optional_chunks(sum, plan.image_len(step.inputs[0]));
                let factors = whole.each_image(step.inputs[1], grad_factors);
                let parts = whole.each_image(step.inputs[0], slope).zip(factors).zip(sums);
                team.each_with(desks, parts, |desk, (((part, slope), (_, grad_factors)), sum)| {
                    let (x, factors) = (part.recall(0, past, &mut desk.room), part.value(1));
                    let planes = part.operand(0);
                    kernels::channel_scale_grad(planes, x, factors, slope, sum, write_factors, grad_factors);
                });
                pass.slope = slope;
            });
        });
    }
}

/// Chunks of a slice, or as many nothings as are asked for.
fn optional_chunks(slice: Option<&mut [f32]>, size: usize) -> impl Iterator<Item = Option<&mut [f32]>> {
    let mut chunks = slice.map(|slice| slice.chunks_mut(size.max(1)));
    std::iter::from_fn(move || Some(chunks.as_mut().and_then(Iterator::next)))
}

impl Part<'_> {
    /// Writes the gradient of an operand of a step in which no image sees another.
    fn backward(
        self,
        operand: usize,
        slope: &[f32],
        past: Past<'_>,
        room: &mut [f32],
        write: Write,
        target: &mut [f32],
    ) {
        let (planes, result) = (self.operand(operand), self.result());
        let size = [result.height, result.width];
        match &self.step.kind {
            Kind::MaxPool(window) => {
                let x = self.recall(0, past, room);
                kernels::max_pool_grad(planes, window.kernel, window.stride, x, slope, write, target);
            }
            Kind::AvgPool(window) => {
                kernels::avg_pool_grad(planes, window.kernel, window.stride, slope, write, target);
            }
            Kind::GlobalAvgPool => kernels::global_avg_pool_grad(planes, slope, write, target),
            Kind::Upsample(Resize::Nearest) => {
                kernels::upsample_nearest_grad(planes, size, slope, write, target);
            }
            Kind::Upsample(Resize::Bilinear) => {
                kernels::upsample_bilinear_grad(planes, size, slope, write, target);
            }
            Kind::Concat => {
                let before = &self.step.inputs[..operand];
                let at = before.iter().map(|&tensor| self.planes(tensor).channels).sum();
                kernels::copy_channels(result, at, planes.channels, slope, planes, 0, write, target);
            }
            Kind::Slice { start } => {
                // Channels outside the slice get no gradient from it.
                if write == Write::Set {
                    target.fill(0.0);
                }
                let channels = result.channels;
                kernels::copy_channels(result, 0, channels, slope, planes, *start, Write::Add, target);
            }
            Kind::Dropout { mask, .. } => match past.mode {
                Mode::Train(_) => {
                    let mask = &past.masks[mask.clone()][self.range(self.step.output)];
                    kernels::dropout_grad(mask, slope, write, target);
                }
                Mode::Evaluate => copy(slope, write, target),
            },
            Kind::Add(_) => copy(slope, write, target),
            Kind::Mul => kernels::mul_grad(self.value(1 - operand), slope, write, target),
            Kind::Pad { rows, columns, .. } => {
                kernels::pad_grad(planes, *rows, *columns, slope, write, target);
            }
            Kind::ZeroStuff { stride } => kernels::zero_stuff_grad(planes, *stride, slope, write, target),
            // These have gradients of parameters, or pass on in place.
            Kind::Convolve { .. }
            | Kind::Normalise(_)
            | Kind::ScaleShift { .. }
            | Kind::Activate(_)
            | Kind::Softmax
            | Kind::ChannelScale => {}
        }
    }
}

fn copy(slope: &[f32], write: Write, target: &mut [f32]) {
    match write {
        Write::Set => target.copy_from_slice(slope),
        Write::Add => kernels::add_assign(slope, target),
    }
}

/// Images whose weight gradient is one sum, whatever the number of threads: an eighth of the batch, but so many that
/// their results have 1024 positions.
pub(crate) fn chunk(shape: &ConvShape) -> usize {
    let (batch, plane) = (shape.input.batch, shape.output().plane());
    batch.div_ceil(8).max(1024_usize.div_ceil(plane)).min(batch)
}
