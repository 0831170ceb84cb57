//! What runs beside the convolution engine, and the vector cores that each stage gets.

use super::graph::{Cores, Graph, Ids, StageId, ValueId, index};
use super::placement::Placement;
use super::trials::Change;

impl Placement {
    /// Lets stages of the vector cores and copies run beside the engine's, where neither waits for the other.
    pub(crate) fn inject(&mut self) {
        self.renew_order();
        let engine: Vec<StageId> =
            self.flow.order.iter().copied().filter(|&stage| self.graph.at(stage).kind.is_nce()).collect();
        let mut others: Vec<StageId> = Vec::new();
        for &stage in &self.flow.order {
            let kind = self.graph.at(stage).kind;
            if !kind.is_nce() && !kind.is_special() && kind.cores() != Cores::All {
                others.push(stage);
            }
        }
        self.places.look(&self.graph, &self.flow.order, 0);
        for host in engine {
            // Trying one in vain changes nothing for the others.
            let found = (0..others.len())
                .find(|&at| self.places.independent(host, others[at]) && self.try_inject(host, others[at]));
            if let Some(at) = found {
                others.remove(at);
            }
        }
    }

    fn try_inject(&mut self, host: StageId, other: StageId) -> bool {
        let (inputs, outputs) = (self.graph.at(other).inputs.clone(), self.graph.at(other).outputs.clone());
        let before = [self.graph.at(host).inputs.len(), self.graph.at(host).outputs.len()];
        let absorbs = self.flow.absorbs(host, other, self.producers(&inputs));
        for &input in &inputs {
            self.graph.replace_reader(input, other, host);
            self.graph.at_mut(host).inputs.push(input);
        }
        for &output in &outputs {
            self.graph.of_mut(output).producer = Some(host);
            self.graph.at_mut(host).outputs.push(output);
        }
        self.graph.at_mut(host).injected = Some(other);
        self.graph.at_mut(other).removed = true;
        let changed: Ids = self.producers(&inputs).chain([host, other]).collect();
        self.look_at(changed.iter().copied());
        let change = self.order_without(host, other, absorbs);
        if self.attempt(change) {
            self.places.look(&self.graph, &self.flow.order, change.from);
            return true;
        }
        self.graph.at_mut(host).injected = None;
        self.graph.at_mut(other).removed = false;
        self.graph.at_mut(host).inputs.truncate(before[0]);
        self.graph.at_mut(host).outputs.truncate(before[1]);
        for &input in &inputs {
            self.graph.replace_reader(input, host, other);
        }
        for &output in &outputs {
            self.graph.of_mut(output).producer = Some(other);
        }
        self.look_at(changed);
        if absorbs {
            self.flow.order.insert(self.places.at(other), other);
        } else {
            self.flow.restore();
        }
        false
    }

    /// Takes `other` out of the order, or makes it anew where that is not all; what changes.
    fn order_without(&mut self, host: StageId, other: StageId, absorbs: bool) -> Change {
        if !absorbs {
            self.flow.reorder();
            return self.flow.change(host);
        }
        let places = [host, other].map(|stage| self.places.at(stage));
        self.flow.order.remove(places[1]);
        debug_assert!(self.flow.is_as_anew(&self.graph), "nothing else in the order changes");
        Change { from: places[0].min(places[1]), alike: places[0].max(places[1]), shift: 1 }
    }

    /// The stages that make these values.
    fn producers(&self, values: &[ValueId]) -> impl Iterator<Item = StageId> {
        values.iter().filter_map(|&value| self.graph.of(value).producer)
    }

    /// The vector cores that each stage gets, after which the memory says how much of it was reached.
    ///
    /// # Errors
    /// The stage for which there is no room.
    pub(crate) fn give_cores(&mut self) -> Result<(), StageId> {
        self.cores.clear();
        self.cores.resize(self.graph.stages.len(), 0);
        self.memory.clear();
        let Self { graph, flow, needs, memory, trials, room, cores, .. } = self;
        for (&stage, used) in flow.order.iter().zip(trials.used()) {
            if trials.failed() == Some(stage) {
                return Err(stage);
            }
            memory.step(needs, stage, used).ok_or(stage)?;
            cores[stage as usize] = index(granted(graph, needs.cores(stage), stage, room.cores(used)));
        }
        Ok(())
    }
}

/// What a stage that wants `cores` gets of the vector cores that are free.
fn granted(graph: &Graph, cores: Cores, stage: StageId, free: usize) -> usize {
    match cores {
        Cores::None => 0,
        Cores::Two => free.min(2),
        Cores::Limited if is_beside_engine(graph, stage) => free.min(2),
        Cores::Limited | Cores::All => free,
    }
}

/// Whether a stage is one of the engine's, or one reads what it makes or makes what it reads.
fn is_beside_engine(graph: &Graph, id: StageId) -> bool {
    let stage = graph.at(id);
    let is_nce = |stage: StageId| graph.at(stage).kind.is_nce();
    let mut makers = stage.inputs.iter().filter_map(|&input| graph.of(input).producer);
    let mut readers = stage.outputs.iter().flat_map(|&output| &graph.of(output).consumers);
    is_nce(id) || makers.any(is_nce) || readers.any(|&reader| is_nce(reader))
}

/// Where stages are in the order of execution.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// For each stage, its place and the first place at which all that it reads is there.
    of: Vec<(u32, u32)>,
}

impl Places {
    /// Looks at the stages from the place `from` on.
    fn look(&mut self, graph: &Graph, order: &[StageId], from: usize) {
        self.of.resize(graph.stages.len(), (0, 0));
        for (at, &stage) in order.iter().enumerate().skip(from) {
            let producers = graph.at(stage).inputs.iter().filter_map(|&input| graph.of(input).producer);
            let ready = producers.map(|producer| self.of[producer as usize].0 + 1).max();
            self.of[stage as usize] = (index(at), ready.unwrap_or(0));
        }
    }

    /// Where a stage is.
    fn at(&self, stage: StageId) -> usize {
        self.of[stage as usize].0 as usize
    }

    /// Whether neither of two stages needs what the other or a later one makes.
    fn independent(&self, first: StageId, second: StageId) -> bool {
        let [first, second] = [first, second].map(|stage| self.of[stage as usize]);
        let (earlier, later) = if first.0 < second.0 { (first, second) } else { (second, first) };
        later.1 <= earlier.0
    }
}
