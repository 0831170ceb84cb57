//! How rows of maps are laid out, and the copies that joining and cutting maps needs.

use super::flow::{Concerned, Flow};
use super::graph::{Demand, Graph, Kind, StageId, Usage, ValueId, index};

/// The passes that lay maps out.
pub(crate) struct Layout<'a> {
    pub(crate) graph: &'a mut Graph,
}

impl Layout<'_> {
    /// Settles how the rows of every map lie, copying maps on which two stages do not agree.
    pub(crate) fn settle(&mut self, flow: &mut Flow) {
        let mut special = Concerned::new();
        for stage in 0..index(self.graph.stages.len()) {
            let (kind, removed) = (self.graph.at(stage).kind, self.graph.at(stage).removed);
            if removed {
                continue;
            }
            if kind.is_special() {
                special.push(stage);
            }
            for at in 0..self.graph.at(stage).outputs.len() {
                let output = self.graph.at(stage).outputs[at];
                self.merge(output, kind.writes());
                for reader in 0..self.graph.of(output).consumers.len() {
                    let reader = self.graph.of(output).consumers[reader];
                    self.merge(output, self.graph.at(reader).kind.reads());
                }
            }
        }
        self.spread(&special);
        let disagrees = |&stage: &StageId| !self.graph.at(stage).removed && self.disagrees(stage);
        let stages = (0..index(self.graph.stages.len())).filter(disagrees).collect();
        for stage in flow.arrange(self.graph, stages) {
            self.agree(stage);
        }
    }

    /// Adds a demand to those of `value`, as far as they do not contradict each other.
    fn merge(&mut self, value: ValueId, demand: Demand) {
        let value = self.graph.of_mut(value);
        if value.usage != Usage::Intermediate {
            return;
        }
        let own = &mut value.demand;
        own.aligned |= demand.aligned && !own.dense_rows;
        own.dense_rows |= demand.dense_rows && !own.aligned;
        own.dense_planes |= demand.dense_planes;
        own.dense_channels |= demand.dense_channels;
    }

    /// Carries the alignment of rows through stages that only join or cut maps, but not where rows are cut.
    fn spread(&mut self, special: &[StageId]) {
        let mut changed = true;
        while changed {
            changed = false;
            for &stage in special {
                changed |= self.spread_through(stage);
            }
        }
    }

    /// Whether a map became aligned because another one on the other side of `stage` is.
    fn spread_through(&mut self, stage: StageId) -> bool {
        let found = self.graph.at(stage);
        let is_aligned = |value: &ValueId| self.graph.of(*value).demand.aligned;
        if !found.inputs.iter().chain(&found.outputs).any(is_aligned) {
            return false;
        }
        let width = self.graph.of(found.inputs[0]).shape.width;
        let is_cut = |&value: &ValueId| self.graph.of(value).shape.width != width;
        let reached = if !found.inputs.iter().chain(&found.outputs).any(is_cut) {
            [found.inputs.len(), found.outputs.len()]
        } else if found.kind == Kind::Take && found.outputs.iter().any(is_aligned) {
            // Parts of rows ask the whole rows to be aligned, but not the other way round.
            [found.inputs.len(), 0]
        } else {
            [0; 2]
        };
        let mut changed = false;
        for at in 0..reached[0] {
            changed |= self.align(self.graph.at(stage).inputs[at]);
        }
        for at in 0..reached[1] {
            changed |= self.align(self.graph.at(stage).outputs[at]);
        }
        changed
    }

    /// Whether a map was not aligned, but is now.
    fn align(&mut self, value: ValueId) -> bool {
        let before = self.graph.of(value).demand.aligned;
        self.merge(value, Demand { aligned: true, ..Demand::default() });
        before != self.graph.of(value).demand.aligned
    }

    /// Whether rows of an input lie otherwise than `stage` wants.
    fn disagrees(&self, stage: StageId) -> bool {
        let stage = self.graph.at(stage);
        let reads = stage.kind.reads();
        reads != Demand::default() && stage.inputs.iter().any(|&input| !self.graph.meets(input, input, reads))
    }

    /// Copies inputs whose rows lie otherwise than `stage` wants.
    fn agree(&mut self, stage: StageId) {
        let reads = self.graph.at(stage).kind.reads();
        for port in 0..self.graph.at(stage).inputs.len() {
            let input = self.graph.at(stage).inputs[port];
            if self.graph.meets(input, input, reads) {
                continue;
            }
            let shape = self.graph.of(input).shape;
            let copied = self.graph.value(shape);
            self.graph.of_mut(copied).demand = reads;
            let node = self.graph.detail(stage).node;
            self.graph.copy(node, "@align-strides", input, copied);
            self.graph.reread(stage, port, copied);
        }
    }

    /// Puts the parts of joined and cut maps into one buffer, copying where that cannot be; `order` is that of execution.
    pub(crate) fn share(&mut self, order: &[StageId]) {
        for &stage in order {
            match self.graph.at(stage).kind {
                Kind::Join => self.join(stage),
                Kind::Take => self.take(stage),
                _ => {}
            }
        }
    }

    /// Whether the map of `value` may be a part of `whole`'s buffer as far as its own stages go.
    fn fits(&self, value: ValueId, whole: ValueId) -> bool {
        let map = self.graph.of(value);
        map.usage == Usage::Intermediate
            && map.part.is_none()
            && self.graph.meets(value, whole, map.demand)
            && map
                .consumers
                .iter()
                .all(|&reader| self.graph.meets(value, whole, self.graph.at(reader).kind.reads()))
    }

    fn join(&mut self, stage: StageId) {
        let whole = self.graph.at(stage).outputs[0];
        for port in 0..self.graph.at(stage).inputs.len() {
            let mut input = self.graph.at(stage).inputs[port];
            let fits = self.fits(input, whole);
            let producer = self.graph.of(input).producer;
            let optional = fits && producer.is_some_and(|producer| self.graph.at(producer).kind.is_nce());
            if !fits || optional {
                let copied = self.graph.value(self.graph.of(input).shape);
                let (node, suffix) = (self.graph.detail(stage).node, self.graph.detail(stage).suffix);
                let suffix = if suffix.is_empty() { "@copy" } else { suffix };
                let copy = self.graph.copy(node, suffix, input, copied);
                self.graph.at_mut(copy).kind = Kind::Copy { optional, spill: false };
                self.graph.reread(stage, port, copied);
                input = copied;
            }
            self.graph.connect(input, whole, stage, true);
            self.graph.of_mut(input).demand = Demand::default();
        }
    }

    fn take(&mut self, stage: StageId) {
        let whole = self.graph.at(stage).inputs[0];
        for port in 0..self.graph.at(stage).outputs.len() {
            let mut output = self.graph.at(stage).outputs[port];
            if !self.fits(output, whole) {
                let cut = self.graph.value(self.graph.of(output).shape);
                self.graph.rewrite(stage, port, cut);
                let node = self.graph.detail(stage).node;
                self.graph.copy(node, "@copy", cut, output);
                output = cut;
            }
            self.graph.connect(output, whole, stage, false);
            self.graph.of_mut(output).demand = Demand::default();
        }
    }
}
