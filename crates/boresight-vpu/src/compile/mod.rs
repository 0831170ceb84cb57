//! What the device's graph compiler makes of a network, pass by pass.
//!
//! The passes and their order are those of the MYRIAD plugin of OpenVINO 2021.4.2, worked out from what it does and
//! from its published sources, and written anew. What they decide is compared with the real compiler by
//! `tests/compiler.rs`.

mod flow;
mod found;
mod graph;
mod inject;
mod layers;
mod layout;
mod memory;
mod needs;
mod placement;
mod pool;
mod read;
mod stubs;
mod tiles;
mod trials;

use crate::nce::Mode;
use crate::{Device, Limit};
use boresight_ir::Network;
use flow::Flow;
use found::Found;
use layers::Layers;
use layout::Layout;
use memory::{Memory, Room};
use placement::Placement;
use read::Reader;
use std::cell::Cell;
use stubs::{Shaping, Stubs};
use tiles::Tiling;

use graph::index;
pub(crate) use graph::{Detail, Graph, Kind, Shave, Stage, StageId, Usage, ValueId};

/// The mode in which the engine pools.
pub(crate) const POOL_MODE: Mode = Mode { inputs: 16, outputs: 16 };

/// A compiled network.
#[derive(Debug)]
pub(crate) struct Compiled<'a> {
    pub(crate) graph: &'a Graph,
    /// Stages in the order of execution, those of no work and those that were removed among them.
    pub(crate) order: &'a [StageId],
    pub(crate) memory: &'a Memory,
    /// Vector cores of each stage, by its number.
    pub(crate) cores: &'a [u32],
}

/// Everything that a compilation writes on: emptied for each network, so that only the first ones ask for memory; but for
/// what was found for shapes, which holds for other networks too.
#[derive(Debug, Default)]
struct Compiler {
    layers: Layers,
    /// The value of each node.
    values: Vec<Option<ValueId>>,
    placement: Placement,
    stubs: Stubs,
    found: Found,
}

thread_local! {
    /// The compiler of this thread while no network is being compiled.
    static COMPILER: Cell<Option<Box<Compiler>>> = const { Cell::new(None) };
}

/// Bytes of a compiled file without stages, and of a stage without coefficients.
const FILE_BYTES: [u64; 2] = [80, 16];

impl Compiled<'_> {
    /// Stages that take time, in the order of execution.
    pub(crate) fn running(&self) -> impl Iterator<Item = (StageId, &Stage)> {
        let stages = self.order.iter().map(|&id| (id, self.graph.at(id)));
        stages.filter(|(_, stage)| !stage.removed && !stage.kind.is_special())
    }

    /// Bytes of the compiled file, about: coefficients, with one addend and one factor for each channel of the engine's, and
    /// what describes the stages.
    pub(crate) fn blob_bytes(&self) -> u64 {
        let block = |bytes: u64| bytes.next_multiple_of(64);
        let held = self.running().map(|(id, stage)| {
            let detail = self.graph.detail(id);
            let described = FILE_BYTES[1] * (1 + u64::from(stage.injected.is_some()));
            if detail.coefficients == 0 {
                return described;
            }
            let channels = self.graph.of(stage.outputs[0]).shape.channels as u64;
            described + block(2 * u64::from(detail.coefficients)) + 2 * block(2 * channels)
        });
        FILE_BYTES[0] + held.sum::<u64>()
    }
}

/// Why the compiler gives up.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// The node, by its place in the network.
    pub(crate) node: usize,
    pub(crate) limit: Limit,
}

impl Refusal {
    fn memory(graph: &Graph, stage: StageId) -> Self {
        Self { node: graph.detail(stage).node as usize, limit: Limit::Memory }
    }
}

/// What `read` makes of `network` compiled.
pub(crate) fn compile<T>(
    network: &Network,
    device: &Device,
    read: impl FnOnce(&Compiled<'_>) -> T,
) -> Result<T, Refusal> {
    lowered(network, device, |placement| {
        placement.run()?;
        let Placement { graph, flow, memory, cores, .. } = placement;
        Ok(read(&Compiled { graph, order: &flow.order, memory, cores }))
    })
}

/// Whether the compiler takes `network`, without all that it would make of it; the error is that of [`compile`].
pub(crate) fn runs(network: &Network, device: &Device) -> Result<(), Refusal> {
    lowered(network, device, Placement::finds_room)
}

/// What `place` makes of a network of which everything is known but where maps lie.
fn lowered<T>(
    network: &Network,
    device: &Device,
    place: impl FnOnce(&mut Placement) -> Result<T, StageId>,
) -> Result<T, Refusal> {
    let mut compiler = COMPILER.take().unwrap_or_default();
    let result = compiler.lower(network, device).and_then(|()| {
        let placement = &mut compiler.placement;
        place(placement).map_err(|stage| Refusal::memory(&placement.graph, stage))
    });
    COMPILER.set(Some(compiler));
    result
}

impl Compiler {
    fn lower(&mut self, network: &Network, device: &Device) -> Result<(), Refusal> {
        let Self { layers, values, placement, stubs, found } = self;
        found.turn_to(device);
        let Placement { graph, flow, room, stale, .. } = placement;
        (*room, *stale) = (Room::of(device), false);
        graph.clear();
        flow.clear();
        stubs.0.clear();
        layers.read(network);
        Reader::new(network, device, graph, stubs, values).read(layers);
        Shaping { graph, stubs, device, found }.all(flow);
        Tiling { graph, stubs, found }.all(flow);
        lay_out(graph, stubs, found, flow);
        too_large(graph, device.description().max_map_bytes).map_or(Ok(()), Err)
    }
}

/// The compiler counts the bytes of a buffer in 32 bits with a sign.
fn too_large(graph: &Graph, limit: usize) -> Option<Refusal> {
    let mut maps = graph.values.iter().filter(|map| map.part.is_none());
    let map =
        maps.find(|map| map.bytes() > limit && (map.producer.is_some() || !map.consumers.is_empty()))?;
    let node = map.producer.map_or(0, |stage| graph.detail(stage).node as usize);
    Some(Refusal { node, limit: Limit::Size { found: map.bytes(), limit } })
}

fn lay_out(graph: &mut Graph, stubs: &mut Stubs, found: &mut Found, flow: &mut Flow) {
    Layout { graph }.settle(flow);
    // No such stage has a say in another one's, so that their order does not matter.
    for stage in 0..index(graph.stages.len()) {
        if !graph.at(stage).removed {
            Tiling { graph, stubs, found }.merge_pair(stage);
        }
    }
    flow.renew(graph);
    Layout { graph }.share(&flow.order);
}
