//! The plan's gradients against Candle's corrected ones and against finite differences.

use crate::networks;
use crate::oracle::{Case, relative};
use boresight_core::{SearchSpace, Seed};
use boresight_ir::Network;
use boresight_plan::Mode;
use boresight_space::{ChannelRule, SpaceSettings, UnetSpace, supports_everything};
use candle_core::DType;

/// Calls `check` on a pass over the network with random weights, images and gradients of the logits.
fn with_case(network: &Network, seed: Seed, mode: Mode, check: impl FnOnce(&Case<'_>)) {
    let batch = 2;
    let weights = networks::weights(network, seed);
    let images = networks::normals(seed.derive("images", 0), batch * network.input_shape().len());
    let slope = networks::normals(seed.derive("slope", 0), batch * network.output_shape().len());
    check(&Case { network, weights: &weights, batch, images: &images, slope: &slope, mode });
}

fn modes() -> [Mode; 2] {
    [Mode::Train(Seed::new(77)), Mode::Evaluate]
}

#[test]
fn on_random_networks_plan_and_composed_network_agree() {
    for number in 0..60 {
        let seed = Seed::new(number);
        let network = networks::random(seed);
        for mode in modes() {
            with_case(&network, seed, mode, |case| {
                let (found, expected) = (case.plan(), case.composed(DType::F64));
                let error = relative(&found.logits, &expected.logits);
                assert!(error < 1e-5, "network {number}, {mode:?}: logits differ by {error}");
                let (error, tensor) = case.gradient_error(&found.gradient, &expected.gradient);
                assert!(error < 1e-4, "network {number}, {mode:?}: gradient of {tensor} differs by {error}");
            });
        }
    }
}

#[test]
fn on_networks_of_the_search_space_plan_and_composed_network_agree() {
    for rule in [ChannelRule::Width, ChannelRule::Multiply] {
        let settings =
            SpaceSettings { rule, tile: 40, bands: 3, max_parameters: 40_000, ..SpaceSettings::default() };
        let space = UnetSpace::new(settings, supports_everything).unwrap();
        for number in 0..5 {
            let seed = Seed::new(number);
            let genotype = space.sample(seed);
            let network = space.decode(&genotype).unwrap();
            with_case(&network, seed, Mode::Train(seed), |case| {
                let (found, expected) = (case.plan(), case.composed(DType::F64));
                let error = relative(&found.logits, &expected.logits);
                assert!(error < 1e-5, "{genotype}: logits differ by {error}");
                let (error, tensor) = case.gradient_error(&found.gradient, &expected.gradient);
                assert!(error < 1e-4, "{genotype}: gradient of {tensor} differs by {error}");
            });
        }
    }
}

#[test]
fn the_composed_network_is_as_exact_in_f32() {
    for number in 100..110 {
        let seed = Seed::new(number);
        with_case(&networks::random(seed), seed, Mode::Train(seed), |case| {
            let (found, expected) = (case.composed(DType::F32), case.composed(DType::F64));
            let error = relative(&found.logits, &expected.logits);
            assert!(error < 1e-5, "network {number}: logits differ by {error}");
            let (error, tensor) = case.gradient_error(&found.gradient, &expected.gradient);
            assert!(error < 1e-4, "network {number}: gradient of {tensor} differs by {error}");
        });
    }
}

#[test]
fn every_operator_has_the_gradient_of_finite_differences() {
    for (name, network) in networks::small() {
        for mode in modes() {
            with_case(&network, Seed::new(5), mode, |case| {
                // The error of a central difference is of the order of the step squared.
                let expected = case.differences(1e-5);
                let (error, tensor) = case.gradient_error(&case.composed(DType::F64).gradient, &expected);
                assert!(error < 1e-7, "{name}, {mode:?}: composed gradient of {tensor} is off by {error}");
                let (error, tensor) = case.gradient_error(&case.plan().gradient, &expected);
                assert!(error < 1e-4, "{name}, {mode:?}: planned gradient of {tensor} is off by {error}");
            });
        }
    }
}
