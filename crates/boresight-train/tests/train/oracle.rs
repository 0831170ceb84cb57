//! Logits and gradients of one network by several ways.

use boresight_ir::{Network, Weights};
use boresight_plan::{Arithmetic, Mode, Plan};
use boresight_train::ComposedNetwork;
use candle_core::{DType, Device, Tensor, Var};

/// One pass: a network on a batch, and the gradient of the logits.
pub(crate) struct Case<'data> {
    pub(crate) network: &'data Network,
    pub(crate) weights: &'data Weights,
    pub(crate) batch: usize,
    pub(crate) images: &'data [f32],
    pub(crate) slope: &'data [f32],
    pub(crate) mode: Mode,
}

/// What a pass gave.
pub(crate) struct Answer {
    pub(crate) logits: Vec<f64>,
    pub(crate) gradient: Vec<f64>,
}

pub(crate) fn widen(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| value.into()).collect()
}

impl Case<'_> {
    /// By the plan.
    pub(crate) fn plan(&self) -> Answer {
        let plan = Plan::training(self.network, self.batch, Arithmetic::Fast).unwrap();
        let mut workspace = plan.workspace();
        let weights = self.weights.values();
        let logits = widen(plan.forward(weights, self.images, self.mode, &mut workspace));
        let mut gradient = vec![0.0; self.network.parameter_count()];
        plan.backward(weights, self.images, self.slope, &mut workspace, &mut gradient);
        Answer { logits, gradient: widen(&gradient) }
    }

    fn images(&self, dtype: DType) -> Tensor {
        let input = self.network.input_shape();
        let shape = (self.batch, input.channels, input.height, input.width);
        Tensor::from_slice(self.images, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    /// The sum of logits times their gradient, by Candle's operations.
    fn loss(&self, composed: &ComposedNetwork, parameters: &Tensor) -> (Tensor, Tensor) {
        let dtype = parameters.dtype();
        let statistics = &self.weights.values()[self.network.parameter_count()..];
        let statistics = Tensor::new(statistics, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
        let pass = composed.forward(parameters, &statistics, &self.images(dtype), self.mode).unwrap();
        let slope = Tensor::from_slice(self.slope, pass.logits.shape(), &Device::Cpu).unwrap();
        let loss = (&pass.logits * slope.to_dtype(dtype).unwrap()).unwrap().sum_all().unwrap();
        (pass.logits, loss)
    }

    fn parameters(&self, dtype: DType) -> Tensor {
        let values = &self.weights.values()[..self.network.parameter_count()];
        Tensor::new(values, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
    }

    /// By Candle's operations and autograd.
    pub(crate) fn composed(&self, dtype: DType) -> Answer {
        let composed = ComposedNetwork::new(self.network, dtype, &Device::Cpu).unwrap();
        let parameters = Var::from_tensor(&self.parameters(dtype)).unwrap();
        let (logits, loss) = self.loss(&composed, &parameters);
        let gradients = loss.backward().unwrap();
        let gradient = gradients.get(&parameters).unwrap();
        Answer { logits: numbers(&logits), gradient: numbers(gradient) }
    }

    /// The gradient by central differences in f64.
    pub(crate) fn differences(&self, step: f64) -> Vec<f64> {
        let composed = ComposedNetwork::new(self.network, DType::F64, &Device::Cpu).unwrap();
        let parameters = numbers(&self.parameters(DType::F64));
        let loss_at = |at: usize, offset: f64| {
            let mut moved = parameters.clone();
            moved[at] += offset;
            let moved = Tensor::new(moved, &Device::Cpu).unwrap();
            self.loss(&composed, &moved).1.to_scalar::<f64>().unwrap()
        };
        (0..parameters.len()).map(|at| (loss_at(at, step) - loss_at(at, -step)) / (2.0 * step)).collect()
    }

    /// The largest error of any tensor's gradient, relative to the norm of that tensor's gradient, or to a
    /// hundredth of the norm of the whole where that is larger: some gradients are zero but for rounding.
    pub(crate) fn gradient_error(&self, found: &[f64], expected: &[f64]) -> (f64, String) {
        let floor = norm(expected) / 100.0;
        let slots = self.network.layout().slots().iter().filter(|slot| slot.role.is_trainable());
        let errors = slots.map(|slot| {
            let (found, expected) = (&found[slot.range.clone()], &expected[slot.range.clone()]);
            (distance(found, expected) / norm(expected).max(floor), slot.name.clone())
        });
        errors.max_by(|one, other| one.0.total_cmp(&other.0)).unwrap()
    }
}

pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1().unwrap()
}

pub(crate) fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}

pub(crate) fn distance(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    norm(&one.iter().zip(other).map(|(one, other)| one - other).collect::<Vec<_>>())
}

/// Distance relative to the norm of what is expected.
pub(crate) fn relative(found: &[f64], expected: &[f64]) -> f64 {
    distance(found, expected) / norm(expected)
}
