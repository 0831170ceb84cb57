//! What holds for every plan.

use crate::networks::{self, normals};
use boresight_core::Seed;
use boresight_ir::{Builder, Conv2d, Filling, Network, Op, Shape};
use boresight_plan::{Arithmetic, Error, Mode, Plan, Store, Workspace, dropout_mask};

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Calls `check` with random networks, their weights and a batch of images.
fn on_random_networks(batch: usize, check: impl Fn(&Network, &[f32], &[f32])) {
    for number in 0..150 {
        let seed = Seed::new(number);
        let network = networks::random(seed);
        let weights = networks::weights(&network, seed);
        let images = normals(seed.derive("images", 0), batch * network.input_shape().len());
        check(&network, weights.values(), &images);
    }
}

#[test]
fn random_networks_have_every_operator() {
    let names: Vec<&str> = (0..150)
        .flat_map(|number| networks::random(Seed::new(number)).nodes().to_vec())
        .map(|node| node.op.name())
        .collect();
    for name in [
        "conv2d",
        "batch_norm",
        "scale_shift",
        "relu",
        "relu6",
        "gelu",
        "sigmoid",
        "leaky_relu",
        "clip",
        "softmax",
        "max_pool",
        "avg_pool",
        "global_avg_pool",
        "upsample",
        "concat",
        "add",
        "mul",
        "channel_scale",
        "slice",
        "pad",
        "zero_stuff",
        "dropout",
    ] {
        assert!(names.contains(&name), "{name}");
    }
}

#[test]
fn a_plan_for_inference_gives_the_bits_of_one_for_training() {
    on_random_networks(2, |network, weights, images| {
        let device = Arithmetic::Device(Store::F32);
        let training = Plan::training(network, 2, device).unwrap();
        let inference = Plan::inference(network, 2, device).unwrap();
        let (mut first, mut second) = (training.workspace(), inference.workspace());
        let expected = training.forward(weights, images, Mode::Evaluate, &mut first);
        assert_eq!(bits(inference.forward(weights, images, Mode::Evaluate, &mut second)), bits(expected));
        assert!(inference.peak_bytes() < training.peak_bytes());
    });
}

/// Where the order is free, normalisations are folded: 1e-4 of the largest logit, for some ten thousand roundings.
#[test]
fn a_fast_plan_for_inference_agrees_with_one_for_training() {
    on_random_networks(2, |network, weights, images| {
        let [training, inference] =
            [Plan::training, Plan::inference].map(|make| make(network, 2, Arithmetic::Fast).unwrap());
        let (mut first, mut second) = (training.workspace(), inference.workspace());
        let expected = training.forward(weights, images, Mode::Evaluate, &mut first);
        let found = inference.forward(weights, images, Mode::Evaluate, &mut second);
        let largest = expected.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
        for (found, expected) in found.iter().zip(expected) {
            assert!((found - expected).abs() <= 1e-4 * largest, "{found} instead of {expected}");
        }
    });
}

#[test]
fn images_of_a_batch_do_not_see_each_other_in_evaluation() {
    on_random_networks(2, |network, weights, images| {
        let both = Plan::inference(network, 2, Arithmetic::Fast).unwrap();
        let one = Plan::inference(network, 1, Arithmetic::Fast).unwrap();
        let mut memory = both.workspace();
        let together = both.forward(weights, images, Mode::Evaluate, &mut memory);
        let (mut memory, mut alone) = (one.workspace(), Vec::new());
        for image in images.chunks_exact(network.input_shape().len()) {
            alone.extend_from_slice(one.forward(weights, image, Mode::Evaluate, &mut memory));
        }
        assert_eq!(bits(&alone), bits(together));
    });
}

/// Logits and gradient of one step of training.
fn step(plan: &Plan, weights: &[f32], images: &[f32], memory: &mut Workspace) -> [Vec<f32>; 2] {
    let logits = plan.forward(weights, images, Mode::Train(Seed::new(4)), memory).to_vec();
    let slope = normals(Seed::new(6), logits.len());
    let mut gradient = vec![f32::NAN; plan.layout().trainable()];
    plan.backward(weights, images, &slope, memory, &mut gradient);
    [logits, gradient]
}

#[test]
fn nothing_of_an_earlier_step_reaches_a_later_one() {
    on_random_networks(2, |network, weights, images| {
        for arithmetic in [Arithmetic::Fast, Arithmetic::Device(Store::F16)] {
            let Ok(plan) = Plan::training(network, 2, arithmetic) else { continue };
            let fresh = step(&plan, weights, images, &mut plan.workspace());
            let mut memory = plan.workspace();
            // NaN spreads through every value and gradient of this step.
            step(&plan, &vec![f32::NAN; weights.len()], &vec![f32::NAN; images.len()], &mut memory);
            let later = step(&plan, weights, images, &mut memory);
            assert_eq!(later.map(|values| bits(&values)), fresh.map(|values| bits(&values)));
        }
    });
}

#[test]
fn every_gradient_is_written() {
    on_random_networks(1, |network, weights, images| {
        let plan = Plan::training(network, 1, Arithmetic::Fast).unwrap();
        let [_, gradient] = step(&plan, weights, images, &mut plan.workspace());
        assert!(gradient.iter().all(|value| value.is_finite()), "{network:?}");
    });
}

#[test]
fn every_stored_activation_of_a_binary16_plan_is_a_binary16_value() {
    for (name, network) in networks::small() {
        let weights = networks::weights(&network, Seed::new(1));
        let (folded, weights) = boresight_ir::fold_batch_norm(&network, &weights).unwrap();
        let plan = Plan::training(&folded, 1, Arithmetic::Device(Store::F16)).unwrap();
        let images = normals(Seed::new(2), folded.input_shape().len());
        let mut memory = plan.workspace();
        for mode in [Mode::Evaluate, Mode::Train(Seed::new(3))] {
            let logits = plan.forward(weights.values(), &images, mode, &mut memory);
            let mut rounded = logits.to_vec();
            boresight_numerics::round_slice_f16(&mut rounded);
            assert_eq!(bits(&rounded), bits(logits), "{name}");
        }
    }
}

#[test]
fn where_nothing_is_rounded_gradients_do_not_see_the_store() {
    let exact = ["max pooling", "grouped convolution with uneven strides", "residual sum"];
    let networks = networks::small().into_iter().filter(|(name, _)| exact.contains(name));
    for (name, network) in networks {
        // Small integers: every sum is one of them and has less than 11 bits.
        let mut stream = Seed::new(1).stream();
        let mut draw = |count| (0..count).map(|_| stream.below(3) as f32 - 1.0).collect::<Vec<_>>();
        let (weights, images) = (draw(network.layout().len()), draw(network.input_shape().len()));
        let [wide, narrow] = [Arithmetic::Fast, Arithmetic::Device(Store::F16)].map(|arithmetic| {
            let plan = Plan::training(&network, 1, arithmetic).unwrap();
            step(&plan, &weights, &images, &mut plan.workspace()).map(|values| bits(&values))
        });
        assert_eq!(narrow, wide, "{name}");
    }
}

/// Operators one after the other on images of 2 x 6 x 5.
fn chain(ops: &[Op]) -> Network {
    let mut builder = Builder::new(Shape::new(2, 6, 5)).unwrap();
    let mut last = builder.input();
    for (at, op) in ops.iter().enumerate() {
        last = builder.add(format!("{}{at}", op.name()), *op, &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

#[test]
fn padding_apart_is_padding_within_the_convolution() {
    let conv = Conv2d { padding: [2, 1], ..Conv2d::same(3, 3) };
    let apart = Op::Conv2d(Conv2d { padding: [0; 2], ..conv });
    let pad = Op::Pad { rows: [2; 2], columns: [1; 2], filling: Filling::Zero };
    // The first one reads the image, whose border is not zero; the second one reads zeros.
    let within = chain(&[Op::Conv2d(conv), Op::Conv2d(conv)]);
    let apart = chain(&[pad, apart, pad, apart]);
    let weights = networks::weights(&within, Seed::new(1));
    let images = normals(Seed::new(2), 2 * within.input_shape().len());
    let [expected, found] = [&within, &apart].map(|network| {
        let plan = Plan::training(network, 2, Arithmetic::Device(Store::F32)).unwrap();
        step(&plan, weights.values(), &images, &mut plan.workspace())
    });
    assert_eq!(bits(&found[0]), bits(&expected[0]));
    for (found, expected) in found[1].iter().zip(&expected[1]) {
        assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} instead of {expected}");
    }
}

#[test]
fn running_statistics_follow_the_batch_by_the_momentum() {
    let mut builder = Builder::new(Shape::new(1, 1, 4)).unwrap();
    let norm = builder.add("norm", Op::BatchNorm { epsilon: 1e-5 }, &[builder.input()]).unwrap();
    let network = builder.finish(norm).unwrap();
    let plan = Plan::training(&network, 1, Arithmetic::Fast).unwrap();
    let mut memory = plan.workspace();
    // Scale, shift, border, running mean, running variance.
    let mut weights = [1.0, 0.0, 5.0, 10.0, 8.0];
    plan.forward(&weights, &[0.0, 2.0, 4.0, 6.0], Mode::Train(Seed::new(1)), &mut memory);
    plan.commit_statistics(&memory, 0.25, &mut weights);
    // The batch has mean 3 and unbiased variance 20/3.
    let expected = [1.0, 0.0, 5.0, 10.0 + 0.25 * (3.0 - 10.0), 8.0 + 0.25 * (20.0 / 3.0 - 8.0)];
    for (found, expected) in weights.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{weights:?}");
    }
}

#[test]
fn evaluation_depends_on_running_statistics_and_training_does_not() {
    let (_, network) = networks::small().into_iter().find(|(name, _)| name.contains("alone")).unwrap();
    let weights = networks::weights(&network, Seed::new(1));
    let plan = Plan::training(&network, 1, Arithmetic::Fast).unwrap();
    let images = normals(Seed::new(2), network.input_shape().len());
    let mut moved = weights.clone();
    let parameters = network.parameter_count();
    moved.values_mut()[parameters..].iter_mut().for_each(|value| *value += 0.5);
    // Nothing here reads the border, since the convolution reads a normalised map.
    let logits = |weights: &[f32], mode| plan.forward(weights, &images, mode, &mut plan.workspace()).to_vec();
    let train = Mode::Train(Seed::new(3));
    assert_eq!(bits(&logits(moved.values(), train)), bits(&logits(weights.values(), train)));
    assert_ne!(
        bits(&logits(moved.values(), Mode::Evaluate)),
        bits(&logits(weights.values(), Mode::Evaluate))
    );
}

#[test]
fn dropout_keeps_the_mean_and_the_stated_share() {
    let mut mask = vec![0.0; 100_001];
    dropout_mask(Seed::new(1), "drop", 0, 0.2, &mut mask);
    let dropped = mask.iter().filter(|value| value.to_bits() == 0).count() as f64 / 100_001.0;
    // Four standard errors: 4 * sqrt(0.2 * 0.8 / 100001).
    assert!((dropped - 0.2).abs() < 0.0051, "{dropped}");
    assert!(mask.iter().all(|value| value.to_bits() == 0 || value.to_bits() == 1.25_f32.to_bits()));
    let mut other = vec![0.0; 100_001];
    dropout_mask(Seed::new(1), "other", 0, 0.2, &mut other);
    assert_ne!(bits(&mask), bits(&other));
    dropout_mask(Seed::new(1), "drop", 1, 0.2, &mut other);
    assert_ne!(bits(&mask), bits(&other));
}

#[test]
fn what_cannot_be_planned_is_refused_by_name() {
    let (_, network) = networks::small().into_iter().find(|(name, _)| name.contains("GELU")).unwrap();
    assert_eq!(Plan::training(&network, 0, Arithmetic::Fast).unwrap_err(), Error::EmptyBatch);
    let error = Plan::inference(&network, 1, Arithmetic::Device(Store::F16)).unwrap_err();
    let message =
        "batch normalisation 'batch_norm1' must be folded before activations are stored as binary16";
    assert_eq!(error.to_string(), message);

    let builder = Builder::new(Shape::new(1, 2, 2)).unwrap();
    let input = builder.input();
    assert_eq!(
        Plan::training(&builder.finish(input).unwrap(), 1, Arithmetic::Fast).unwrap_err(),
        Error::Empty
    );

    let mut builder = Builder::new(Shape::new(1, 2, 2)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(2, 1)), &[builder.input()]).unwrap();
    let mean = builder.add("mean", Op::GlobalAvgPool, &[conv]).unwrap();
    let square = builder.add("square", Op::ChannelScale, &[mean, mean]).unwrap();
    let error = Plan::training(&builder.finish(square).unwrap(), 1, Arithmetic::Fast).unwrap_err();
    assert_eq!(error, Error::SelfScale { node: "square".into() });
}
