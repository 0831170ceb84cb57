//! Distillation: a network learns what it made in FP32.

use crate::Error;
use boresight_ir::{Network, Weights};
use boresight_kernels::{Planes, Store, Team, math, softmax};
use boresight_plan::{Arithmetic, Mode, Plan, Workspace};

/// A trained network in FP32, whose class probabilities another one learns.
#[derive(Clone, Debug)]
pub(crate) struct Teacher {
    plan: Plan,
    memory: Workspace,
    weights: Vec<f32>,
    /// Normalised images of the batch.
    pub(crate) images: Vec<f32>,
    wanted: Vec<f32>,
    found: Vec<f32>,
}

impl Teacher {
    pub(crate) fn new(
        network: &Network,
        weights: &Weights,
        batch: usize,
        team: &Team,
    ) -> Result<Self, Error> {
        let plan = Plan::inference(network, batch, Arithmetic::Fast)?;
        let len = plan.output_planes().len();
        Ok(Self {
            memory: plan.workspace_on(team),
            weights: weights.values().to_vec(),
            images: vec![0.0; plan.input_planes().len()],
            wanted: vec![0.0; len],
            found: vec![0.0; len],
            plan,
        })
    }

    /// The mean over pixels of the Kullback-Leibler divergence of `logits` from the teacher's, times `weight`; its gradient is
    /// added to `slope`.
    pub(crate) fn add(&mut self, weight: f32, planes: Planes, logits: &[f32], slope: &mut [f32]) -> f64 {
        let taught = self.plan.forward(&self.weights, &self.images, Mode::Evaluate, &mut self.memory);
        softmax(planes, Store::F32, taught, &mut self.wanted);
        softmax(planes, Store::F32, logits, &mut self.found);
        let pixels = (planes.batch * planes.plane()) as f32;
        let mut sum = 0.0_f64;
        for ((wanted, found), slope) in self.wanted.iter().zip(&self.found).zip(slope) {
            *slope += weight / pixels * (found - wanted);
            if *wanted > 0.0 {
                // A probability that is zero in binary32 is as good as the least one.
                let ratio = math::ln(*wanted) - math::ln(found.max(f32::MIN_POSITIVE));
                sum += f64::from(*wanted) * f64::from(ratio);
            }
        }
        f64::from(weight) * sum / f64::from(pixels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::Seed;
    use boresight_ir::{Builder, Conv2d, Op, Shape};
    use std::num::NonZeroUsize;

    #[test]
    fn the_gradient_of_the_divergence_agrees_with_finite_differences() {
        let mut builder = Builder::new(Shape::new(2, 3, 4)).unwrap();
        let conv = builder.add("conv", Op::Conv2d(Conv2d::same(3, 3)), &[builder.input()]).unwrap();
        let network = builder.finish(conv).unwrap();
        let weights = Weights::initial(&network, Seed::new(1));
        let team = Team::new(NonZeroUsize::MIN);
        let mut teacher = Teacher::new(&network, &weights, 2, &team).unwrap();
        let mut stream = Seed::new(2).stream();
        #[expect(clippy::cast_possible_truncation, reason = "any value will do")]
        let mut draw = || stream.uniform(-2.0, 2.0) as f32;
        teacher.images.iter_mut().for_each(|value| *value = draw());
        let planes = Planes { batch: 2, channels: 3, height: 3, width: 4 };
        let logits: Vec<f32> = (0..planes.len()).map(|_| draw()).collect();
        let mut slope = vec![0.0; planes.len()];
        let loss = teacher.add(0.7, planes, &logits, &mut slope);
        assert!(loss > 0.0);
        for at in 0..logits.len() {
            let mut moved = |by: f32| {
                let mut logits = logits.clone();
                logits[at] += by;
                teacher.add(0.7, planes, &logits, &mut vec![0.0; planes.len()])
            };
            let difference = (moved(1e-2) - moved(-1e-2)) / 2e-2;
            assert!((difference - f64::from(slope[at])).abs() < 2e-5, "{difference} {}", slope[at]);
        }
        let taught =
            teacher.plan.forward(&teacher.weights, &teacher.images, Mode::Evaluate, &mut teacher.memory);
        let taught = taught.to_vec();
        let loss = teacher.add(1.0, planes, &taught, &mut vec![0.0; planes.len()]);
        assert!(loss.abs() < 1e-6, "{loss}");
    }
}
