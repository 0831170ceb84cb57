//! Convolutions and poolings before they are given to a unit: what is split into several, and what is taken in.

use super::flow::{Concerned, Flow};
use super::found::Found;
use super::graph::{Cores, Graph, Ids, Kind, Parts, Shave, StageId, ValueId, index};
use crate::Device;
use crate::nce::{ConvTile, line_bytes};
use boresight_ir::Shape;
use smallvec::{SmallVec, smallvec};

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

    pub(crate) fn conv(&self, graph: &Graph, stage: StageId) -> Option<&ConvStub> {
        match graph.at(stage).kind {
            Kind::Stub(at) => match &self.0[at as usize] {
                Stub::Conv(conv) => Some(conv),
                Stub::Pool(_) => None,
            },
            _ => None,
        }
    }

    pub(crate) fn pool(&self, graph: &Graph, stage: StageId) -> Option<&PoolStub> {
        match graph.at(stage).kind {
            Kind::Stub(at) => match &self.0[at as usize] {
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

/// The passes over stubs.
pub(crate) struct Shaping<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) stubs: &'a mut Stubs,
    pub(crate) device: &'a Device,
    pub(crate) found: &'a mut Found,
}

impl Shaping<'_> {
    /// All passes, in the compiler's order.
    pub(crate) fn all(&mut self, flow: &mut Flow) {
        self.pass(flow, Self::has_groups, Self::split_groups);
        self.pass(flow, Self::is_swapped, Self::swap_join);
        self.merge_readers();
        self.pass(flow, Self::is_depthwise, Self::split_depthwise);
        self.pass(flow, Self::is_split_by_pooling, Self::split_before_pooling);
        self.pass(flow, Self::is_padded, Self::pad);
    }

    /// Does `pass` to each stage that it `concerns`, in the order of execution.
    fn pass(
        &mut self,
        flow: &mut Flow,
        concerns: impl Fn(&Self, StageId) -> bool,
        pass: impl Fn(&mut Self, StageId),
    ) {
        let is_concerned = |&stage: &StageId| !self.graph.at(stage).removed && concerns(self, stage);
        let concerned: Concerned = (0..index(self.graph.stages.len())).filter(is_concerned).collect();
        for stage in flow.arrange(self.graph, concerned) {
            pass(self, stage);
        }
    }

    fn is_conv(&self, stage: StageId, has: impl FnOnce(&ConvStub) -> bool) -> bool {
        self.stubs.conv(self.graph, stage).is_some_and(has)
    }

    /// Whether a stage is a convolution of groups, but not one of each channel by itself.
    fn has_groups(&self, stage: StageId) -> bool {
        self.is_conv(stage, |conv| conv.groups > 1 && !self.has_own_channels(stage, conv))
    }

    /// Whether a stage is a convolution of each channel by itself for which the engine is to be tried.
    fn is_depthwise(&self, stage: StageId) -> bool {
        self.is_conv(stage, |conv| conv.groups > 1 && conv.engine && self.has_own_channels(stage, conv))
    }

    fn has_own_channels(&self, stage: StageId, conv: &ConvStub) -> bool {
        let (input, output) = self.ends(stage);
        [input, output].iter().all(|&end| self.graph.of(end).shape.channels == conv.groups)
    }

    fn is_padded(&self, stage: StageId) -> bool {
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
    fn split_groups(&mut self, stage: StageId) {
        let Some(conv) = self.stubs.conv(self.graph, stage).filter(|_| self.has_groups(stage)).copied()
        else {
            return;
        };
        let (input, output) = self.ends(stage);
        let (channels, outputs) = (self.graph.of(input).shape.channels, self.graph.of(output).shape.channels);
        let sizes: SmallVec<[usize; 16]> = smallvec![channels / conv.groups; conv.groups];
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
        let node = self.graph.detail(stage).node;
        let (input, output) = self.ends(stage);
        let (from, to) = (self.graph.of(input).shape, self.graph.of(output).shape);
        self.graph.remove(stage);
        let (mut taken, mut made) = (Parts::new(), Parts::new());
        for &size in sizes {
            let outputs = outputs_each.unwrap_or(size);
            let sub_input = self.graph.value(from.with_channels(size));
            let sub_output = self.graph.value(to.with_channels(outputs));
            let whole = part.whole.with_channels(outputs);
            let kind = self.stubs.kind(Stub::Conv(ConvStub { whole, ..part }));
            let id = self.graph.stage(kind, node, &[sub_input], &[sub_output]);
            self.graph.detail_mut(id).suffix = suffix;
            taken.push(sub_input);
            made.push(sub_output);
        }
        self.graph.stage(Kind::Take, node, &[input], &taken);
        self.graph.stage(Kind::Join, node, &made, &[output]);
    }

    /// Moves limits and max poolings that alone read a concatenation of channels to each of its parts.
    fn swap_join(&mut self, join: StageId) {
        if !self.is_swapped(join) {
            return;
        }
        let mut readers = Ids::new();
        let mut last = join;
        while let Some(reader) = self.moved_reader(last) {
            readers.push(reader);
            last = reader;
        }
        for reader in readers {
            self.swap(join, reader);
        }
    }

    /// Whether a stage joins what nothing else reads, and what reads it is moved to its parts.
    fn is_swapped(&self, stage: StageId) -> bool {
        let graph = &*self.graph;
        let is_sole = |&input: &ValueId| graph.of(input).consumers.len() == 1;
        matches!(graph.at(stage).kind, Kind::Join)
            && graph.at(stage).inputs.iter().all(is_sole)
            && self.moved_reader(stage).is_some()
    }

    /// The only reader of `stage`, if it is one that is moved.
    fn moved_reader(&self, stage: StageId) -> Option<StageId> {
        self.sole_reader(stage).filter(|&reader| match self.graph.at(reader).kind {
            Kind::Shave(Shave::Elementwise("Relu" | "LeakyRelu")) => true,
            _ => self.stubs.pool(self.graph, reader).is_some_and(|pool| pool.max && pool.engine),
        })
    }

    fn swap(&mut self, join: StageId, reader: StageId) {
        let (kind, node) = (self.graph.at(reader).kind, self.graph.detail(reader).node);
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
            self.graph.detail_mut(id).suffix = "@sub";
        }
        self.graph.rewrite(join, 0, output);
    }

    /// Takes the limits and max poolings that follow into the engine's stages.
    ///
    /// A stage takes in what alone reads it, so that the order matters only between a convolution and the pooling that it
    /// takes in: that one would take in a limit before.
    fn merge_readers(&mut self) {
        let stages = 0..index(self.graph.stages.len());
        stages.clone().for_each(|stage| self.merge_into_convolution(stage));
        stages.for_each(|stage| self.merge_into_pooling(stage));
    }

    fn merge_into_convolution(&mut self, stage: StageId) {
        if let Some(&conv) = self.stubs.conv(self.graph, stage)
            && conv.engine
            && !self.graph.at(stage).removed
        {
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
        }
    }

    fn merge_into_pooling(&mut self, stage: StageId) {
        if let Some(&pool) = self.stubs.pool(self.graph, stage)
            && pool.engine
            && !self.graph.at(stage).removed
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
    fn split_depthwise(&mut self, stage: StageId) {
        let Some(conv) = self.stubs.conv(self.graph, stage).filter(|_| self.is_depthwise(stage)).copied()
        else {
            return;
        };
        let from = self.graph.of(self.ends(stage).0).shape;
        let block = self.block(conv, from);
        let part = ConvStub { groups: 1, ..conv };
        if block >= from.channels {
            self.stubs.set(self.graph, stage, Stub::Conv(part));
            return;
        }
        let mut sizes: SmallVec<[usize; 16]> = smallvec![block; from.channels / block];
        if !from.channels.is_multiple_of(block) {
            sizes.push(from.channels % block);
        }
        self.split(stage, &sizes, None, part, "@tile");
    }

    /// Channels of one dense block: the fewest of those that are cheapest in sum; all where none fits.
    fn block(&mut self, conv: ConvStub, from: Shape) -> usize {
        let nce = &self.device.description().nce;
        let all = from.channels;
        let whole = ConvTile {
            in_channels: all,
            out_channels: all,
            height: from.height,
            width: from.width,
            kernel: conv.kernel,
            stride: conv.stride[0],
        };
        let cost = |size: usize| {
            let found = nce.cost(&ConvTile { in_channels: size, out_channels: size, ..whole })?;
            Some((found.cost * all.div_ceil(size) as u64, size))
        };
        self.found.block(whole, || (1..all).filter_map(cost).min().map_or(all, |(_, size)| size))
    }

    /// Cuts the output channels of a convolution before a pooling, where the map between them is too large for the
    /// on-chip memory but a part of it is not.
    fn split_before_pooling(&mut self, stage: StageId) {
        let Some((conv, reader, pool, size)) = self.split_by_pooling(stage) else { return };
        let (input, output) = self.ends(stage);
        let shape = self.graph.of(output).shape;
        let (node, pool_node) = (self.graph.detail(stage).node, self.graph.detail(reader).node);
        let made = self.graph.at(reader).outputs[0];
        let pooled = self.graph.of(made).shape.with_channels(size);
        self.graph.remove(stage);
        self.graph.remove(reader);
        let mut parts = Parts::new();
        for _ in 0..shape.channels / size {
            let between = self.graph.value(shape.with_channels(size));
            let part = self.graph.value(pooled);
            let whole = conv.whole.with_channels(size);
            let kind = self.stubs.kind(Stub::Conv(ConvStub { whole, ..conv }));
            let id = self.graph.stage(kind, node, &[input], &[between]);
            self.graph.detail_mut(id).suffix = "@tile";
            let kind = self.stubs.kind(Stub::Pool(pool));
            let id = self.graph.stage(kind, pool_node, &[between], &[part]);
            self.graph.detail_mut(id).suffix = "@tile";
            parts.push(part);
        }
        self.graph.stage(Kind::Join, pool_node, &parts, &[made]);
    }

    fn is_split_by_pooling(&self, stage: StageId) -> bool {
        self.split_by_pooling(stage).is_some()
    }

    /// A convolution that is cut before a pooling, that pooling, and the channels of a part.
    fn split_by_pooling(&self, stage: StageId) -> Option<(ConvStub, StageId, PoolStub, usize)> {
        let conv = self.stubs.conv(self.graph, stage).filter(|conv| conv.engine)?;
        let reader = self.sole_reader(stage)?;
        let pool = self.stubs.pool(self.graph, reader).filter(|pool| pool.engine)?;
        let shape = self.graph.of(self.ends(stage).1).shape;
        let limit = self.device.tiling_limit();
        let bytes = |channels| line_bytes(shape.width) * shape.height * channels;
        if bytes(shape.channels) <= limit {
            return None;
        }
        let fits = |&size: &usize| shape.channels.is_multiple_of(size) && bytes(size) <= limit;
        let size = [128, 64, 32].into_iter().find(fits)?;
        Some((*conv, reader, *pool, size))
    }

    /// Pads beforehand where the engine cannot.
    fn pad(&mut self, stage: StageId) {
        let Some(pads) = self.padding(stage) else { return };
        self.insert_padding(stage, pads);
        if let Some(&conv) = self.stubs.conv(self.graph, stage) {
            self.stubs.set(self.graph, stage, Stub::Conv(ConvStub { pads: [[0; 2]; 2], ..conv }));
        } else if let Some(&pool) = self.stubs.pool(self.graph, stage) {
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
        let id = self.graph.stage(kind, self.graph.detail(stage).node, &[input], &[padded]);
        self.graph.detail_mut(id).suffix = "@padding";
    }
}

fn post(name: &str) -> Option<Post> {
    match name {
        "Relu" | "FusedLeakyRelu" => Some(Post::Relu),
        "Clamp" => Some(Post::Clamp),
        _ => None,
    }
}
