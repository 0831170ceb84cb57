//! The order of execution.

use super::graph::{Graph, Ids, StageId, index};

/// Which stages read what each stage makes, and the order of execution that follows from it.
///
/// Hundreds of orders are made for one network, so readers are looked up once, and again only where they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// All stages in the order of execution: depth first, each before its readers.
    pub(crate) order: Vec<StageId>,
    /// The order before the last one.
    before: Vec<StageId>,
    /// For each stage those that read what it makes: first those whose result is not wanted on chip, then by number.
    readers: Vec<Ids>,
    /// Stages that read nothing that another one makes.
    starts: Vec<bool>,
    seen: Vec<bool>,
    /// Stages on the way to the one being looked at, each with how many of its readers are still to be looked at.
    path: Vec<(StageId, usize)>,
}

impl Flow {
    /// Brings the order up to date after a pass that changed the graph or not.
    pub(crate) fn renew(&mut self, graph: &mut Graph) {
        if std::mem::take(&mut graph.changed) {
            self.look(graph);
            self.reorder();
        }
    }

    /// Looks at every stage.
    pub(crate) fn look(&mut self, graph: &Graph) {
        let count = graph.stages.len();
        self.readers.resize_with(count, Ids::new);
        self.starts.resize(count, false);
        for stage in 0..index(count) {
            self.look_at(graph, stage);
        }
    }

    /// Looks again at one stage whose readers or inputs changed, or that is new and the last of all.
    pub(crate) fn look_at(&mut self, graph: &Graph, id: StageId) {
        let at = id as usize;
        if at == self.readers.len() {
            self.readers.push(Ids::new());
            self.starts.push(false);
        }
        let stage = graph.at(id);
        let waits = || stage.inputs.iter().any(|&input| graph.of(input).producer.is_some());
        self.starts[at] = !stage.removed && !waits();
        let readers = &mut self.readers[at];
        readers.clear();
        if stage.removed {
            return;
        }
        for &output in &stage.outputs {
            readers.extend_from_slice(&graph.of(output).consumers);
        }
        if readers.len() > 1 {
            readers.sort_unstable_by_key(|&reader| (graph.at(reader).expects_chip, reader));
        }
    }

    /// Makes the order anew.
    pub(crate) fn reorder(&mut self) {
        std::mem::swap(&mut self.order, &mut self.before);
        self.order.clear();
        self.seen.clear();
        self.seen.resize(self.starts.len(), false);
        for first in 0..index(self.starts.len()) {
            if self.starts[first as usize] && !self.seen[first as usize] {
                self.visit(first);
            }
        }
        self.order.reverse();
    }

    /// Takes the last [`Flow::reorder`] back.
    pub(crate) fn restore(&mut self) {
        std::mem::swap(&mut self.order, &mut self.before);
    }

    fn visit(&mut self, first: StageId) {
        self.enter(first);
        while let Some((stage, left)) = self.path.last_mut() {
            if *left == 0 {
                self.order.push(*stage);
                self.path.pop();
                continue;
            }
            *left -= 1;
            let next = self.readers[*stage as usize][*left];
            if !self.seen[next as usize] {
                self.enter(next);
            }
        }
    }

    fn enter(&mut self, stage: StageId) {
        self.seen[stage as usize] = true;
        self.path.push((stage, self.readers[stage as usize].len()));
    }
}
