//! Stubs become stages of a unit: tiles on the engine, or one stage of the vector cores.

use super::flow::{Concerned, Flow};
use super::found::Found;
use super::graph::{Cores, Demand, Graph, Kind, Parts, Shave, StageId, ValueId, index};
use super::stubs::{ConvStub, PoolStub, Post, Stub, Stubs};
use crate::axis::Span;
use crate::nce::NceCost;
use crate::tiling::{Conv, Cut, Fusion};
use boresight_ir::Shape;

/// The passes that give stubs to units.
pub(crate) struct Tiling<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) stubs: &'a mut Stubs,
    pub(crate) found: &'a mut Found,
}

/// The convolution or pooling whose tiles are being made.
struct Operator {
    node: u32,
    suffix: &'static str,
    input: ValueId,
    output: ValueId,
    kernel: [usize; 2],
    grid: [u16; 3],
    post: Post,
    /// What one more stage is, where the pooling after a convolution has to be one.
    pooled: bool,
}

impl Tiling<'_> {
    /// All passes that make stages of stubs, in the compiler's order.
    pub(crate) fn all(&mut self, flow: &mut Flow) {
        let is_stub = |_: &Self, kind| matches!(kind, Kind::Stub(_));
        let is_bias = |_: &Self, kind| matches!(kind, Kind::Shave(Shave::Elementwise("Bias")));
        self.pass(flow, Self::is_for_engine, Self::convolution);
        self.pass(flow, Self::is_for_engine, Self::pooling);
        self.pass(flow, is_stub, Self::soften);
        self.pass(flow, is_bias, Self::merge_bias);
    }

    /// Does `pass` to each stage that it `concerns`, in the order of execution.
    fn pass(
        &mut self,
        flow: &mut Flow,
        concerns: impl Fn(&Self, Kind) -> bool,
        pass: impl Fn(&mut Self, StageId),
    ) {
        let is_concerned =
            |&stage: &StageId| !self.graph.at(stage).removed && concerns(self, self.graph.at(stage).kind);
        let concerned: Concerned = (0..index(self.graph.stages.len())).filter(is_concerned).collect();
        for stage in flow.arrange(self.graph, concerned) {
            pass(self, stage);
        }
    }

    /// Whether this is a convolution or pooling for which the engine is to be tried.
    fn is_for_engine(&self, kind: Kind) -> bool {
        match kind {
            Kind::Stub(at) => match &self.stubs.0[at as usize] {
                Stub::Conv(conv) => conv.engine,
                Stub::Pool(pool) => pool.engine,
            },
            _ => false,
        }
    }

    fn convolution(&mut self, stage: StageId) {
        let Some(stub) = self.stubs.conv(self.graph, stage).filter(|stub| stub.engine).copied() else {
            return;
        };
        let (input, output) = (self.graph.at(stage).inputs[0], self.graph.at(stage).outputs[0]);
        let from = self.graph.of(input).shape;
        let whole = Conv {
            in_channels: from.channels,
            out_channels: stub.whole.channels,
            height: from.height,
            width: from.width,
            kernel: stub.kernel,
            stride: stub.stride[0],
            padding: stub.pads[0],
            fusion: if stub.pooled { Fusion::MaxPool2 } else { Fusion::None },
        };
        let mut pooled = stub.pooled;
        let mut cut = self.found.cut(whole);
        if cut.is_none() && pooled {
            pooled = false;
            cut = self.found.cut(Conv { fusion: Fusion::None, ..whole });
        }
        let Some(cut) = cut else { return self.leave(stage, stub) };
        let (node, suffix) = (self.graph.detail(stage).node, self.graph.detail(stage).suffix);
        self.graph.remove(stage);
        let mut operator = Operator {
            node,
            suffix,
            input,
            output,
            kernel: stub.kernel,
            grid: [cut.columns.len(), cut.rows.len(), cut.parts].map(|size| u16::try_from(size).unwrap_or(0)),
            post: stub.post,
            pooled,
        };
        if stub.pooled && !pooled {
            let between = self.graph.value(stub.whole);
            self.pool_stub(node, between, output);
            operator.output = between;
        }
        self.expand(&mut operator, &cut);
        self.tiles(&operator, &cut);
    }

    /// Leaves a convolution to the vector cores, with what it had taken in as stages of their own.
    fn leave(&mut self, stage: StageId, stub: ConvStub) {
        let plain = ConvStub { engine: false, scaled: true, post: Post::None, pooled: false, ..stub };
        self.stubs.set(self.graph, stage, Stub::Conv(plain));
        let (node, output) = (self.graph.detail(stage).node, self.graph.at(stage).outputs[0]);
        let mut last = output;
        let post = stub.post.name();
        if post.is_some() || stub.pooled {
            last = self.graph.value(stub.whole);
            self.graph.rewrite(stage, 0, last);
        }
        if let Some(name) = post {
            let limited = if stub.pooled { self.graph.value(stub.whole) } else { output };
            let kind = Kind::Shave(Shave::Elementwise(name));
            let id = self.graph.stage(kind, node, &[last], &[limited]);
            self.graph.detail_mut(id).suffix = "@post";
            last = limited;
        }
        if stub.pooled {
            self.pool_stub(node, last, output);
        }
    }

    fn pool_stub(&mut self, node: u32, input: ValueId, output: ValueId) {
        let kind = self.stubs.kind(Stub::Pool(PoolStub {
            max: true,
            kernel: [2; 2],
            stride: [2; 2],
            pads: [[0; 2]; 2],
            engine: true,
            relu: false,
        }));
        let id = self.graph.stage(kind, node, &[input], &[output]);
        self.graph.detail_mut(id).suffix = "@pool";
    }

    /// Adds channels to the input where the blocks of the engine want more.
    fn expand(&mut self, operator: &mut Operator, cut: &Cut) {
        let shape = self.graph.of(operator.input).shape;
        let wanted = cut.parts * cut.costs[0].padded_inputs;
        if wanted > shape.channels {
            let expanded = self.graph.value(shape.with_channels(wanted));
            let id = self.graph.stage(Kind::Join, operator.node, &[operator.input], &[expanded]);
            self.graph.detail_mut(id).suffix = "@expand";
            operator.input = expanded;
        }
    }

    fn tiles(&mut self, operator: &Operator, cut: &Cut) {
        let (mut taken, mut made) = (Parts::new(), Parts::new());
        let plane = cut.rows.len() * cut.columns.len();
        for (at_row, row) in cut.rows.iter().enumerate() {
            for (at_column, column) in cut.columns.iter().enumerate() {
                let at = at_row * cut.columns.len() + at_column;
                let output = self.output_tile(operator, [row, column], plane, &mut made);
                let mut sum = None;
                for part in 0..cut.parts {
                    let single = plane * cut.parts == 1;
                    let input = self.input_tile(
                        operator,
                        [row, column],
                        cut.costs[0].padded_inputs,
                        single,
                        &mut taken,
                    );
                    let result = self.partial(operator, [part, cut.parts], output, &mut sum);
                    let result = self.crop(operator, [row, column], result);
                    self.engine_stage(operator, cut, at, (input, result));
                }
            }
        }
        if !taken.is_empty() {
            self.graph.stage(Kind::Take, operator.node, &[operator.input], &taken);
        }
        if !made.is_empty() {
            let id = self.graph.stage(Kind::Join, operator.node, &made, &[operator.output]);
            self.graph.detail_mut(id).suffix = "@tiles";
        }
    }

    /// Where a tile's result goes.
    fn output_tile(
        &mut self,
        operator: &Operator,
        [row, column]: [&Span; 2],
        plane: usize,
        made: &mut Parts,
    ) -> ValueId {
        let mut tile = operator.output;
        if plane > 1 {
            let shape = self.graph.of(operator.output).shape;
            tile = self.graph.value(shape.resized(row.kept, column.kept));
            made.push(tile);
        }
        if column.output_start.is_multiple_of(8) {
            return tile;
        }
        let aligned = self.graph.value(self.graph.of(tile).shape);
        self.graph.copy(operator.node, "@align-output", aligned, tile);
        aligned
    }

    fn input_tile(
        &mut self,
        operator: &Operator,
        [row, column]: [&Span; 2],
        channels: usize,
        single: bool,
        taken: &mut Parts,
    ) -> ValueId {
        let mut tile = operator.input;
        if !single {
            tile = self.graph.value(Shape::new(channels, row.input, column.input));
            taken.push(tile);
        }
        if column.input_start.is_multiple_of(8) {
            return tile;
        }
        let aligned = self.graph.value(self.graph.of(tile).shape);
        self.graph.copy(operator.node, "@align-input", tile, aligned);
        aligned
    }

    /// Where the result of some of the input channels goes, and what adds it to the others.
    fn partial(
        &mut self,
        operator: &Operator,
        [part, parts]: [usize; 2],
        output: ValueId,
        sum: &mut Option<ValueId>,
    ) -> ValueId {
        if parts == 1 {
            return output;
        }
        let shape = self.graph.of(output).shape;
        let partial = self.graph.value(shape);
        let Some(before) = *sum else {
            *sum = Some(partial);
            return partial;
        };
        let last = part + 1 == parts;
        let post = operator.post.name().filter(|_| last);
        let total = if last && post.is_none() { output } else { self.graph.value(shape) };
        let kind = Kind::Shave(Shave::Pair("Sum"));
        let id = self.graph.stage(kind, operator.node, &[before, partial], &[total]);
        self.graph.detail_mut(id).suffix = "@accum";
        if let Some(name) = post {
            let kind = Kind::Shave(Shave::Elementwise(name));
            let id = self.graph.stage(kind, operator.node, &[total], &[output]);
            self.graph.detail_mut(id).suffix = "@post";
        }
        *sum = Some(total);
        partial
    }

    /// Where a tile is computed, if surplus lines are cut off afterwards.
    fn crop(&mut self, operator: &Operator, [row, column]: [&Span; 2], result: ValueId) -> ValueId {
        if row.output == row.kept && column.output == column.kept {
            return result;
        }
        let shape = self.graph.of(result).shape.resized(row.output, column.output);
        let surplus = self.graph.value(shape);
        self.graph.stage(Kind::Take, operator.node, &[surplus], &[result]);
        surplus
    }

    /// The stage of the tile `at`.
    fn engine_stage(
        &mut self,
        operator: &Operator,
        cut: &Cut,
        at: usize,
        (input, output): (ValueId, ValueId),
    ) {
        let nce = cut.costs[at];
        let id = self.push(operator, Kind::Conv { pooled: operator.pooled }, input, output);
        let channels = self.graph.of(operator.output).shape.channels;
        let detail = self.graph.detail_mut(id);
        detail.nce = Some(nce);
        detail.coefficients = if at == 0 { coefficients(operator.kernel, &nce, channels) } else { 0 };
    }

    fn push(&mut self, operator: &Operator, kind: Kind, input: ValueId, output: ValueId) -> StageId {
        let id = self.graph.stage(kind, operator.node, &[input], &[output]);
        let detail = self.graph.detail_mut(id);
        (detail.suffix, detail.grid) = (operator.suffix, operator.grid);
        id
    }

    fn pooling(&mut self, stage: StageId) {
        let Some(stub) = self.stubs.pool(self.graph, stage).filter(|stub| stub.engine).copied() else {
            return;
        };
        let (input, output) = (self.graph.at(stage).inputs[0], self.graph.at(stage).outputs[0]);
        let from = self.graph.of(input).shape;
        let conv = Conv {
            in_channels: from.channels,
            out_channels: from.channels,
            height: from.height,
            width: from.width,
            kernel: stub.kernel,
            stride: stub.stride[0],
            padding: stub.pads[0],
            fusion: Fusion::None,
        };
        let Some(cut) = self.found.cut_pool(conv) else {
            self.stubs.set(self.graph, stage, Stub::Pool(PoolStub { engine: false, relu: false, ..stub }));
            if stub.relu {
                let shape = self.graph.of(output).shape;
                let pooled = self.graph.value(shape);
                self.graph.rewrite(stage, 0, pooled);
                let kind = Kind::Shave(Shave::Elementwise("Relu"));
                self.graph.stage(kind, self.graph.detail(stage).node, &[pooled], &[output]);
            }
            return;
        };
        let [rows, columns] = &*cut;
        let operator = Operator {
            node: self.graph.detail(stage).node,
            suffix: self.graph.detail(stage).suffix,
            input,
            output,
            kernel: stub.kernel,
            grid: [columns.len(), rows.len(), 1].map(|size| u16::try_from(size).unwrap_or(0)),
            post: Post::None,
            pooled: false,
        };
        self.graph.remove(stage);
        self.pool_tiles(&operator, rows, columns, from.channels);
    }

    fn pool_tiles(&mut self, operator: &Operator, rows: &[Span], columns: &[Span], channels: usize) {
        let (mut taken, mut made) = (Parts::new(), Parts::new());
        let plane = rows.len() * columns.len();
        for row in rows {
            for column in columns {
                let input = self.input_tile(operator, [row, column], channels, plane == 1, &mut taken);
                let output = self.output_tile(operator, [row, column], plane, &mut made);
                let output = self.crop(operator, [row, column], output);
                self.push(operator, Kind::Pool, input, output);
            }
        }
        if plane > 1 {
            self.graph.stage(Kind::Take, operator.node, &[operator.input], &taken);
            let id = self.graph.stage(Kind::Join, operator.node, &made, &[operator.output]);
            self.graph.detail_mut(id).suffix = "@tiles";
        }
    }

    /// Gives what is still a stub to the vector cores.
    fn soften(&mut self, stage: StageId) {
        if let Some(&conv) = self.stubs.conv(self.graph, stage) {
            self.soft_convolution(stage, conv);
        } else if let Some(&pool) = self.stubs.pool(self.graph, stage) {
            let input = self.graph.at(stage).inputs[0];
            let from = self.graph.of(input).shape;
            let whole = pool.kernel == [from.height, from.width] && pool.stride == [1; 2];
            let shave = if pool.max {
                Shave::Other(if whole { "GlobalMaxPool" } else { "MaxPool" }, Cores::All)
            } else if whole {
                Shave::Other("ReduceMean", Cores::Limited)
            } else {
                Shave::Other("AvgPool", Cores::All)
            };
            self.replace(stage, Kind::Shave(shave));
        }
    }

    /// Replaces a stage by one that does the same, created now.
    fn replace(&mut self, stage: StageId, kind: Kind) -> StageId {
        let (node, suffix) = (self.graph.detail(stage).node, self.graph.detail(stage).suffix);
        let (input, output) = (self.graph.at(stage).inputs[0], self.graph.at(stage).outputs[0]);
        self.graph.remove(stage);
        let id = self.graph.stage(kind, node, &[input], &[output]);
        self.graph.detail_mut(id).suffix = suffix;
        id
    }

    fn soft_convolution(&mut self, stage: StageId, conv: ConvStub) {
        let (node, output) = (self.graph.detail(stage).node, self.graph.at(stage).outputs[0]);
        let channels = self.graph.of(self.graph.at(stage).inputs[0]).shape.channels;
        let shape = self.graph.of(output).shape;
        let taps = channels / conv.groups * conv.kernel[0] * conv.kernel[1];
        let depthwise = conv.groups > 1;
        let macs = (taps * shape.len()) as u64;
        let shave = Shave::Conv(if depthwise { "DepthConv" } else { "Conv" });
        let id = self.replace(stage, Kind::Shave(shave));
        let detail = self.graph.detail_mut(id);
        (detail.coefficients, detail.macs) = (index(taps * shape.channels), macs);
        let after = [("Bias", "@bias", conv.bias), ("Scale", "@scale", conv.scaled)];
        let mut last = id;
        for (word, suffix, _) in after.into_iter().filter(|(.., wanted)| *wanted) {
            let before = self.graph.value(shape);
            self.graph.rewrite(last, 0, before);
            let kind = Kind::Shave(Shave::Elementwise(word));
            last = self.graph.stage(kind, node, &[before], &[output]);
            self.graph.detail_mut(last).suffix = suffix;
        }
    }

    /// A limit after a bias of the vector cores becomes part of it.
    fn merge_bias(&mut self, stage: StageId) {
        if self.graph.at(stage).kind != Kind::Shave(Shave::Elementwise("Bias")) {
            return;
        }
        let output = self.graph.at(stage).outputs[0];
        let [reader] = self.graph.of(output).consumers[..] else { return };
        let limit = matches!(
            self.graph.at(reader).kind,
            Kind::Shave(Shave::Elementwise("Relu" | "LeakyRelu" | "FusedLeakyRelu"))
        );
        if limit {
            let (node, input) = (self.graph.detail(reader).node, self.graph.at(stage).inputs[0]);
            let made = self.graph.at(reader).outputs[0];
            self.graph.remove(stage);
            self.graph.remove(reader);
            let kind = Kind::Shave(Shave::Elementwise("BiasRelu"));
            self.graph.stage(kind, node, &[input], &[made]);
        }
    }

    /// A limit after a sum or product becomes part of it.
    pub(crate) fn merge_pair(&mut self, stage: StageId) {
        if !matches!(self.graph.at(stage).kind, Kind::Shave(Shave::Pair(_))) {
            return;
        }
        let output = self.graph.at(stage).outputs[0];
        let [reader] = self.graph.of(output).consumers[..] else { return };
        let limit = matches!(
            self.graph.at(reader).kind,
            Kind::Shave(Shave::Elementwise("Relu" | "LeakyRelu" | "FusedLeakyRelu" | "Clamp" | "FreeClamp"))
        );
        if limit {
            let made = self.graph.at(reader).outputs[0];
            let (first, second) = (self.graph.of(output).demand, self.graph.of(made).demand);
            let dense = (2 * self.graph.of(made).shape.width).is_multiple_of(16);
            if first.aligned == second.aligned || dense || second == Demand::default() {
                self.graph.remove(reader);
                self.graph.rewrite(stage, 0, made);
            }
        }
    }
}

impl Post {
    /// What a stage of its own would be.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Relu => Some("Relu"),
            Self::Clamp => Some("Clamp"),
        }
    }
}

/// Coefficients of an engine's stage, those that fill its blocks included.
fn coefficients(kernel: [usize; 2], nce: &NceCost, out_channels: usize) -> u32 {
    index(kernel[0] * kernel[1] * nce.padded_inputs * out_channels.next_multiple_of(8))
}
