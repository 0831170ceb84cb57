//! Which maps are kept on chip, which copies that saves, and what runs beside the convolution engine.

use super::graph::{Cores, Graph, Ids, Kind, Scratch, StageId, Usage, ValueId};
use super::memory::{Extent, Failure, Memory, Room};

/// The passes that place maps.
pub(crate) struct Placement<'a> {
    pub(crate) graph: &'a mut Graph,
    pub(crate) memory: &'a mut Memory,
    pub(crate) order: &'a mut Vec<StageId>,
    /// The order before or after the change that is being tried.
    pub(crate) tried: &'a mut Vec<StageId>,
    pub(crate) scratch: &'a mut Scratch,
    pub(crate) room: Room,
}

impl Placement<'_> {
    fn reorder(&mut self) {
        self.graph.order(self.order, self.scratch);
    }

    fn check(&mut self, extent: Extent) -> Result<(), Failure> {
        self.memory.run(self.graph, self.order, self.room, extent)
    }

    fn check_anew(&mut self, extent: Extent) -> Result<(), Failure> {
        self.memory.look(self.graph);
        self.check(extent)
    }

    /// All passes; an error where the compiler gives up.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        self.copy_results();
        self.want_results_on_chip();
        self.expect();
        self.reorder();
        self.spill()?;
        self.pack();
        self.leave_out_copies();
        self.inject();
        self.check_anew(Extent::Everything)
    }

    /// The convolution engine does not write to the host's buffer.
    fn copy_results(&mut self) {
        for at in 0..self.order.len() {
            let stage = self.order[at];
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
        for at in 0..self.order.len() {
            let stage = self.order[at];
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
    fn spill(&mut self) -> Result<(), Failure> {
        let mut failed = Vec::new();
        while let Err(failure) = self.check_anew(Extent::Everything) {
            if failed.contains(&failure.stage) {
                return Err(failure);
            }
            failed.push(failure.stage);
            let node = self.graph.at(failure.stage).node;
            let resident: Vec<ValueId> = self.memory.resident(self.graph).collect();
            let mut readings = Vec::new();
            for value in resident {
                for &reader in &self.graph.of(value).consumers {
                    let is_spill = matches!(self.graph.at(reader).kind, Kind::Copy { spill: true, .. });
                    if !is_spill && !readings.contains(&(value, reader)) {
                        readings.push((value, reader));
                    }
                }
            }
            if readings.is_empty() {
                return Err(failure);
            }
            for (value, reader) in readings {
                self.redirect(node, value, reader);
            }
            self.reorder();
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
        for at in 0..self.order.len() {
            let stage = self.graph.at(self.order[at]);
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
        self.memory.look(self.graph);
        for value in seen {
            self.graph.place(value, true);
            self.memory.look_at_places(self.graph);
            if self.check(Extent::OnChip).is_err() {
                self.graph.place(value, false);
            }
        }
    }

    /// Leaves out copies that only save on-chip memory, as long as there is room without them; the order is then to be
    /// made anew.
    fn leave_out_copies(&mut self) {
        let optional =
            |graph: &Graph, stage: StageId| matches!(graph.at(stage).kind, Kind::Copy { optional: true, .. });
        let copies: Vec<StageId> =
            self.order.iter().copied().filter(|&stage| optional(self.graph, stage)).collect();
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
        self.graph.place(top, true);
        self.graph.rewrite(producer, 0, to);
        let readers = self.graph.of(from).consumers.clone();
        self.hand_over(&readers, from, to);
        self.reorder();
        if self.check_anew(Extent::OnChip).is_ok() {
            return;
        }
        self.graph.rewrite(producer, 0, from);
        self.hand_over(&readers, to, from);
        let id = self.graph.copy(node, suffix, from, to);
        self.graph.at_mut(id).kind = Kind::Copy { optional: false, spill: false };
        self.graph.place(top, was_on_chip);
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
        self.reorder();
        let engine: Vec<StageId> =
            self.order.iter().copied().filter(|&stage| self.graph.at(stage).kind.is_nce()).collect();
        let mut others: Vec<StageId> = Vec::new();
        for &stage in &*self.order {
            let kind = self.graph.at(stage).kind;
            if !kind.is_nce() && !kind.is_special() && kind.cores() != Cores::All {
                others.push(stage);
            }
        }
        let mut place = vec![0_u32; self.graph.stages.len()];
        // What runs beside another stage changes no value but in who makes and reads it.
        self.memory.look(self.graph);
        self.places(&mut place);
        for host in engine {
            // Trying one in vain changes nothing for the others.
            let found = (0..others.len())
                .find(|&at| self.independent(host, others[at], &place) && self.try_inject(host, others[at]));
            if let Some(at) = found {
                others.remove(at);
                self.places(&mut place);
            }
        }
    }

    /// The place in the order of every stage.
    fn places(&self, place: &mut [u32]) {
        for (at, &stage) in self.order.iter().enumerate() {
            place[stage as usize] = super::graph::index(at);
        }
    }

    /// Whether neither of two stages needs what the other or a later one makes.
    fn independent(&self, host: StageId, other: StageId, place: &[u32]) -> bool {
        let (host_at, other_at) = (place[host as usize], place[other as usize]);
        let (later, limit) = if other_at > host_at { (other, host_at) } else { (host, other_at) };
        let mut producers =
            self.graph.at(later).inputs.iter().filter_map(|&input| self.graph.of(input).producer);
        producers.all(|producer| place[producer as usize] < limit)
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
        self.graph.order(self.tried, self.scratch);
        std::mem::swap(self.order, self.tried);
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
        std::mem::swap(self.order, self.tried);
        false
    }
}
