//! Networks to test on: random ones, and small ones by what they show.

use boresight_core::{Seed, Stream};
use boresight_ir::{Builder, Conv2d, Filling, Network, NodeId, Op, Resize, Role, Shape, Weights, Window};

/// Weights in which every value counts: statistics, scales, shifts and border are not what they are at first.
pub(crate) fn weights(network: &Network, seed: Seed) -> Weights {
    let mut weights = Weights::initial(network, seed);
    for slot in network.layout().clone().slots() {
        let mut stream = seed.derive(&slot.name, 1).stream();
        let mut draw = || match slot.role {
            Role::Scale => stream.uniform(0.5, 1.5),
            Role::Variance => stream.uniform(0.5, 2.0),
            _ => stream.normal() * 0.3,
        };
        if slot.role != Role::Weight {
            weights.values_mut()[slot.range.clone()].fill_with(|| draw() as f32);
        }
    }
    weights
}

/// Standard normal values.
pub(crate) fn normals(seed: Seed, count: usize) -> Vec<f32> {
    let mut stream = seed.stream();
    (0..count).map(|_| stream.normal() as f32).collect()
}

/// A random network with every operator in reach: odd sizes, strides, groups, skip connections, several outputs of
/// one node, squeeze and excitation.
pub(crate) fn random(seed: Seed) -> Network {
    let mut stream = seed.stream();
    let shape = Shape::new(1 + stream.below(4), 6 + stream.below(8), 6 + stream.below(8));
    let builder = Builder::new(shape).unwrap();
    let nodes = vec![builder.input()];
    let mut drawing = Drawing { builder, nodes, read: vec![false], stream };
    let image = drawing.nodes[0];
    let image = if drawing.stream.chance(0.3) { drawing.pad(image) } else { image };
    drawing.grow(Op::Conv2d(Conv2d { bias: true, ..Conv2d::same(4, 3) }), &[image]);
    for _ in 0..6 + drawing.stream.below(8) {
        drawing.step();
    }
    drawing.finish()
}

/// A network under way.
struct Drawing {
    builder: Builder,
    /// Those that others may read.
    nodes: Vec<NodeId>,
    /// Whether something reads each node.
    read: Vec<bool>,
    stream: Stream,
}

impl Drawing {
    fn grow(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        let name = format!("{}{}", op.name(), self.read.len());
        let id = self.builder.add(name, op, inputs).unwrap();
        for input in inputs {
            self.read[input.index()] = true;
        }
        self.nodes.push(id);
        self.read.push(false);
        id
    }

    fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.stream.below(high - low + 1)
    }

    /// Mostly the newest node, else any but the input.
    fn pick(&mut self) -> NodeId {
        let at = if self.stream.chance(0.7) {
            self.nodes.len() - 1
        } else {
            self.between(1, self.nodes.len() - 1)
        };
        self.nodes[at]
    }

    fn step(&mut self) {
        let x = self.pick();
        let shape = self.builder.shape(x);
        match self.stream.below(18) {
            0 | 1 => self.convolve(x),
            2 if shape.plane() >= 12 => self.normalise(x),
            3 => self.grow(Op::ScaleShift, &[x]),
            5 => {
                let window = self.window(shape);
                self.grow(Op::MaxPool(window), &[x])
            }
            6 => {
                let window = self.window(shape);
                self.grow(Op::AvgPool(window), &[x])
            }
            7 => self.squeeze(x),
            8 => self.skip(x),
            9 => {
                let y = self.activate(x);
                self.grow(Op::Add, &[y, x])
            }
            10 => {
                let start = self.stream.below(shape.channels);
                let channels = self.between(1, shape.channels - start);
                self.grow(Op::Slice { start, channels }, &[x])
            }
            11 => self.grow(Op::Dropout { rate: 0.25 }, &[x]),
            12 => self.gate(x),
            13 => self.square(x),
            14 => self.grow(Op::Softmax, &[x]),
            15 => self.pool_padded(x),
            // These make maps larger, so not without end.
            16 if shape.plane() < 200 => self.pad(x),
            17 if shape.plane() < 50 => self.transpose(x),
            _ => self.activate(x),
        };
    }

    fn convolve(&mut self, x: NodeId) -> NodeId {
        let shape = self.builder.shape(x);
        let kernel = [shape.height, shape.width].map(|size| self.between(1, size.min(3)));
        let divisors: Vec<usize> =
            (1..=shape.channels).filter(|&by| shape.channels.is_multiple_of(by)).collect();
        let groups = *self.stream.pick(&divisors).unwrap();
        let multiplier = self.between(1, (8 / groups).clamp(1, 3));
        let conv = Conv2d {
            out_channels: groups * multiplier,
            kernel,
            stride: [self.between(1, 2), self.between(1, 2)],
            padding: kernel.map(|size| self.between(0, size - 1)),
            groups,
            bias: self.stream.chance(0.5),
        };
        self.grow(Op::Conv2d(conv), &[x])
    }

    fn normalise(&mut self, x: NodeId) -> NodeId {
        let y = self.grow(Op::BatchNorm { epsilon: 1e-3 }, &[x]);
        if self.stream.chance(0.7) { self.activate(y) } else { y }
    }

    fn activate(&mut self, x: NodeId) -> NodeId {
        let op = [
            Op::Relu,
            Op::Relu6,
            Op::Gelu,
            Op::Sigmoid,
            Op::LeakyRelu { slope: 0.1 },
            Op::Clip { low: -0.5, high: 1.5 },
        ][self.stream.below(6)];
        self.grow(op, &[x])
    }

    /// `x` times something between 0 and 1 that is made of it, which may have other readers.
    fn gate(&mut self, x: NodeId) -> NodeId {
        let gate = if self.stream.chance(0.5) { Op::Sigmoid } else { Op::Softmax };
        let gate = self.grow(gate, &[x]);
        let factors = if self.stream.chance(0.5) { [gate, x] } else { [x, gate] };
        self.grow(Op::Mul, &factors)
    }

    /// What is squared is bounded, so that squares of squares stay small.
    fn square(&mut self, x: NodeId) -> NodeId {
        let x = self.grow(Op::Clip { low: -1.0, high: 1.25 }, &[x]);
        self.grow(Op::Mul, &[x, x])
    }

    fn pad(&mut self, x: NodeId) -> NodeId {
        let [rows, columns] = [(); 2].map(|()| [(); 2].map(|()| self.between(0, 2)));
        self.grow(Op::Pad { rows, columns, filling: Filling::Zero }, &[x])
    }

    /// A max pooling of which every window reaches into the map.
    fn pool_padded(&mut self, x: NodeId) -> NodeId {
        let kernel = [(); 2].map(|()| self.between(1, 3));
        let [rows, columns] = kernel.map(|size| [(); 2].map(|()| self.between(0, size - 1)));
        let padded = self.grow(Op::Pad { rows, columns, filling: Filling::Lowest }, &[x]);
        // Only the pooling takes the infinite values away.
        self.nodes.pop();
        let shape = self.builder.shape(padded);
        let kernel = [kernel[0].min(shape.height), kernel[1].min(shape.width)];
        let stride = [(); 2].map(|()| self.between(1, 2));
        self.grow(Op::MaxPool(Window { kernel, stride }), &[padded])
    }

    /// A transposed convolution.
    fn transpose(&mut self, x: NodeId) -> NodeId {
        let stride = [(); 2].map(|()| self.between(1, 3));
        let stuffed = self.grow(Op::ZeroStuff { stride }, &[x]);
        self.grow(Op::Conv2d(Conv2d::same(3, 3)), &[stuffed])
    }

    fn window(&mut self, shape: Shape) -> Window {
        let kernel = [shape.height, shape.width].map(|size| self.between(1, size.min(3)));
        Window { kernel, stride: [self.between(1, 3), self.between(1, 3)] }
    }

    fn squeeze(&mut self, x: NodeId) -> NodeId {
        let channels = self.builder.shape(x).channels;
        let mean = self.grow(Op::GlobalAvgPool, &[x]);
        let few = self.grow(Op::Conv2d(Conv2d::same(2, 1)), &[mean]);
        let few = self.grow(Op::Gelu, &[few]);
        let factors = self.grow(Op::Conv2d(Conv2d::same(channels, 1)), &[few]);
        let factors = self.grow(Op::Sigmoid, &[factors]);
        self.grow(Op::ChannelScale, &[x, factors])
    }

    /// Joins `x` with an older node of any size.
    fn skip(&mut self, x: NodeId) -> NodeId {
        let other = self.nodes[self.stream.below(self.nodes.len())];
        let shape = self.builder.shape(other);
        let resized = self.resize(x, [shape.height, shape.width]);
        let joined = self.grow(Op::Concat, &[other, resized, other]);
        self.grow(Op::Conv2d(Conv2d::same(4, 1)), &[joined])
    }

    fn resize(&mut self, x: NodeId, size: [usize; 2]) -> NodeId {
        let resize = if self.stream.chance(0.5) { Resize::Nearest } else { Resize::Bilinear };
        self.grow(Op::Upsample { resize, size }, &[x])
    }

    /// Joins everything that nothing reads, and classifies.
    fn finish(mut self) -> Network {
        let size = [self.between(5, 11), self.between(5, 11)];
        let ends: Vec<NodeId> = self.nodes.iter().copied().filter(|node| !self.read[node.index()]).collect();
        let ends: Vec<NodeId> = ends.into_iter().map(|end| self.resize(end, size)).collect();
        let joined = self.grow(Op::Concat, &ends);
        let output = self.grow(Op::Conv2d(Conv2d::same(3, 3)), &[joined]);
        self.builder.finish(output).unwrap()
    }
}

/// Small networks, each with what it shows; together they have every operator.
pub(crate) fn small() -> Vec<(&'static str, Network)> {
    let square = |out_channels| Op::Conv2d(Conv2d::same(out_channels, 3));
    let grouped = Conv2d { groups: 2, kernel: [2, 3], stride: [2, 1], padding: [1, 0], ..Conv2d::same(4, 3) };
    let wide = Conv2d { groups: 2, out_channels: 6, ..Conv2d::same(2, 3) };
    let up = |resize, size| Op::Upsample { resize, size };
    let norm = Op::BatchNorm { epsilon: 1e-5 };
    let overlapping = Window { kernel: [3, 2], stride: [2, 1] };
    let leaky = Op::LeakyRelu { slope: 0.2 };
    let pad = |filling| Op::Pad { rows: [1, 0], columns: [2, 1], filling };
    let valid = Op::Conv2d(Conv2d { padding: [0, 0], ..Conv2d::same(2, 3) });
    vec![
        ("max pooling", chain(&[square(3), Op::MaxPool(Window::square(2)), square(2)])),
        ("overlapping max pooling", chain(&[square(3), Op::MaxPool(overlapping), square(2)])),
        (
            "average pooling that does not divide",
            chain(&[square(3), Op::AvgPool(Window::square(3)), square(2)]),
        ),
        ("overlapping average pooling", chain(&[square(3), Op::AvgPool(overlapping), square(2)])),
        ("grouped convolution with uneven strides", chain(&[square(4), Op::Conv2d(grouped)])),
        ("depthwise convolution", chain(&[square(4), Op::Conv2d(Conv2d::same(4, 3).depthwise()), square(2)])),
        ("depthwise convolution with a multiplier", chain(&[Op::Conv2d(wide), Op::Conv2d(grouped)])),
        ("strided depthwise convolution", chain(&[Op::Conv2d(Conv2d::same(2, 3).depthwise().strided(2))])),
        ("batch normalisation and ReLU", chain(&[square(3), norm, Op::Relu, square(2)])),
        ("batch normalisation alone", chain(&[norm, square(3), norm])),
        ("batch normalisation and GELU", chain(&[square(3), norm, Op::Gelu, square(2)])),
        ("ReLU6 and sigmoid", chain(&[square(3), Op::ScaleShift, Op::Relu6, square(3), Op::Sigmoid])),
        (
            "slice and dropout",
            chain(&[square(4), Op::Slice { start: 1, channels: 2 }, Op::Dropout { rate: 0.5 }, square(2)]),
        ),
        ("nearest upsampling", chain(&[square(3), up(Resize::Nearest, [11, 9]), square(2)])),
        ("bilinear downsampling", chain(&[square(3), up(Resize::Bilinear, [4, 5]), square(2)])),
        ("nearest upsampling that feeds a skip connection", skip(Resize::Nearest)),
        ("bilinear upsampling that feeds a skip connection", skip(Resize::Bilinear)),
        ("leaky ReLU", chain(&[square(3), leaky, square(2)])),
        ("batch normalisation and leaky ReLU", chain(&[square(3), norm, leaky, square(2)])),
        (
            "clipping and softmax",
            chain(&[square(3), Op::Clip { low: 0.0, high: 1.0 }, square(3), Op::Softmax, square(2)]),
        ),
        ("batch normalisation and clipping", chain(&[square(3), norm, Op::Clip { low: -0.5, high: 1.0 }])),
        ("softmax over one channel", chain(&[square(1), Op::Softmax, square(2)])),
        (
            "padded max pooling",
            chain(&[square(3), pad(Filling::Lowest), Op::MaxPool(Window { kernel: [3, 3], stride: [2, 1] })]),
        ),
        ("padding of the image and of a map", chain(&[pad(Filling::Zero), valid, pad(Filling::Zero), valid])),
        (
            "transposed convolution",
            chain(&[square(3), Op::ZeroStuff { stride: [2, 3] }, pad(Filling::Zero), valid]),
        ),
        ("zeros between the pixels of the image", chain(&[Op::ZeroStuff { stride: [1, 2] }, square(2)])),
        ("products", products()),
        ("squeeze and excitation", squeeze()),
        ("residual sum", residual()),
    ]
}

/// Operators one after the other on images of 2 x 7 x 6.
fn chain(ops: &[Op]) -> Network {
    let mut builder = Builder::new(Shape::new(2, 7, 6)).unwrap();
    let mut last = builder.input();
    for (at, op) in ops.iter().enumerate() {
        last = builder.add(format!("{}{at}", op.name()), *op, &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

/// A U-Net of one stage, whose upsampled map has two readers.
fn skip(resize: Resize) -> Network {
    let mut builder = Builder::new(Shape::new(2, 7, 6)).unwrap();
    let input = builder.input();
    let mut add = |name: &str, op, inputs: &[NodeId]| builder.add(name, op, inputs).unwrap();
    let first = add("first", Op::Conv2d(Conv2d::same(3, 3)), &[input]);
    let pooled = add("pooled", Op::MaxPool(Window::square(2)), &[first]);
    let deep = add("deep", Op::Conv2d(Conv2d::same(3, 3)), &[pooled]);
    let up = add("up", Op::Upsample { resize, size: [7, 6] }, &[deep]);
    let sum = add("sum", Op::Add, &[up, first]);
    let joined = add("joined", Op::Concat, &[first, up, sum]);
    let last = add("last", Op::Conv2d(Conv2d::same(2, 1)), &[joined]);
    builder.finish(last).unwrap()
}

/// Products whose factors have other readers, of a value with itself, and with the image.
fn products() -> Network {
    let mut builder = Builder::new(Shape::new(2, 7, 6)).unwrap();
    let input = builder.input();
    let mut add = |name: &str, op, inputs: &[NodeId]| builder.add(name, op, inputs).unwrap();
    let first = add("first", Op::Conv2d(Conv2d::same(2, 3)), &[input]);
    let sigmoid = add("sigmoid", Op::Sigmoid, &[first]);
    let gated = add("gated", Op::Mul, &[first, sigmoid]);
    let square = add("square", Op::Mul, &[gated, gated]);
    let seen = add("seen", Op::Mul, &[input, square]);
    let cube = add("cube", Op::Mul, &[square, gated]);
    let second = add("second", Op::Conv2d(Conv2d::same(2, 1)), &[first]);
    let alone = add("alone", Op::Mul, &[second, second]);
    let joined = add("joined", Op::Concat, &[seen, cube, alone, first]);
    let last = add("last", Op::Conv2d(Conv2d::same(2, 1)), &[joined]);
    builder.finish(last).unwrap()
}

fn squeeze() -> Network {
    let mut builder = Builder::new(Shape::new(2, 7, 6)).unwrap();
    let input = builder.input();
    let mut add = |name: &str, op, inputs: &[NodeId]| builder.add(name, op, inputs).unwrap();
    let x = add("x", Op::Conv2d(Conv2d::same(4, 3)), &[input]);
    let mean = add("mean", Op::GlobalAvgPool, &[x]);
    let few = add("few", Op::Conv2d(Conv2d::same(2, 1)), &[mean]);
    let few = add("relu", Op::Relu, &[few]);
    let factors = add("many", Op::Conv2d(Conv2d::same(4, 1)), &[few]);
    let factors = add("sigmoid", Op::Sigmoid, &[factors]);
    let scaled = add("scaled", Op::ChannelScale, &[x, factors]);
    let last = add("last", Op::Conv2d(Conv2d::same(2, 1)), &[scaled]);
    builder.finish(last).unwrap()
}

fn residual() -> Network {
    let mut builder = Builder::new(Shape::new(2, 7, 6)).unwrap();
    let input = builder.input();
    let mut add = |name: &str, op, inputs: &[NodeId]| builder.add(name, op, inputs).unwrap();
    let first = add("first", Op::Conv2d(Conv2d::same(3, 3)), &[input]);
    let relu = add("relu", Op::Relu, &[first]);
    let second = add("second", Op::Conv2d(Conv2d::same(3, 3)), &[relu]);
    let sum = add("sum", Op::Add, &[second, relu]);
    let twice = add("twice", Op::Add, &[sum, sum]);
    builder.finish(twice).unwrap()
}
