//! How far apart two executions may be: other executions lie within, and not far within.

use crate::networks::{bands, counts, every_operator, simulate, unet, weights};
use boresight_core::Seed;
use boresight_deploy::{Deployment, tolerance};
use boresight_ir::{InputForm, Network};
use boresight_numerics::{Format, NumericProfile};

/// The largest share of its tolerance that a logit of `found` is away from `expected`.
fn worst(found: &[f32], expected: &[f32], tolerance: &[f32]) -> f32 {
    let shares = found.iter().zip(expected).zip(tolerance);
    shares.map(|((found, expected), tolerance)| (found - expected).abs() / tolerance).fold(0.0, f32::max)
}

fn networks() -> Vec<(Network, Seed)> {
    let unets = (0..12).map(|number| (unet(Seed::new(number)), Seed::new(number)));
    unets.chain((0..6).map(|number| (every_operator(), Seed::new(number)))).collect()
}

#[test]
fn storing_activations_in_binary16_moves_logits_by_less_than_the_tolerance() {
    let stored = NumericProfile::ieee_f16();
    let not_stored = NumericProfile { activations: Format::F32, ..stored.clone() };
    let mut shares = Vec::new();
    for (network, seed) in networks() {
        let (weights, bands) = (weights(&network, seed), bands(network.input_shape().channels));
        let counts = counts(&network, 1, 2000, seed);
        let deploy = |profile| {
            Deployment::convert(&network, &weights, &bands, InputForm::Normalised, profile).unwrap()
        };
        let allowed = tolerance(&deploy(&stored), &counts, true);
        let [found, expected] = [&stored, &not_stored].map(|profile| simulate(&deploy(profile), 1, &counts));
        shares.push(worst(&found, &expected, &allowed));
    }
    assert!(shares.iter().all(|&share| share < 1.0), "{shares:?}");
    assert!(shares.iter().all(|&share| share > 0.02), "a tolerance that says nothing: {shares:?}");
}

#[test]
fn another_order_of_sums_moves_logits_by_less_than_the_tolerance() {
    let mut shares = Vec::new();
    for (network, seed) in networks() {
        let (weights, bands) = (weights(&network, seed), bands(network.input_shape().channels));
        let counts = counts(&network, 1, 2000, seed);
        let apart = Deployment::undeployed(&network, &weights, &bands).unwrap();
        let profile = NumericProfile::f32();
        let folded =
            Deployment::convert(&network, &weights, &bands, InputForm::Normalised, &profile).unwrap();
        let allowed = tolerance(&apart, &counts, false);
        shares.push(worst(&simulate(&folded, 1, &counts), &simulate(&apart, 1, &counts), &allowed));
    }
    assert!(shares.iter().all(|&share| share < 1.0), "{shares:?}");
    assert!(shares.iter().all(|&share| share > 0.005), "a tolerance that says nothing: {shares:?}");
}
