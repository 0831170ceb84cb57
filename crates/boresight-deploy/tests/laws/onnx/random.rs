//! Random networks of all operators.

use boresight_core::{Seed, Stream};
use boresight_ir::{Builder, Conv2d, Filling, Network, NodeId, Op, Resize, Shape, Window};

/// A random network; every operator may occur, most of them in forms that no search space has. One that
/// `is_portable` computes the same numbers in every runtime: it pads with the lowest number for a maximum alone, and no
/// pixel of a nearest resizing lies exactly on the step to the next one but where scales are whole.
pub(super) fn network(seed: Seed, is_portable: bool) -> Network {
    let mut stream = seed.derive("network", 0).stream();
    let input = Shape::new(1 + stream.below(4), 2 + stream.below(12), 2 + stream.below(12));
    let mut builder = Builder::new(input).unwrap();
    let mut nodes = vec![builder.input()];
    let mut is_read = vec![false];
    for _ in 0..4 + stream.below(24) {
        let first = nodes[stream.below(nodes.len())];
        let op = operator(&mut stream, builder.shape(first), is_portable);
        let others = match op {
            Op::Add | Op::Mul | Op::ChannelScale => 1,
            Op::Concat => stream.below(3),
            _ => 0,
        };
        let is_scale = matches!(op, Op::ChannelScale);
        let alike = |&node: &NodeId| {
            // Plans do not scale a map by itself.
            fits(&op, builder.shape(first), builder.shape(node)) && !(is_scale && node == first)
        };
        let candidates: Vec<NodeId> = nodes.iter().copied().filter(alike).collect();
        let picks = (0..others).filter_map(|_| stream.pick(&candidates).copied());
        let reads: Vec<NodeId> = [first].into_iter().chain(picks).collect();
        let name = format!("{}{}", ["n", "block/n", "ä.", "input.n"][stream.below(4)], nodes.len());
        // Maps stay small enough for thousands of networks.
        let is_small = |shape: Shape| shape.len() < 20_000;
        if is_small(builder.shape(first))
            && let Ok(node) = builder.add(name, op, &reads)
        {
            for read in &reads {
                is_read[read.index()] = true;
            }
            is_read.push(false);
            let shape = builder.shape(node);
            let is_lowest = matches!(op, Op::Pad { filling: Filling::Lowest, .. });
            if is_lowest && is_portable {
                let window = Window {
                    kernel: [3, 3].map(|size: usize| size.min(shape.height.min(shape.width))),
                    stride: [2, 1],
                };
                nodes.push(builder.add(format!("max{}", nodes.len()), Op::MaxPool(window), &[node]).unwrap());
                is_read[node.index()] = true;
                is_read.push(false);
            } else {
                nodes.push(node);
            }
        }
    }
    let loose: Vec<NodeId> = nodes.into_iter().filter(|node| !is_read[node.index()]).collect();
    let pooled: Vec<NodeId> = loose
        .iter()
        .zip(0..)
        .map(|(&node, at)| builder.add(format!("pool{at}"), Op::GlobalAvgPool, &[node]).unwrap())
        .collect();
    let output = builder.add("logits", Op::Concat, &pooled).unwrap();
    builder.finish(output).unwrap()
}

/// Whether an operator of two inputs takes `second` beside `first`.
fn fits(op: &Op, first: Shape, second: Shape) -> bool {
    match op {
        Op::ChannelScale => second == first.resized(1, 1),
        Op::Concat => second.with_channels(first.channels) == first,
        _ => second == first,
    }
}

fn operator(stream: &mut Stream, shape: Shape, is_portable: bool) -> Op {
    match stream.below(27) {
        0..=2 => Op::Conv2d(convolution(stream, shape)),
        3 => Op::Conv2d(Conv2d::same(shape.channels, 3).depthwise()),
        4 => Op::BatchNorm { epsilon: 1e-3 },
        5 => Op::ScaleShift,
        6 => Op::Relu,
        7 => Op::Relu6,
        8 => Op::Gelu,
        9 => Op::Sigmoid,
        10 => Op::LeakyRelu { slope: 0.375 },
        11 => {
            Op::Clip { low: [-1.0, f32::MIN, 0.0][stream.below(3)], high: [1.5, f32::MAX][stream.below(2)] }
        }
        12 => Op::Softmax,
        13 => Op::MaxPool(window(stream, shape)),
        14 => Op::AvgPool(window(stream, shape)),
        15 => Op::GlobalAvgPool,
        16 | 17 => upsample(stream, shape, is_portable),
        18 => Op::Concat,
        19 => Op::Add,
        20 => Op::Mul,
        21 => Op::ChannelScale,
        22 => {
            let start = stream.below(shape.channels);
            Op::Slice { start, channels: 1 + stream.below(shape.channels - start) }
        }
        23 => pad(stream),
        24 => Op::ZeroStuff { stride: [1 + stream.below(3), 1 + stream.below(3)] },
        25 => Op::Dropout { rate: 0.3 },
        _ => Op::Conv2d(Conv2d::same(1 + stream.below(8), 1)),
    }
}

fn pad(stream: &mut Stream) -> Op {
    let filling = if stream.chance(0.5) { Filling::Zero } else { Filling::Lowest };
    let mut size = || stream.below(3);
    Op::Pad { rows: [size(), size()], columns: [size(), size()], filling }
}

fn window(stream: &mut Stream, shape: Shape) -> Window {
    let mut size = |limit: usize| 1 + stream.below(limit.min(3));
    Window { kernel: [size(shape.height), size(shape.width)], stride: [size(3), size(3)] }
}

fn convolution(stream: &mut Stream, shape: Shape) -> Conv2d {
    let groups = if stream.chance(0.3) { shape.channels } else { 1 };
    Conv2d {
        out_channels: groups * (1 + stream.below(3)),
        kernel: [1 + stream.below(3), 1 + stream.below(3)],
        stride: if stream.chance(0.6) { [1, 1] } else { [1 + stream.below(2), 1 + stream.below(2)] },
        padding: if stream.chance(0.5) { [0, 0] } else { [stream.below(3), stream.below(3)] },
        groups,
        bias: stream.chance(0.5),
    }
}

fn upsample(stream: &mut Stream, shape: Shape, is_portable: bool) -> Op {
    let resize = if stream.chance(0.5) { Resize::Nearest } else { Resize::Bilinear };
    let mut size = |from: usize| {
        let to = 1 + stream.below(20);
        let is_stepless = (1..to).all(|at| !(at * from).is_multiple_of(to));
        let is_free = is_stepless || resize == Resize::Bilinear || !is_portable;
        if is_free && stream.chance(0.7) { to } else { from * (1 + stream.below(3)) }
    };
    Op::Upsample { resize, size: [size(shape.height), size(shape.width)] }
}
