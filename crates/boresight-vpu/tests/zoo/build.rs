//! Layers by their usual names.

use boresight_ir::{Builder, Conv2d, Error, Filling, Network, NodeId, Op, Resize, Shape, Window};

/// How the names of nodes begin that only join outputs.
pub(crate) const JOIN: &str = "join";

/// A network and the number of values of all its outputs.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) network: Network,
    pub(crate) values: usize,
}

/// What follows a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) enum Act {
    None,
    Relu,
    Leaky,
    /// A value times its sigmoid.
    Silu,
}

/// A network under construction; all maps are read by their node.
pub(super) struct Build {
    builder: Builder,
    count: usize,
}

impl Build {
    pub(super) fn new(bands: usize, side: usize) -> Result<Self, Error> {
        Ok(Self { builder: Builder::new(Shape::new(bands, side, side))?, count: 0 })
    }

    pub(super) fn input(&self) -> NodeId {
        self.builder.input()
    }

    pub(super) fn channels(&self, map: NodeId) -> usize {
        self.builder.shape(map).channels
    }

    pub(super) fn add(&mut self, op: Op, inputs: &[NodeId]) -> Result<NodeId, Error> {
        self.count += 1;
        self.builder.add(format!("layer{:04}", self.count), op, inputs)
    }

    fn act(&mut self, act: Act, map: NodeId) -> Result<NodeId, Error> {
        match act {
            Act::None => Ok(map),
            Act::Relu => self.add(Op::Relu, &[map]),
            Act::Leaky => self.add(Op::LeakyRelu { slope: 0.1 }, &[map]),
            Act::Silu => {
                let gate = self.add(Op::Sigmoid, &[map])?;
                self.add(Op::Mul, &[map, gate])
            }
        }
    }

    /// A square convolution with padding to the size of its stride, and its activation.
    pub(super) fn conv(
        &mut self,
        map: NodeId,
        channels: usize,
        [kernel, stride]: [usize; 2],
        act: Act,
    ) -> Result<NodeId, Error> {
        let conv = self.add(Op::Conv2d(Conv2d::same(channels, kernel).strided(stride)), &[map])?;
        self.act(act, conv)
    }

    pub(super) fn depthwise(
        &mut self,
        map: NodeId,
        [kernel, stride]: [usize; 2],
        act: Act,
    ) -> Result<NodeId, Error> {
        let channels = self.channels(map);
        let conv = Conv2d::same(channels, kernel).depthwise().strided(stride);
        let conv = self.add(Op::Conv2d(conv), &[map])?;
        self.act(act, conv)
    }

    /// Max pooling, padded by half of its kernel where that is odd.
    pub(super) fn max_pool(&mut self, map: NodeId, kernel: usize, stride: usize) -> Result<NodeId, Error> {
        let mut map = map;
        if kernel % 2 == 1 {
            let pads = [kernel / 2; 2];
            map = self.add(Op::Pad { rows: pads, columns: pads, filling: Filling::Lowest }, &[map])?;
        }
        self.add(Op::MaxPool(Window { kernel: [kernel; 2], stride: [stride; 2] }), &[map])
    }

    pub(super) fn concat(&mut self, maps: &[NodeId]) -> Result<NodeId, Error> {
        self.add(Op::Concat, maps)
    }

    /// Twice the size, each pixel four times.
    pub(super) fn double(&mut self, map: NodeId) -> Result<NodeId, Error> {
        let shape = self.builder.shape(map);
        let size = [2 * shape.height, 2 * shape.width];
        self.add(Op::Upsample { resize: Resize::Nearest, size }, &[map])
    }

    /// A transposed 2x2 convolution with stride 2.
    pub(super) fn transposed(&mut self, map: NodeId, channels: usize) -> Result<NodeId, Error> {
        let stuffed = self.add(Op::ZeroStuff { stride: [2; 2] }, &[map])?;
        let conv = Conv2d { kernel: [2; 2], padding: [1; 2], ..Conv2d::same(channels, 1) };
        self.add(Op::Conv2d(conv), &[stuffed])
    }

    /// Pools of 5, 9 and 13 pixels as three of 5 in a row, joined with what they pool.
    pub(super) fn pyramid(&mut self, map: NodeId) -> Result<NodeId, Error> {
        let first = self.max_pool(map, 5, 1)?;
        let second = self.max_pool(first, 5, 1)?;
        let third = self.max_pool(second, 5, 1)?;
        self.concat(&[map, first, second, third])
    }

    pub(super) fn slice(&mut self, map: NodeId, start: usize, channels: usize) -> Result<NodeId, Error> {
        self.add(Op::Slice { start, channels }, &[map])
    }

    /// The mean of each channel and a fully connected layer.
    pub(super) fn classify(mut self, map: NodeId, classes: usize) -> Result<Built, Error> {
        let mean = self.add(Op::GlobalAvgPool, &[map])?;
        let logits = self.conv(mean, classes, [1, 1], Act::None)?;
        self.finish(&[logits])
    }

    /// A network of several outputs. A `Network` has one, so all are enlarged to the first one's size and joined, by
    /// nodes whose names begin with [`JOIN`]: what they cost is not the network's.
    pub(super) fn finish(mut self, outputs: &[NodeId]) -> Result<Built, Error> {
        let values = outputs.iter().map(|&output| self.builder.shape(output).len()).sum();
        let joined = if let [single] = outputs { *single } else { self.join(outputs)? };
        Ok(Built { network: self.builder.finish(joined)?, values })
    }

    fn join(&mut self, outputs: &[NodeId]) -> Result<NodeId, Error> {
        let shape = self.builder.shape(outputs[0]);
        let mut maps = vec![outputs[0]];
        for (at, &output) in outputs.iter().enumerate().skip(1) {
            let op = Op::Upsample { resize: Resize::Nearest, size: [shape.height, shape.width] };
            maps.push(self.builder.add(format!("{JOIN}{at}"), op, &[output])?);
        }
        self.builder.add(format!("{JOIN}ed"), Op::Concat, &maps)
    }
}
