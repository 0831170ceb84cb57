//! Which unit runs what, and in how many stages.

#![expect(clippy::unwrap_used, reason = "a test may fail in its helpers too")]

use boresight_core::{CostModel, Seed};
use boresight_ir::{Builder, Conv2d, Filling, Network, Op, Resize, Shape, Weights, Window};
use boresight_vpu::{Device, Error, Limit, Prediction, Remembering, Transfer, Unit, Vpu};
use std::num::NonZeroUsize;

fn device() -> Device {
    Device::named("myriad-x").unwrap().with_transfer(Transfer::F16)
}

/// A network of nodes that read the one before, on an image of this shape.
fn chain(input: Shape, ops: &[(&str, Op)]) -> Network {
    let mut builder = Builder::new(input).unwrap();
    let mut last = builder.input();
    for (name, op) in ops {
        last = builder.add(*name, *op, &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

fn predict(network: &Network) -> Prediction {
    Vpu::new(device()).predict(network).unwrap()
}

/// Unit and operator of every stage but the conversions and copies at the ends.
fn words(network: &Network) -> Vec<(Unit, &'static str)> {
    let ends = |op: &str, name: &str| op == "Convert" || name.ends_with("@flush");
    let stages = predict(network).stages.into_iter();
    stages.filter(|row| !ends(row.op, &row.name)).map(|row| (row.unit, row.op)).collect()
}

const IMAGE: Shape = Shape::new(32, 64, 64);
const POOL: Op = Op::MaxPool(Window::square(2));
const CONV: (Unit, &str) = (Unit::Nce, "CONV");
const COPY: (Unit, &str) = (Unit::Dma, "Copy");

fn conv3(channels: usize) -> Op {
    Op::Conv2d(Conv2d::same(channels, 3))
}

const fn shave(op: &'static str) -> (Unit, &'static str) {
    (Unit::Shave, op)
}

#[test]
fn normalisation_activation_and_pooling_are_free_after_a_convolution() {
    let ops = [("c", conv3(32)), ("b", Op::BatchNorm { epsilon: 1e-5 }), ("r", Op::Relu), ("p", POOL)];
    assert_eq!(words(&chain(IMAGE, &ops)), [(Unit::Nce, "CONV_POOL")]);
    let ops = [("c", conv3(32)), ("s", Op::ScaleShift), ("r", Op::Relu6)];
    assert_eq!(words(&chain(IMAGE, &ops)), [CONV]);
}

#[test]
fn a_fused_pooling_costs_all_pixels_of_its_convolution() {
    let [plain, pooled] = [vec![("c", conv3(32))], vec![("c", conv3(32)), ("p", POOL)]].map(|ops| {
        let prediction = predict(&chain(IMAGE, &ops));
        (prediction.stages[0].time.0, prediction.nce_cycles)
    });
    assert!((plain.0 - pooled.0).abs() < 1e-12);
    // The compiler's own count has the pixels of the pooled map.
    assert_eq!(pooled.1 * 4, plain.1);
}

#[test]
fn a_second_reader_keeps_the_pooling_apart() {
    let mut builder = Builder::new(Shape::new(8, 64, 64)).unwrap();
    let conv = builder.add("c", conv3(8), &[builder.input()]).unwrap();
    let pool = builder.add("p", POOL, &[conv]).unwrap();
    let op = Op::Upsample { resize: Resize::Nearest, size: [64, 64] };
    let up = builder.add("u", op, &[pool]).unwrap();
    let skip = builder.add("k", Op::Concat, &[up, conv]).unwrap();
    let last = builder.add("l", conv3(8), &[skip]).unwrap();
    let found = words(&builder.finish(last).unwrap());
    let found: Vec<_> = found.into_iter().filter(|word| *word != COPY).collect();
    assert_eq!(found, [CONV, (Unit::Nce, "POOL"), shave("Resample"), CONV]);
}

#[test]
fn depthwise_and_grouped_convolutions_become_dense_ones() {
    let depthwise = Op::Conv2d(Conv2d::same(32, 3).depthwise());
    let prediction = predict(&chain(IMAGE, &[("d", depthwise), ("r", Op::Relu6)]));
    let blocks: Vec<_> = prediction.stages.iter().filter(|row| row.unit == Unit::Nce).collect();
    assert_eq!((blocks.len(), blocks[0].cost_cycles), (2, Some(37)));
    assert_eq!(prediction.nce_cycles, 2 * 37 * 64 * 64);
    let grouped = Op::Conv2d(Conv2d { groups: 4, ..Conv2d::same(32, 3) });
    // A ReLU6 after several groups is a stage; a ReLU is taken in by each.
    let count = |op: Op, word: &str| {
        words(&chain(IMAGE, &[("g", grouped), ("r", op)])).iter().filter(|(_, op)| *op == word).count()
    };
    assert_eq!([count(Op::Relu6, "CONV"), count(Op::Relu6, "Clamp")], [4, 1]);
    assert_eq!([count(Op::Relu, "CONV"), count(Op::Relu, "Relu")], [4, 0]);
}

#[test]
fn what_the_engine_cannot_do_goes_to_the_shaves() {
    let uneven = Op::Conv2d(Conv2d { stride: [1, 2], ..Conv2d::same(32, 3) });
    let large = Op::Conv2d(Conv2d { kernel: [16, 16], ..Conv2d::same(32, 15) });
    for op in [uneven, large] {
        assert_eq!(words(&chain(IMAGE, &[("c", op)])), [shave("Conv"), shave("Bias")]);
    }
    let pooled = |kernel, stride| {
        words(&chain(IMAGE, &[("p", Op::AvgPool(Window { kernel: [kernel; 2], stride: [stride; 2] }))]))[0].0
    };
    let found = [pooled(3, 2), pooled(2, 2), pooled(3, 3), pooled(16, 1)];
    assert_eq!(found, [Unit::Shave, Unit::Nce, Unit::Nce, Unit::Shave]);
    let global = |size| words(&chain(Shape::new(32, size, size), &[("g", Op::GlobalAvgPool)]))[0].0;
    assert_eq!([global(8), global(64)], [Unit::Nce, Unit::Shave]);
}

#[test]
fn transposed_convolutions_are_stuffed_with_zeros() {
    let conv = Conv2d { kernel: [4; 2], padding: [2; 2], ..Conv2d::same(32, 1) };
    let ops = [("c", conv3(32)), ("z", Op::ZeroStuff { stride: [2; 2] }), ("d", Op::Conv2d(conv))];
    let found = words(&chain(IMAGE, &ops));
    assert!(found.contains(&shave("Upsampling")) && found.iter().filter(|word| **word == CONV).count() > 1);
}

#[test]
fn ends_are_converted_as_the_transfer_wants() {
    let network = chain(IMAGE, &[("c", conv3(32))]);
    let conversions = |transfer| {
        let stages = Vpu::new(device().with_transfer(transfer)).explain(&network).unwrap();
        stages.iter().filter(|row| row.op == "Convert").count()
    };
    assert_eq!([Transfer::F16, Transfer::F32, Transfer::U8].map(conversions), [0, 2, 1]);
}

#[test]
fn folding_normalisations_beforehand_changes_no_stage() {
    let ops = [("c", conv3(32)), ("b", Op::BatchNorm { epsilon: 1e-5 }), ("r", Op::Relu)];
    let network = chain(IMAGE, &ops);
    let (folded, _) =
        boresight_ir::fold_batch_norm(&network, &Weights::initial(&network, Seed::new(1))).unwrap();
    assert_eq!(words(&network), words(&folded));
}

#[test]
fn limits_name_the_node() {
    let large = |size| {
        let grown = Op::Upsample { resize: Resize::Nearest, size: [size; 2] };
        let shrunk = Op::AvgPool(Window { kernel: [2; 2], stride: [32; 2] });
        chain(Shape::new(256, 64, 64), &[("grown", grown), ("shrunk", shrunk)])
    };
    assert_eq!(Vpu::new(device()).supports(&large(2047)), Ok(()));
    let error = Vpu::new(device()).supports(&large(2048)).unwrap_err();
    let expected = "node 'grown' (upsample) does not run on myriad-x: a map of 2147483648 bytes, the limit is 2147483647";
    assert_eq!(error.to_string(), expected);
    let padding = Op::Pad { rows: [1; 2], columns: [1; 2], filling: Filling::Lowest };
    let error = Vpu::new(device()).supports(&chain(IMAGE, &[("p", padding)])).unwrap_err();
    assert!(matches!(error, Error::Unsupported { node, reason: Limit::Padding, .. } if node == "p"));
    let text = include_str!("../devices/myriad-x.toml").replacen("\"abs\"", "\"gelu\"", 1);
    let vpu = Vpu::new(Device::from_toml(&text).unwrap());
    let error = vpu.supports(&chain(IMAGE, &[("g", Op::Gelu)])).unwrap_err();
    assert!(matches!(error, Error::Unsupported { node, reason: Limit::Operator, .. } if node == "g"));
}

#[test]
fn the_model_keeps_the_laws_of_cost_models() {
    for network in [chain(IMAGE, &[("g", Op::Gelu)]), chain(IMAGE, &[("c", conv3(32)), ("p", POOL)])] {
        boresight_testkit::cost_model_laws(&Vpu::new(device()), &network);
        boresight_testkit::cost_model_laws(&Remembering::new(Vpu::new(device())), &network);
    }
}

#[test]
fn many_networks_are_predicted_as_one_by_one() {
    let networks: Vec<Network> =
        (1..20).map(|at| chain(IMAGE, &[("c", conv3(8 * at)), ("g", Op::Gelu)])).collect();
    let vpu = Vpu::new(device());
    let many = vpu.predict_all(&networks, NonZeroUsize::new(4).unwrap());
    let single: Vec<_> = networks.iter().map(|network| vpu.predict(network)).collect();
    assert_eq!(many, single);
}

#[test]
fn networks_of_one_structure_are_predicted_once() {
    let model = Remembering::new(Vpu::new(device()));
    let cost = |name| model.estimate(&chain(IMAGE, &[(name, conv3(32))])).unwrap().latency;
    assert_eq!((cost("first"), model.len()), (cost("second"), 1));
}

#[test]
fn advice_names_what_a_layer_could_save() {
    let network = chain(Shape::new(13, 64, 64), &[("d", conv3(32)), ("g", Op::Gelu), ("e", conv3(32))]);
    let advice = predict(&network).advice(&network);
    let says = |node: &str, words: &str| {
        advice.iter().any(|advice| advice.node == node && advice.what.contains(words))
    };
    assert!(says("g", "ReLU") && says("d", "13 input channels to 16"), "{advice:?}");
}

#[test]
fn links_and_streams_change_what_they_should() {
    let network = chain(IMAGE, &[("c", conv3(32))]);
    let [usb3, none] =
        ["usb3", "none"].map(|link| Vpu::new(device().with_link(link).unwrap()).predict(&network).unwrap());
    // Two maps of 32 x 64 x 64 binary16 values at 400 MB/s.
    let transfer = 2.0 * 2.0 * 131_072.0 / 400e6;
    assert!((usb3.latency.0 - none.latency.0 - transfer).abs() < 1e-12);
    let one = Vpu::new(device().with_streams(1).unwrap()).predict(&network).unwrap();
    assert!(one.fps < usb3.fps && one.streams == 1);
    assert!(usb3.band[0].0 < usb3.latency.0 && usb3.latency.0 < usb3.band[1].0);
    assert!(!usb3.beyond.is_empty(), "a single layer is far below the measured networks");
}
