//! The reference and the simulated device agree bit for bit.

use crate::networks::{
    FORMS, Graph, bands, bits, counts, every_operator, profiles, random_mapping, random_profile, simulate,
    single, unet, weights,
};
use boresight_core::Seed;
use boresight_deploy::{Band, Deployment, reference};
use boresight_ir::{Conv2d, Filling, InputForm, Network, Op, Resize, Weights, Window};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// Two images, one by one through the reference, and as one batch through the simulated device.
fn assert_agreement(deployment: &Deployment, most: usize, seed: Seed) -> Vec<f32> {
    let counts = counts(deployment.network(), 2, most, seed);
    let simulated = simulate(deployment, 2, &counts);
    let images = counts.chunks_exact(counts.len() / 2);
    let expected: Vec<f32> = images.flat_map(|image| reference::logits(deployment, image).unwrap()).collect();
    let profile = deployment.projection().profile();
    assert_eq!(bits(&simulated), bits(&expected), "{}, {profile:?}", deployment.network().to_json());
    simulated
}

/// Agreement as trained, and converted under every profile for both forms of input.
fn assert_agreement_everywhere(network: &Network, weights: &Weights, seed: Seed) {
    let bands = bands(network.input_shape().channels);
    assert_agreement(&Deployment::undeployed(network, weights, &bands).unwrap(), 4000, seed);
    for profile in profiles() {
        for form in FORMS {
            let deployment = Deployment::convert(network, weights, &bands, form, &profile).unwrap();
            assert_agreement(&deployment, 4000, seed);
        }
    }
    let any = random_profile(seed);
    for form in FORMS {
        let deployment = Deployment::convert(network, weights, &bands, form, &any).unwrap();
        let mapping = random_mapping(deployment.network(), seed);
        assert_agreement(&deployment.mapped(&mapping), 4000, seed);
    }
}

#[test]
fn the_network_with_every_operator_has_every_operator() {
    let network = every_operator();
    let bands = bands(3);
    let initial = weights(&network, Seed::new(1));
    let profile = &profiles()[0];
    let converted = Deployment::convert(&network, &initial, &bands, FORMS[0], profile).unwrap();
    let nodes = network.nodes().iter().chain(converted.network().nodes());
    let found: BTreeSet<_> = nodes.map(|node| node.op.name()).collect();
    let all = [
        "input",
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
    ];
    assert_eq!(found, BTreeSet::from(all));
}

#[test]
fn every_operator_agrees_bit_for_bit() {
    let network = every_operator();
    for number in 0..24 {
        let seed = Seed::new(number);
        assert_agreement_everywhere(&network, &weights(&network, seed), seed);
    }
}

#[test]
fn u_nets_of_the_search_space_agree_bit_for_bit() {
    for number in 0..20 {
        let seed = Seed::new(number);
        let network = unet(seed);
        assert_agreement_everywhere(&network, &weights(&network, seed), seed);
    }
}

#[test]
fn values_beyond_binary16_agree_bit_for_bit() {
    let network = every_operator();
    let (mut infinite, mut undefined) = (false, false);
    for (number, gain) in (0..).zip([30.0, 300.0, 3e4, 3e6, 3e36]) {
        let seed = Seed::new(number);
        let mut weights = weights(&network, seed);
        weights.values_mut().iter_mut().for_each(|value| *value *= gain);
        for profile in profiles() {
            for form in FORMS {
                let deployment = Deployment::convert(&network, &weights, &bands(3), form, &profile).unwrap();
                let logits = assert_agreement(&deployment, 65_504, seed);
                infinite |= logits.iter().any(|logit| logit.is_infinite());
                undefined |= logits.iter().any(|logit| logit.is_nan());
            }
        }
    }
    assert!(infinite && undefined, "no logit left the finite numbers: the law was not tried");
}

#[test]
fn means_agree_where_the_order_of_summing_shows() {
    let bands = [Band { mean: 0.0, deviation: 1.0 }; 2];
    for (number, op) in (0..20).flat_map(|number| {
        [Op::GlobalAvgPool, Op::AvgPool(Window { kernel: [5, 4], stride: [2, 1] })].map(|op| (number, op))
    }) {
        let network = single([2, 13, 17], op);
        let weights = Weights::initial(&network, Seed::new(number));
        let deployment = Deployment::undeployed(&network, &weights, &bands).unwrap();
        let mut stream = Seed::new(number).stream();
        // The two large values cancel exactly; which of the small ones get lost before depends on the order.
        let mut counts: Vec<f32> = (0..442).map(|_| stream.normal() as f32).collect();
        for plane in counts.chunks_exact_mut(221) {
            let distance = 8 << stream.below(5);
            let first = stream.below(221 - distance);
            plane[first] = 1e20;
            plane[first + distance] = -1e20;
        }
        let expected = reference::logits(&deployment, &counts).unwrap();
        assert_eq!(bits(&simulate(&deployment, 1, &counts)), bits(&expected));
    }
}

/// Sizes of one axis of a window: image, kernel, stride, padding; the kernel fits.
fn axis() -> impl Strategy<Value = [usize; 4]> {
    (1_usize..20, 1_usize..6, 1_usize..4, 0_usize..4)
        .prop_map(|(size, kernel, stride, padding)| [size, kernel.min(size + 2 * padding), stride, padding])
}

fn axes() -> impl Strategy<Value = [[usize; 2]; 4]> {
    [axis(), axis()].prop_map(|[rows, columns]| std::array::from_fn(|at| [rows[at], columns[at]]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn convolutions_of_any_geometry_agree_bit_for_bit(
        [size, kernel, stride, padding] in axes(),
        [groups, inputs, outputs] in [1_usize..4, 1_usize..4, 1_usize..5],
        number: u64,
    ) {
        let seed = Seed::new(number);
        let mut graph = Graph::new(groups * inputs, size[0], size[1]);
        let conv = Conv2d { out_channels: groups * outputs, kernel, stride, padding, groups, bias: true };
        let first = graph.add(Op::Conv2d(conv), &[graph.input()]);
        let output = graph.add(Op::Conv2d(Conv2d::same(9, 3).without_bias()), &[first]);
        let network = graph.finish(output);
        assert_agreement_everywhere(&network, &weights(&network, seed), seed);
    }

    #[test]
    fn padding_and_zeros_between_pixels_of_any_geometry_agree_bit_for_bit(
        size in [1_usize..12, 1_usize..12],
        margins in [0_usize..4, 0_usize..4, 0_usize..4, 0_usize..4],
        stride in [1_usize..4, 1_usize..4],
        channels in 1_usize..6,
        number: u64,
    ) {
        let seed = Seed::new(number);
        let [above, below, left, right] = margins;
        let pad = |filling| Op::Pad { rows: [above, below], columns: [left, right], filling };
        let mut graph = Graph::new(2, size[0], size[1]);
        // The image is surrounded by count zero, which is another value in each band.
        let image = graph.add(pad(Filling::Zero), &[graph.input()]);
        let conv = graph.add(Op::Conv2d(Conv2d::same(channels, 1)), &[image]);
        let stuffed = graph.add(Op::ZeroStuff { stride }, &[conv]);
        let shares = graph.add(Op::Softmax, &[stuffed]);
        let output = graph.add(pad(Filling::Lowest), &[shares]);
        let network = graph.finish(output);
        let (weights, bands) = (weights(&network, seed), bands(2));
        assert_agreement(&Deployment::undeployed(&network, &weights, &bands).unwrap(), 4000, seed);
        for profile in profiles() {
            let form = InputForm::Normalised;
            let deployment = Deployment::convert(&network, &weights, &bands, form, &profile).unwrap();
            assert_agreement(&deployment, 4000, seed);
        }
    }

    #[test]
    fn pooling_and_resizing_to_any_size_agree_bit_for_bit(
        [size, kernel, stride, _] in axes(),
        target in [1_usize..30, 1_usize..30],
        number: u64,
    ) {
        let seed = Seed::new(number);
        let window = Window { kernel: [kernel[0].min(size[0]), kernel[1].min(size[1])], stride };
        let mut graph = Graph::new(2, size[0], size[1]);
        let conv = graph.add(Op::Conv2d(Conv2d::same(3, 1)), &[graph.input()]);
        let most = graph.add(Op::MaxPool(window), &[conv]);
        let mean = graph.add(Op::AvgPool(window), &[conv]);
        let most = graph.add(Op::Upsample { resize: Resize::Bilinear, size: target }, &[most]);
        let mean = graph.add(Op::Upsample { resize: Resize::Nearest, size: target }, &[mean]);
        let output = graph.add(Op::Concat, &[most, mean]);
        let network = graph.finish(output);
        assert_agreement_everywhere(&network, &weights(&network, seed), seed);
    }
}
