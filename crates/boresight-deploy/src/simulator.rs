//! The simulated device, on the kernels.

use crate::{Deployment, Error};
use boresight_kernels::Planes;
use boresight_plan::{Mode, Plan, Workspace};

/// Runs a [`Deployment`] on batches of tiles: equal bits for equal counts, whatever the machine.
#[derive(Clone, Debug)]
pub struct Simulator {
    deployment: Deployment,
    plan: Plan,
}

/// The memory that a [`Simulator`] works in; its size does not depend on how many tiles it has seen.
#[derive(Clone, Debug)]
pub struct Memory {
    images: Vec<f32>,
    plan: Workspace,
}

impl Simulator {
    /// A simulator for batches of `batch` tiles.
    ///
    /// # Errors
    /// When the network cannot be run.
    pub fn new(deployment: Deployment, batch: usize) -> Result<Self, Error> {
        let plan = Plan::inference(deployment.network(), batch, deployment.projection().device())?;
        Ok(Self { deployment, plan })
    }

    /// What it runs.
    pub const fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// Memory for it.
    pub fn memory(&self) -> Memory {
        let mut plan = self.plan.workspace();
        self.deployment.projection().describe_sums(self.deployment.constants(), &mut plan);
        Memory { images: vec![0.0; self.plan.input_planes().len()], plan }
    }

    /// Shape of the counts `[batch, bands, height, width]`.
    pub fn input_planes(&self) -> Planes {
        self.plan.input_planes()
    }

    /// Shape of the logits `[batch, classes, height, width]`.
    pub fn output_planes(&self) -> Planes {
        self.plan.output_planes()
    }

    /// Logits of a batch of raw sensor counts `[batch, bands, height, width]`.
    ///
    /// # Panics
    /// When `counts` has another length, or `memory` is another simulator's.
    pub fn logits<'memory>(&self, counts: &[f32], memory: &'memory mut Memory) -> &'memory [f32] {
        memory.images.copy_from_slice(counts);
        self.deployment.projection().images(self.plan.input_planes(), &mut memory.images);
        self.plan.forward(self.deployment.constants(), &memory.images, Mode::Evaluate, &mut memory.plan)
    }

    /// Writes the label map `[batch, height, width]` of a batch of counts: the class of the largest logit.
    ///
    /// # Panics
    /// When a slice has another length, or `memory` is another simulator's.
    pub fn labels(&self, counts: &[f32], memory: &mut Memory, labels: &mut [u8]) {
        argmax(self.output_planes(), self.logits(counts, memory), labels);
    }
}

/// Writes the class of the largest logit of each pixel: the first of equal ones; NaN is never the largest.
///
/// `logits` is `[batch, classes, height, width]` with at most 256 classes, `labels` is `[batch, height, width]`.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn argmax(planes: Planes, logits: &[f32], labels: &mut [u8]) {
    assert_eq!(logits.len(), planes.len(), "logits do not fill their planes");
    assert_eq!(labels.len(), planes.batch * planes.plane(), "not one label a pixel");
    let plane = planes.plane();
    let images = logits.chunks_exact(planes.channels * plane);
    for (logits, labels) in images.zip(labels.chunks_exact_mut(plane)) {
        for (pixel, label) in labels.iter_mut().enumerate() {
            let mut best = f32::NEG_INFINITY;
            *label = 0;
            for (class, logits) in (0..=u8::MAX).zip(logits.chunks_exact(plane)) {
                if logits[pixel] > best {
                    best = logits[pixel];
                    *label = class;
                }
            }
        }
    }
}
