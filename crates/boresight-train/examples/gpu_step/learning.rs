//! One step of training by Candle's operations: loss, gradient, update.

use boresight_core::Seed;
use boresight_ir::{Network, Weights};
use boresight_train::{ComposedNetwork, Error, Mode};
use candle_core::{DType, Device, Result, Tensor, Var};

const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;
const DECAY: f64 = 0.01;
/// How far running statistics go towards those of a batch.
const MOMENTUM: f64 = 0.1;

/// A network in training on one device.
pub(crate) struct Learner {
    network: ComposedNetwork,
    parameters: Var,
    statistics: Tensor,
    /// Mean and mean square of the gradients, as AdamW keeps them.
    moments: [Tensor; 2],
    steps: i32,
}

impl Learner {
    /// The network with these weights.
    pub(crate) fn new(
        network: &Network,
        weights: &Weights,
        dtype: DType,
        device: &Device,
    ) -> std::result::Result<Self, Error> {
        let (front, back) = weights.values().split_at(network.parameter_count());
        let [parameters, statistics] = [placed(front, dtype, device)?, placed(back, dtype, device)?];
        Ok(Self {
            network: ComposedNetwork::new(network, dtype, device)?,
            moments: [parameters.zeros_like()?, parameters.zeros_like()?],
            parameters: Var::from_tensor(&parameters)?,
            statistics,
            steps: 0,
        })
    }

    /// Logits of images, by the running statistics.
    pub(crate) fn logits(&self, images: &Tensor) -> std::result::Result<Tensor, Error> {
        let parameters = self.parameters.as_detached_tensor();
        Ok(self.network.forward(&parameters, &self.statistics, images, Mode::Evaluate)?.logits)
    }

    /// One step of AdamW on the cross-entropy of a batch, which is the result. `truth` is 1 for the class of each
    /// pixel and 0 for the others, in the shape of the logits.
    pub(crate) fn step(
        &mut self,
        images: &Tensor,
        truth: &Tensor,
        rate: f64,
    ) -> std::result::Result<Tensor, Error> {
        let mode = Mode::Train(Seed::new(0));
        let pass = self.network.forward(&self.parameters, &self.statistics, images, mode)?;
        let loss = cross_entropy(&pass.logits, truth)?;
        let gradients = loss.backward()?;
        if let Some(gradient) = gradients.get(&self.parameters) {
            self.update(gradient, rate)?;
        }
        self.statistics = ((&self.statistics * (1.0 - MOMENTUM))? + (pass.statistics * MOMENTUM)?)?;
        Ok(loss.detach())
    }

    fn update(&mut self, gradient: &Tensor, rate: f64) -> Result<()> {
        self.steps += 1;
        let parameters = self.parameters.as_detached_tensor();
        for ((moment, beta), new) in
            self.moments.iter_mut().zip(BETAS).zip([gradient.clone(), gradient.sqr()?])
        {
            *moment = ((&*moment * beta)? + (new * (1.0 - beta))?)?;
        }
        let [mean, square] = [0, 1].map(|at| &self.moments[at] / (1.0 - BETAS[at].powi(self.steps)));
        let move_by = (mean? / (square?.sqrt()? + EPSILON)?)?;
        self.parameters.set(&((parameters * (1.0 - rate * DECAY))? - (move_by * rate)?)?)
    }
}

/// Values as a tensor `[values]` of this type on this device.
pub(crate) fn placed(values: &[f32], dtype: DType, device: &Device) -> Result<Tensor> {
    Tensor::new(values, &Device::Cpu)?.to_dtype(dtype)?.to_device(device)
}

/// The mean over pixels of the cross-entropy of `logits` `[batch, classes, height, width]`.
fn cross_entropy(logits: &Tensor, truth: &Tensor) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(1)?)?;
    let shares = shifted.exp()?.sum_keepdim(1)?.log()?;
    let pixels = (logits.elem_count() / logits.dim(1)?) as f64;
    shifted.broadcast_sub(&shares)?.mul(truth)?.sum_all()? / -pixels
}
