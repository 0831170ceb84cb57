//! Random valid networks.

use crate::{Builder, Conv2d, Filling, Network, NodeId, Op, Resize, Shape, Window};
use boresight_core::{Seed, Stream};

/// Operators with the places of their inputs, from which a network can be built in any order.
pub(super) struct Recipe {
    input: Shape,
    entries: Vec<(Op, Vec<usize>)>,
}

impl Recipe {
    pub(super) fn new(seed: u64) -> Self {
        let mut stream = Seed::new(seed).stream();
        let input = Shape::new(1 + stream.below(4), 2 + stream.below(12), 2 + stream.below(12));
        let mut builder = Builder::new(input).unwrap();
        let mut nodes = vec![builder.input()];
        let mut entries = Vec::new();
        for _ in 0..4 + stream.below(20) {
            let shape = builder.shape(nodes[stream.below(nodes.len())]);
            let op = operator(&mut stream, shape);
            let arity = match op {
                Op::Add | Op::Mul | Op::ChannelScale => 2,
                Op::Concat => 1 + stream.below(3),
                _ => 1,
            };
            let inputs: Vec<usize> = (0..arity).map(|_| stream.below(nodes.len())).collect();
            let reads: Vec<NodeId> = inputs.iter().map(|&at| nodes[at]).collect();
            if let Ok(node) = builder.add(format!("n{}", nodes.len()), op, &reads) {
                nodes.push(node);
                entries.push((op, inputs));
            }
        }
        Self { input, entries: joined(entries) }
    }

    /// The network, its nodes added in a random order that `seed` names, and named after it.
    pub(super) fn build(&self, seed: u64) -> Network {
        let mut stream = Seed::new(seed).stream();
        let mut builder = Builder::new(self.input).unwrap();
        let mut place = vec![None; self.entries.len() + 1];
        place[0] = Some(builder.input());
        let mut left: Vec<usize> = (0..self.entries.len()).collect();
        while !left.is_empty() {
            let entry = stream.below(left.len());
            let (op, inputs) = &self.entries[left[entry]];
            let reads: Option<Vec<NodeId>> = inputs.iter().map(|&at| place[at]).collect();
            if let Some(reads) = reads {
                let at = left.swap_remove(entry);
                let name = format!("{}.{at}", stream.bits());
                place[at + 1] = Some(builder.add(name, *op, &reads).unwrap());
            }
        }
        builder.finish(place[self.entries.len()].unwrap()).unwrap()
    }
}

/// The same with all loose ends pooled and concatenated, so that every node leads to the last.
fn joined(mut entries: Vec<(Op, Vec<usize>)>) -> Vec<(Op, Vec<usize>)> {
    let is_read = |at: usize| entries.iter().any(|(_, inputs)| inputs.contains(&at));
    let loose: Vec<usize> = (0..=entries.len()).filter(|&at| !is_read(at)).collect();
    let first = entries.len() + 1;
    entries.extend(loose.iter().map(|&at| (Op::GlobalAvgPool, vec![at])));
    entries.push((Op::Concat, (first..first + loose.len()).collect()));
    entries
}

fn operator(stream: &mut Stream, shape: Shape) -> Op {
    match stream.below(22) {
        0 | 1 => Op::Conv2d(convolution(stream, shape)),
        2 => Op::Conv2d(Conv2d::same(shape.channels, 3).depthwise()),
        3 => Op::BatchNorm { epsilon: 1e-5 },
        4 => Op::ScaleShift,
        5 => Op::Relu,
        6 => Op::Gelu,
        7 => Op::Sigmoid,
        8 => Op::MaxPool(Window::square(2)),
        9 => Op::AvgPool(Window { kernel: [1, 2], stride: [2, 1] }),
        10 => Op::Upsample { resize: Resize::Bilinear, size: [shape.height, 1 + stream.below(9)] },
        11 => Op::Concat,
        12 => Op::Add,
        13 => Op::Slice { start: stream.below(3), channels: 1 + stream.below(2) },
        14 => Op::Dropout { rate: 0.3 },
        15 => Op::LeakyRelu { slope: 0.125 },
        16 => Op::Clip { low: -1.0, high: 1.5 },
        17 => Op::Softmax,
        18 => Op::Mul,
        19 => Op::Pad { rows: [stream.below(3), 1], columns: [0, stream.below(3)], filling: Filling::Zero },
        20 => Op::ZeroStuff { stride: [1 + stream.below(2), 2] },
        _ => Op::GlobalAvgPool,
    }
}

fn convolution(stream: &mut Stream, shape: Shape) -> Conv2d {
    let conv = Conv2d::same(shape.channels * (1 + stream.below(3)), 1 + 2 * stream.below(2));
    let conv = if stream.chance(0.5) { conv.without_bias() } else { conv };
    let groups = if stream.chance(0.3) { shape.channels } else { 1 };
    Conv2d { groups, ..conv.strided(1 + stream.below(2)) }
}
