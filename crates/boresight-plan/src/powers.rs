//! Powers of two that move layers into the range of a format without changing what a network computes.

use crate::Projection;
use boresight_ir::{Network, Node, NodeId, Op, Role};
use boresight_numerics::{Accumulator, MyriadScaling, Scaling};
use std::ops::Range;

/// Largest exponent of a layer's results: 64 times larger, or smaller, than they were.
const MOST: i32 = 6;
/// The same where sums are binary16, which overflow sooner.
const MOST_NARROW: i32 = 3;
/// What a sum of binary16 may reach on a bright, even image: half of the largest number.
const ROOM: f32 = 32_752.0;
/// Noise to signal that is not worth a larger power, which brings results nearer to the end of the format: 50 dB.
const NEGLIGIBLE: f64 = 1e-5;
/// Rounds over all layers; the first settles nearly everything.
const ROUNDS: usize = 3;

/// The powers of two by which the constants of each layer are multiplied, so that a conversion loses least of them.
///
/// A layer whose results are `2^a` times what they were makes `2^a` times larger ones of its constants; those that read them
/// divide. That changes nothing but roundings where everything between is homogeneous: a `ReLU`, poolings, sums and
/// concatenations of layers of one power. Input and output keep their scale, and so does what meets a GELU, a sigmoid, a
/// clip or a product.
///
/// Layers get the smallest power that leaves hardly more than the least noise beside their constants and those of their readers.
/// Where sums are binary16 too, powers are smaller, and none is taken that overflows the first sums on a bright image.
pub fn power_scales(network: &Network, projection: &Projection, master: &[f32]) -> Vec<(Range<usize>, f32)> {
    let mut constants = vec![0.0; master.len()];
    projection.fold_into(master, &mut constants);
    let mut search = Search::new(network, projection, &constants);
    for _ in 0..ROUNDS {
        search.round();
    }
    search.powers()
}

/// A layer with constants: the classes of what it reads and makes, and its slots.
struct Layer {
    reads: usize,
    makes: usize,
    /// Multiplied by what is made, divided by what is read.
    factors: Range<usize>,
    /// Multiplied by what is made.
    addends: Range<usize>,
    /// How it reads the network's input, if it does.
    input: Option<InputLayer>,
}

/// A convolution of the network's input.
struct InputLayer {
    /// Channels of one group that it reads and makes, and positions of the kernel.
    inputs: usize,
    outputs: usize,
    taps: usize,
}

struct Search<'run> {
    projection: &'run Projection,
    constants: &'run [f32],
    layers: Vec<Layer>,
    /// The exponent of each class of tensors.
    exponents: Vec<i32>,
    free: Vec<usize>,
}

impl<'run> Search<'run> {
    fn new(network: &Network, projection: &'run Projection, constants: &'run [f32]) -> Self {
        let classes = Classes::of(network);
        let layers = network.iter().skip(1).filter_map(|(id, node)| {
            let [factors, addends] = match node.op {
                Op::Conv2d(_) => [Role::Weight, Role::Bias],
                Op::ScaleShift => [Role::Scale, Role::Shift],
                _ => return None,
            }
            .map(|role| network.layout().range(id, role).unwrap_or(0..0));
            let class = |id: NodeId| classes.root(id.index());
            let input = match node.op {
                Op::Conv2d(conv) if node.inputs[0] == network.input() => Some(InputLayer {
                    inputs: network.input_shape().channels / conv.groups,
                    outputs: conv.out_channels / conv.groups,
                    taps: conv.kernel[0] * conv.kernel[1],
                }),
                _ => None,
            };
            Some(Layer { reads: class(node.inputs[0]), makes: class(id), factors, addends, input })
        });
        let layers: Vec<Layer> = layers.collect();
        let free = (0..network.nodes().len()).filter(|&at| classes.root(at) == at && !classes.fixed[at]);
        Self {
            projection,
            constants,
            layers,
            exponents: vec![0; network.nodes().len()],
            free: free.collect(),
        }
    }

    fn round(&mut self) {
        for class in self.free.clone() {
            // From 0 outwards.
            let narrow = self.projection.profile().accumulator != Accumulator::F32;
            let most = if narrow { MOST_NARROW } else { MOST };
            let exponents = (0..=2 * most).map(|at| if at % 2 == 0 { at / 2 } else { -(at + 1) / 2 });
            let mut noises = Vec::new();
            for exponent in exponents {
                self.exponents[class] = exponent;
                noises.push((exponent, self.noise(class)));
            }
            let least = noises.iter().map(|(_, noise)| *noise).fold(f64::INFINITY, f64::min);
            let enough = noises.iter().find(|(_, noise)| *noise <= least + NEGLIGIBLE);
            self.exponents[class] = enough.map_or(0, |(exponent, _)| *exponent);
        }
    }

    /// Noise beside the constants of all layers that read or make this class.
    fn noise(&self, class: usize) -> f64 {
        let touched = self.layers.iter().filter(|layer| [layer.reads, layer.makes].contains(&class));
        touched
            .map(|layer| {
                let [factor, addend] = self.exponents_of(layer);
                let lost =
                    self.lost(layer.factors.clone(), factor) + self.lost(layer.addends.clone(), addend);
                if self.overflows(layer, factor) { f64::INFINITY } else { lost }
            })
            .sum()
    }

    /// Whether binary16 sums of a layer that reads counts leave their range on an even image, two deviations above the mean.
    fn overflows(&self, layer: &Layer, exponent: i32) -> bool {
        let profile = self.projection.profile();
        let Some(input) = layer.input.as_ref().filter(|_| exponent > 0 && self.projection.reads_counts())
        else {
            return false;
        };
        if profile.accumulator == Accumulator::F32 {
            return false;
        }
        let power = 2.0_f32.powi(exponent);
        let mut weights: Vec<f32> =
            self.constants[layer.factors.clone()].iter().map(|weight| weight * power).collect();
        profile.convert_constants(&mut weights);
        let shift = match profile.scaling {
            Scaling::None => 0,
            _ => MyriadScaling::new().shift(&weights, input.inputs, false),
        };
        let bright = self.projection.bright_counts();
        let size = input.inputs * input.taps;
        let reaches = |(output, kernel): (usize, &[f32])| {
            let first = output / input.outputs * input.inputs;
            let (mut sum, mut most) = (0.0_f32, 0.0_f32);
            for (at, weight) in kernel.iter().enumerate() {
                sum += weight * bright[first + at / input.taps];
                most = most.max(sum.abs());
            }
            most
        };
        let most = weights.chunks_exact(size).enumerate().map(reaches).fold(0.0, f32::max);
        most * 2.0_f32.powi(shift) > ROOM
    }

    fn exponents_of(&self, layer: &Layer) -> [i32; 2] {
        let makes = self.exponents[layer.makes];
        [makes - self.exponents[layer.reads], makes]
    }

    /// Noise to signal of the constants of one tensor, once multiplied and converted.
    fn lost(&self, range: Range<usize>, exponent: i32) -> f64 {
        let power = 2.0_f32.powi(exponent);
        let before: Vec<f32> = self.constants[range].iter().map(|constant| constant * power).collect();
        let mut after = before.clone();
        self.projection.profile().convert_constants(&mut after);
        let (mut noise, mut signal) = (0.0, 0.0);
        for (before, after) in before.into_iter().zip(after) {
            let (before, error) = (f64::from(before), f64::from(after) - f64::from(before));
            signal += before * before;
            noise += error * error;
        }
        if signal > 0.0 { noise / signal } else { 0.0 }
    }

    fn powers(&self) -> Vec<(Range<usize>, f32)> {
        let mut powers = Vec::new();
        for layer in &self.layers {
            let slots = [&layer.factors, &layer.addends];
            for (range, exponent) in slots.into_iter().zip(self.exponents_of(layer)) {
                if exponent != 0 && !range.is_empty() {
                    powers.push((range.clone(), 2.0_f32.powi(exponent)));
                }
            }
        }
        powers
    }
}

/// Tensors that must have one power.
struct Classes {
    parent: Vec<usize>,
    /// By root: whether the power must be 1.
    fixed: Vec<bool>,
}

impl Classes {
    fn of(network: &Network) -> Self {
        let count = network.nodes().len();
        let mut classes = Self { parent: (0..count).collect(), fixed: vec![false; count] };
        classes.fix(network.input().index());
        classes.fix(network.output().index());
        for (id, node) in network.iter().skip(1) {
            classes.join(id.index(), node);
        }
        classes
    }

    fn join(&mut self, output: usize, node: &Node) {
        let inputs: Vec<usize> = node.inputs.iter().map(|input| input.index()).collect();
        match node.op {
            // Their constants make up for every power.
            Op::Conv2d(_) | Op::ScaleShift => {}
            Op::Relu
            | Op::LeakyRelu { .. }
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool
            | Op::Upsample { .. }
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::ZeroStuff { .. }
            | Op::Dropout { .. }
            | Op::Add
            | Op::Concat => inputs.iter().for_each(|&input| self.unite(input, output)),
            Op::ChannelScale => {
                self.unite(inputs[0], output);
                self.fix(inputs[1]);
            }
            _ => inputs.iter().chain([&output]).for_each(|&tensor| self.fix(tensor)),
        }
    }

    fn root(&self, mut at: usize) -> usize {
        while self.parent[at] != at {
            at = self.parent[at];
        }
        at
    }

    fn unite(&mut self, one: usize, other: usize) {
        let [one, other] = [self.root(one), self.root(other)];
        let fixed = self.fixed[one] || self.fixed[other];
        self.parent[one] = other;
        self.fixed[other] = fixed;
    }

    fn fix(&mut self, tensor: usize) {
        let root = self.root(tensor);
        self.fixed[root] = true;
    }
}
