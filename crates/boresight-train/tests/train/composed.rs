//! The corners of the composed network.

use crate::cases::with_ties;
use crate::networks;
use crate::oracle::{Case, norm, relative, widen};
use boresight_core::Seed;
use boresight_ir::{Builder, Conv2d, Op, Shape, Weights, Window};
use boresight_plan::{Arithmetic, Mode, Plan};
use boresight_train::ComposedNetwork;
use candle_core::{DType, Device, Tensor};

#[test]
fn where_values_tie_plan_and_composed_network_choose_alike() {
    for (name, network) in networks::small() {
        with_ties(&network, |case| {
            let (found, expected) = (case.plan(), case.composed(DType::F64));
            let (error, tensor) = case.gradient_error(&found.gradient, &expected.gradient);
            assert!(error < 1e-5, "{name}: gradient of {tensor} differs by {error}");
        });
    }
}

#[test]
fn the_gradient_of_relu_at_zero_is_zero_and_a_tie_goes_to_the_first() {
    let mut builder = Builder::new(Shape::new(1, 1, 2)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(1, 1)), &[builder.input()]).unwrap();
    let pool = Op::MaxPool(Window { kernel: [1, 2], stride: [1, 2] });
    let pooled = builder.add("pool", pool, &[conv]).unwrap();
    let relu = builder.add("relu", Op::Relu, &[conv]).unwrap();
    let relu = builder.add("half", Op::MaxPool(Window { kernel: [1, 1], stride: [1, 2] }), &[relu]).unwrap();
    let joined = builder.add("joined", Op::Concat, &[pooled, relu]).unwrap();
    let network = builder.finish(joined).unwrap();
    // The weight is 0, so both pixels tie at 0: the pooled gradient reaches the pixel of value 3, ReLU's nothing.
    let weights = Weights::from_values(&network, vec![0.0; 3]).unwrap();
    let case = Case {
        network: &network,
        weights: &weights,
        batch: 1,
        images: &[3.0, 5.0],
        slope: &[2.0, 7.0],
        mode: Mode::Evaluate,
    };
    let composed = [DType::F32, DType::F64].map(|dtype| case.composed(dtype).gradient);
    for gradient in composed.into_iter().chain([case.plan().gradient]) {
        let exact: Vec<u64> = [6.0_f64, 2.0].iter().map(|value| value.to_bits()).collect();
        assert_eq!(gradient.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), exact);
    }
}

#[test]
fn statistics_of_a_batch_are_those_that_the_plan_commits() {
    for number in 0..20 {
        let network = networks::random(Seed::new(number));
        let weights = networks::weights(&network, Seed::new(number));
        let parameters = network.parameter_count();
        let images = networks::normals(Seed::new(3), 2 * network.input_shape().len());
        let plan = Plan::training(&network, 2, Arithmetic::Fast).unwrap();
        let mut memory = plan.workspace();
        let mode = Mode::Train(Seed::new(4));
        plan.forward(weights.values(), &images, mode, &mut memory);
        let mut committed = weights.values().to_vec();
        plan.commit_statistics(&memory, 0.25, &mut committed);

        let slope = vec![0.0; 2 * network.output_shape().len()];
        let case =
            Case { network: &network, weights: &weights, batch: 2, images: &images, slope: &slope, mode };
        let running = widen(&weights.values()[parameters..]);
        let batch = case.composed(DType::F64).statistics;
        let moved: Vec<f64> =
            running.iter().zip(batch).map(|(running, batch)| running + 0.25 * (batch - running)).collect();
        let error = relative(&widen(&committed[parameters..]), &moved);
        assert!(error < 1e-5, "network {number}: statistics differ by {error}");
    }
}

#[test]
fn large_values_keep_their_gradients_finite() {
    let mut builder = Builder::new(Shape::new(1, 1, 4)).unwrap();
    let mut last = builder.add("conv", Op::Conv2d(Conv2d::same(1, 1)), &[builder.input()]).unwrap();
    for (name, op) in [("sigmoid", Op::Sigmoid), ("gelu", Op::Gelu)] {
        last = builder.add(name, op, &[last]).unwrap();
    }
    let network = builder.finish(last).unwrap();
    let weights = Weights::from_values(&network, vec![1.0, 0.0, 0.0]).unwrap();
    let case = Case {
        network: &network,
        weights: &weights,
        batch: 1,
        images: &[-1e4, -200.0, 200.0, 1e4],
        slope: &[1.0; 4],
        mode: Mode::Evaluate,
    };
    for gradient in [case.plan().gradient, case.composed(DType::F32).gradient] {
        assert!(norm(&gradient) < 1e-6, "{gradient:?}");
    }
}

#[test]
fn a_tensor_that_does_not_fit_is_refused() {
    let (_, network) = networks::small().swap_remove(0);
    let composed = ComposedNetwork::new(&network, DType::F32, &Device::Cpu).unwrap();
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let parameters = zeros(&[network.parameter_count()]);
    let error =
        composed.forward(&parameters, &zeros(&[2]), &zeros(&[1, 2, 7, 5]), Mode::Evaluate).unwrap_err();
    assert_eq!(error.to_string(), "images have shape [1, 2, 7, 5], the network takes [1, 2, 7, 6]");
}
