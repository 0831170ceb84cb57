//! A short training on the GPU.

use crate::gpu::on_gpu;
use crate::learning::{Learner, placed};
use crate::networks;
use boresight_core::{SearchSpace, Seed};
use boresight_ir::Weights;
use boresight_space::{SpaceSettings, UnetSpace, supports_everything};
use candle_core::{DType, Device};

const STEPS: usize = 20;

/// The losses of a training that finds the bright pixels of two images.
fn losses(dtype: DType, device: &Device) -> Vec<f64> {
    let settings = SpaceSettings { tile: 32, ..SpaceSettings::default() };
    let space = UnetSpace::new(settings, supports_everything).unwrap();
    let code = "u1;w;n;cc16k2r-x;cse16r-x;dn16r-x;cse24r-x;rn40q3r-x".parse().unwrap();
    let network = space.decode(&code).unwrap();
    let weights = Weights::initial(&network, Seed::new(1));
    let (shape, plane) = (network.input_shape(), network.input_shape().plane());
    let images = networks::normals(Seed::new(2), 2 * shape.len());
    let bright = |image: &[f32]| -> Vec<f32> {
        let is_bright = image[..plane].iter().map(|&value| f32::from(u8::from(value > 1.0)));
        is_bright.clone().map(|value| 1.0 - value).chain(is_bright).collect()
    };
    let truth: Vec<f32> = images.chunks(shape.len()).flat_map(bright).collect();
    let images = placed(&images, dtype, device).unwrap().reshape((2, shape.channels, 32, 32)).unwrap();
    let truth = placed(&truth, dtype, device).unwrap().reshape((2, 2, 32, 32)).unwrap();

    let mut learner = Learner::new(&network, &weights, dtype, device).unwrap();
    let loss = |_| {
        let loss = learner.step(&images, &truth, 0.01).unwrap();
        loss.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
    };
    let losses: Vec<f64> = (0..STEPS).map(loss).collect();
    assert_eq!(learner.logits(&images).unwrap().dims(), [2, 2, 32, 32]);
    losses
}

#[test]
fn training_lowers_the_loss_as_on_the_cpu() {
    on_gpu(|gpu| {
        let expected = losses(DType::F64, &Device::Cpu);
        assert!(expected[STEPS - 1] < expected[0] / 2.0, "{expected:?}");
        // Rounding grows from step to step: each of AdamW's first steps is as long for a small gradient as for a
        // large one. In f32 it starts nine digits higher.
        for (dtype, limit) in [(DType::F64, 1e-6), (DType::F32, 0.05)] {
            let found = losses(dtype, gpu);
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() < limit * expected, "{dtype:?}: {found} is not {expected}");
            }
        }
    });
}

#[test]
fn equal_trainings_have_equal_losses() {
    on_gpu(|gpu| {
        let [one, other] = [(); 2].map(|()| losses(DType::F32, gpu));
        assert!(
            one.iter().zip(&other).all(|(one, other)| one.to_bits() == other.to_bits()),
            "{one:?} {other:?}"
        );
    });
}
