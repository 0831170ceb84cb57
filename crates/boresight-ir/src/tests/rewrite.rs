//! Folding batch normalisations and the input's normalisation.

use super::random::Recipe;
use crate::{
    Builder, Conv2d, Error, Network, NodeId, NormalisationFold, Op, Role, Shape, Weights, fold_batch_norm,
};
use boresight_core::Seed;
use proptest::prelude::*;

fn set(weights: &mut Weights, name: &str, values: &[f32]) {
    let range = weights.layout().find(name).unwrap().range.clone();
    weights.values_mut()[range].copy_from_slice(values);
}

fn get<'values>(weights: &'values Weights, name: &str) -> &'values [f32] {
    &weights.values()[weights.layout().find(name).unwrap().range.clone()]
}

/// A batch normalisation `norm` that multiplies by 1.5 and -2 and then adds 3.5 and 7: every number is exact.
fn set_norm(weights: &mut Weights) {
    set(weights, "norm.scale", &[3.0, -1.0]);
    set(weights, "norm.shift", &[5.0, 1.0]);
    set(weights, "norm.running_mean", &[1.0, 3.0]);
    set(weights, "norm.running_variance", &[3.75, 0.0]);
}
const EPSILON: f32 = 0.25;

fn norm_after(bias: Conv2d, between: Option<Op>) -> Network {
    let mut builder = Builder::new(Shape::new(1, 2, 2)).unwrap();
    let mut map = builder.add("relu", Op::Relu, &[builder.input()]).unwrap();
    map = builder.add("conv", Op::Conv2d(bias), &[map]).unwrap();
    if let Some(op) = between {
        map = builder.add("between", op, &[map]).unwrap();
    }
    let norm = builder.add("norm", Op::BatchNorm { epsilon: EPSILON }, &[map]).unwrap();
    builder.finish(norm).unwrap()
}

#[test]
fn a_folded_convolution_is_the_convolution_and_its_normalisation() {
    let network = norm_after(Conv2d::same(2, 1).without_bias(), None);
    let mut weights = Weights::initial(&network, Seed::new(1));
    set(&mut weights, "conv.weight", &[2.0, 0.5]);
    set_norm(&mut weights);
    weights.set_border(&[-2.5]).unwrap();
    let (folded, folded_weights) = fold_batch_norm(&network, &weights).unwrap();
    assert_eq!(folded.nodes().len(), 3);
    assert_eq!(get(&folded_weights, "conv.weight"), [3.0, -1.0]);
    assert_eq!(get(&folded_weights, "conv.bias"), [3.5, 7.0]);
    assert_eq!(get(&folded_weights, "input.border"), [-2.5]);
}

#[test]
fn the_bias_of_a_folded_convolution_is_scaled_too() {
    let network = norm_after(Conv2d::same(2, 1), None);
    let mut weights = Weights::initial(&network, Seed::new(1));
    set(&mut weights, "conv.bias", &[4.0, 0.5]);
    set_norm(&mut weights);
    let (_, folded) = fold_batch_norm(&network, &weights).unwrap();
    assert_eq!(get(&folded, "conv.bias"), [4.0 * 1.5 + 3.5, 0.5 * -2.0 + 7.0]);
}

#[test]
fn a_normalisation_without_a_convolution_of_its_own_becomes_a_scale_and_shift() {
    let network = norm_after(Conv2d::same(2, 1), Some(Op::Relu));
    let mut weights = Weights::initial(&network, Seed::new(1));
    set(&mut weights, "conv.weight", &[2.0, 0.5]);
    set_norm(&mut weights);
    let (folded, folded_weights) = fold_batch_norm(&network, &weights).unwrap();
    assert_eq!(folded.node(folded.output()).op, Op::ScaleShift);
    assert_eq!(get(&folded_weights, "norm.scale"), [1.5, -2.0]);
    assert_eq!(get(&folded_weights, "norm.shift"), [3.5, 7.0]);
    assert_eq!(get(&folded_weights, "conv.weight"), [2.0, 0.5]);
}

#[test]
fn a_convolution_with_two_readers_keeps_its_values() {
    let mut builder = Builder::new(Shape::new(1, 2, 2)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(2, 1)), &[builder.input()]).unwrap();
    let norm = builder.add("norm", Op::BatchNorm { epsilon: EPSILON }, &[conv]).unwrap();
    let sum = builder.add("sum", Op::Add, &[conv, norm]).unwrap();
    let network = builder.finish(sum).unwrap();
    let mut weights = Weights::initial(&network, Seed::new(1));
    set(&mut weights, "conv.weight", &[2.0, 0.5]);
    set_norm(&mut weights);
    let (folded, folded_weights) = fold_batch_norm(&network, &weights).unwrap();
    assert_eq!(folded.nodes().len(), 4);
    assert_eq!(get(&folded_weights, "conv.weight"), [2.0, 0.5]);
    assert_eq!(get(&folded_weights, "norm.scale"), [1.5, -2.0]);
}

#[test]
fn convolutions_of_the_input_have_a_bias_afterwards() {
    let mut builder = Builder::new(Shape::new(1, 2, 2)).unwrap();
    let conv = Op::Conv2d(Conv2d::same(2, 1).without_bias());
    let conv = builder.add("conv", conv, &[builder.input()]).unwrap();
    let network = builder.finish(conv).unwrap();
    let weights = Weights::initial(&network, Seed::new(1));
    let (folded, folded_weights) = fold_batch_norm(&network, &weights).unwrap();
    assert_eq!(get(&folded_weights, "conv.bias"), [0.0, 0.0]);
    assert!(NormalisationFold::new(&network, &[1.0], &[1.0]).is_err());
    assert!(NormalisationFold::new(&folded, &[1.0], &[1.0]).is_ok());
}

#[test]
fn weights_of_another_network_are_refused() {
    let [one, other] = [2, 3].map(|channels| norm_after(Conv2d::same(channels, 1), None));
    let weights = Weights::initial(&other, Seed::new(1));
    assert!(matches!(fold_batch_norm(&one, &weights), Err(Error::WeightCount { .. })));
}

/// A 3x3 convolution of one band with these weights and bias, on an image of 2x2 pixels; padding reads `border`.
fn convolved(image: [[f64; 2]; 2], values: &[f32], border: f64) -> Vec<f64> {
    let at = |row: usize, column: usize| match (row, column) {
        (1 | 2, 1 | 2) => image[row - 1][column - 1],
        _ => border,
    };
    let mut result = Vec::new();
    for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let taps = (0..9).map(|tap| f64::from(values[tap]) * at(row + tap / 3, column + tap % 3));
        result.push(taps.sum::<f64>() + f64::from(values[9]));
    }
    result
}

#[test]
fn folded_weights_see_counts_as_the_others_see_normalised_values_even_at_the_border() {
    let mut builder = Builder::new(Shape::new(1, 2, 2)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(1, 3)), &[builder.input()]).unwrap();
    let network = builder.finish(conv).unwrap();
    let (mean, deviation) = (6.0, 2.0);
    let fold = NormalisationFold::new(&network, &[6.0], &[2.0]).unwrap();
    let mut master = Weights::initial(&network, Seed::new(1));
    set(&mut master, "conv.weight", &[1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0, -8.0, 9.0]);
    set(&mut master, "conv.bias", &[0.5]);
    master.set_border(&fold.border()).unwrap();
    assert_eq!(fold.border(), [-3.0]);

    let mut device = vec![9.0; network.layout().len()];
    fold.apply(master.values(), &mut device);
    let counts = [[0.0, 10.0], [4.0, 100.0]];
    let normalised = counts.map(|row| row.map(|count| (count - mean) / deviation));
    // Halves of small whole numbers: both sums are exact.
    let expected = convolved(normalised, master.values(), -3.0);
    let found = convolved(counts, &device, 0.0);
    assert!(expected.iter().zip(&found).all(|(one, other)| one.to_bits() == other.to_bits()));
    assert_eq!(device[10].to_bits(), 0.0_f32.to_bits());
}

#[test]
fn each_group_of_a_convolution_has_the_statistics_of_its_bands() {
    let mut builder = Builder::new(Shape::new(2, 2, 2)).unwrap();
    let grouped = Op::Conv2d(Conv2d { groups: 2, ..Conv2d::same(4, 1) });
    let conv = builder.add("conv", grouped, &[builder.input()]).unwrap();
    let network = builder.finish(conv).unwrap();
    let fold = NormalisationFold::new(&network, &[1.0, 10.0], &[2.0, 4.0]).unwrap();
    let master = [8.0, 16.0, 8.0, 16.0, 0.0, 0.0, 0.0, 1.0, -0.5, -2.5];
    let mut device = [0.0; 10];
    fold.apply(&master, &mut device);
    let expected = [4.0_f32, 8.0, 2.0, 4.0, -4.0, -8.0, -20.0, -39.0, 0.0, 0.0];
    assert_eq!(device.map(f32::to_bits), expected.map(f32::to_bits));
}

#[test]
fn statistics_of_other_bands_and_readers_that_are_no_convolution_are_refused() {
    let mut builder = Builder::new(Shape::new(2, 2, 2)).unwrap();
    let relu = builder.add("relu", Op::Relu, &[builder.input()]).unwrap();
    let network = builder.finish(relu).unwrap();
    let few = NormalisationFold::new(&network, &[1.0], &[1.0, 1.0]).unwrap_err();
    assert_eq!(few, Error::BandCount { expected: 2, found: 1 });
    let reader = NormalisationFold::new(&network, &[1.0; 2], &[1.0; 2]).unwrap_err();
    assert!(reader.to_string().starts_with("node 'relu' (relu) reads the input"));
}

/// A network whose convolutions read the input in the ways that there are.
fn readers(bands: usize, kernel: usize) -> Network {
    let mut builder = Builder::new(Shape::new(bands, 8, 8)).unwrap();
    let dense = Op::Conv2d(Conv2d::same(3, kernel));
    let dense = builder.add("dense", dense, &[builder.input()]).unwrap();
    let depthwise = Op::Conv2d(Conv2d::same(bands, 3).depthwise());
    let depthwise = builder.add("depthwise", depthwise, &[builder.input()]).unwrap();
    let multiplied = Op::Conv2d(Conv2d { groups: bands, ..Conv2d::same(2 * bands, 1) });
    let multiplied = builder.add("multiplied", multiplied, &[builder.input()]).unwrap();
    let concat = builder.add("concat", Op::Concat, &[dense, depthwise, multiplied]).unwrap();
    let last = builder.add("last", Op::Conv2d(Conv2d::same(2, 1)), &[concat]).unwrap();
    builder.finish(last).unwrap()
}

fn product(one: &[f32], other: &[f32]) -> f64 {
    one.iter().zip(other).map(|(&one, &other)| f64::from(one) * f64::from(other)).sum()
}

#[expect(clippy::cast_possible_truncation, reason = "random values of any precision will do")]
fn normals(seed: Seed, count: usize) -> Vec<f32> {
    let mut stream = seed.stream();
    (0..count).map(|_| stream.normal() as f32).collect()
}

proptest! {
    #[test]
    fn the_adjoint_is_the_adjoint(seed: u64, bands in 1_usize..5, kernel in 0_usize..3) {
        let network = readers(bands, 2 * kernel + 1);
        let seed = Seed::new(seed);
        let mean: Vec<f32> = normals(seed.derive("mean", 0), bands);
        let deviation: Vec<f32> =
            normals(seed.derive("deviation", 0), bands).iter().map(|value| value.abs() + 0.5).collect();
        let fold = NormalisationFold::new(&network, &mean, &deviation).unwrap();
        let trainable = network.parameter_count();
        let master = normals(seed.derive("master", 0), network.layout().len());
        let direction = normals(seed.derive("direction", 0), trainable);

        let mut device = vec![0.0; network.layout().len()];
        fold.apply(&master, &mut device);
        let mut pulled = direction.clone();
        fold.adjoint(&mut pulled);
        let forward = product(&device[..trainable], &direction);
        let backward = product(&master[..trainable], &pulled);
        // Each value is rounded once to 24 bits; values here stay below some hundreds.
        let scale = product(&device[..trainable], &device[..trainable]).sqrt()
            * product(&direction, &direction).sqrt()
            + product(&pulled, &pulled).sqrt() * product(&master[..trainable], &master[..trainable]).sqrt();
        prop_assert!((forward - backward).abs() <= scale * f64::from(f32::EPSILON), "{forward} {backward}");
    }

    #[test]
    fn a_folded_network_has_no_batch_normalisation_and_no_statistics(seed: u64) {
        let network = Recipe::new(seed).build(seed);
        let weights = Weights::initial(&network, Seed::new(seed));
        let (folded, folded_weights) = fold_batch_norm(&network, &weights).unwrap();
        let left = folded.nodes().iter().filter(|node| matches!(node.op, Op::BatchNorm { .. })).count();
        prop_assert_eq!(left, 0);
        prop_assert_eq!(folded.output_shape(), network.output_shape());
        prop_assert_eq!(folded_weights.values().len(), folded.layout().len());
        let (again, again_weights) = fold_batch_norm(&folded, &folded_weights).unwrap();
        prop_assert_eq!(again, folded);
        prop_assert_eq!(again_weights, folded_weights);
    }
}

#[test]
fn the_border_is_found_at_the_input() {
    let network = readers(2, 1);
    let mut weights = Weights::initial(&network, Seed::new(1));
    weights.set_border(&[-1.0, -2.0]).unwrap();
    assert_eq!(weights.get(NodeId(0), Role::Border), Some([-1.0, -2.0].as_slice()));
    let refused = weights.set_border(&[1.0]).unwrap_err();
    assert_eq!(refused, Error::BandCount { expected: 2, found: 1 });
}

#[test]
fn a_deviation_that_cannot_divide_is_refused_with_its_band() {
    let network = readers(2, 1);
    for value in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let refused = NormalisationFold::new(&network, &[0.0, 0.0], &[1.0, value]).unwrap_err();
        assert_eq!(refused, Error::Deviation { band: 1, value: value.to_string() });
    }
}
