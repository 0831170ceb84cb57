//! Convolutions and poolings before they are given to a unit: what is split into several, and what is taken in.

use super::flow::Flow;
use super::graph::{Cores, Graph, Kind, Shave, StageId, ValueId, index};
use crate::Device;
use crate::nce::{ConvTile, line_bytes};
use boresight_ir::Shape;

/// What a convolution does with its results before it writes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Post {
    None,
    Relu,
    Clamp,
}

/// A convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each says of itself whether a part is there")]
pub(crate) struct ConvStub {
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows and columns added before, and after.
    pub(crate) pads: [[usize; 2]; 2],
    pub(crate) groups: usize,
    pub(crate) bias: bool,
    /// Whether its weights were scaled for the engine, which the vector cores undo. Whether they are depends on the
    /// weights; those of trained networks are.
    pub(crate) scaled: bool,
    /// Whether the convolution engine is to be tried.
    pub(crate) engine: bool,
    pub(crate) post: Post,
    /// Whether 2x2 max pooling is part of it.
    pub(crate) pooled: bool,
    /// Its result before pooling.
    pub(crate) whole: Shape,
}

/// A pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PoolStub {
    pub(crate) max: bool,
    pub(crate) kernel: [usize; 2],
    pub(crate) stride: [usize; 2],
    /// Rows and columns added before, and after.
    pub(crate) pads: [[usize; 2]; 2],
    pub(crate) engine: bool,
    pub(crate) relu: bool,
}

/// Either of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stub {
    Conv(ConvStub),
    Pool(PoolStub),
}

/// Everything that is still a stub.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stubs(pub(crate) Vec<Stub>);

impl Stubs {
    pub(crate) fn kind(&mut self, stub: Stub) -> Kind {
        self.0.push(stub);
        Kind::Stub(index(self.0.len() - 1))
    }

    pub(crate) fn conv(&self, graph: &Graph, stage: StageId) -> Option<ConvStub> {
        match graph.at(stage).kind {
            Kind::Stub(at) => match self.0[at as usize] {
                Stub::Conv(conv) => Some(conv),
                Stub::Pool(_) => None,
            },
            _ => None,
        }
    }

    pub(crate) fn pool(&self, graph: &Graph, stage: StageId) -> Option<PoolStub> {
        match graph.at(stage).kind {
            Kind::Stub(at) => match self.0[at as usize] {
                Stub::Pool(pool) => Some(pool),
                Stub::Conv(_) => None,
            },
            _ => None,
        }
    }

    pub(crate) fn set(&mut self, graph: &Graph, stage: StageId, stub: Stub) {
        if let Kind::Stub(at) = graph.at(stage).kind {
            self.0[at as usize] = stub;
        }
    }
}

/// What the dense blocks of a convolution of each channel by itself depend on: kernel, step and input.
type Depthwise = ([usize; 2], usize, Shape);

/// The passes over stubs.
pub(crate) struct Shaping<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) stubs: &'a mut Stubs,
    pub(crate) device: &'a Device,
    /// Channels of dense blocks that were found in this network.
    pub(crate) blocks: Vec<(Depthwise, usize)>,
}

impl Shaping<'_> {
    /// Does `pass` to each stage in the order of execution, which need not be known where it `concerns` none.
    pub(crate) fn pass(
        &mut self,
        flow: &mut Flow,
        concerns: impl Fn(&Self, StageId) -> bool,
        pass: impl Fn(&mut Self, StageId),
    ) {
        let stages = 0..index(self.graph.stages.len());
        if !stages.into_iter().any(|stage| !self.graph.at(stage).removed && concerns(self, stage)) {
            return;
        }
        flow.renew(self.graph);
        for &stage in &flow.order {
            if !self.graph.at(stage).removed {
                pass(self, stage);
            }
        }
    }

    pub(crate) fn is_stub(&self, stage: StageId) -> bool {
        matches!(self.graph.at(stage).kind, Kind::Stub(_))
    }

    pub(crate) fn is_join(&self, stage: StageId) -> bool {
        self.graph.at(stage).kind == Kind::Join
    }

    fn is_conv(&self, stage: StageId, has: impl FnOnce(&ConvStub) -> bool) -> bool {
        self.stubs.conv(self.graph, stage).is_some_and(|conv| has(&conv))
    }

    pub(crate) fn has_groups(&self, stage: StageId) -> bool {
        self.is_conv(stage, |conv| conv.groups > 1)
    }

    pub(crate) fn is_before_pooling(&self, stage: StageId) -> bool {
        self.is_conv(stage, |conv| conv.engine)
            && self.sole_reader(stage).is_some_and(|reader| self.stubs.pool(self.graph, reader).is_some())
    }

    pub(crate) fn is_padded(&self, stage: StageId) -> bool {
        self.padding(stage).is_some()
    }
}

impl Shaping<'_> {
    /// The only stage that reads what `stage` makes.
    fn sole_reader(&self, stage: StageId) -> Option<StageId> {
        let output = self.graph.of(self.graph.at(stage).outputs[0]);
        match output.consumers[..] {
            [reader] if output.usage == super::graph::Usage::Intermediate => Some(reader),
            _ => None,
        }
    }

    /// Cuts a grouped convolution into one for each group; one for each channel is left as it is.
    pub(crate) fn split_groups(&mut self, stage: StageId) {
        let Some(conv) = self.stubs.conv(self.graph, stage) else { return };
        let (input, output) = self.ends(stage);
        let (channels, outputs) = (self.graph.of(input).shape.channels, self.graph.of(output).shape.channels);
        if conv.groups == 1 || (conv.groups == channels && conv.groups == outputs) {
            return;
        }
        let sizes = vec![channels / conv.groups; conv.groups];
        let part = ConvStub { groups: 1, ..conv };
        self.split(stage, &sizes, Some(outputs / conv.groups), part, "@group");
    }

    fn ends(&self, stage: StageId) -> (ValueId, ValueId) {
        let stage = self.graph.at(stage);
        (stage.inputs[0], stage.outputs[0])
    }

    /// Replaces a convolution by several, each of some of the input's channels; it makes as many, or a number of its own.
    fn split(
        &mut self,
        stage: StageId,
        sizes: &[usize],
        outputs_each: Option<usize>,
        part: ConvStub,
        suffix: &'static str,
    ) {
        let node = self.graph.at(stage).node;
        let (input, output) = self.ends(stage);
        let (from, to) = (self.graph.of(input).shape, self.graph.of(output).shape);
        self.graph.remove(stage);
        let (mut taken, mut made) = (Vec::new(), Vec::new());
        for &size in sizes {
            let outputs = outputs_each.unwrap_or(size);
            let sub_input = self.graph.value(from.with_channels(size));
            let sub_output = self.graph.value(to.with_channels(outputs));
            let whole = part.whole.with_channels(outputs);
            let kind = self.stubs.kind(Stub::Conv(ConvStub { whole, ..part }));
            let id = self.graph.stage(kind, node, &[sub_input], &[sub_output]);
            self.graph.at_mut(id).suffix = suffix;
            taken.push(sub_input);
            made.push(sub_output);
        }
        self.graph.stage(Kind::Take, node, &[input], &taken);
        self.graph.stage(Kind::Join, node, &made, &[output]);
    }

    /// Moves limits and max poolings that alone read a concatenation of channels to each of its parts.
    pub(crate) fn swap_join(&mut self, join: StageId) {
        if self.graph.at(join).kind != Kind::Join || self.graph.at(join).removed {
            return;
        }
        let graph = &*self.graph;
        if graph.at(join).inputs.iter().any(|&input| graph.of(input).consumers.len() != 1) {
            return;
        }
        let mut readers = Vec::new();
        let mut last = join;
        while let Some(reader) = self.sole_reader(last) {
            let moves = match self.graph.at(reader).kind {
                Kind::Shave(Shave::Elementwise("Relu" | "LeakyRelu")) => true,
                _ => self.stubs.pool(self.graph, reader).is_some_and(|pool| pool.max && pool.engine),
            };
            if !moves {
                break;
            }
            readers.push(reader);
            last = reader;
        }
        for reader in readers {
            self.swap(join, reader);
        }
    }

    fn swap(&mut self, join: StageId, reader: StageId) {
        let (kind, node) = (self.graph.at(reader).kind, self.graph.at(reader).node);
        let output = self.graph.at(reader).outputs[0];
        let shape = self.graph.of(output).shape;
        self.graph.remove(reader);
        for port in 0..self.graph.at(join).inputs.len() {
            let input = self.graph.at(join).inputs[port];
            let made = self.graph.value(shape.with_channels(self.graph.of(input).shape.channels));
            let kind = match kind {
                Kind::Stub(at) => {
                    let stub = self.stubs.0[at as usize];
                    self.stubs.kind(stub)
                }
                kind => kind,
            };
            // The join's own reading of the part ends first, so that the part has one reader again.
            self.graph.reread(join, port, made);
            let id = self.graph.stage(kind, node, &[input], &[made]);
            self.graph.at_mut(id).suffix = "@sub";
        }
        self.graph.rewrite(join, 0, output);
    }

    /// Takes the limit and the max pooling that follow into an engine's stage.
    pub(crate) fn merge(&mut self, stage: StageId) {
        if let Some(conv) = self.stubs.conv(self.graph, stage) {
            if !conv.engine {
                return;
            }
            let output = self.graph.at(stage).outputs[0];
            let whole = self.graph.of(output).shape;
            let mut merged = ConvStub { whole, ..conv };
            if let Some(reader) = self.sole_reader(stage)
                && let Kind::Shave(Shave::Elementwise(name)) = self.graph.at(reader).kind
                && let Some(post) = post(name)
            {
                merged.post = post;
                self.absorb(stage, reader);
            }
            if let Some(reader) = self.sole_reader(stage)
                && self.pools(stage, reader, conv)
            {
                merged.pooled = true;
                self.absorb(stage, reader);
            }
            self.stubs.set(self.graph, stage, Stub::Conv(merged));
        } else if let Some(pool) = self.stubs.pool(self.graph, stage)
            && pool.engine
            && let Some(reader) = self.sole_reader(stage)
            && self.graph.at(reader).kind == Kind::Shave(Shave::Elementwise("Relu"))
        {
            self.absorb(stage, reader);
            self.stubs.set(self.graph, stage, Stub::Pool(PoolStub { relu: true, ..pool }));
        }
    }

    /// Lets `stage` make what `reader` made.
    fn absorb(&mut self, stage: StageId, reader: StageId) {
        let output = self.graph.at(reader).outputs[0];
        self.graph.remove(reader);
        self.graph.rewrite(stage, 0, output);
    }

    /// Whether `reader` is a max pooling that `conv` can do on its way.
    fn pools(&self, stage: StageId, reader: StageId, conv: ConvStub) -> bool {
        let Some(pool) = self.stubs.pool(self.graph, reader) else { return false };
        let even = |value: ValueId| {
            let shape = self.graph.of(value).shape;
            shape.width.is_multiple_of(2) && shape.height.is_multiple_of(2)
        };
        let (input, output) = self.ends(stage);
        even(input)
            && even(output)
            && even(self.graph.at(reader).outputs[0])
            && pool.max
            && pool.engine
            && (conv.kernel, conv.stride, conv.pads) == ([3; 2], [1; 2], [[1; 2]; 2])
            && (pool.kernel, pool.stride, pool.pads) == ([2; 2], [2; 2], [[0; 2]; 2])
    }

    /// Cuts a convolution of each channel by itself into dense ones of some channels each: the cheapest in sum.
    pub(crate) fn split_depthwise(&mut self, stage: StageId) {
        let Some(conv) = self.stubs.conv(self.graph, stage) else { return };
        let (input, output) = self.ends(stage);
        let from = self.graph.of(input).shape;
        if !conv.engine
            || conv.groups != from.channels
            || from.channels != self.graph.of(output).shape.channels
        {
            return;
        }
        let key = (conv.kernel, conv.stride[0], from);
        let known = self.blocks.iter().find(|(known, _)| *known == key);
        let block = known.map_or_else(|| self.block(conv, from), |&(_, block)| block);
        self.blocks.push((key, block));
        let part = ConvStub { groups: 1, ..conv };
        if block >= from.channels {
            self.stubs.set(self.graph, stage, Stub::Conv(part));
            return;
        }
        let mut sizes = vec![block; from.channels / block];
        if !from.channels.is_multiple_of(block) {
            sizes.push(from.channels % block);
        }
        self.split(stage, &sizes, None, part, "@tile");
    }

    /// Channels of one dense block: the fewest of those that are cheapest in sum; all where none fits.
    fn block(&self, conv: ConvStub, from: Shape) -> usize {
        let nce = &self.device.description().nce;
        let cost = |block: usize| {
            let tile = ConvTile {
                in_channels: block,
                out_channels: block,
                height: from.height,
                width: from.width,
                kernel: conv.kernel,
                stride: conv.stride[0],
            };
            nce.cost(&tile).map(|found| (found.cost * from.channels.div_ceil(block) as u64, block))
        };
        (1..from.channels).filter_map(cost).min().map_or(from.channels, |(_, block)| block)
    }

    /// Cuts the output channels of a convolution before a pooling, where the map between them is too large for the
    /// on-chip memory but a part of it is not.
    pub(crate) fn split_before_pooling(&mut self, stage: StageId) {
        let Some(conv) = self.stubs.conv(self.graph, stage).filter(|conv| conv.engine) else { return };
        let Some(reader) = self.sole_reader(stage) else { return };
        let Some(pool) = self.stubs.pool(self.graph, reader).filter(|pool| pool.engine) else { return };
        let (input, output) = self.ends(stage);
        let shape = self.graph.of(output).shape;
        let limit = self.device.tiling_limit();
        let bytes = |channels| line_bytes(shape.width) * shape.height * channels;
        if bytes(shape.channels) <= limit {
            return;
        }
        let fits = |&size: &usize| shape.channels.is_multiple_of(size) && bytes(size) <= limit;
        let Some(size) = [128, 64, 32].into_iter().find(fits) else { return };
        let (node, pool_node) = (self.graph.at(stage).node, self.graph.at(reader).node);
        let made = self.graph.at(reader).outputs[0];
        let pooled = self.graph.of(made).shape.with_channels(size);
        self.graph.remove(stage);
        self.graph.remove(reader);
        let mut parts = Vec::new();
        for _ in 0..shape.channels / size {
            let between = self.graph.value(shape.with_channels(size));
            let part = self.graph.value(pooled);
            let whole = conv.whole.with_channels(size);
            let kind = self.stubs.kind(Stub::Conv(ConvStub { whole, ..conv }));
            let id = self.graph.stage(kind, node, &[input], &[between]);
            self.graph.at_mut(id).suffix = "@tile";
            let kind = self.stubs.kind(Stub::Pool(pool));
            let id = self.graph.stage(kind, pool_node, &[between], &[part]);
            self.graph.at_mut(id).suffix = "@tile";
            parts.push(part);
        }
        self.graph.stage(Kind::Join, pool_node, &parts, &[made]);
    }

    /// Pads beforehand where the engine cannot.
    pub(crate) fn pad(&mut self, stage: StageId) {
        let Some(pads) = self.padding(stage) else { return };
        self.insert_padding(stage, pads);
        if let Some(conv) = self.stubs.conv(self.graph, stage) {
            self.stubs.set(self.graph, stage, Stub::Conv(ConvStub { pads: [[0; 2]; 2], ..conv }));
        } else if let Some(pool) = self.stubs.pool(self.graph, stage) {
            self.stubs.set(self.graph, stage, Stub::Pool(PoolStub { pads: [[0; 2]; 2], ..pool }));
        }
    }

    /// Rows and columns that have to be added before and after, where the engine cannot.
    fn padding(&self, stage: StageId) -> Option<[[usize; 2]; 2]> {
        if let Some(conv) = self.stubs.conv(self.graph, stage).filter(|conv| conv.engine) {
            let [before, after] = conv.pads;
            let half = [conv.kernel[0] / 2, conv.kernel[1] / 2];
            let rest = [(conv.kernel[0] - 1) / 2, (conv.kernel[1] - 1) / 2];
            let pads = conv.pads != [[0; 2]; 2] && (before != half || after != rest);
            return pads.then_some(conv.pads);
        }
        let pool = self.stubs.pool(self.graph, stage).filter(|pool| pool.engine)?;
        let (input, output) = self.ends(stage);
        let (from, to) = (self.graph.of(input).shape, self.graph.of(output).shape);
        let axes = [(from.height, to.height), (from.width, to.width)];
        let mut pads = pool.pads;
        let (mut forced, mut fits) = (false, true);
        for (at, (lines, made)) in axes.into_iter().enumerate() {
            let kernel = pool.kernel[at];
            if kernel.is_multiple_of(2) && !lines.is_multiple_of(2) {
                pads[1][at] = pads[1][at].max(1);
                forced = true;
            }
            let before = pool.pads[0][at];
            let wanted = ((made - 1) * pool.stride[at] + kernel).saturating_sub(lines);
            let after = wanted.saturating_sub(before);
            fits &= (before == 0 || before == kernel / 2) && (after == 0 || after == (kernel - 1) / 2);
        }
        (forced || !fits).then_some(pads)
    }

    fn insert_padding(&mut self, stage: StageId, [before, after]: [[usize; 2]; 2]) {
        let input = self.graph.at(stage).inputs[0];
        let shape = self.graph.of(input).shape;
        let [height, width] = [shape.height + before[0] + after[0], shape.width + before[1] + after[1]];
        let padded = self.graph.value(shape.resized(height, width));
        self.graph.reread(stage, 0, padded);
        let kind = Kind::Shave(Shave::Other("Pad", Cores::Limited));
        let id = self.graph.stage(kind, self.graph.at(stage).node, &[input], &[padded]);
        self.graph.at_mut(id).suffix = "@padding";
    }
}

fn post(name: &str) -> Option<Post> {
    match name {
        "Relu" | "FusedLeakyRelu" => Some(Post::Relu),
        "Clamp" => Some(Post::Clamp),
        _ => None,
    }
}
