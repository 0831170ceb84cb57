//! Logits and gradients of one network by several ways.

use boresight_ir::{Network, Weights};
use boresight_plan::{Arithmetic, Mode, Plan};
use boresight_train::{ComposedNetwork, ComposedPass};
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

/// What a pass of the plan gave.
pub(crate) struct Answer {
    pub(crate) logits: Vec<f64>,
    pub(crate) gradient: Vec<f64>,
}

/// What a pass of the composed network gave.
pub(crate) struct Composed {
    pub(crate) logits: Vec<f64>,
    /// The gradient of the parameters.
    pub(crate) gradient: Vec<f64>,
    /// The gradient of the images.
    pub(crate) images: Vec<f64>,
    pub(crate) statistics: Vec<f64>,
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

    fn images(&self, dtype: DType, device: &Device) -> Tensor {
        let input = self.network.input_shape();
        let shape = (self.batch, input.channels, input.height, input.width);
        placed(self.images, dtype, device).reshape(shape).unwrap()
    }

    fn parameters(&self, dtype: DType, device: &Device) -> Tensor {
        placed(&self.weights.values()[..self.network.parameter_count()], dtype, device)
    }

    /// The pass, and the sum of logits times their gradient, by Candle's operations.
    fn loss(
        &self,
        composed: &ComposedNetwork,
        parameters: &Tensor,
        images: &Tensor,
    ) -> (ComposedPass, Tensor) {
        let (dtype, device) = (parameters.dtype(), parameters.device());
        let statistics = placed(&self.weights.values()[self.network.parameter_count()..], dtype, device);
        let pass = composed.forward(parameters, &statistics, images, self.mode).unwrap();
        let slope = placed(self.slope, dtype, device).reshape(pass.logits.shape()).unwrap();
        let loss = (&pass.logits * slope).unwrap().sum_all().unwrap();
        (pass, loss)
    }

    /// By Candle's operations and autograd, on the CPU.
    pub(crate) fn composed(&self, dtype: DType) -> Composed {
        self.composed_on(dtype, &Device::Cpu)
    }

    /// By Candle's operations and autograd.
    pub(crate) fn composed_on(&self, dtype: DType, device: &Device) -> Composed {
        let composed = ComposedNetwork::new(self.network, dtype, device).unwrap();
        let parameters = Var::from_tensor(&self.parameters(dtype, device)).unwrap();
        let images = Var::from_tensor(&self.images(dtype, device)).unwrap();
        let (pass, loss) = self.loss(&composed, &parameters, &images);
        let gradients = loss.backward().unwrap();
        Composed {
            logits: numbers(&pass.logits),
            gradient: numbers(gradients.get(&parameters).unwrap()),
            images: numbers(gradients.get(&images).unwrap()),
            statistics: numbers(&pass.statistics),
        }
    }

    /// The gradient of the parameters by central differences in f64.
    pub(crate) fn differences(&self, step: f64) -> Vec<f64> {
        let [parameters, images] =
            [self.parameters(DType::F64, &Device::Cpu), self.images(DType::F64, &Device::Cpu)];
        central(&parameters, step, |parameters| self.loss_value(parameters, &images))
    }

    /// The gradient of the images by central differences in f64.
    pub(crate) fn image_differences(&self, step: f64) -> Vec<f64> {
        let [parameters, images] =
            [self.parameters(DType::F64, &Device::Cpu), self.images(DType::F64, &Device::Cpu)];
        central(&images, step, |images| self.loss_value(&parameters, images))
    }

    fn loss_value(&self, parameters: &Tensor, images: &Tensor) -> f64 {
        let composed = ComposedNetwork::new(self.network, DType::F64, &Device::Cpu).unwrap();
        self.loss(&composed, parameters, images).1.to_scalar().unwrap()
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

    /// The error of the gradient of the images, relative to its norm, or to a hundredth of that of the logits' gradient
    /// where that is larger: some networks see nothing of their images.
    pub(crate) fn image_error(&self, found: &[f64], expected: &[f64]) -> f64 {
        distance(found, expected) / norm(expected).max(norm(&widen(self.slope)) / 100.0)
    }
}

/// Values as a tensor `[values]` of this type on this device.
fn placed(values: &[f32], dtype: DType, device: &Device) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap().to_dtype(dtype).unwrap().to_device(device).unwrap()
}

/// The slope of `loss` for each value of a tensor of f64.
fn central(at: &Tensor, step: f64, loss: impl Fn(&Tensor) -> f64) -> Vec<f64> {
    let values = numbers(at);
    let moved = |place: usize, offset: f64| {
        let mut values = values.clone();
        values[place] += offset;
        loss(&Tensor::from_vec(values, at.shape(), &Device::Cpu).unwrap())
    };
    (0..values.len()).map(|place| (moved(place, step) - moved(place, -step)) / (2.0 * step)).collect()
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
