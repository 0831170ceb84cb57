//! From master values and counts to what a plan computes with.

use crate::Error;
use boresight_ir::Weights;
use boresight_kernels::Planes;
use boresight_numerics::Format;
use boresight_plan::{FoldingSimulation, Projection, Workspace};

/// How master values become constants, and counts become images.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// Those of the network that is trained.
    Direct(Projection),
    /// Those of the network that it will be when its batch normalisations are folded.
    Simulated(FoldingSimulation),
}

impl Way {
    /// The projection of the network that is deployed.
    pub(crate) const fn projection(&self) -> &Projection {
        match self {
            Self::Direct(projection) => projection,
            Self::Simulated(simulation) => simulation.folded(),
        }
    }

    pub(crate) fn images(&self, planes: Planes, counts: &mut [f32]) {
        match self {
            Self::Direct(projection) => projection.images(planes, counts),
            Self::Simulated(simulation) => simulation.images(planes, counts),
        }
    }

    pub(crate) fn constants(
        &self,
        master: &Weights,
        device: &mut [f32],
        memory: &mut Workspace,
    ) -> Result<(), Error> {
        match self {
            Self::Direct(projection) => {
                projection.constants(master.values(), device);
                projection.describe_sums(device, memory);
            }
            Self::Simulated(simulation) => simulation.constants(master, device)?,
        }
        Ok(())
    }

    /// Turns the gradient of constants into that of master values.
    pub(crate) fn adjoint(&self, device: &[f32], gradient: &mut [f32]) {
        match self {
            Self::Direct(projection) => projection.adjoint(device, gradient),
            Self::Simulated(_) => {
                for (value, _) in gradient.iter_mut().zip(device).filter(|(_, device)| !device.is_finite()) {
                    *value = 0.0;
                }
            }
        }
    }
}

/// The cost of constants that leave their format: the mean over all of them of the square by which a magnitude exceeds half of the
/// largest number, or falls short of the least normal one, each relative to that number.
#[derive(Clone, Debug)]
pub(crate) struct ConstantPenalty {
    weight: f32,
    unconverted: Vec<f32>,
}

impl ConstantPenalty {
    pub(crate) fn new(weight: f32, len: usize) -> Self {
        Self { weight, unconverted: vec![0.0; len] }
    }

    /// The penalty for these master values; adds its gradient, that of constants, to `gradient`.
    pub(crate) fn add(&mut self, projection: &Projection, master: &[f32], gradient: &mut [f32]) -> f64 {
        projection.fold_into(master, &mut self.unconverted);
        let format = projection.profile().weights;
        let (most, least) = (format.largest() / 2.0, format.least_normal());
        if format == Format::Int8 {
            return 0.0;
        }
        let (mut sum, count) = (0.0_f64, gradient.len() as f32);
        for (slope, &constant) in gradient.iter_mut().zip(&self.unconverted) {
            let magnitude = constant.abs();
            let (excess, rate) = if magnitude > most {
                (magnitude / most - 1.0, 1.0 / most)
            } else if magnitude > 0.0 && magnitude < least {
                (1.0 - magnitude / least, -1.0 / least)
            } else {
                continue;
            };
            sum += f64::from(excess) * f64::from(excess);
            *slope += 2.0 * self.weight / count * excess * rate * 1.0_f32.copysign(constant);
        }
        f64::from(self.weight) * sum / f64::from(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_ir::{Builder, Conv2d, InputForm, Op, Shape};
    use boresight_numerics::NumericProfile;

    #[test]
    fn the_gradient_of_the_penalty_agrees_with_finite_differences() {
        let mut builder = Builder::new(Shape::new(1, 2, 2)).unwrap();
        let conv = Conv2d { kernel: [1, 1], padding: [0; 2], ..Conv2d::same(3, 1) };
        let conv = builder.add("conv", Op::Conv2d(conv), &[builder.input()]).unwrap();
        let network = builder.finish(conv).unwrap();
        let profile = NumericProfile::ieee_f16();
        let projection = Projection::new(&network, &profile, InputForm::Normalised, &[0.0], &[1.0]).unwrap();
        // Too small, negative and too small, sound; too large, sound, zero; and the border.
        let master = [3e-5, -1e-5, 0.5, 60_000.0, -7.0, 0.0, 0.0];
        let mut penalty = ConstantPenalty::new(0.5, master.len());
        let mut gradient = [0.0; 6];
        let cost = penalty.add(&projection, &master, &mut gradient);
        let expected: f64 = 0.5 / 6.0
            * ((1.0 - 3e-5 * 16_384.0_f64).powi(2)
                + (1.0 - 1e-5 * 16_384.0_f64).powi(2)
                + (60_000.0 / 32_752.0_f64 - 1.0).powi(2));
        assert!((cost - expected).abs() < 1e-6, "{cost} {expected}");
        for (at, step) in [(0, 1e-6_f32), (1, 1e-6), (2, 1e-2), (3, 10.0), (4, 1e-2), (5, 0.0)] {
            let mut moved = |by: f32| {
                let mut master = master;
                master[at] += by;
                penalty.add(&projection, &master, &mut [0.0; 6])
            };
            let slope = if step > 0.0 { (moved(step) - moved(-step)) / f64::from(2.0 * step) } else { 0.0 };
            let allowed = 1e-3 * slope.abs() + 1e-9;
            assert!((slope - f64::from(gradient[at])).abs() <= allowed, "{at}: {} {slope}", gradient[at]);
        }
    }
}
