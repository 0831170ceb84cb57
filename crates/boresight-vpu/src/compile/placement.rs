//! Which maps are kept on chip, which copies that saves, and what runs beside the convolution engine.

use super::flow::{Concerned, Flow};
use super::graph::{Cores, Graph, Ids, Kind, StageId, Usage, ValueId, index};
use super::memory::{Memory, Room};
use super::needs::Needs;
use super::trials::{Change, Trials};

/// The passes that place maps.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    pub(crate) graph: Graph,
    pub(crate) flow: Flow,
    pub(crate) needs: Needs,
    pub(crate) memory: Memory,
    pub(crate) trials: Trials,
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
        self.want_results_on_chip();
        self.expect();
        self.flow.look(&self.graph);
        self.flow.reorder();
        self.spill()?;
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
            self.settle();
        }
    }

    /// Runs the order from the start.
    fn settle(&mut self) {
        self.needs.time(&self.flow.order);
        self.trials.settle(&self.needs, &self.flow.order, self.room);
    }

    /// Whether there is room for all stages after `change`.
    pub(crate) fn attempt(&mut self, change: Change) -> bool {
        self.trials.attempt(&self.needs, &self.flow.order, self.room, change)
    }

    /// Wants what the convolution engine writes on chip; it does not write to the host's buffer, but to a map from which
    /// that is copied.
    fn want_results_on_chip(&mut self) {
        let mut last = Concerned::new();
        for id in 0..index(self.graph.stages.len()) {
            let stage = self.graph.at(id);
            if stage.removed || !stage.kind.is_nce() {
                continue;
            }
            let top = self.graph.top(stage.outputs[0]);
            if self.graph.of(top).usage == Usage::Output {
                last.push(id);
            } else {
                self.graph.place(top, true);
            }
        }
        for stage in self.flow.arrange(&mut self.graph, last) {
            let output = self.graph.at(stage).outputs[0];
            let made = self.graph.value(self.graph.of(output).shape);
            let demand = self.graph.at(stage).kind.writes();
            let map = self.graph.of_mut(made);
            (map.demand, map.on_chip) = (demand, true);
            self.graph.rewrite(stage, 0, made);
            self.graph.copy(self.graph.detail(stage).node, "@flush", made, output);
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
        self.settle();
        while let Some(stage) = self.trials.failed() {
            if failed.contains(&stage) {
                return Err(stage);
            }
            failed.push(stage);
            let node = self.graph.detail(stage).node;
            let mut readings = Vec::new();
            for value in self.trials.resident(&self.needs) {
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
            let mut changed = Concerned::new();
            for (value, reader) in readings {
                self.redirect(node, value, reader, &mut changed);
            }
            self.needs.look_at_new_values(&self.graph);
            self.look_at(changed);
            self.flow.reorder();
            self.settle();
        }
        Ok(())
    }

    /// Lets `reader` read a copy of `value` outside of on-chip memory. Adds the stages to `changed` for which that makes a
    /// difference, a new one before all later ones.
    fn redirect(&mut self, node: u32, value: ValueId, reader: StageId, changed: &mut Concerned) {
        let spilled = self.graph.spilled(value).unwrap_or_else(|| {
            let spilled = self.graph.value(self.graph.of(value).shape);
            self.graph.of_mut(spilled).demand = self.graph.of(value).demand;
            let copy = self.graph.copy(node, "@spill", value, spilled);
            self.graph.at_mut(copy).kind = Kind::Copy { optional: false, spill: true };
            self.graph.set_spilled(value, spilled);
            changed.push(copy);
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
        let parts: Ids = self.graph.parts(value).clone();
        for part in parts {
            if !moves(&self.graph, part) {
                continue;
            }
            self.graph.reconnect(part, value, spilled, reader);
            self.graph.place(part, false);
        }
        changed.extend(self.graph.of(value).producer);
        self.graph.list_users(spilled, changed);
    }

    /// Keeps what the convolution engine reads on chip, one map after the other, as long as there is room.
    fn pack(&mut self) {
        let mut seen = Concerned::new();
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
            let life = self.needs.buffer(buffer).life;
            self.needs.place(buffer, true);
            // What is never read is needed to the end.
            let change =
                Change { from: life.first as usize, alike: (life.last as usize).saturating_add(1), shift: 0 };
            let fits = self.attempt(change);
            self.needs.place(buffer, fits);
            self.graph.place(buffer, fits);
        }
    }

    /// Leaves out copies that only save on-chip memory, as long as there is room without them.
    fn leave_out_copies(&mut self) {
        let optional =
            |graph: &Graph, stage: StageId| matches!(graph.at(stage).kind, Kind::Copy { optional: true, .. });
        let copies: Concerned =
            self.flow.order.iter().copied().filter(|&stage| optional(&self.graph, stage)).collect();
        let copies: Concerned = copies.into_iter().filter(|&copy| self.may_go(copy)).collect();
        for copy in copies {
            if self.may_go(copy) {
                self.leave_out(copy);
            }
        }
    }

    /// Takes the stages that do nothing any more out of the order and of its run, after which places are to be looked up
    /// anew.
    pub(crate) fn forget_removed(&mut self) {
        let Self { graph, flow, trials, .. } = self;
        trials.forget(|at| flow.order.get(at).is_some_and(|&stage| graph.at(stage).removed));
        flow.order.retain(|&stage| !graph.at(stage).removed);
    }

    fn may_go(&self, copy: StageId) -> bool {
        let stage = self.graph.at(copy);
        let (from, to) = (stage.inputs[0], stage.outputs[0]);
        let map = self.graph.of(from);
        map.part.is_none()
            && self.graph.parts(from).is_empty()
            && self.graph.meets(from, to, map.demand)
            && self.graph.meets(to, from, self.graph.of(to).demand)
            && self.graph.of(self.graph.top(to)).usage == Usage::Intermediate
    }

    /// Leaves a copy out if there is room without it.
    fn leave_out(&mut self, copy: StageId) {
        self.renew_order();
        let (node, suffix) = (self.graph.detail(copy).node, self.graph.detail(copy).suffix);
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
        let follows = self.flow.takes_over(&around, copy, producer);
        let life = self.needs.buffer(top).life;
        if self.fits_without(follows, top, [producer, copy], &readers) {
            return;
        }
        self.needs.set_life(top, life);
        self.graph.rewrite(producer, 0, from);
        self.hand_over(&readers, to, from);
        let id = self.graph.copy(node, suffix, from, to);
        self.graph.at_mut(id).kind = Kind::Copy { optional: false, spill: false };
        self.place(top, was_on_chip);
        self.look_at(readers.iter().copied().chain([producer, id]));
        if follows && self.flow.puts_back(&around, copy, [producer, id]) {
            let at = self.needs.place_of(copy);
            self.flow.put(at, id, copy);
            self.needs.put(id, at);
            debug_assert!(self.flow.is_as_anew(&self.graph), "the order is the one before");
        } else {
            self.stale = true;
        }
    }

    /// Whether there is room without `copy`, whose `readers` now read what `producer` writes into the buffer `top`. Where
    /// the order without it `follows` from the one with it, the copy keeps its place and does nothing there.
    fn fits_without(
        &mut self,
        follows: bool,
        top: ValueId,
        [producer, copy]: [StageId; 2],
        readers: &[StageId],
    ) -> bool {
        if !follows {
            self.stale = true;
            self.renew_order();
            return self.trials.failed().is_none();
        }
        debug_assert!(self.flow.is_as_anew(&self.graph), "nothing else in the order changes");
        let Self { needs, .. } = self;
        let [made, copied] = [producer, copy].map(|stage| needs.place_of(stage));
        let life = needs.buffer(top).life.written_at(made);
        let life = readers.iter().fold(life, |life, &reader| life.read_at(needs.place_of(reader)));
        needs.set_life(top, life);
        let last = (life.last as usize).max(copied);
        self.attempt(Change { from: life.first as usize, alike: last.saturating_add(1), shift: 0 })
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
