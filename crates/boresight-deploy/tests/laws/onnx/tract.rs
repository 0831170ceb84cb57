//! Another runtime, tract, computes the same from the files that are written.
//!
//! Where a tolerance can be derived, as that of folding is, it is used. A U-Net has too many layers for that: the bound
//! would be larger than its logits. There the distance is compared with the largest logit, as between FP32 plans.

use super::random;
use crate::folding::{residual, tolerances};
use crate::networks::{bands, counts, simulate, unet, weights};
use boresight_core::Seed;
use boresight_deploy::Deployment;
use boresight_deploy::onnx::{Export, Form, Opset};
use boresight_ir::{Network, Weights};
use boresight_numerics::round_f16;
use boresight_plan::{Arithmetic, Mode, Plan};
use tract_onnx::prelude::*;

/// What files in FP32 may differ by, in parts of the largest logit; 3e-6 was seen.
const SINGLE: f32 = 1e-4;
/// What files with FP16 weights may differ by where a border was moved into biases, which are then rounded to 11 bits.
const BIAS: f32 = 1e-3;
/// What files in FP16 may differ by: a hundred roundings to 11 bits, one for each value that is stored; 1.3e-2 was seen.
const HALF: f32 = 5e-2;

/// Logits of one image, from a file for one image.
fn run(bytes: &[u8], network: &Network, form: Form, image: &[f32]) -> Vec<f32> {
    let logits = || -> TractResult<Vec<f32>> {
        let model = tract_onnx::onnx().model_for_read(&mut &*bytes)?.into_optimized()?.into_runnable()?;
        let shape = network.input_shape();
        let input = Tensor::from_shape(&[1, shape.channels, shape.height, shape.width], image)?;
        let input = if form == Form::Fp16 { input.cast_to::<f16>()?.into_owned() } else { input };
        let output = model.run(tvec!(input.into()))?;
        let output = output[0].cast_to::<f32>()?;
        Ok(output.try_as_plain_ram()?.as_slice::<f32>()?.to_vec())
    };
    logits().unwrap()
}

/// Weights as a file of this form holds them.
fn held(weights: &Weights, form: Form) -> Weights {
    let mut held = weights.clone();
    if form != Form::Fp32 {
        held.values_mut().iter_mut().for_each(|value| *value = round_f16(*value));
    }
    held
}

/// An image of numbers that FP16 holds.
fn image(network: &Network, seed: Seed) -> Vec<f32> {
    let mut stream = seed.derive("image", 0).stream();
    (0..network.input_shape().len()).map(|_| round_f16(stream.normal() as f32)).collect()
}

/// Distances are compared with these parts of the largest logit, in the order of forms.
fn assert_agreement(network: &Network, weights: &Weights, seed: Seed, tolerances: [f32; 3]) {
    let image = image(network, seed);
    let plan = Plan::inference(network, 1, Arithmetic::Fast).unwrap();
    let mut memory = plan.workspace();
    for (form, tolerance) in Form::ALL.into_iter().zip(tolerances) {
        let held = held(weights, form);
        let expected = plan.forward(held.values(), &image, Mode::Evaluate, &mut memory);
        let most = expected.iter().fold(0.0_f32, |most, logit| most.max(logit.abs()));
        for opset in Opset::ALL {
            let bytes = Export { form, opset, ..Export::new(network, weights) }.write().unwrap();
            let found = run(&bytes, network, form, &image);
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                let distance = (found - expected).abs();
                assert!(
                    distance <= tolerance * most,
                    "{form} {opset:?}: {found} {expected} {}",
                    network.to_json()
                );
            }
        }
    }
}

#[test]
fn u_nets_of_the_search_space_compute_the_same() {
    for number in 0..10 {
        let network = unet(Seed::new(number));
        assert_agreement(
            &network,
            &weights(&network, Seed::new(number)),
            Seed::new(number),
            [SINGLE, HALF, SINGLE],
        );
    }
}

#[test]
fn networks_of_all_operators_compute_the_same() {
    for number in 0..24 {
        let network = random::network(Seed::new(number), true);
        assert_agreement(
            &network,
            &weights(&network, Seed::new(number)),
            Seed::new(number),
            [SINGLE, HALF, SINGLE],
        );
    }
}

#[test]
fn a_border_is_what_convolutions_and_padding_read_beyond_the_edge() {
    for number in 0..16 {
        let network = random::network(Seed::new(number), true);
        let mut weights = weights(&network, Seed::new(number));
        let border: Vec<f32> =
            (0..network.input_shape().channels).map(|band| 0.75 - 0.5 * band as f32).collect();
        weights.set_border(&border).unwrap();
        assert_agreement(&network, &weights, Seed::new(number), [SINGLE, HALF, BIAS]);
    }
}

#[test]
fn a_file_that_normalises_counts_lies_within_the_tolerance_of_rounding() {
    let (network, bands) = (residual(), bands(3));
    for number in 0..32 {
        let seed = Seed::new(number);
        let weights = weights(&network, seed);
        let counts = counts(&network, 1, 4000, seed);
        let expected = simulate(&Deployment::undeployed(&network, &weights, &bands).unwrap(), 1, &counts);
        let tolerances = tolerances(&network, &weights, &bands, &counts);
        for opset in Opset::ALL {
            let export = Export { opset, normalisation: Some(&bands), ..Export::new(&network, &weights) };
            let found = run(&export.write().unwrap(), &network, Form::Fp32, &counts);
            for ((found, expected), tolerance) in found.iter().zip(&expected).zip(&tolerances) {
                assert!((found - expected).abs() <= *tolerance, "{found} {expected} {tolerance}");
            }
        }
    }
}

#[test]
fn another_border_would_be_noticed() {
    let network = residual();
    let mut weights = weights(&network, Seed::new(3));
    let plain = Export::new(&network, &weights).write().unwrap();
    weights.set_border(&[1.0; 3]).unwrap();
    let bordered = Export::new(&network, &weights).write().unwrap();
    let image = image(&network, Seed::new(3));
    let [plain, bordered] = [plain, bordered].map(|bytes| run(&bytes, &network, Form::Fp32, &image));
    let far = plain.iter().zip(&bordered).fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
    let most = plain.iter().fold(0.0_f32, |most, logit| most.max(logit.abs()));
    assert!(far > HALF * most, "{far} of {most}");
}
