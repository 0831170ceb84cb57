//! Which unit runs what, and in how many stages.

#![expect(clippy::unwrap_used, reason = "a test may fail in its helpers too")]

use boresight_core::{CostModel, Seed};
use boresight_ir::{
    Builder, Conv2d, Error as IrError, Filling, Network, NodeId, Op, Resize, Shape, Weights, Window,
};
use boresight_vpu::{Device, Error, Limit, Stage, StageRow, Transfer, Unit, Vpu, lower};

fn device() -> Device {
    Device::named("myriad-x").unwrap()
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

fn stages(network: &Network) -> Vec<Stage> {
    lower(network, &device()).unwrap()
}

/// Name, unit and number of every stage that is not fused.
fn units(network: &Network) -> Vec<(String, Unit, usize)> {
    let stages = stages(network).into_iter().filter(|stage| stage.unit != Unit::Fused);
    stages.map(|stage| (stage.name, stage.unit, stage.count)).collect()
}

fn named(list: &[(&str, Unit, usize)]) -> Vec<(String, Unit, usize)> {
    list.iter().map(|&(name, unit, count)| (name.to_owned(), unit, count)).collect()
}

const IMAGE: Shape = Shape::new(32, 64, 64);
const POOL: Op = Op::MaxPool(Window::square(2));

fn conv3(channels: usize) -> Op {
    Op::Conv2d(Conv2d::same(channels, 3))
}

#[test]
fn normalisation_activation_and_pooling_are_free_after_a_convolution() {
    let ops = [("c", conv3(32)), ("b", Op::BatchNorm { epsilon: 1e-5 }), ("r", Op::Relu), ("p", POOL)];
    let network = chain(IMAGE, &ops);
    assert_eq!(units(&network), named(&[("c", Unit::Nce, 1)]));
    let fused: Vec<_> = stages(&network).into_iter().filter(|stage| stage.unit == Unit::Fused).collect();
    assert_eq!(fused.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(), ["input", "b", "r", "p"]);
    let ops = [("c", conv3(32)), ("s", Op::ScaleShift), ("r", Op::Relu6)];
    assert_eq!(units(&chain(IMAGE, &ops)), named(&[("c", Unit::Nce, 1)]));
}

#[test]
fn a_fused_pooling_costs_all_pixels_of_its_convolution() {
    let model = Vpu::new(device());
    let time = |ops: &[(&str, Op)]| model.explain(&chain(IMAGE, ops)).unwrap()[1].time.0;
    let pooled = time(&[("c", conv3(32)), ("p", POOL)]);
    assert!((pooled - time(&[("c", conv3(32))])).abs() < 1e-12);
    // The compiler's own count has the pixels of the pooled map.
    let cycles = |ops: &[(&str, Op)]| model.nce_cycles(&chain(IMAGE, ops)).unwrap();
    assert_eq!(cycles(&[("c", conv3(32)), ("p", POOL)]) * 4, cycles(&[("c", conv3(32))]));
}

#[test]
fn a_second_reader_keeps_the_pooling_apart() {
    let mut builder = Builder::new(Shape::new(8, 64, 64)).unwrap();
    let conv = builder.add("c", conv3(8), &[builder.input()]).unwrap();
    let pool = builder.add("p", POOL, &[conv]).unwrap();
    let op = Op::Upsample { resize: Resize::Nearest, size: [64, 64] };
    let up = builder.add("u", op, &[pool]).unwrap();
    let skip = builder.add("k", Op::Concat, &[up, conv]).unwrap();
    let expected = [("c", Unit::Nce, 1), ("p", Unit::Nce, 1), ("u", Unit::Shave, 1)];
    assert_eq!(units(&builder.finish(skip).unwrap()), named(&expected));
}

#[test]
fn odd_sizes_keep_the_pooling_apart() {
    let network = chain(Shape::new(8, 62, 64), &[("c", conv3(8)), ("p", POOL)]);
    assert_eq!(units(&network), named(&[("c", Unit::Nce, 1), ("p", Unit::Nce, 1)]));
}

#[test]
fn a_depthwise_convolution_becomes_dense_blocks() {
    let stages =
        stages(&chain(IMAGE, &[("d", Op::Conv2d(Conv2d::same(32, 3).depthwise())), ("r", Op::Relu6)]));
    let nce = stages[1].tiling.unwrap().nce.unwrap();
    assert_eq!((stages[1].count, nce.cost, nce.mode.to_string()), (2, 37, "MODE_8_32".to_owned()));
    assert_eq!(stages[1].nce_cycles(), 2 * 37 * 64 * 64);
    assert_eq!(stages[2].unit, Unit::Fused);
}

#[test]
fn a_grouped_convolution_becomes_one_for_each_group() {
    let grouped = Op::Conv2d(Conv2d { groups: 4, ..Conv2d::same(32, 3) });
    let network = chain(IMAGE, &[("g", grouped), ("r", Op::Relu6)]);
    // A ReLU6 after several groups is a stage; a ReLU would not be.
    assert_eq!(units(&network), named(&[("g", Unit::Nce, 4), ("r", Unit::Shave, 1)]));
    assert_eq!(stages(&network)[1].nce_cycles(), 4 * 28 * 64 * 64);
}

#[test]
fn channels_that_do_not_fill_a_block_are_copied() {
    let network = chain(Shape::new(13, 64, 64), &[("c", conv3(32))]);
    assert_eq!(units(&network), named(&[("c@pad", Unit::Dma, 1), ("c", Unit::Nce, 1)]));
}

#[test]
fn unequal_strides_and_large_kernels_go_to_the_shaves() {
    let uneven = Op::Conv2d(Conv2d { stride: [1, 2], ..Conv2d::same(32, 3) });
    let large = Op::Conv2d(Conv2d { kernel: [16, 16], ..Conv2d::same(32, 15) });
    for op in [uneven, large] {
        let expected = named(&[("c", Unit::Shave, 1), ("c@bias", Unit::Shave, 1)]);
        assert_eq!(units(&chain(IMAGE, &[("c", op)])), expected);
    }
}

#[test]
fn average_pooling_of_3x3_with_step_2_goes_to_the_shaves() {
    let unit = |kernel, stride| {
        let window = Window { kernel: [kernel; 2], stride: [stride; 2] };
        units(&chain(IMAGE, &[("p", Op::AvgPool(window))]))[0].1
    };
    assert_eq!(
        [unit(3, 2), unit(2, 2), unit(3, 3), unit(16, 1)],
        [Unit::Shave, Unit::Nce, Unit::Nce, Unit::Shave]
    );
}

#[test]
fn global_pooling_of_a_small_plane_runs_on_the_nce() {
    let unit = |size| units(&chain(Shape::new(32, size, size), &[("g", Op::GlobalAvgPool)]))[0].1;
    assert_eq!([unit(8), unit(64)], [Unit::Nce, Unit::Shave]);
}

#[test]
fn input_channels_that_are_cut_are_summed_on_the_shaves() {
    let network = chain(Shape::new(512, 28, 28), &[("c", conv3(512))]);
    assert_eq!(units(&network), named(&[("c", Unit::Nce, 3), ("c@sum", Unit::Shave, 2)]));
}

#[test]
fn binary32_transfers_are_converted_at_both_ends() {
    let network = chain(IMAGE, &[("c", conv3(32))]);
    let stages = lower(&network, &device().with_transfer(Transfer::F32)).unwrap();
    assert_eq!(stages.iter().map(|stage| stage.op).collect::<Vec<_>>(), ["convert", "conv2d", "convert"]);
}

/// Every operator that is modelled, in one network.
fn every_operator() -> Result<Network, IrError> {
    let mut builder = Builder::new(Shape::new(8, 32, 32))?;
    let input = builder.input();
    let mut add = |name: &str, op: Op, inputs: &[NodeId]| builder.add(name, op, inputs);
    let first = add("conv", conv3(8), &[input])?;
    let mut last = first;
    for (name, op) in [
        ("norm", Op::BatchNorm { epsilon: 1e-5 }),
        ("scale_shift", Op::ScaleShift),
        ("relu", Op::Relu),
        ("relu6", Op::Relu6),
        ("gelu", Op::Gelu),
        ("sigmoid", Op::Sigmoid),
        ("max_pool", POOL),
        ("avg_pool", Op::AvgPool(Window::square(2))),
        ("nearest", Op::Upsample { resize: Resize::Nearest, size: [16, 16] }),
        ("bilinear", Op::Upsample { resize: Resize::Bilinear, size: [32, 32] }),
        ("dropout", Op::Dropout { rate: 0.5 }),
    ] {
        last = add(name, op, &[last])?;
    }
    let sum = add("add", Op::Add, &[last, first])?;
    let global = add("global", Op::GlobalAvgPool, &[sum])?;
    let scaled = add("channel_scale", Op::ChannelScale, &[sum, global])?;
    let joined = add("concat", Op::Concat, &[scaled, first])?;
    let part = add("slice", Op::Slice { start: 4, channels: 8 }, &[joined])?;
    builder.finish(part)
}

#[test]
fn every_operator_has_a_row_and_a_finite_time() {
    let network = every_operator().unwrap();
    let rows = Vpu::new(device()).explain(&network).unwrap();
    for node in network.nodes() {
        assert!(rows.iter().any(|row| row.name == node.name), "{}", node.name);
    }
    assert!(rows.iter().all(|row| row.time.0.is_finite() && row.time.0 >= 0.0));
    let unit = |name: &str| rows.iter().find(|row| row.name == name).map(|row| row.unit);
    for name in ["norm", "gelu", "sigmoid", "nearest", "bilinear", "add", "global", "channel_scale", "relu6"]
    {
        assert_eq!(unit(name), Some(Unit::Shave), "{name}");
    }
    assert_eq!([unit("dropout"), unit("slice")], [Some(Unit::Fused), Some(Unit::Dma)]);
}

#[test]
fn the_model_keeps_the_laws_of_cost_models() {
    for network in [every_operator().unwrap(), chain(IMAGE, &[("c", conv3(32)), ("p", POOL)])] {
        boresight_testkit::cost_model_laws(&Vpu::new(device()), &network);
    }
}

#[test]
fn folding_normalisations_beforehand_changes_no_stage() {
    let ops = [("c", conv3(32)), ("b", Op::BatchNorm { epsilon: 1e-5 }), ("r", Op::Relu)];
    let network = chain(IMAGE, &ops);
    let (folded, _) =
        boresight_ir::fold_batch_norm(&network, &Weights::initial(&network, Seed::new(1))).unwrap();
    assert_eq!(units(&network), units(&folded));
}

#[test]
fn limits_name_the_node() {
    let tall = chain(Shape::new(1, 5000, 8), &[("r", Op::Relu)]);
    let error = Vpu::new(device()).supports(&tall).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node 'input' (input) does not run on myriad-x: height is 5000, the limit is 4096"
    );
    let deep = chain(Shape::new(8, 8, 8), &[("wide", Op::Conv2d(Conv2d::same(2049, 1)))]);
    let reason = Limit::Size { what: "number of channels", found: 2049, limit: 2048 };
    let (device, node, op) = ("myriad-x".to_owned(), "wide".to_owned(), "conv2d");
    let expected = Error::Unsupported { device, node, op, reason };
    assert_eq!(Vpu::new(self::device()).estimate(&deep), Err(expected));
}

#[test]
fn what_is_not_modelled_is_refused_by_name() {
    let (rows, columns) = ([1; 2], [1; 2]);
    for op in [
        Op::LeakyRelu { slope: 0.1 },
        Op::Clip { low: 0.0, high: 1.0 },
        Op::Softmax,
        Op::Pad { rows, columns, filling: Filling::Zero },
        Op::ZeroStuff { stride: [2; 2] },
    ] {
        let error = Vpu::new(device()).supports(&chain(IMAGE, &[("c", conv3(8)), ("odd", op)])).unwrap_err();
        let what = format!("node 'odd' ({}) does not run on myriad-x: ", op.name());
        assert_eq!(error.to_string(), what + "what this operator costs is not modelled");
    }
    let mut builder = Builder::new(IMAGE).unwrap();
    let square = builder.add("square", Op::Mul, &[builder.input(); 2]).unwrap();
    let error = Vpu::new(device()).estimate(&builder.finish(square).unwrap()).unwrap_err();
    assert!(matches!(
        error,
        Error::Unsupported { node, reason: Limit::NotModelled, .. } if node == "square"
    ));
}

#[test]
fn a_device_file_can_refuse_operators() {
    let text = include_str!("../devices/myriad-x.toml").replacen("\"abs\"", "\"gelu\"", 1);
    let vpu = Vpu::new(Device::from_toml(&text).unwrap());
    let network = chain(IMAGE, &[("g", Op::Gelu)]);
    assert!(matches!(
        vpu.supports(&network),
        Err(Error::Unsupported { node, reason: Limit::Operator, .. }) if node == "g"
    ));
}

#[test]
fn links_and_streams_change_what_they_should() {
    let network = chain(IMAGE, &[("c", conv3(32))]);
    let cost = |device: Device| Vpu::new(device).estimate(&network).unwrap();
    let (usb3, none) = (cost(device()), cost(device().with_link("none").unwrap()));
    // Two maps of 32 x 64 x 64 binary16 values at 300 MB/s.
    let transfer = 2.0 * 2.0 * 131_072.0 / 300e6;
    assert!((usb3.latency.0 - none.latency.0 - transfer).abs() < 1e-12);
    assert_eq!((usb3.streams, cost(device().with_streams(1).unwrap()).streams), (2, 1));
    assert!((none.fps * none.latency.0 - 2.0).abs() < 1e-9);
    let times: f64 = none.stages.iter().map(|stage| stage.time.0).sum();
    assert!((times - none.latency.0).abs() < 1e-12);
}

#[test]
fn a_row_tells_mode_and_tiles() {
    let rows = Vpu::new(device()).explain(&chain(Shape::new(4, 256, 256), &[("c", conv3(8))])).unwrap();
    let StageRow { mode, descriptors, cost_cycles, tiles, count, .. } = &rows[1];
    assert_eq!((mode.as_deref(), *descriptors, *cost_cycles), (Some("MODE_4_64"), Some(1), Some(20)));
    assert_eq!((*tiles, *count), ([1, 3, 1], 3));
}
