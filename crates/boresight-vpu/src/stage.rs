//! The stages that a network becomes, as a table.

use crate::compile::{Compiled, Detail, Graph, Kind, Shave, StageId, Usage, ValueId};
use crate::nce::Mode;
use boresight_core::Seconds;
use boresight_ir::Shape;
use std::fmt;

/// What runs a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// The Neural Compute Engine.
    Nce,
    /// The vector cores.
    Shave,
    /// The memory engine.
    Dma,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl Unit {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Nce => "NCE",
            Self::Shave => "SHAVE",
            Self::Dma => "DMA",
        }
    }
}

/// What a stage's time depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// A convolution of the engine: its cycles.
    Convolution,
    /// A pooling of the engine: the bytes that it reads and writes.
    Pooling,
    /// A copy: the bytes that it reads and writes.
    Copying,
    /// Vector cores that take numbers one by one, or pair by pair: bytes.
    Elementwise,
    /// The same where each number goes through an exponential or the like: bytes.
    Transcendental,
    /// Vector cores that gather: resizing, pooling, zero stuffing, padding, softmax: bytes.
    Gathering,
    /// Vector cores that multiply and accumulate.
    Multiplying,
}

/// One stage of the device, in the order of execution.
#[derive(Clone, Debug, PartialEq)]
pub struct StageRow {
    /// The node that it comes from, and what the compiler added.
    pub name: String,
    /// The node's place in [`boresight_ir::Network::nodes`].
    pub node: usize,
    /// What runs it.
    pub unit: Unit,
    /// What it does, in the compiler's word, such as `CONV`, `POOL`, `Copy` or `Sum`.
    pub op: &'static str,
    /// What its time depends on.
    pub work: Work,
    /// Mode of the engine.
    pub mode: Option<Mode>,
    /// Passes of the engine over the input.
    pub descriptors: Option<usize>,
    /// Cycles of the engine for each pixel that the stage writes.
    pub cost_cycles: Option<u64>,
    /// Parts of width, height and input channels of the operator that it belongs to.
    pub tiles: [usize; 3],
    /// What it writes.
    pub output: Shape,
    /// Vector cores that it gets; a stage of the engine has those of what runs beside it.
    pub shaves: u32,
    /// Whether it runs beside the engine's stage in the row before.
    pub beside: bool,
    /// Bytes that it reads and writes, coefficients among them.
    pub bytes: u64,
    /// Those of them that are not in on-chip memory.
    pub external_bytes: u64,
    /// Multiply-accumulate operations, for convolutions on the vector cores.
    pub macs: u64,
    /// Time that it takes; beside another stage, the time by which it outlasts that.
    pub time: Seconds,
}

impl StageRow {
    /// Cycles as the compiler's dump gives them: cost times the pixels that a convolution writes.
    pub fn dump_cycles(&self) -> u64 {
        self.cost_cycles.map_or(0, |cost| cost * self.output.plane() as u64)
    }

    /// Cycles that the engine works: a pooled pixel takes those of the four before it.
    pub fn busy_cycles(&self) -> u64 {
        self.dump_cycles() * if self.op == "CONV_POOL" { 4 } else { 1 }
    }
}

/// Bytes of a number in the device.
const NUMBER_BYTES: u64 = 2;

/// Hands each stage of a compiled network to `take`, in the order of execution, under its `name` and without its time.
pub(crate) fn each_row(
    compiled: &Compiled<'_>,
    name: impl Fn(&Detail) -> String,
    mut take: impl FnMut(StageRow),
) {
    for (id, stage) in compiled.running() {
        let injected = stage.injected.map(|child| (child, compiled.graph.at(child)));
        // What runs beside a stage was added to its inputs and outputs, at the end.
        let [inputs, outputs] =
            injected.map_or([0; 2], |(_, child)| [child.inputs.len(), child.outputs.len()]);
        let ends =
            [&stage.inputs[..stage.inputs.len() - inputs], &stage.outputs[..stage.outputs.len() - outputs]];
        take(row(compiled, id, name(compiled.graph.detail(id)), ends));
        if let Some((child, stage)) = injected {
            let name = name(compiled.graph.detail(child));
            let mut beside = row(compiled, child, name, [&stage.inputs, &stage.outputs]);
            beside.shaves = compiled.cores[id as usize];
            beside.beside = true;
            take(beside);
        }
    }
}

fn row(compiled: &Compiled<'_>, id: StageId, name: String, [inputs, outputs]: [&[ValueId]; 2]) -> StageRow {
    let graph = compiled.graph;
    let (kind, detail) = (graph.at(id).kind, graph.detail(id));
    let (read, nce) = (graph.of(inputs[0]).shape, detail.nce);
    let pool = kind == Kind::Pool;
    let widest = crate::compile::POOL_MODE;
    let (unit, op, work) = words(kind);
    let bytes = |value: &ValueId| (graph.of(*value).shape.len() * graph.of(*value).width) as u64;
    let outside = |value: &&ValueId| is_external(graph, **value);
    let coefficients = NUMBER_BYTES * u64::from(detail.coefficients);
    StageRow {
        name,
        node: detail.node as usize,
        unit,
        op,
        work,
        mode: nce.map(|nce| nce.mode).or(pool.then_some(widest)),
        descriptors: nce
            .map(|nce| nce.descriptors)
            .or_else(|| pool.then(|| read.channels.div_ceil(widest.outputs))),
        cost_cycles: nce.map(|nce| nce.cost),
        tiles: detail.grid.map(usize::from),
        output: graph.of(outputs[0]).shape,
        shaves: compiled.cores[id as usize],
        beside: false,
        bytes: inputs.iter().chain(outputs).map(bytes).sum::<u64>() + coefficients,
        external_bytes: inputs.iter().chain(outputs).filter(outside).map(bytes).sum::<u64>() + coefficients,
        macs: detail.macs,
        time: Seconds(0.0),
    }
}

/// Whether a map lies outside of on-chip memory.
fn is_external(graph: &Graph, value: ValueId) -> bool {
    let top = graph.of(graph.top(value));
    top.usage != Usage::Intermediate || !top.on_chip
}

fn words(kind: Kind) -> (Unit, &'static str, Work) {
    match kind {
        Kind::Conv { pooled: false } => (Unit::Nce, "CONV", Work::Convolution),
        Kind::Conv { pooled: true } => (Unit::Nce, "CONV_POOL", Work::Convolution),
        Kind::Pool => (Unit::Nce, "POOL", Work::Pooling),
        Kind::Shave(shave) => {
            let work = match shave {
                Shave::Elementwise("Sigmoid" | "Gelu" | "Swish") => Work::Transcendental,
                Shave::Elementwise(_) | Shave::Pair(_) | Shave::Convert => Work::Elementwise,
                Shave::Conv(..) => Work::Multiplying,
                Shave::Other(..) | Shave::Stuff => Work::Gathering,
            };
            (Unit::Shave, shave.word(), work)
        }
        _ => (Unit::Dma, "Copy", Work::Copying),
    }
}
