//! Images of a batch that one thread works on.

use crate::remake::{Past, Way};
use crate::step::{Step, TensorId};
use crate::workspace::Desk;
use crate::{Plan, Workspace};
use boresight_kernels::{Buffer, Planes, Team};
use std::ops::Range;

/// Values that make a step worth the few microseconds of calling helpers.
const WORTH_HELP: usize = 8 * 1024;

/// Some images of the batch, with what one step reads of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part<'data> {
    pub(crate) plan: &'data Plan,
    pub(crate) step: &'data Step,
    pub(crate) weights: &'data [f32],
    pub(crate) images: &'data [f32],
    pub(crate) slots: &'data [Buffer],
    pub(crate) first: usize,
    pub(crate) count: usize,
}

impl<'data> Part<'data> {
    /// Images `images` alone.
    pub(crate) fn of(self, images: Range<usize>) -> Self {
        Self { first: images.start, count: images.len(), ..self }
    }

    /// Shape of a tensor for these images.
    pub(crate) fn planes(self, tensor: TensorId) -> Planes {
        Planes { batch: self.count, ..self.plan.tensors[tensor].planes }
    }

    /// Shape of an operand for these images.
    pub(crate) fn operand(self, operand: usize) -> Planes {
        self.planes(self.step.inputs[operand])
    }

    /// Shape of the result for these images.
    pub(crate) fn result(self) -> Planes {
        self.planes(self.step.output)
    }

    /// Where these images stand in a tensor of the whole batch.
    pub(crate) fn range(self, tensor: TensorId) -> Range<usize> {
        let image = self.plan.image_len(tensor);
        self.first * image..(self.first + self.count) * image
    }

    /// Each image by itself, with its part of `target`, all of these images of tensor `tensor`.
    pub(crate) fn each_image(
        self,
        tensor: TensorId,
        target: &mut [f32],
    ) -> impl Iterator<Item = (Self, &mut [f32])> {
        let images = target.chunks_exact_mut(self.plan.image_len(tensor));
        (self.first..).zip(images).map(move |(image, target)| (self.of(image..image + 1), target))
    }

    /// The value of an operand.
    pub(crate) fn value(self, operand: usize) -> &'data [f32] {
        self.tensor(self.step.inputs[operand])
    }

    /// The value of a tensor.
    pub(crate) fn tensor(self, tensor: TensorId) -> &'data [f32] {
        let whole = if tensor == 0 { self.images } else { &*self.slots[self.plan.tensors[tensor].slot] };
        &whole[self.range(tensor)]
    }
}

impl Plan {
    /// Values of one image of a tensor.
    pub(crate) fn image_len(&self, tensor: TensorId) -> usize {
        let planes = self.tensors[tensor].planes;
        planes.channels * planes.plane()
    }

    /// The threads for a step on these tensors: the caller's alone where calling others costs more than they save.
    pub(crate) fn team_for<'team>(&self, step: &Step, team: &'team Team) -> &'team Team {
        let tensors = step.inputs.iter().chain([&step.output]);
        let values: usize = tensors.map(|&tensor| self.tensors[tensor].planes.len()).sum();
        if values < WORTH_HELP { const { &Team::alone() } } else { team }
    }

    /// The whole batch of a step, and what the threads of a workspace need to work on parts of it.
    pub(crate) fn whole<'data>(
        &'data self,
        step: &'data Step,
        weights: &'data [f32],
        images: &'data [f32],
        memory: &'data mut Workspace,
    ) -> (Part<'data>, Past<'data>, &'data Team, &'data mut [Desk]) {
        let Workspace { slots, desks, team, mode, statistics, masks, .. } = memory;
        let count = self.input_planes().batch;
        let whole = Part { plan: self, step, weights, images, slots, first: 0, count };
        (whole, Past { way: Way::Forward, mode: *mode, statistics, masks }, self.team_for(step, team), desks)
    }
}

/// Divides the images of `target`, all of tensor `tensor`, among the threads.
pub(crate) fn by_images<'data>(
    whole: Part<'data>,
    team: &Team,
    tensor: TensorId,
    target: &'data mut [f32],
) -> impl Iterator<Item = (Part<'data>, &'data mut [f32])> {
    let (share, image) = (team.share(whole.count), whole.plan.image_len(tensor));
    target.chunks_mut((share * image).max(1)).enumerate().map(move |(part, target)| {
        let first = part * share;
        (whole.of(first..whole.count.min(first + share)), target)
    })
}
