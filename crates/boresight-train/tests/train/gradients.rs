//! The plan's gradients against Candle's corrected ones and against finite differences.

use crate::cases::{modes, of_the_space, with_case};
use crate::networks;
use crate::oracle::relative;
use boresight_core::Seed;
use boresight_plan::Mode;
use candle_core::DType;

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
    for (code, seed, network) in of_the_space() {
        with_case(&network, seed, Mode::Train(seed), |case| {
            let (found, expected) = (case.plan(), case.composed(DType::F64));
            let error = relative(&found.logits, &expected.logits);
            assert!(error < 1e-5, "{code}: logits differ by {error}");
            let (error, tensor) = case.gradient_error(&found.gradient, &expected.gradient);
            assert!(error < 1e-4, "{code}: gradient of {tensor} differs by {error}");
        });
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
                let composed = case.composed(DType::F64);
                let (error, tensor) = case.gradient_error(&composed.gradient, &expected);
                assert!(error < 1e-7, "{name}, {mode:?}: composed gradient of {tensor} is off by {error}");
                let error = case.image_error(&composed.images, &case.image_differences(1e-5));
                assert!(error < 1e-7, "{name}, {mode:?}: composed gradient of the images is off by {error}");
                let (error, tensor) = case.gradient_error(&case.plan().gradient, &expected);
                assert!(error < 1e-4, "{name}, {mode:?}: planned gradient of {tensor} is off by {error}");
            });
        }
    }
}
