//! Values that are made anew on the way back instead of being kept since the forward pass.
//!
//! A normalisation keeps what it reads for its own gradient, so that its result need not be kept for the gradients of the
//! convolutions behind it: one pass over one image makes it again while it is in a cache. The same holds for what only
//! moves or scales such values. Arithmetic and order are those of the forward pass, so are the bits.

use crate::part::Part;
use crate::step::{Kind, Norm, Step, Tensor, TensorId};
use crate::{Mode, Plan};
use boresight_ir::Resize;
use boresight_kernels::{self as kernels, Team};

/// Which pass it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Forward,
    Back,
}

/// What the pass can look up beside values.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Past<'data> {
    /// Forward, all values are still there but for deferred ones.
    pub(crate) way: Way,
    pub(crate) mode: Mode,
    pub(crate) statistics: &'data [f32],
    pub(crate) masks: &'data [f32],
}

impl Norm {
    /// Mean and variance that the forward pass normalised with.
    pub(crate) fn used<'data>(
        &self,
        past: Past<'data>,
        weights: &'data [f32],
    ) -> (&'data [f32], &'data [f32]) {
        match past.mode {
            Mode::Train(_) => self.batch(past.statistics),
            Mode::Evaluate => (&weights[self.mean.clone()], &weights[self.variance.clone()]),
        }
    }
}

impl<'data> Part<'data> {
    /// The value of an operand on the way back: where it was kept, or made anew in `room`.
    pub(crate) fn recall<'value>(
        self,
        operand: usize,
        past: Past<'_>,
        room: &'value mut [f32],
    ) -> &'value [f32]
    where
        'data: 'value,
    {
        let tensor = self.step.inputs[operand];
        if self.plan.tensors[tensor].remade.is_none() {
            return self.value(operand);
        }
        let room = &mut room[..self.range(tensor).len()];
        self.make(tensor, past, room);
        room
    }

    /// Writes the value of `tensor`, of these images, to `output`.
    fn make(self, tensor: TensorId, past: Past<'_>, output: &mut [f32]) {
        let Tensor { remade, deferred, .. } = self.plan.tensors[tensor];
        let Some(maker) = remade.filter(|_| deferred || past.way == Way::Back) else {
            return output.copy_from_slice(self.tensor(tensor));
        };
        let step = &self.plan.steps[maker];
        let own = Part { step, ..self };
        let store = self.plan.arithmetic.store();
        match &step.kind {
            Kind::Normalise(norm) => own.normalise(norm, past, output),
            Kind::Activate(activation) => {
                self.make(step.inputs[0], past, output);
                kernels::activate_in_place(*activation, store, output);
            }
            Kind::ChannelScale => {
                self.make(step.inputs[0], past, output);
                kernels::channel_scale_in_place(own.operand(0), own.value(1), store, output);
            }
            _ => own.forward(past, output),
        }
    }

    fn normalise(self, norm: &Norm, past: Past<'_>, output: &mut [f32]) {
        let [scale, shift] = [&norm.scale, &norm.shift].map(|range| &self.weights[range.clone()]);
        let (mean, variance) = norm.used(past, self.weights);
        kernels::batch_norm_eval(
            const { &Team::alone() },
            self.operand(0),
            self.value(0),
            scale,
            shift,
            mean,
            variance,
            norm.epsilon,
            norm.activation,
            output,
        );
    }

    /// Within one image, the channels of each input stand together, so each is made where it belongs.
    pub(crate) fn concat(self, past: Past<'_>, output: &mut [f32]) {
        let images = output.chunks_exact_mut(self.plan.image_len(self.step.output));
        for (image, mut rest) in (self.first..).zip(images) {
            for &input in &self.step.inputs {
                let (own, others) = rest.split_at_mut(self.plan.image_len(input));
                self.of(image..image + 1).make(input, past, own);
                rest = others;
            }
        }
    }
}

impl Plan {
    /// Has upsampled maps that only a concatenation reads made where they belong in it.
    pub(crate) fn defer_upsampling(&mut self) {
        for at in 0..self.steps.len() {
            let Step { kind: Kind::Upsample(_), output, .. } = self.steps[at] else { continue };
            let mut readers = self.steps.iter().filter(|step| step.inputs.contains(&output));
            let concat = readers.next().is_some_and(|step| matches!(step.kind, Kind::Concat));
            if concat && readers.next().is_none() && output != self.output {
                self.tensors[output].remade = Some(at);
                self.tensors[output].deferred = true;
            }
        }
    }

    /// Decides which tensors are made anew on the way back. `made` says which gradients there are.
    pub(crate) fn choose_remade(&mut self, made: &[bool]) {
        for at in 0..self.steps.len() {
            let output = self.steps[at].output;
            if self.tensors[output].deferred {
                continue;
            }
            if self.has_makings(&self.steps[at])
                && self.is_read_by_images(output, made)
                && !self.is_upsampled(output)
            {
                self.tensors[output].remade = Some(at);
            }
        }
    }

    /// Whether a step's result can be made anew, image by image and without further room, from what is kept.
    fn has_makings(&self, step: &Step) -> bool {
        // Other operands can be kept, or made in the place of the result.
        let kept = match step.kind {
            Kind::Normalise(_) | Kind::Upsample(Resize::Nearest) => &step.inputs[..],
            Kind::Activate(_) | Kind::ChannelScale => &step.inputs[1..],
            Kind::Concat => &[],
            _ => return false,
        };
        kept.iter().all(|&input| self.tensors[input].remade.is_none())
    }

    /// Whether upsampling reads `tensor`: keeping it is cheaper than keeping what is made of it.
    fn is_upsampled(&self, tensor: TensorId) -> bool {
        self.steps.iter().any(|step| matches!(step.kind, Kind::Upsample(_)) && step.inputs[0] == tensor)
    }

    /// Whether all that read `tensor` on the way back do so image by image.
    fn is_read_by_images(&self, tensor: TensorId, made: &[bool]) -> bool {
        let readers = self.steps.iter().filter(|step| step.inputs.contains(&tensor) && made[step.output]);
        tensor != self.output
            && readers.filter(|step| step.backward_reads_inputs()).all(|step| match step.kind {
                Kind::Convolve { .. } | Kind::MaxPool(_) => true,
                Kind::ChannelScale => step.inputs[1] != tensor,
                _ => false,
            })
    }

    /// Calls `keep` with each tensor that must be kept for the value of `tensor` to be known.
    pub(crate) fn makings(&self, tensor: TensorId, keep: &mut impl FnMut(TensorId)) {
        match self.tensors[tensor].remade {
            None => keep(tensor),
            Some(maker) => {
                self.steps[maker].inputs.iter().for_each(|&input| self.makings(input, keep));
            }
        }
    }

    /// Values of the largest part that is made anew at once.
    pub(crate) fn room(&self) -> usize {
        let images = |step: &Step| match &step.kind {
            Kind::Convolve { shape, .. } => crate::backward::chunk(shape),
            _ => 1,
        };
        let parts = self.steps.iter().filter(|step| step.backward_reads_inputs()).flat_map(|step| {
            let remade = step.inputs.iter().filter(|&&input| self.tensors[input].remade.is_some());
            remade.map(move |&input| images(step) * self.image_len(input))
        });
        parts.max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
