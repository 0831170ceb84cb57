//! Initial weights.

use crate::{Builder, Conv2d, Error, Network, Op, Shape, Weights};
use boresight_core::Seed;

fn network(hidden: usize) -> Network {
    let mut builder = Builder::new(Shape::new(8, 4, 4)).unwrap();
    let one = builder.add("one", Op::Conv2d(Conv2d::same(64, 3)), &[builder.input()]).unwrap();
    let norm = builder.add("norm", Op::BatchNorm { epsilon: 1e-5 }, &[one]).unwrap();
    let two = builder.add("two", Op::Conv2d(Conv2d::same(hidden, 1)), &[norm]).unwrap();
    builder.finish(two).unwrap()
}

fn values(weights: &Weights, name: &str) -> Vec<f32> {
    weights.values()[weights.layout().find(name).unwrap().range.clone()].to_vec()
}

#[test]
fn equal_seeds_give_equal_weights_and_layers_do_not_depend_on_each_other() {
    let [small, large] = [2, 30].map(|hidden| Weights::initial(&network(hidden), Seed::new(3)));
    assert_eq!(small, Weights::initial(&network(2), Seed::new(3)));
    assert_ne!(small, Weights::initial(&network(2), Seed::new(4)));
    assert_eq!(values(&small, "one.weight"), values(&large, "one.weight"));
}

#[test]
fn convolutions_start_with_the_variance_of_he_and_everything_else_neutral() {
    let weights = Weights::initial(&network(2), Seed::new(3));
    let drawn = values(&weights, "one.weight");
    let count = drawn.len() as f64;
    let variance = drawn.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / count;
    let expected = 2.0 / (8.0 * 9.0);
    // Four standard errors of a variance: 4 * sqrt(2 / count) of itself.
    assert!((variance / expected - 1.0).abs() < 4.0 * (2.0 / count).sqrt(), "{variance}");
    assert_eq!(values(&weights, "norm.running_variance"), vec![1.0; 64]);
    assert_eq!(values(&weights, "norm.scale"), vec![1.0; 64]);
    for name in ["one.bias", "norm.shift", "norm.running_mean", "input.border"] {
        assert!(values(&weights, name).iter().all(|value| value.to_bits() == 0), "{name}");
    }
}

#[test]
fn a_wrong_number_of_values_is_refused() {
    let network = network(2);
    let length = network.layout().len();
    let short = Weights::from_values(&network, vec![0.0; length - 1]).unwrap_err();
    assert_eq!(short, Error::WeightCount { expected: length, found: length - 1 });
}
