//! Networks, weights and counts for the laws.

use boresight_core::{SearchSpace, Seed};
use boresight_deploy::{Band, Deployment, Mapping, Simulator};
use boresight_ir::{
    Builder, Conv2d, Filling, InputForm, Network, NodeId, Op, Resize, Role, Shape, Weights, Window,
};
use boresight_numerics::{
    Accumulator, BatchNorm, Constants, Format, Functions, NumericProfile, Overflow, Places, PoolingSum, Rule,
    Scaling, Subnormals, Table,
};
use boresight_space::{ChannelRule, SpaceSettings, UnetSpace, supports_everything};

/// Both forms in which images come in.
pub(crate) const FORMS: [InputForm; 2] = [InputForm::Counts, InputForm::Normalised];

/// Every profile of the numerics crate, and one that reads counts without rounding them.
pub(crate) fn profiles() -> Vec<NumericProfile> {
    let mut profiles: Vec<_> =
        NumericProfile::names().map(|name| NumericProfile::named(name).unwrap()).collect();
    let unrounded =
        NumericProfile { input: NumericProfile::f32().input, ..NumericProfile::myriad_x_optimistic() };
    profiles.push(unrounded);
    profiles
}

/// A profile of any choices.
pub(crate) fn random_profile(seed: Seed) -> NumericProfile {
    let mut stream = seed.derive("profile", 0).stream();
    let mut below = |count: usize| stream.below(count);
    let number = |value: usize| std::num::NonZeroU32::new(u32::try_from(value).unwrap()).unwrap();
    let formats = [Format::F16, Format::F32, Format::Bf16, Format::Int8];
    let weights = formats[below(4)];
    let binary16 = weights == Format::F16;
    let subnormals = [Subnormals::Keep, Subnormals::Flush];
    let overflow = [Overflow::Infinity, Overflow::Saturate];
    NumericProfile {
        name: "random".to_owned(),
        constants: [Constants::Plugin, Constants::Preconverted][below(2)],
        weights,
        rule: if binary16 && below(2) == 0 { Rule::MyriadPlugin } else { Rule::Ieee },
        scaling: if binary16 && below(3) > 0 { Scaling::MyriadX } else { Scaling::None },
        input: formats[below(4)],
        activations: formats[below(4)],
        accumulator: [
            Accumulator::F32,
            Accumulator::F16Product,
            Accumulator::F16Fused,
            Accumulator::F16Block(number(1 + below(20))),
            Accumulator::F16Splits,
        ][below(5)],
        batch_norm: [BatchNorm::Folded, BatchNorm::Separate][below(2)],
        pooling: [PoolingSum::Wide, PoolingSum::F16][below(2)],
        squeeze: [PoolingSum::Wide, PoolingSum::F16][below(2)],
        functions: if below(2) == 0 {
            Functions::Exact
        } else {
            Functions::Table(Table { intervals: number(8 + below(200)), reach: number(1 + below(9)) })
        },
        subnormals: Places {
            weights: subnormals[below(2)],
            activations: subnormals[below(2)],
            accumulator: subnormals[below(2)],
        },
        overflow: Places {
            weights: overflow[below(2)],
            activations: overflow[below(2)],
            accumulator: overflow[below(2)],
        },
    }
}

/// Parts of the input channels of every convolution of `network`, and some that are not scaled.
pub(crate) fn random_mapping(network: &Network, seed: Seed) -> Mapping {
    let mut stream = seed.derive("mapping", 0).stream();
    let mut mapping = Mapping::default();
    for (_, node) in network.iter().filter(|(_, node)| matches!(node.op, Op::Conv2d(_))) {
        if stream.chance(0.7) {
            mapping.parts.insert(node.name.clone(), 1 + stream.below(6));
        }
        if stream.chance(0.2) {
            mapping.unscaled.insert(node.name.clone());
        }
    }
    mapping
}

/// Statistics of 12-bit imagery, another pair for each band.
pub(crate) fn bands(count: usize) -> Vec<Band> {
    let step = |band: usize| band as f32;
    (0..count)
        .map(|band| Band { mean: 900.0 + 137.0 * step(band), deviation: 410.0 - 13.0 * step(band) })
        .collect()
}

/// Weights of a network that was trained for a while: no tensor is constant.
pub(crate) fn weights(network: &Network, seed: Seed) -> Weights {
    let mut weights = Weights::initial(network, seed);
    for slot in network.layout().slots() {
        let mut stream = seed.derive(&slot.name, 1).stream();
        for value in &mut weights.values_mut()[slot.range.clone()] {
            *value = match slot.role {
                Role::Bias | Role::Shift | Role::Mean => stream.uniform(-0.5, 0.5) as f32,
                Role::Scale | Role::Variance => stream.uniform(0.5, 2.0) as f32,
                _ => *value,
            };
        }
    }
    weights
}

/// Counts of `images` images, from 0 to `most`.
pub(crate) fn counts(network: &Network, images: usize, most: usize, seed: Seed) -> Vec<f32> {
    let mut stream = seed.derive("counts", 0).stream();
    (0..images * network.input_shape().len()).map(|_| stream.below(most + 1) as f32).collect()
}

/// Logits of a batch on the simulated device.
pub(crate) fn simulate(deployment: &Deployment, images: usize, counts: &[f32]) -> Vec<f32> {
    let simulator = Simulator::new(deployment.clone(), images).unwrap();
    simulator.logits(counts, &mut simulator.memory()).to_vec()
}

/// Bit patterns; every NaN counts as the same.
pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }).collect()
}

/// A U-Net of the search space, of another size and rule for each seed.
pub(crate) fn unet(seed: Seed) -> Network {
    let mut stream = seed.derive("settings", 0).stream();
    let settings = SpaceSettings {
        bands: 1 + stream.below(4),
        tile: 16 + stream.below(10),
        classes: 2 + stream.below(3),
        stages: [2, 4],
        rule: if stream.chance(0.5) { ChannelRule::Width } else { ChannelRule::Multiply },
        widths: [8, 16],
        max_parameters: 20_000,
        ..SpaceSettings::default()
    };
    let space = UnetSpace::new(settings, supports_everything).unwrap();
    space.decode(&space.sample(seed)).unwrap()
}

/// A network under construction, whose nodes are named by their numbers.
pub(crate) struct Graph {
    builder: Builder,
    count: usize,
}

impl Graph {
    pub(crate) fn new(channels: usize, height: usize, width: usize) -> Self {
        Self { builder: Builder::new(Shape::new(channels, height, width)).unwrap(), count: 0 }
    }

    pub(crate) fn input(&self) -> NodeId {
        self.builder.input()
    }

    pub(crate) fn add(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.count += 1;
        self.builder.add(format!("n{}", self.count), op, inputs).unwrap()
    }

    pub(crate) fn finish(self, output: NodeId) -> Network {
        self.builder.finish(output).unwrap()
    }
}

/// A network of one operator behind the input.
pub(crate) fn single(input: [usize; 3], op: Op) -> Network {
    let mut graph = Graph::new(input[0], input[1], input[2]);
    let output = graph.add(op, &[graph.input()]);
    graph.finish(output)
}

const NORM: Op = Op::BatchNorm { epsilon: 1e-3 };

/// A network with every operator, and each in its awkward form: strides, groups, odd sizes, several readers.
pub(crate) fn every_operator() -> Network {
    let mut graph = Graph::new(3, 13, 11);
    let input = graph.input();
    let stem = graph.add(Op::Conv2d(Conv2d::same(8, 3).without_bias()), &[input]);
    let stem = graph.add(NORM, &[stem]);
    let stem = graph.add(Op::Relu6, &[stem]);
    let grouped =
        Conv2d { out_channels: 6, kernel: [5, 3], stride: [2, 2], padding: [2, 1], groups: 3, bias: true };
    let side = graph.add(Op::Conv2d(grouped), &[input]);
    let side = graph.add(Op::Gelu, &[side]);
    let side = graph.add(Op::Upsample { resize: Resize::Bilinear, size: [13, 11] }, &[side]);
    let deep = graph.add(Op::MaxPool(Window { kernel: [3, 2], stride: [2, 2] }), &[stem]);
    let deep = graph.add(NORM, &[deep]);
    let deep = graph.add(Op::Upsample { resize: Resize::Bilinear, size: [12, 10] }, &[deep]);
    let deep = graph.add(Op::AvgPool(Window { kernel: [3, 2], stride: [1, 2] }), &[deep]);
    let deep = graph.add(Op::Upsample { resize: Resize::Nearest, size: [13, 11] }, &[deep]);
    let around = Op::Pad { rows: [1, 2], columns: [0, 1], filling: Filling::Lowest };
    let pooled = graph.add(around, &[side]);
    let pooled = graph.add(Op::MaxPool(Window { kernel: [3, 2], stride: [3, 2] }), &[pooled]);
    let pooled = graph.add(Op::LeakyRelu { slope: 0.1 }, &[pooled]);
    let spread = graph.add(Op::ZeroStuff { stride: [2, 2] }, &[pooled]);
    let around = Op::Pad { rows: [1, 2], columns: [0, 0], filling: Filling::Zero };
    let spread = graph.add(around, &[spread]);
    let spread = graph.add(Op::Conv2d(Conv2d { padding: [0, 1], ..Conv2d::same(6, 3) }), &[spread]);
    let spread = graph.add(Op::Clip { low: -0.75, high: 1.5 }, &[spread]);
    let spread = graph.add(Op::Upsample { resize: Resize::Nearest, size: [13, 11] }, &[spread]);
    let shares = graph.add(Op::Softmax, &[side]);
    let side = graph.add(Op::Mul, &[spread, shares]);
    let side = graph.add(Op::Mul, &[side, side]);
    let squeeze = graph.add(Op::GlobalAvgPool, &[stem]);
    let squeeze = graph.add(Op::Conv2d(Conv2d::same(4, 1)), &[squeeze]);
    let squeeze = graph.add(Op::Relu, &[squeeze]);
    let squeeze = graph.add(Op::Conv2d(Conv2d::same(8, 1)), &[squeeze]);
    let squeeze = graph.add(Op::Sigmoid, &[squeeze]);
    let scaled = graph.add(Op::ChannelScale, &[stem, squeeze]);
    let part = graph.add(Op::Slice { start: 2, channels: 5 }, &[scaled]);
    let joined = graph.add(Op::Concat, &[part, deep, side]);
    let joined = graph.add(Op::Dropout { rate: 0.3 }, &[joined]);
    let filtered = graph.add(Op::Conv2d(Conv2d::same(19, 3).depthwise().without_bias()), &[joined]);
    let filtered = graph.add(NORM, &[filtered]);
    let sum = graph.add(Op::Add, &[filtered, joined]);
    let output = graph.add(Op::Conv2d(Conv2d::same(3, 1)), &[sum]);
    graph.finish(output)
}
