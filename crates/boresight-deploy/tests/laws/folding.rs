//! What folding keeps, and what conversion loses.
//!
//! The tolerances are derived. Replace all values of a network by magnitudes such that nothing cancels: its result is
//! the majorant M. Every operator of these networks is a sum of products, or a maximum or `ReLU`, which enlarge no
//! error. So if no path has more than K roundings, a result lies within `gamma(K) * M` of the exact one, where
//! `gamma(K) = K u / (1 - K u)` and `u = 2^-24` (Higham, *Accuracy and Stability of Numerical Algorithms*, 2002,
//! section 3.1), and two ways to compute it within twice that of each other.

use crate::networks::{Graph, bands, bits, counts, every_operator, simulate, weights};
use boresight_core::Seed;
use boresight_deploy::{Band, Deployment};
use boresight_ir::{Conv2d, InputForm, Network, Op, Role, Weights, Window};
use boresight_numerics::NumericProfile;
use boresight_plan::{Arithmetic, Mode, Plan};
use proptest::prelude::*;

/// At least the roundings on any path: those of all nodes. A convolution rounds at each tap and at the bias, and its
/// folded weight and bias were rounded twice each; normalising an image and a batch normalisation take fewer than 6.
fn roundings(network: &Network) -> usize {
    let of = |at: usize| match network.nodes()[at].op {
        Op::Conv2d(conv) => {
            let source = network.nodes()[at].inputs[0];
            network.node(source).shape.channels / conv.groups * conv.kernel[0] * conv.kernel[1] + 5
        }
        Op::Input | Op::BatchNorm { .. } => 6,
        Op::Add => 1,
        _ => 0,
    };
    (0..network.nodes().len()).map(of).sum()
}

/// How far two computations of each logit may lie apart; `counts` are of one image.
pub(crate) fn tolerances(network: &Network, weights: &Weights, bands: &[Band], counts: &[f32]) -> Vec<f32> {
    let mut majorant = weights.clone();
    for slot in network.layout().slots() {
        for value in &mut majorant.values_mut()[slot.range.clone()] {
            *value = if slot.role == Role::Mean { -value.abs() } else { value.abs() };
        }
    }
    let border: Vec<f32> = bands.iter().map(|band| band.mean / band.deviation).collect();
    majorant.set_border(&border).unwrap();
    let planes = counts.chunks_exact(network.input_shape().plane()).zip(bands);
    let image: Vec<f32> = planes
        .flat_map(|(plane, band)| plane.iter().map(|count| (count + band.mean) / band.deviation))
        .collect();
    let plan = Plan::inference(network, 1, Arithmetic::Fast).unwrap();
    let mut memory = plan.workspace();
    let sums = plan.forward(majorant.values(), &image, Mode::Evaluate, &mut memory);
    let unit = roundings(network) as f32 * 2.0_f32.powi(-24);
    let gamma = unit / (1.0 - unit);
    // M itself is rounded as often.
    sums.iter().map(|sum| 2.0 * gamma * sum * (1.0 + 2.0 * gamma)).collect()
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// A residual block that is normalised in three places, two of them behind convolutions.
pub(crate) fn residual() -> Network {
    let norm = Op::BatchNorm { epsilon: 1e-2 };
    let mut graph = Graph::new(3, 9, 8);
    let stem = graph.add(Op::Conv2d(Conv2d::same(6, 3).without_bias()), &[graph.input()]);
    let stem = graph.add(norm, &[stem]);
    let stem = graph.add(Op::Relu, &[stem]);
    let inner = graph.add(Op::Conv2d(Conv2d::same(6, 3)), &[stem]);
    let inner = graph.add(norm, &[inner]);
    let sum = graph.add(Op::Add, &[stem, inner]);
    let pooled = graph.add(Op::MaxPool(Window::square(2)), &[sum]);
    let pooled = graph.add(norm, &[pooled]);
    let output = graph.add(Op::Conv2d(Conv2d::same(2, 1)), &[pooled]);
    graph.finish(output)
}

proptest! {
    // Now and then logits are so small that the law says nothing; more than now and then would be a wrong tolerance.
    #![proptest_config(ProptestConfig { cases: 64, max_global_rejects: 6, ..ProptestConfig::default() })]

    #[test]
    fn without_a_device_conversion_changes_no_more_than_rounding(number: u64) {
        let (network, seed, bands) = (residual(), Seed::new(number), bands(3));
        let weights = weights(&network, seed);
        let counts = counts(&network, 1, 4000, seed);
        let trained = simulate(&Deployment::undeployed(&network, &weights, &bands).unwrap(), 1, &counts);
        let tolerances = tolerances(&network, &weights, &bands, &counts);
        prop_assume!(largest(&tolerances) < 5e-3 * largest(&trained));
        for form in [InputForm::Normalised, InputForm::Counts] {
            let profile = NumericProfile::f32();
            let converted = Deployment::convert(&network, &weights, &bands, form, &profile).unwrap();
            let found = simulate(&converted, 1, &counts);
            for ((found, expected), tolerance) in found.iter().zip(&trained).zip(&tolerances) {
                prop_assert!((found - expected).abs() <= *tolerance, "{found} {expected} {tolerance}");
            }
        }
    }
}

/// Two convolutions, of which the first reads one pixel beyond each edge.
fn edged() -> Network {
    let mut graph = Graph::new(2, 6, 7);
    let first = graph.add(Op::Conv2d(Conv2d::same(5, 3)), &[graph.input()]);
    let relu = graph.add(Op::Relu, &[first]);
    let output = graph.add(Op::Conv2d(Conv2d::same(2, 1)), &[relu]);
    graph.finish(output)
}

/// Whether the pixel of logit `at` of [`edged`] lies on the edge.
const fn on_edge(at: usize) -> bool {
    let (row, column) = (at % 42 / 7, at % 7);
    row == 0 || row == 5 || column == 0 || column == 6
}

#[test]
fn folding_the_normalisation_is_exact_at_the_edges_too() {
    let (network, bands) = (edged(), bands(2));
    for number in 0..20 {
        let seed = Seed::new(number);
        let weights = weights(&network, seed);
        let counts = counts(&network, 1, 4000, seed);
        let tolerances = tolerances(&network, &weights, &bands, &counts);
        let profile = NumericProfile::f32();
        let run = |form| {
            let deployment = Deployment::convert(&network, &weights, &bands, form, &profile).unwrap();
            simulate(&deployment, 1, &counts)
        };
        let (folded, normalised) = (run(InputForm::Counts), run(InputForm::Normalised));
        // Padding a normalised image with zero, as most tools do, is another network: at the edges alone.
        let zero_padded = zero_padded(&network, &weights, &bands, &counts);
        let with_mean = |form| {
            let deployment = Deployment::convert(&network, &weights, &bands, form, &profile).unwrap();
            simulate(&deployment.padding_with_mean(), 1, &counts)
        };
        let means = [InputForm::Counts, InputForm::Normalised].map(with_mean);
        let mut edge_differs = false;
        for (at, tolerance) in tolerances.into_iter().enumerate() {
            for mean in &means {
                let distance = (mean[at] - zero_padded[at]).abs();
                assert!(distance <= tolerance, "logit {at}, padding with the mean: {distance}");
            }
            let distance = (folded[at] - normalised[at]).abs();
            assert!(distance <= tolerance, "logit {at}: {distance} is more than {tolerance}");
            let far = (zero_padded[at] - normalised[at]).abs() > 1000.0 * tolerance;
            assert!(on_edge(at) || zero_padded[at].to_bits() == normalised[at].to_bits(), "logit {at}");
            edge_differs |= far;
        }
        assert!(edge_differs, "the law would not notice a wrong border");
    }
}

/// Logits of normalised images that are padded with zero.
fn zero_padded(network: &Network, weights: &Weights, bands: &[Band], counts: &[f32]) -> Vec<f32> {
    let planes = counts.chunks_exact(network.input_shape().plane()).zip(bands);
    let image: Vec<f32> = planes
        .flat_map(|(plane, band)| plane.iter().map(|count| (count - band.mean) / band.deviation))
        .collect();
    let plan = Plan::inference(network, 1, Arithmetic::Fast).unwrap();
    plan.forward(weights.values(), &image, Mode::Evaluate, &mut plan.workspace()).to_vec()
}

fn mean_distance(first: &[f32], second: &[f32]) -> f32 {
    first.iter().zip(second).map(|(a, b)| (a - b).abs()).sum::<f32>() / first.len() as f32
}

#[test]
fn sixteen_bit_counts_cost_weights_and_logits_on_a_myriad_and_normalised_images_do_not() {
    let network = every_operator();
    let sixteen_bits = [Band { mean: 21_000.0, deviation: 9_000.0 }; 3];
    let profile = NumericProfile::myriad_x_optimistic();
    for number in 0..10 {
        let seed = Seed::new(number);
        let mut weights = weights(&network, seed);
        // No weight is so small that the device could not hold it.
        for value in weights.values_mut() {
            *value = value.abs().max(1e-3).copysign(*value);
        }
        let counts = counts(&network, 1, 65_504, seed);
        let trained = Deployment::undeployed(&network, &weights, &sixteen_bits).unwrap();
        let trained = simulate(&trained, 1, &counts);
        let run = |form| {
            let deployment = Deployment::convert(&network, &weights, &sixteen_bits, form, &profile).unwrap();
            (deployment.lost(), simulate(&deployment, 1, &counts))
        };
        let (lost, folded) = run(InputForm::Counts);
        let first_weights = 8 * 3 * 9 + 6 * 15;
        assert!(lost.flushed > first_weights / 4 && lost.flushed <= first_weights, "{lost:?}");
        let (kept, normalised) = run(InputForm::Normalised);
        assert_eq!((kept.flushed, kept.overflowed), (0, 0));
        assert_ne!(bits(&folded), bits(&normalised));
        let distances = [&folded, &normalised].map(|logits| mean_distance(logits, &trained));
        assert!(distances[0] > 20.0 * distances[1], "{distances:?}");
    }
}
