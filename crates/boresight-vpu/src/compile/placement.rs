//! Which maps are kept on chip, which copies that saves, and what runs beside the convolution engine.

use super::flow::Flow;
use super::graph::{Cores, Graph, Ids, Kind, StageId, Usage, ValueId, index};
use super::memory::{Extent, Memory, Needs, Room};
use crate::Device;

/// The passes that place maps.
pub(crate) struct Placement<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) flow: &'a mut Flow,
    pub(crate) needs: Needs,
    pub(crate) memory: Memory,
    pub(crate) room: Room,
}

impl<'a> Placement<'a> {
    pub(crate) fn new(graph: &'a mut Graph, flow: &'a mut Flow, device: &Device) -> Self {
        let (needs, memory) = (Needs::default(), Memory::default());
        Self { graph, flow, needs, memory, room: Room::of(device) }
    }
}

impl Placement<'_> {
    /// All passes: the vector cores that each stage gets.
    ///
    /// # Errors
    /// The stage at which the compiler gives up.
    pub(crate) fn run(&mut self) -> Result<Vec<u32>, StageId> {
        self.place_maps()?;
        self.inject();
        self.give_cores()
    }

    /// Whether all passes would succeed.
    ///
    /// # Errors
    /// As [`Placement::run`].
    pub(crate) fn finds_room(&mut self) -> Result<(), StageId> {
        self.place_maps()?;
        self.flow.reorder();
        // Where there is room now, what is tried later is kept only if there still is, and external memory has no end.
        if self.check(Extent::OnChip).is_err() {
            self.inject();
            self.give_cores()?;
        }
        Ok(())
    }

    fn place_maps(&mut self) -> Result<(), StageId> {
        self.copy_results();
        self.want_results_on_chip();
        self.expect();
        self.flow.look(self.graph);
        self.flow.reorder();
        self.spill()?;
        self.pack();
        self.leave_out_copies();
        Ok(())
    }

    /// Looks again at stages whose inputs or outputs changed.
    fn look_at(&mut self, stages: impl IntoIterator<Item = StageId>) {
        for stage in stages {
            self.flow.look_at(self.graph, stage);
            self.needs.look_at(self.graph, stage);
        }
    }

    fn check(&mut self, extent: Extent) -> Result<(), StageId> {
        self.memory.clear(&self.needs);
        self.memory.run(&self.needs, &self.flow.order, self.room, extent)
    }

    /// The convolution engine does not write to the host's buffer.
    fn copy_results(&mut self) {
        for at in 0..self.flow.order.len() {
            let stage = self.flow.order[at];
            if !self.graph.at(stage).kind.is_nce() {
                continue;
            }
            let output = self.graph.at(stage).outputs[0];
            if self.graph.of(self.graph.top(output)).usage == Usage::Output {
                let made = self.graph.value(self.graph.of(output).shape);
                self.graph.of_mut(made).demand = self.graph.at(stage).kind.writes();
                self.graph.rewrite(stage, 0, made);
                self.graph.copy(self.graph.at(stage).node, "@flush", made, output);
            }
        }
    }

    fn want_results_on_chip(&mut self) {
        for at in 0..self.flow.order.len() {
            let stage = self.flow.order[at];
            if self.graph.at(stage).kind.is_nce() {
                let top = self.graph.top(self.graph.at(stage).outputs[0]);
                self.graph.place(top, true);
            }
        }
    }

    fn expect(&mut self) {
        for at in 0..self.graph.stages.len() {
            let stage = &self.graph.stages[at];
            let expects =
                !stage.removed && matches!(stage.outputs[..], [output] if self.graph.of(output).on_chip);
            self.graph.stages[at].expects_chip = expects;
        }
    }

    /// Moves what lies on chip out whenever a stage finds no room, until none does.
    fn spill(&mut self) -> Result<(), StageId> {
        let mut failed = Vec::new();
        self.needs.look(self.graph);
        while let Err(stage) = self.check(Extent::Everything) {
            if failed.contains(&stage) {
                return Err(stage);
            }
            failed.push(stage);
            let node = self.graph.at(stage).node;
            let mut readings = Vec::new();
            for value in self.memory.resident(&self.needs) {
                for &reader in &self.graph.of(value).consumers {
                    let is_spill = matches!(self.graph.at(reader).kind, Kind::Copy { spill: true, .. });
                    if !is_spill && !readings.contains(&(value, reader)) {
                        readings.push((value, reader));
                    }
                }
            }
            if readings.is_empty() {
                return Err(stage);
            }
            for (value, reader) in readings {
                self.redirect(node, value, reader);
            }
            self.needs.look(self.graph);
            self.flow.look(self.graph);
            self.flow.reorder();
        }
        Ok(())
    }

    /// Lets `reader` read a copy of `value` outside of on-chip memory.
    fn redirect(&mut self, node: u32, value: ValueId, reader: StageId) {
        let spilled = self.graph.of(value).spilled.unwrap_or_else(|| {
            let spilled = self.graph.value(self.graph.of(value).shape);
            self.graph.of_mut(spilled).demand = self.graph.of(value).demand;
            let copy = self.graph.copy(node, "@spill", value, spilled);
            self.graph.at_mut(copy).kind = Kind::Copy { optional: false, spill: true };
            self.graph.of_mut(value).spilled = Some(spilled);
            spilled
        });
        for port in 0..self.graph.at(reader).inputs.len() {
            if self.graph.at(reader).inputs[port] == value {
                self.graph.reread(reader, port, spilled);
            }
        }
        let moves = |graph: &Graph, part: ValueId| {
            graph.of(part).part.is_some_and(|part| !part.writes && part.through == reader)
        };
        let parts: Ids = self.graph.of(value).parts.clone();
        for part in parts {
            if !moves(self.graph, part) {
                continue;
            }
            self.graph.of_mut(value).parts.retain(|other| *other != part);
            self.graph.connect(part, spilled, reader, false);
            self.graph.place(part, false);
        }
    }

    /// Keeps what the convolution engine reads on chip, one map after the other, as long as there is room.
    fn pack(&mut self) {
        let mut seen: Vec<ValueId> = Vec::new();
        for at in 0..self.flow.order.len() {
            let stage = self.graph.at(self.flow.order[at]);
            if !stage.kind.is_nce() {
                continue;
            }
            for &input in &stage.inputs {
                let top = self.graph.top(input);
                let map = self.graph.of(top);
                if map.usage != Usage::Intermediate || map.on_chip || seen.contains(&top) {
                    continue;
                }
                let Some(producer) = self.graph.of(input).producer else { continue };
                let kind = self.graph.at(producer).kind;
                if kind.cores() != Cores::All && !matches!(kind, Kind::Copy { spill: true, .. }) {
                    seen.push(top);
                }
            }
        }
        self.try_on_chip(&seen);
    }

    /// Keeps each of these buffers on chip if there is room.
    ///
    /// What runs before the first stage that writes any buffer still to be tried is settled: the memory at that stage is
    /// kept, and each trial goes on from it.
    fn try_on_chip(&mut self, buffers: &[ValueId]) {
        let mut first = vec![self.flow.order.len(); self.graph.values.len()];
        for (at, &stage) in self.flow.order.iter().enumerate().rev() {
            for &buffer in self.needs.writes(stage) {
                first[buffer as usize] = at;
            }
        }
        let mut untouched: Vec<usize> = buffers.iter().map(|&buffer| first[buffer as usize]).collect();
        for at in (1..untouched.len()).rev() {
            untouched[at - 1] = untouched[at - 1].min(untouched[at]);
        }
        let (room, extent) = (self.room, Extent::OnChip);
        let mut settled = Memory::default();
        settled.clear(&self.needs);
        let mut done = 0;
        for (&buffer, start) in buffers.iter().zip(untouched) {
            let order = &self.flow.order;
            // This much was tried before, with success.
            let _ = settled.run(&self.needs, &order[done..start], room, extent);
            done = start;
            self.needs.place(buffer, true);
            self.memory.clone_from(&settled);
            let fits = self.memory.run(&self.needs, &order[start..], room, extent).is_ok();
            self.needs.place(buffer, fits);
            self.graph.place(buffer, fits);
        }
    }

    /// Leaves out copies that only save on-chip memory, as long as there is room without them; the order is then to be
    /// made anew.
    fn leave_out_copies(&mut self) {
        let optional =
            |graph: &Graph, stage: StageId| matches!(graph.at(stage).kind, Kind::Copy { optional: true, .. });
        let copies: Vec<StageId> =
            self.flow.order.iter().copied().filter(|&stage| optional(self.graph, stage)).collect();
        let copies: Vec<StageId> = copies.into_iter().filter(|&copy| self.may_go(copy)).collect();
        for copy in copies {
            if self.may_go(copy) {
                self.leave_out(copy);
            }
        }
    }

    fn may_go(&self, copy: StageId) -> bool {
        let stage = self.graph.at(copy);
        let (from, to) = (stage.inputs[0], stage.outputs[0]);
        let map = self.graph.of(from);
        map.part.is_none()
            && map.parts.is_empty()
            && self.graph.meets(from, to, map.demand)
            && self.graph.meets(to, from, self.graph.of(to).demand)
            && self.graph.of(self.graph.top(to)).usage == Usage::Intermediate
    }

    fn leave_out(&mut self, copy: StageId) {
        let (node, suffix) = (self.graph.at(copy).node, self.graph.at(copy).suffix);
        let (from, to) = (self.graph.at(copy).inputs[0], self.graph.at(copy).outputs[0]);
        let Some(producer) = self.graph.of(from).producer else { return };
        let top = self.graph.top(to);
        let was_on_chip = self.graph.of(top).on_chip;
        self.graph.remove(copy);
        self.place(top, true);
        self.graph.rewrite(producer, 0, to);
        let readers = self.graph.of(from).consumers.clone();
        self.hand_over(&readers, from, to);
        self.look_at(readers.iter().copied().chain([producer, copy]));
        self.flow.reorder();
        if self.check(Extent::OnChip).is_ok() {
            return;
        }
        self.graph.rewrite(producer, 0, from);
        self.hand_over(&readers, to, from);
        let id = self.graph.copy(node, suffix, from, to);
        self.graph.at_mut(id).kind = Kind::Copy { optional: false, spill: false };
        self.place(top, was_on_chip);
        self.look_at(readers.iter().copied().chain([producer, id]));
    }

    /// Wants a buffer on chip or not.
    fn place(&mut self, top: ValueId, on_chip: bool) {
        self.graph.place(top, on_chip);
        self.needs.place(top, on_chip);
    }

    /// Lets `readers` of `from` read `to`.
    fn hand_over(&mut self, readers: &[StageId], from: ValueId, to: ValueId) {
        for &reader in readers {
            if let Some(port) = self.graph.at(reader).inputs.iter().position(|&input| input == from) {
                self.graph.reread(reader, port, to);
            }
        }
    }

    /// Lets stages of the vector cores and copies run beside the engine's, where neither waits for the other.
    fn inject(&mut self) {
        self.flow.reorder();
        let engine: Vec<StageId> =
            self.flow.order.iter().copied().filter(|&stage| self.graph.at(stage).kind.is_nce()).collect();
        let mut others: Vec<StageId> = Vec::new();
        for &stage in &self.flow.order {
            let kind = self.graph.at(stage).kind;
            if !kind.is_nce() && !kind.is_special() && kind.cores() != Cores::All {
                others.push(stage);
            }
        }
        let mut places = Places::default();
        places.look(self.graph, &self.flow.order);
        for host in engine {
            // Trying one in vain changes nothing for the others.
            let found = (0..others.len())
                .find(|&at| places.independent(host, others[at]) && self.try_inject(host, others[at]));
            if let Some(at) = found {
                others.remove(at);
                places.look(self.graph, &self.flow.order);
            }
        }
    }

    fn try_inject(&mut self, host: StageId, other: StageId) -> bool {
        let (inputs, outputs) = (self.graph.at(other).inputs.clone(), self.graph.at(other).outputs.clone());
        let before = [self.graph.at(host).inputs.len(), self.graph.at(host).outputs.len()];
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
        self.flow.reorder();
        if self.check(Extent::OnChip).is_ok() {
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
        self.flow.restore();
        false
    }

    /// The stages that make these values.
    fn producers(&self, values: &[ValueId]) -> impl Iterator<Item = StageId> {
        values.iter().filter_map(|&value| self.graph.of(value).producer)
    }

    fn give_cores(&mut self) -> Result<Vec<u32>, StageId> {
        let mut cores = vec![0; self.graph.stages.len()];
        self.memory.clear(&self.needs);
        for &stage in &self.flow.order {
            let end = self.memory.step(&self.needs, stage, self.room, Extent::Everything).ok_or(stage)?;
            cores[stage as usize] = index(self.granted(stage, self.room.cores(end)));
        }
        Ok(cores)
    }

    /// What a stage gets of the vector cores that are free.
    fn granted(&self, stage: StageId, free: usize) -> usize {
        match self.needs.cores(stage) {
            Cores::None => 0,
            Cores::Two => free.min(2),
            Cores::Limited if self.is_beside_engine(stage) => free.min(2),
            Cores::Limited | Cores::All => free,
        }
    }

    /// Whether a stage is one of the engine's, or one reads what it makes or makes what it reads.
    fn is_beside_engine(&self, id: StageId) -> bool {
        let stage = self.graph.at(id);
        let is_nce = |stage: StageId| self.graph.at(stage).kind.is_nce();
        let mut readers = stage.outputs.iter().flat_map(|&output| &self.graph.of(output).consumers);
        is_nce(id) || self.producers(&stage.inputs).any(is_nce) || readers.any(|&reader| is_nce(reader))
    }
}

/// Where stages are in the order of execution.
#[derive(Debug, Default)]
struct Places {
    /// For each stage, its place and the first place at which all that it reads is there.
    of: Vec<(u32, u32)>,
}

impl Places {
    fn look(&mut self, graph: &Graph, order: &[StageId]) {
        self.of.resize(graph.stages.len(), (0, 0));
        for (at, &stage) in order.iter().enumerate() {
            let producers = graph.at(stage).inputs.iter().filter_map(|&input| graph.of(input).producer);
            let ready = producers.map(|producer| self.of[producer as usize].0 + 1).max();
            self.of[stage as usize] = (index(at), ready.unwrap_or(0));
        }
    }

    /// Whether neither of two stages needs what the other or a later one makes.
    fn independent(&self, first: StageId, second: StageId) -> bool {
        let [first, second] = [first, second].map(|stage| self.of[stage as usize]);
        let (earlier, later) = if first.0 < second.0 { (first, second) } else { (second, first) };
        later.1 <= earlier.0
    }
}
