//! Shape inference, canonical order, hash, layout.

use super::random::Recipe;
use crate::{Builder, Conv2d, Error, Filling, Network, NodeId, Op, Resize, Role, Shape, Window};
use proptest::prelude::*;

/// What is wrong with `op` as a node `x` that reads feature maps of these shapes.
fn refusal(op: Op, inputs: &[Shape]) -> String {
    let mut builder = Builder::new(Shape::new(1, 8, 8)).unwrap();
    let mut reads = Vec::new();
    for (at, &shape) in inputs.iter().enumerate() {
        let size = [shape.height, shape.width];
        let resize = Op::Upsample { resize: Resize::Nearest, size };
        let resized = builder.add(format!("size{at}"), resize, &[builder.input()]).unwrap();
        let conv = Op::Conv2d(Conv2d::same(shape.channels, 1));
        reads.push(builder.add(format!("conv{at}"), conv, &[resized]).unwrap());
    }
    builder.add("x", op, &reads).unwrap_err().to_string()
}

#[test]
fn broken_rules_of_inputs_name_the_node_and_the_rule() {
    let map = Shape::new(6, 8, 8);
    let cases = [
        (Op::Input, vec![], "node 'x' (input): takes no input, reads 0 inputs"),
        (Op::Relu, vec![map, map], "node 'x' (relu): takes one input, reads 2 inputs"),
        (Op::Add, vec![map], "node 'x' (add): takes two inputs, reads 1 inputs"),
        (Op::Concat, vec![], "node 'x' (concat): takes at least one input, reads 0 inputs"),
        (
            Op::Add,
            vec![map, Shape::new(5, 8, 8)],
            "node 'x' (add): inputs of 6x8x8 and 5x8x8 do not go together",
        ),
        (
            Op::Concat,
            vec![map, map, Shape::new(6, 8, 7)],
            "node 'x' (concat): inputs of 6x8x8 and 6x8x7 do not go together",
        ),
        (
            Op::ChannelScale,
            vec![map, Shape::new(6, 1, 2)],
            "node 'x' (channel_scale): inputs of 6x8x8 and 6x1x2 do not go together",
        ),
        (
            Op::Slice { start: 4, channels: 3 },
            vec![map],
            "node 'x' (slice): channels 4 to 7 of 6 do not exist",
        ),
        (
            Op::Slice { start: 2, channels: 0 },
            vec![map],
            "node 'x' (slice): channels 2 to 2 of 6 do not exist",
        ),
        (
            Op::BatchNorm { epsilon: 0.0 },
            vec![map],
            "node 'x' (batch_norm): epsilon is 0, which is outside (0, inf)",
        ),
        (
            Op::Dropout { rate: f32::NAN },
            vec![map],
            "node 'x' (dropout): rate is NaN, which is outside [0, 1)",
        ),
        (
            Op::Clip { low: 1.0, high: 0.5 },
            vec![map],
            "node 'x' (clip): high is 0.5, which is outside the finite numbers from low up",
        ),
        (
            Op::LeakyRelu { slope: f32::NAN },
            vec![map],
            "node 'x' (leaky_relu): slope is NaN, which is outside the finite numbers",
        ),
        (
            Op::Pad { rows: [0, 70_000], columns: [0; 2], filling: Filling::Lowest },
            vec![map],
            "node 'x' (pad): padding is 70000, allowed is 1 to 65536",
        ),
        (
            Op::ZeroStuff { stride: [1, 0] },
            vec![map],
            "node 'x' (zero_stuff): stride is 0, allowed is 1 to 65536",
        ),
    ];
    for (op, inputs, message) in cases {
        assert_eq!(refusal(op, &inputs), message);
    }
}

#[test]
fn broken_rules_of_windows_name_the_node_and_the_rule() {
    let map = Shape::new(6, 8, 8);
    let conv = Conv2d::same(4, 3);
    let cases = [
        (
            Op::Conv2d(Conv2d { groups: 4, ..conv }),
            vec![map],
            "node 'x' (conv2d): 4 groups do not divide 6 channels",
        ),
        (
            Op::Conv2d(Conv2d { groups: 3, ..conv }),
            vec![map],
            "node 'x' (conv2d): 3 groups do not divide 4 channels",
        ),
        (
            Op::Conv2d(Conv2d { groups: 0, ..conv }),
            vec![map],
            "node 'x' (conv2d): groups is 0, allowed is 1 to 65536",
        ),
        (
            Op::Conv2d(Conv2d { stride: [1, 0], ..conv }),
            vec![map],
            "node 'x' (conv2d): stride is 0, allowed is 1 to 65536",
        ),
        (
            Op::Conv2d(Conv2d { padding: [0; 2], kernel: [9, 1], ..conv }),
            vec![map],
            "node 'x' (conv2d): a window of 9 does not fit into 8 padded pixels",
        ),
        (
            Op::MaxPool(Window::square(9)),
            vec![map],
            "node 'x' (max_pool): a window of 9 does not fit into 8 padded pixels",
        ),
        (
            Op::Upsample { resize: Resize::Nearest, size: [0, 3] },
            vec![map],
            "node 'x' (upsample): height is 0, allowed is 1 to 65536",
        ),
    ];
    for (op, inputs, message) in cases {
        assert_eq!(refusal(op, &inputs), message);
    }
}

#[test]
fn sizes_follow_the_windows() {
    let mut builder = Builder::new(Shape::new(3, 9, 14)).unwrap();
    let mut shape = |op| {
        let node = builder.add(format!("{op:?}"), op, &[builder.input()]).unwrap();
        builder.shape(node)
    };
    let conv = Conv2d::same(5, 3);
    assert_eq!(shape(Op::Conv2d(conv)), Shape::new(5, 9, 14));
    assert_eq!(shape(Op::Conv2d(conv.strided(2))), Shape::new(5, 5, 7));
    assert_eq!(shape(Op::Conv2d(Conv2d { kernel: [5, 1], ..conv })), Shape::new(5, 7, 16));
    assert_eq!(shape(Op::MaxPool(Window::square(2))), Shape::new(3, 4, 7));
    assert_eq!(shape(Op::AvgPool(Window { kernel: [3, 3], stride: [2, 1] })), Shape::new(3, 4, 12));
    assert_eq!(shape(Op::GlobalAvgPool), Shape::new(3, 1, 1));
    assert_eq!(shape(Op::Slice { start: 1, channels: 2 }), Shape::new(2, 9, 14));
    let pad = Op::Pad { rows: [1, 2], columns: [0, 3], filling: Filling::Zero };
    assert_eq!(shape(pad), Shape::new(3, 12, 17));
    assert_eq!(shape(Op::ZeroStuff { stride: [2, 3] }), Shape::new(3, 17, 40));
}

#[test]
fn loose_ends_double_names_and_foreign_inputs_are_refused() {
    let start = || Builder::new(Shape::new(1, 4, 4)).unwrap();
    let mut builder = start();
    let relu = builder.add("relu", Op::Relu, &[builder.input()]).unwrap();
    let twice = builder.add("relu", Op::Gelu, &[relu]).unwrap_err();
    assert_eq!(twice, Error::DuplicateName { name: "relu".into() });
    let foreign = builder.add("gelu", Op::Gelu, &[NodeId(7)]).unwrap_err();
    assert_eq!(foreign.to_string(), "node 'gelu' reads node number 7, which does not come before it");
    builder.add("loose", Op::Gelu, &[relu]).unwrap();
    assert_eq!(builder.finish(relu).unwrap_err(), Error::Unused { node: "loose".into() });
    assert!(start().finish(NodeId(1)).is_err() && start().finish(NodeId(0)).is_ok());
}

#[test]
fn trainable_values_come_first_and_slots_fill_the_buffer() {
    let mut builder = Builder::new(Shape::new(2, 4, 4)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(3, 1)), &[builder.input()]).unwrap();
    let norm = builder.add("norm", Op::BatchNorm { epsilon: 1e-5 }, &[conv]).unwrap();
    let network = builder.finish(norm).unwrap();
    let slots: Vec<(&str, std::ops::Range<usize>)> =
        network.layout().slots().iter().map(|slot| (slot.name.as_str(), slot.range.clone())).collect();
    let expected = [
        ("conv.weight", 0..6),
        ("conv.bias", 6..9),
        ("norm.scale", 9..12),
        ("norm.shift", 12..15),
        ("input.border", 15..17),
        ("norm.running_mean", 17..20),
        ("norm.running_variance", 20..23),
    ];
    assert_eq!(slots, expected);
    assert_eq!((network.layout().trainable(), network.layout().len()), (15, 23));
    assert_eq!(network.layout().range(conv, Role::Bias), Some(6..9));
    assert_eq!(network.layout().range(conv, Role::Scale), None);
}

#[test]
fn multiply_accumulates_count_taps_of_each_group() {
    let mut builder = Builder::new(Shape::new(4, 8, 6)).unwrap();
    let dense = builder.add("dense", Op::Conv2d(Conv2d::same(6, 3).strided(2)), &[builder.input()]).unwrap();
    let depthwise = builder.add("depthwise", Op::Conv2d(Conv2d::same(6, 5).depthwise()), &[dense]).unwrap();
    let network = builder.finish(depthwise).unwrap();
    assert_eq!(network.macs(), 6 * 4 * 3 * (4 * 9) + 6 * 4 * 3 * 25);
    assert_eq!(network.parameter_count(), 6 * 4 * 9 + 6 + 6 * 25 + 6);
}

/// Two convolutions of the input, added; `first` is the kernel of the first summand.
fn summands(first: usize, second: usize) -> Network {
    let mut builder = Builder::new(Shape::new(1, 4, 4)).unwrap();
    let one = builder.add("one", Op::Conv2d(Conv2d::same(2, first)), &[builder.input()]).unwrap();
    let two = builder.add("two", Op::Conv2d(Conv2d::same(2, second)), &[builder.input()]).unwrap();
    let sum = builder.add("sum", Op::Add, &[one, two]).unwrap();
    builder.finish(sum).unwrap()
}

#[test]
fn the_hash_sees_operators_edges_and_the_input() {
    let hash = summands(1, 3).hash();
    assert_ne!(hash, summands(3, 1).hash());
    assert_ne!(hash, summands(1, 5).hash());
    let alone = |shape| Builder::new(shape).unwrap().finish(NodeId(0)).unwrap().hash();
    assert_ne!(alone(Shape::new(1, 4, 4)), alone(Shape::new(1, 4, 5)));
    assert_eq!(hash.to_string().len(), 64);
}

proptest! {
    #[test]
    fn order_layout_and_hash_do_not_depend_on_names_or_the_order_of_insertion(seed: u64, a: u64, b: u64) {
        let recipe = Recipe::new(seed);
        let (first, second) = (recipe.build(a), recipe.build(b));
        prop_assert_eq!(first.hash(), second.hash());
        prop_assert_eq!(first.nodes().len(), second.nodes().len());
        for (one, other) in first.nodes().iter().zip(second.nodes()) {
            prop_assert_eq!((one.op, &one.inputs, one.shape), (other.op, &other.inputs, other.shape));
        }
        for (one, other) in first.layout().slots().iter().zip(second.layout().slots()) {
            let same = (one.node, one.role, &one.shape, &one.range)
                == (other.node, other.role, &other.shape, &other.range);
            prop_assert!(same, "{one:?} {other:?}");
        }
    }

    #[test]
    fn nodes_come_after_what_they_read_and_slots_do_not_overlap(seed: u64) {
        let network = Recipe::new(seed).build(seed);
        for (id, node) in network.iter() {
            prop_assert!(node.inputs.iter().all(|input| *input < id));
        }
        let mut end = 0;
        for slot in network.layout().slots() {
            prop_assert_eq!(slot.range.start, end);
            prop_assert_eq!(slot.range.len(), slot.shape.iter().product::<usize>());
            prop_assert_eq!(slot.role.is_trainable(), slot.range.end <= network.parameter_count());
            end = slot.range.end;
        }
        prop_assert_eq!(end, network.layout().len());
    }
}
