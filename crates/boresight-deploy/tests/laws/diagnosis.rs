//! Networks that are broken on purpose, and what is said of them.

use crate::networks::{Graph, counts, unet, weights};
use boresight_core::Seed;
use boresight_deploy::{Band, Cause, Deployment, Diagnosis, Remedy, diagnose};
use boresight_ir::{Conv2d, InputForm, Network, Op, Weights};
use boresight_numerics::{NumericProfile, PoolingSum};

fn bands(count: usize, mean: f32, deviation: f32) -> Vec<Band> {
    vec![Band { mean, deviation }; count]
}

/// Two convolutions with an activation between.
fn plain() -> (Network, Weights) {
    let mut graph = Graph::new(2, 12, 12);
    let first = graph.add(Op::Conv2d(Conv2d::same(8, 3)), &[graph.input()]);
    let relu = graph.add(Op::Relu, &[first]);
    let output = graph.add(Op::Conv2d(Conv2d::same(2, 1)), &[relu]);
    let network = graph.finish(output);
    let weights = weights(&network, Seed::new(1));
    (network, weights)
}

fn scaled(network: &Network, weights: &Weights, slot: &str, factor: f32) -> Weights {
    let mut weights = weights.clone();
    let range = network.layout().find(slot).unwrap().range.clone();
    weights.values_mut()[range].iter_mut().for_each(|value| *value *= factor);
    weights
}

fn tiles(network: &Network, most: usize) -> Vec<Vec<f32>> {
    (0..2).map(|seed| counts(network, 1, most, Seed::new(seed))).collect()
}

fn diagnosed(
    network: &Network,
    weights: &Weights,
    bands: &[Band],
    input: InputForm,
    profile: &NumericProfile,
    most: usize,
) -> Diagnosis {
    let deployment = Deployment::convert(network, weights, bands, input, profile).unwrap();
    diagnose(&deployment, &tiles(network, most)).unwrap()
}

#[test]
fn a_sound_network_is_given_no_finding() {
    let (network, weights) = plain();
    let profile = NumericProfile::myriad_x_optimistic();
    let found =
        diagnosed(&network, &weights, &bands(2, 2000.0, 900.0), InputForm::Normalised, &profile, 4000);
    assert_eq!(found.findings, []);
    assert!(found.logits.decibels() > 50.0 && found.changed < 0.02, "{found:?}");
    for number in 0..6 {
        let network = unet(Seed::new(number));
        let values = crate::networks::weights(&network, Seed::new(number));
        let bands = bands(network.input_shape().channels, 2000.0, 900.0);
        for profile in [NumericProfile::ieee_f16(), profile.clone()] {
            let found = diagnosed(&network, &values, &bands, InputForm::Normalised, &profile, 4000);
            assert_eq!(found.findings, [], "{number}");
        }
    }
}

#[test]
fn a_folded_normalisation_of_16_bit_counts_is_found_and_an_fp16_file_cures_it() {
    let (network, weights) = plain();
    let profile = NumericProfile::myriad_x_optimistic();
    let bands = bands(2, 30_000.0, 15_000.0);
    let broken = diagnosed(&network, &weights, &bands, InputForm::Counts, &profile, 60_000);
    assert_eq!(broken.findings.len(), 1, "{broken:?}");
    let finding = &broken.findings[0];
    assert_eq!(finding.node, "n1");
    assert!(matches!(finding.cause, Cause::ConstantsFlushed { folded: true, flushed: 1.., .. }), "{finding}");
    assert_eq!(finding.remedies[0], Remedy::Fp16File);
    assert!(finding.remedies.contains(&Remedy::NormalisationNode));
    // Each remedy that is one of deployment does what it says.
    let file = profile.preconverted();
    assert_eq!(diagnosed(&network, &weights, &bands, InputForm::Counts, &file, 60_000).findings, []);
    let Some(Remedy::ScaleInput { factor }) = finding.remedies.get(1).copied() else { panic!("{finding}") };
    let scaled: Vec<Band> = bands
        .iter()
        .map(|band| Band { mean: band.mean * factor, deviation: band.deviation * factor })
        .collect();
    let deployment = Deployment::convert(&network, &weights, &scaled, InputForm::Counts, &profile).unwrap();
    let tiles: Vec<Vec<f32>> = tiles(&network, 60_000)
        .into_iter()
        .map(|tile| tile.into_iter().map(|count| count * factor).collect())
        .collect();
    assert_eq!(diagnose(&deployment, &tiles).unwrap().findings, []);
    assert!(finding.to_string().starts_with("n1: "), "{finding}");
}

#[test]
fn counts_beyond_binary16_are_found_at_the_input() {
    let (network, weights) = plain();
    let profile = NumericProfile::ieee_f16();
    let bands = bands(2, 30_000.0, 15_000.0);
    let found = diagnosed(&network, &weights, &bands, InputForm::Counts, &profile, 65_535 + 1000);
    assert_eq!(found.findings[0].node, "input");
    assert!(matches!(found.findings[0].cause, Cause::InputOverflow { largest } if largest > 65_504.0));
    let Remedy::ScaleInput { factor } = found.findings[0].remedies[0] else { panic!("{found:?}") };
    assert!((1.0 / 8.0..=0.5).contains(&factor), "{factor}");
}

#[test]
fn large_constants_and_large_results_are_told_apart() {
    let (network, weights) = plain();
    let profile = NumericProfile::myriad_x_optimistic();
    let bands = bands(2, 2000.0, 900.0);
    let large = scaled(&network, &weights, "n1.weight", 1e6);
    let found = diagnosed(&network, &large, &bands, InputForm::Normalised, &profile, 4000);
    assert!(matches!(found.findings[0].cause, Cause::ConstantsOverflow { .. }), "{found:?}");
    assert_eq!(found.findings[0].node, "n1");
    let many = scaled(&network, &weights, "n1.weight", 5e4);
    let found = diagnosed(&network, &many, &bands, InputForm::Normalised, &profile, 4000);
    let cause = found.findings[0].cause;
    assert!(matches!(cause, Cause::ActivationsOverflow { share, .. } if share > 0.01), "{found:?}");
    assert_eq!(found.findings[0].remedies[0], Remedy::Clip);
}

#[test]
fn small_weights_in_the_middle_are_found_there() {
    let (network, weights) = plain();
    let small = scaled(&network, &weights, "n3.weight", 1e-5);
    let small = scaled(&network, &small, "n3.bias", 1e-5);
    let profile = NumericProfile::myriad_x_optimistic();
    let found = diagnosed(&network, &small, &bands(2, 2000.0, 900.0), InputForm::Normalised, &profile, 4000);
    assert_eq!(found.findings.len(), 1, "{found:?}");
    assert_eq!(found.findings[0].node, "n3");
    assert!(matches!(found.findings[0].cause, Cause::ConstantsFlushed { folded: false, .. }));
}

#[test]
fn sequential_sums_of_a_large_map_are_found() {
    let mut graph = Graph::new(1, 128, 128);
    let pooled = graph.add(Op::GlobalAvgPool, &[graph.input()]);
    let output = graph.add(Op::Conv2d(Conv2d::same(2, 1)), &[pooled]);
    let network = graph.finish(output);
    let weights = weights(&network, Seed::new(1));
    let profile = NumericProfile::myriad_x_pessimistic();
    let bands = [Band { mean: 100.0, deviation: 1000.0 }];
    let found = diagnosed(&network, &weights, &bands, InputForm::Normalised, &profile, 4000);
    assert_eq!(found.findings[0].node, "n1", "{found:?}");
    assert_eq!(found.findings[0].cause, Cause::PoolingSums { values: 128 * 128 });
    assert_eq!(found.findings[0].remedies[0], Remedy::PoolInStages);
    let wide = NumericProfile { squeeze: PoolingSum::Wide, ..profile };
    assert_eq!(diagnosed(&network, &weights, &bands, InputForm::Normalised, &wide, 4000).findings, []);
}
