//! The order of execution.

use super::graph::{Graph, StageId, index};
use super::trials::Change;
use std::ops::Range;

/// Which stages read what each stage makes, and the order of execution that follows from it.
///
/// Dozens of orders are made for one network, so readers are looked up once, and again only where they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// All stages in the order of execution: depth first, each before its readers.
    pub(crate) order: Vec<StageId>,
    /// The order before the last one.
    before: Vec<StageId>,
    /// Stages that read what another one makes, those of one stage after each other: first those whose result is not
    /// wanted on chip, then by number.
    readers: Vec<StageId>,
    nodes: Vec<Node>,
    /// Whether [`Node::entered`] is that of this order.
    timed: bool,
    /// Stages on the way to the one being looked at, each with those of its readers that are still to be looked at.
    path: Vec<(StageId, Range<u32>)>,
}

/// A stage as the order sees it.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Its readers, by their places in [`Flow::readers`].
    readers: Range<u32>,
    /// Whether it reads nothing that another stage makes.
    starts: bool,
    /// When the last order came to it, from 1; 0 before it does.
    entered: u32,
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
        self.readers.clear();
        self.nodes.clear();
        for stage in 0..index(graph.stages.len()) {
            self.look_at(graph, stage);
        }
    }

    /// Looks again at one stage whose readers or inputs changed, or at one that is new and the last of all.
    pub(crate) fn look_at(&mut self, graph: &Graph, id: StageId) {
        let stage = graph.at(id);
        let start = self.readers.len();
        let mut node = Node::default();
        if !stage.removed {
            for &output in &stage.outputs {
                // One by one: nearly always there is one.
                for &reader in &graph.of(output).consumers {
                    self.readers.push(reader);
                }
            }
            if self.readers.len() > start + 1 {
                let key = |&reader: &StageId| (graph.at(reader).expects_chip, reader);
                self.readers[start..].sort_unstable_by_key(key);
            }
            node.readers = index(start)..index(self.readers.len());
            node.starts = stage.inputs.iter().all(|&input| graph.of(input).producer.is_none());
        }
        match self.nodes.get_mut(id as usize) {
            Some(known) => *known = Node { entered: known.entered, ..node },
            None => self.nodes.push(node),
        }
    }

    /// The readers of `stage`, which are kept until every stage is looked at anew.
    pub(crate) fn readers(&self, stage: StageId) -> Range<u32> {
        self.nodes[stage as usize].readers.clone()
    }

    /// Whether the order stays what it is but for `gone`, which alone read the result of `producer` that its readers now
    /// read; `around` were the readers of `producer` and of `gone`.
    ///
    /// Depth first, the readers of `gone` are met when it is: the order stays if they took its place among the others.
    pub(crate) fn takes_over(&self, around: &[Range<u32>; 2], gone: StageId, producer: StageId) -> bool {
        self.replaces(&around[0], gone, self.list(&around[1]), producer)
    }

    /// Whether the order stays what it was with `gone`, in whose place `next` now is; the rest as before.
    pub(crate) fn puts_back(
        &self,
        around: &[Range<u32>; 2],
        gone: StageId,
        [producer, next]: [StageId; 2],
    ) -> bool {
        self.replaces(&around[0], gone, &[next], producer)
            && self.list(&self.readers(next)) == self.list(&around[1])
    }

    /// Whether the order is still the last one without `gone` once `host` does the work of `gone` too, which was made by
    /// `makers`. To be asked before either is looked at anew.
    ///
    /// It is if coming to `gone` led to no other stage, and coming to `host` leads to none either that `gone` led to:
    /// all its readers had been met before; and if none of `makers` leads to `host` earlier than something did.
    pub(crate) fn absorbs(
        &self,
        host: StageId,
        gone: StageId,
        mut makers: impl Iterator<Item = StageId>,
    ) -> bool {
        let node = |stage: StageId| &self.nodes[stage as usize];
        let (to, from) = (node(host), node(gone));
        let is_met = |&reader: &StageId| node(reader).entered < to.entered.min(from.entered);
        let leads = |maker: StageId| {
            node(maker).entered > to.entered || self.list(&node(maker).readers).contains(&host)
        };
        self.timed
            && !to.starts
            && !from.starts
            && self.list(&from.readers).iter().all(is_met)
            && makers.all(leads)
    }

    /// Puts `next` in the place of `gone`.
    pub(crate) fn put(&mut self, place: usize, next: StageId, gone: StageId) {
        self.order[place] = next;
        self.nodes[next as usize].entered = self.nodes[gone as usize].entered;
    }

    /// Whether the order is what it would be anew, but for stages that were removed and do nothing in it: a check of what
    /// is concluded without it.
    pub(crate) fn is_as_anew(&self, graph: &Graph) -> bool {
        let mut anew = self.clone();
        anew.reorder();
        self.order.iter().filter(|&&stage| !graph.at(stage).removed).eq(&anew.order)
    }

    fn list(&self, range: &Range<u32>) -> &[StageId] {
        &self.readers[range.start as usize..range.end as usize]
    }

    /// Whether the readers of `producer` are those of `before` with `by` in the place of `gone`.
    fn replaces(&self, before: &Range<u32>, gone: StageId, by: &[StageId], producer: StageId) -> bool {
        let (before, after) = (self.list(before), self.list(&self.readers(producer)));
        let Some(at) = before.iter().position(|&reader| reader == gone) else { return false };
        let rest = &before[at + 1..];
        after.len() == at + by.len() + rest.len()
            && after[..at] == before[..at]
            && after[at..at + by.len()] == *by
            && after[at + by.len()..] == *rest
    }

    /// What the last [`Flow::reorder`] changed, where `stage` is to be counted as changed too.
    pub(crate) fn change(&self, stage: StageId) -> Change {
        let (order, before) = (&self.order, &self.before);
        let head = order.iter().zip(before).take_while(|(now, then)| now == then && **now != stage).count();
        let (now, then) = (order[head..].iter().rev(), before[head..].iter().rev());
        let tail = now.zip(then).take_while(|(now, then)| now == then && **now != stage).count();
        Change { from: head, alike: order.len() - tail, shift: before.len() - order.len() }
    }

    /// Makes the order anew.
    pub(crate) fn reorder(&mut self) {
        std::mem::swap(&mut self.order, &mut self.before);
        self.order.clear();
        for node in &mut self.nodes {
            node.entered = 0;
        }
        self.timed = true;
        let mut clock = 0;
        for first in 0..index(self.nodes.len()) {
            let node = &self.nodes[first as usize];
            if node.starts && node.entered == 0 {
                self.visit(first, &mut clock);
            }
        }
        self.order.reverse();
    }

    /// Takes the last [`Flow::reorder`] back.
    pub(crate) fn restore(&mut self) {
        self.timed = false;
        std::mem::swap(&mut self.order, &mut self.before);
    }

    fn visit(&mut self, first: StageId, clock: &mut u32) {
        let Self { order, readers, nodes, path, .. } = self;
        *clock += 1;
        nodes[first as usize].entered = *clock;
        let (mut stage, mut left) = (first, nodes[first as usize].readers.clone());
        loop {
            while let Some(place) = left.next_back() {
                let next = readers[place as usize];
                let node = &mut nodes[next as usize];
                if node.entered == 0 {
                    *clock += 1;
                    node.entered = *clock;
                    path.push((stage, left));
                    (stage, left) = (next, node.readers.clone());
                }
            }
            order.push(stage);
            match path.pop() {
                Some(above) => (stage, left) = above,
                None => return,
            }
        }
    }
}
