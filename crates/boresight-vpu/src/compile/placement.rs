//! Which maps are kept on chip, which copies that saves, and what runs beside the convolution engine.

use super::flow::Flow;
use super::graph::{Cores, Graph, Ids, Kind, StageId, Usage, ValueId, index};
use super::inject::Places;
use super::memory::{Memory, Room};
use super::needs::Needs;
use super::reach::Reach;
use super::trials::{Change, Trials};

/// The passes that place maps.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    pub(crate) graph: Graph,
    pub(crate) flow: Flow,
    pub(crate) needs: Needs,
    pub(crate) memory: Memory,
    pub(crate) trials: Trials,
    pub(crate) reach: Reach,
    pub(crate) places: Places,
    /// Whether the order is to be made anew.
    pub(crate) stale: bool,
    pub(crate) room: Room,
    /// The vector cores of each stage, by its number.
    pub(crate) cores: Vec<u32>,
}

impl Placement {
    /// All passes, the vector cores that each stage gets among them.
    ///
    /// # Errors
    /// The stage at which the compiler gives up.
    pub(crate) fn run(&mut self) -> Result<(), StageId> {
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
        self.renew_order();
        // Where there is room now, what is tried later is kept only if there still is, and external memory has no end.
        if self.trials.failed().is_some() {
            self.inject();
            self.give_cores()?;
        }
        Ok(())
    }

    fn place_maps(&mut self) -> Result<(), StageId> {
        self.copy_results();
        self.want_results_on_chip();
        self.expect();
        self.flow.look(&self.graph);
        self.flow.reorder();
        self.spill()?;
        self.reach.look(&self.needs, &self.flow.order);
        self.pack();
        self.leave_out_copies();
        Ok(())
    }

    /// Looks again at stages whose inputs or outputs changed.
    pub(crate) fn look_at(&mut self, stages: impl IntoIterator<Item = StageId>) {
        for stage in stages {
            self.flow.look_at(&self.graph, stage);
            self.needs.look_at(&self.graph, stage);
        }
    }

    /// Makes the order anew if it has to be, and runs it.
    pub(crate) fn renew_order(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.flow.reorder();
            self.trials.settle(&self.needs, &self.flow.order, self.room);
            self.reach.look(&self.needs, &self.flow.order);
        }
    }

    /// Whether there is room for all stages after `change`.
    pub(crate) fn attempt(&mut self, change: Change) -> bool {
        self.trials.attempt(&self.needs, &self.flow.order, self.room, change)
    }

    /// The convolution engine does not write to the host's buffer.
    fn copy_results(&mut self) {
        let engine = self.engine();
        let writes_out = |&stage: &StageId| {
            self.graph.of(self.graph.top(self.graph.at(stage).outputs[0])).usage == Usage::Output
        };
        let mut last: Ids = engine.filter(writes_out).collect();
        if last.len() > 1 {
            self.flow.renew(&mut self.graph);
            last = self.flow.order.iter().copied().filter(|stage| last.contains(stage)).collect();
        }
        for stage in last {
            let output = self.graph.at(stage).outputs[0];
            let made = self.graph.value(self.graph.of(output).shape);
            self.graph.of_mut(made).demand = self.graph.at(stage).kind.writes();
            self.graph.rewrite(stage, 0, made);
            self.graph.copy(self.graph.at(stage).node, "@flush", made, output);
        }
    }

    /// The engine's stages, by number.
    fn engine(&self) -> impl Iterator<Item = StageId> {
        let is_engine =
            |&stage: &StageId| !self.graph.at(stage).removed && self.graph.at(stage).kind.is_nce();
        (0..index(self.graph.stages.len())).filter(is_engine)
    }

    fn want_results_on_chip(&mut self) {
        for stage in 0..index(self.graph.stages.len()) {
            if !self.graph.at(stage).removed && self.graph.at(stage).kind.is_nce() {
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
        self.needs.look(&self.graph);
        self.trials.settle(&self.needs, &self.flow.order, self.room);
        while let Some(stage) = self.trials.failed() {
            if failed.contains(&stage) {
                return Err(stage);
            }
            failed.push(stage);
            let node = self.graph.at(stage).node;
            let mut readings = Vec::new();
            for value in self.trials.resident() {
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
            self.needs.look(&self.graph);
            self.flow.look(&self.graph);
            self.flow.reorder();
            self.trials.settle(&self.needs, &self.flow.order, self.room);
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
            if !moves(&self.graph, part) {
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
    fn try_on_chip(&mut self, buffers: &[ValueId]) {
        for &buffer in buffers {
            let [from, last] = self.reach.of(buffer);
            self.needs.place(buffer, true);
            let fits = self.attempt(Change { from, alike: last + 1, shift: 0 });
            self.needs.place(buffer, fits);
            self.graph.place(buffer, fits);
        }
    }

    /// Leaves out copies that only save on-chip memory, as long as there is room without them.
    fn leave_out_copies(&mut self) {
        let optional =
            |graph: &Graph, stage: StageId| matches!(graph.at(stage).kind, Kind::Copy { optional: true, .. });
        let copies: Vec<StageId> =
            self.flow.order.iter().copied().filter(|&stage| optional(&self.graph, stage)).collect();
        let copies: Vec<StageId> = copies.into_iter().filter(|&copy| self.may_go(copy)).collect();
        for copy in copies {
            if self.may_go(copy) {
                self.leave_out(copy);
            }
        }
        let Self { graph, flow, trials, .. } = self;
        trials.forget(|at| flow.order.get(at).is_some_and(|&stage| graph.at(stage).removed));
        flow.order.retain(|&stage| !graph.at(stage).removed);
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

    /// Leaves a copy out if there is room without it.
    fn leave_out(&mut self, copy: StageId) {
        self.renew_order();
        let (node, suffix) = (self.graph.at(copy).node, self.graph.at(copy).suffix);
        let (from, to) = (self.graph.at(copy).inputs[0], self.graph.at(copy).outputs[0]);
        let Some(producer) = self.graph.of(from).producer else { return };
        let top = self.graph.top(to);
        let was_on_chip = self.graph.of(top).on_chip;
        let around = [self.flow.readers(producer), self.flow.readers(copy)];
        self.graph.remove(copy);
        self.place(top, true);
        self.graph.rewrite(producer, 0, to);
        let readers = self.graph.of(from).consumers.clone();
        self.hand_over(&readers, from, to);
        self.look_at(readers.iter().copied().chain([producer, copy]));
        let reach = self.reach.joined(top, readers.iter().copied().chain([producer, copy]));
        let follows = self.flow.takes_over(&around, copy, producer);
        if self.fits_without(follows, reach) {
            if follows {
                self.reach.set(top, reach);
            }
            return;
        }
        self.graph.rewrite(producer, 0, from);
        self.hand_over(&readers, to, from);
        let id = self.graph.copy(node, suffix, from, to);
        self.graph.at_mut(id).kind = Kind::Copy { optional: false, spill: false };
        self.place(top, was_on_chip);
        self.look_at(readers.iter().copied().chain([producer, id]));
        if follows && self.flow.puts_back(&around, copy, [producer, id]) {
            let at = self.reach.place(copy);
            self.flow.put(at, id, copy);
            self.reach.put(id, at);
            debug_assert!(self.flow.is_as_anew(&self.graph), "the order is the one before");
        } else {
            self.stale = true;
        }
    }

    /// Whether there is room without a copy. Where the order without it `follows` from the one with it, the copy keeps
    /// its place and does nothing there, and it makes a difference within `reach` only.
    fn fits_without(&mut self, follows: bool, [from, last]: [usize; 2]) -> bool {
        if follows {
            debug_assert!(self.flow.is_as_anew(&self.graph), "nothing else in the order changes");
            return self.attempt(Change { from, alike: last + 1, shift: 0 });
        }
        self.stale = true;
        self.renew_order();
        self.trials.failed().is_none()
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
}
