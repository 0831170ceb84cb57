//! Another runtime, tract, computes the same from the files that are written.

use super::random;
use crate::networks::{bands, counts, simulate, unet, weights};
use boresight_core::Seed;
use boresight_deploy::onnx::{Export, Form, Opset};
use boresight_deploy::{Band, Deployment, tolerance};
use boresight_ir::{Network, Weights};
use boresight_numerics::round_f16;
use tract_onnx::prelude::*;

/// Parts of a tolerance that logits may be away. It counts one rounding for each operator, of which a file makes several
/// nodes that round each: five of a GELU, two of a scale and shift; 1.5 was seen.
const SHARE: f32 = 2.0;

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

/// The largest share of its tolerance that a logit is away from that of `deployment`.
fn worst(found: &[f32], deployment: &Deployment, counts: &[f32], stores_f16: bool) -> f32 {
    let (expected, allowed) = (simulate(deployment, 1, counts), tolerance(deployment, counts, stores_f16));
    assert_eq!(found.len(), expected.len());
    let distances = found.iter().zip(&expected).map(|(found, expected)| (found - expected).abs());
    // A logit that is always zero has no tolerance, and needs none.
    distances
        .zip(&allowed)
        .map(|(distance, allowed)| distance / allowed.max(f32::MIN_POSITIVE))
        .fold(0.0, f32::max)
}

fn assert_agreement(network: &Network, weights: &Weights, seed: Seed) {
    let image = image(network, seed);
    let bands = vec![Band { mean: 0.0, deviation: 1.0 }; network.input_shape().channels];
    for form in Form::ALL {
        let deployment = Deployment::undeployed(network, &held(weights, form), &bands).unwrap();
        for opset in Opset::ALL {
            let bytes = Export { form, opset, ..Export::new(network, weights) }.write().unwrap();
            let found = run(&bytes, network, form, &image);
            let share = worst(&found, &deployment, &image, form == Form::Fp16);
            assert!(share < SHARE, "{form} {opset:?}: {share} {}", network.to_json());
        }
    }
}

#[test]
fn u_nets_of_the_search_space_compute_the_same() {
    for number in 0..6 {
        let network = unet(Seed::new(number));
        assert_agreement(&network, &weights(&network, Seed::new(number)), Seed::new(number));
    }
}

#[test]
fn networks_of_all_operators_compute_the_same() {
    for number in 0..16 {
        let network = random::network(Seed::new(number), true);
        assert_agreement(&network, &weights(&network, Seed::new(number)), Seed::new(number));
    }
}

#[test]
fn what_lies_beyond_the_edge_is_count_zero_with_and_without_a_normalisation_in_the_file() {
    let mut most = 0.0_f32;
    for number in 0..12 {
        let seed = Seed::new(number);
        let network = random::network(seed, true);
        let bands = bands(network.input_shape().channels);
        let mut weights = weights(&network, seed);
        let deployment = Deployment::undeployed(&network, &weights, &bands).unwrap();
        let counts = counts(&network, 1, 2000, seed);
        let planes = counts.chunks_exact(network.input_shape().plane()).zip(&bands);
        let normalise = |(plane, band): (&[f32], &Band)| -> Vec<f32> {
            plane.iter().map(|count| (count - band.mean) / band.deviation).collect()
        };
        let image: Vec<f32> = planes.flat_map(normalise).collect();

        let raw = Export { normalisation: Some(&bands), ..Export::new(&network, &weights) }.write().unwrap();
        let border: Vec<f32> = bands.iter().map(|band| -band.mean / band.deviation).collect();
        let unaware = Export::new(&network, &weights).write().unwrap();
        weights.set_border(&border).unwrap();
        let normalised = Export::new(&network, &weights).write().unwrap();
        for (bytes, input) in [(raw, &counts), (normalised, &image)] {
            let share = worst(&run(&bytes, &network, Form::Fp32, input), &deployment, &counts, false);
            assert!(share < SHARE, "{share} {}", network.to_json());
        }
        most = most.max(worst(&run(&unaware, &network, Form::Fp32, &image), &deployment, &counts, false));
    }
    assert!(most > 100.0 * SHARE, "another border would not be noticed: {most}");
}
