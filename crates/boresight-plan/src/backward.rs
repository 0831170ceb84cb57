//! The backward pass.

use crate::step::{Kind, Norm, Step, TensorId};
use crate::{Mode, Plan, Workspace};
use boresight_ir::Resize;
use boresight_kernels as kernels;
use boresight_kernels::{Planes, Write};
use std::ops::Range;

impl Plan {
    /// Writes the gradient of all parameters into `gradient`, given that of the logits of the last forward pass.
    ///
    /// `weights` and `images` are those of that pass; `gradient` is `[parameters]`, the front part of the layout.
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
        memory.gradients[slot][..logits_gradient.len()].copy_from_slice(logits_gradient);
        memory.written.fill(false);
        for step in self.steps.iter().rev() {
            let Some(slot) = self.tensors[step.output].gradient else { continue };
            let output = std::mem::take(&mut memory.gradients[slot]);
            let mut pass = Pass { plan: self, step, weights, images, memory };
            pass.run(&output[..self.tensors[step.output].planes.len()], gradient);
            memory.gradients[slot] = output;
        }
    }
}

/// A rule of batch normalisation: that of batch statistics or that of running ones.
type Rule = fn(
    Planes,
    &[f32],
    &[f32],
    &[f32],
    &[f32],
    &[f32],
    f32,
    kernels::Activation,
    &[f32],
    Write,
    &mut [f32],
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
    memory: &'data mut Workspace,
}

impl Pass<'_> {
    fn run(&mut self, slope: &[f32], gradient: &mut [f32]) {
        match &self.step.kind {
            Kind::Convolve { .. } => self.convolve(slope, gradient),
            Kind::Normalise(norm) => self.normalise(norm, slope, gradient),
            Kind::ScaleShift { .. } => self.scale_shift(slope, gradient),
            Kind::Concat => self.concat(slope),
            Kind::Add => {
                for operand in 0..2 {
                    self.pass_on(operand, |_, write, target| match write {
                        Write::Set => target.copy_from_slice(slope),
                        Write::Add => kernels::add_assign(slope, target),
                    });
                }
            }
            Kind::ChannelScale => self.channel_scale(slope),
            _ => self.unary(slope),
        }
    }

    /// Calls `write` with the gradient of an operand, if it is needed.
    fn pass_on(&mut self, operand: usize, write: impl FnOnce(&mut Self, Write, &mut [f32])) {
        let tensor = self.step.inputs[operand];
        let Some(slot) = self.plan.tensors[tensor].gradient else { return };
        let mode = self.mark(tensor);
        let mut target = std::mem::take(&mut self.memory.gradients[slot]);
        write(self, mode, &mut target[..self.plan.tensors[tensor].planes.len()]);
        self.memory.gradients[slot] = target;
    }

    fn mark(&mut self, tensor: TensorId) -> Write {
        if std::mem::replace(&mut self.memory.written[tensor], true) { Write::Add } else { Write::Set }
    }

    fn planes(&self, operand: usize) -> Planes {
        self.plan.tensors[self.step.inputs[operand]].planes
    }

    fn convolve(&mut self, slope: &[f32], gradient: &mut [f32]) {
        let Kind::Convolve { shape, weight, bias, border } = &self.step.kind else { return };
        let (weights, images) = (self.weights, self.images);
        let Workspace { values, scratch, .. } = &mut *self.memory;
        let x = self.plan.value(self.step.inputs[0], images, values);
        let border = &weights[border.clone()];
        let [grad_weight, grad_bias] = disjoint(gradient, [weight.clone(), bias.clone()]);
        kernels::conv2d_grad_weight(shape, x, border, slope, grad_weight, grad_bias, scratch);
        self.pass_on(0, |pass, write, target| {
            let scratch = &mut pass.memory.scratch;
            kernels::conv2d_grad_input(shape, slope, &weights[weight.clone()], write, target, scratch);
        });
    }

    fn normalise(&mut self, norm: &Norm, slope: &[f32], gradient: &mut [f32]) {
        let planes = self.planes(0);
        let (weights, images, plan, step) = (self.weights, self.images, self.plan, self.step);
        let [scale, shift] = [&norm.scale, &norm.shift].map(|range| &weights[range.clone()]);
        let [grad_scale, grad_shift] = disjoint(gradient, [norm.scale.clone(), norm.shift.clone()]);
        let (epsilon, activation) = (norm.epsilon, norm.activation);
        self.pass_on(0, |pass, write, target| {
            let x = plan.value(step.inputs[0], images, &pass.memory.values);
            let (rule, (mean, variance)): (Rule, _) = match pass.memory.mode {
                Mode::Train(_) => (kernels::batch_norm_grad, norm.batch(&pass.memory.statistics)),
                Mode::Evaluate => (
                    kernels::batch_norm_eval_grad,
                    (&weights[norm.mean.clone()], &weights[norm.variance.clone()]),
                ),
            };
            rule(
                planes, x, scale, shift, mean, variance, epsilon, activation, slope, write, target,
                grad_scale, grad_shift,
            );
        });
    }

    fn scale_shift(&mut self, slope: &[f32], gradient: &mut [f32]) {
        let Kind::ScaleShift { scale, shift } = &self.step.kind else { return };
        let planes = self.planes(0);
        let (weights, images, plan, step) = (self.weights, self.images, self.plan, self.step);
        let [grad_scale, grad_shift] = disjoint(gradient, [scale.clone(), shift.clone()]);
        let scale = &weights[scale.clone()];
        self.pass_on(0, |pass, write, target| {
            let x = plan.value(step.inputs[0], images, &pass.memory.values);
            kernels::scale_shift_grad(planes, x, scale, slope, write, target, grad_scale, grad_shift);
        });
    }

    fn concat(&mut self, slope: &[f32]) {
        let source = self.plan.tensors[self.step.output].planes;
        let mut at = 0;
        for operand in 0..self.step.inputs.len() {
            let planes = self.planes(operand);
            self.pass_on(operand, |_, write, target| {
                kernels::copy_channels(source, at, planes.channels, slope, planes, 0, write, target);
            });
            at += planes.channels;
        }
    }

    fn channel_scale(&mut self, slope: &[f32]) {
        let planes = self.planes(0);
        let (images, plan, step) = (self.images, self.plan, self.step);
        self.pass_on(0, |pass, write_x, grad_x| {
            pass.pass_on(1, |pass, write_factors, grad_factors| {
                let x = plan.value(step.inputs[0], images, &pass.memory.values);
                let factors = plan.value(step.inputs[1], images, &pass.memory.values);
                kernels::channel_scale_grad(
                    planes,
                    x,
                    factors,
                    slope,
                    write_x,
                    grad_x,
                    write_factors,
                    grad_factors,
                );
            });
        });
    }

    fn unary(&mut self, slope: &[f32]) {
        let planes = self.planes(0);
        let (images, plan, step) = (self.images, self.plan, self.step);
        let target_planes = plan.tensors[step.output].planes;
        let size = [target_planes.height, target_planes.width];
        self.pass_on(0, |pass, write, target| {
            let x = plan.value(step.inputs[0], images, &pass.memory.values);
            match &step.kind {
                Kind::Activate(activation) => kernels::activate_grad(*activation, x, slope, write, target),
                Kind::MaxPool(window) => {
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
                Kind::Slice { start } => {
                    // Channels outside the slice get no gradient from it.
                    if write == Write::Set {
                        target.fill(0.0);
                    }
                    let source = target_planes;
                    kernels::copy_channels(
                        source,
                        0,
                        source.channels,
                        slope,
                        planes,
                        *start,
                        Write::Add,
                        target,
                    );
                }
                Kind::Dropout { mask, .. } => match pass.memory.mode {
                    Mode::Train(_) => {
                        kernels::dropout_grad(&pass.memory.masks[mask.clone()], slope, write, target);
                    }
                    Mode::Evaluate => match write {
                        Write::Set => target.copy_from_slice(slope),
                        Write::Add => kernels::add_assign(slope, target),
                    },
                },
                Kind::Convolve { .. }
                | Kind::Normalise(_)
                | Kind::ScaleShift { .. }
                | Kind::Concat
                | Kind::Add
                | Kind::ChannelScale => {}
            }
        });
    }
}
