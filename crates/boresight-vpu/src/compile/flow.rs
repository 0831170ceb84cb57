//! The order of execution.

use super::graph::{Graph, Stage, StageId, index};
use super::trials::Change;
use smallvec::SmallVec;
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
    /// Whether stages are among those that are looked for.
    marked: Vec<bool>,
    /// How many stages all searches since [`Flow::look`] have come to.
    clock: u32,
    /// Stages on the way to the one being looked at, each with those of its readers that are still to be looked at.
    path: Vec<(StageId, Range<u32>)>,
}

/// Stages that a pass concerns.
pub(crate) type Concerned = SmallVec<[StageId; 32]>;

/// A stage as the order sees it.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Its readers, by their places in [`Flow::readers`].
    readers: Range<u32>,
    /// Whether it reads nothing that another stage makes.
    starts: bool,
    /// When the last search came to it.
    time: Time,
}

/// When the search behind the order came to a stage.
#[derive(Clone, Copy, Debug, Default)]
struct Time {
    /// How many stages searches had come to, this one included.
    entered: u32,
    /// How many of them this search had left for good.
    left: u32,
}

/// How the search behind the order comes by once one stage does the work of another one too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detour {
    /// As before.
    None,
    /// It comes to what read the one from this stage.
    Through(StageId),
}

impl Time {
    /// Whether the search went straight from this stage down to `other`, leaving none on the way.
    const fn leads_straight_to(self, other: Self) -> bool {
        self.entered < other.entered && self.left == other.left
    }
}

impl Flow {
    /// Forgets everything, for another network.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
        self.order.clear();
    }

    /// Brings the order up to date after a pass that changed the graph or not.
    pub(crate) fn renew(&mut self, graph: &mut Graph) {
        if std::mem::take(&mut graph.changed) {
            self.look(graph);
            self.reorder();
        }
    }

    /// Brings `stages` into the order of execution, which is renewed only where that matters.
    pub(crate) fn arrange(&mut self, graph: &mut Graph, stages: Concerned) -> Concerned {
        if stages.len() <= 1 {
            return stages;
        }
        let found = self.among(&stages);
        if found.len() == stages.len() && self.is_chain(&found) {
            return found.into_iter().map(|place| self.order[place]).collect();
        }
        self.renew(graph);
        self.among(&stages).into_iter().map(|place| self.order[place]).collect()
    }

    /// Where in the order `stages` are.
    fn among(&mut self, stages: &[StageId]) -> SmallVec<[usize; 32]> {
        let Self { order, marked, nodes, .. } = self;
        marked.clear();
        marked.resize(nodes.len(), false);
        for &stage in stages {
            // New ones are not in the order.
            if let Some(mark) = marked.get_mut(stage as usize) {
                *mark = true;
            }
        }
        let places = order.iter().enumerate().filter(|(_, stage)| marked[**stage as usize]);
        places.map(|(place, _)| place).collect()
    }

    /// Whether each of the stages at these places led to the next: then they are in this order whatever else changes, as
    /// long as what depends on what does not.
    fn is_chain(&self, places: &[usize]) -> bool {
        places.windows(2).all(|pair| {
            let [above, below] = [pair[0], pair[1]].map(|place| self.time(self.order[place]));
            // Stages are left in the reverse order.
            let left_with = self.order.len() - pair[0];
            above.entered < below.entered && (below.left as usize) < left_with
        })
    }

    /// Looks at every stage.
    pub(crate) fn look(&mut self, graph: &Graph) {
        let Self { readers, nodes, clock, .. } = self;
        readers.clear();
        nodes.clear();
        *clock = 0;
        nodes.extend(graph.stages.iter().map(|stage| Node::of(graph, stage, readers)));
    }

    /// Looks again at one stage whose readers or inputs changed, or at one that is new and the last of all.
    pub(crate) fn look_at(&mut self, graph: &Graph, id: StageId) {
        let node = Node::of(graph, graph.at(id), &mut self.readers);
        match self.nodes.get_mut(id as usize) {
            Some(known) => *known = Node { time: known.time, ..node },
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
    /// The order is that in which the search leaves stages, backwards. Coming to `gone` must have led to no other stage.
    /// Its connections become those of `host`; a new connection changes nothing, whenever the search follows it, if the
    /// stage to which it leads was met before, or was come to straight from there: what the search leaves next is the
    /// same either way. Neither depends on connections that were new before, so this holds until the order is made anew.
    pub(crate) fn absorbs(
        &self,
        graph: &Graph,
        host: StageId,
        gone: StageId,
        makers: &[StageId],
    ) -> Option<Detour> {
        let (to, from) = (self.time(host), self.time(gone));
        if self.nodes[host as usize].starts || self.nodes[gone as usize].starts {
            return None;
        }
        let is_met = |&reader: &StageId| {
            let reader = self.time(reader);
            reader.entered < from.entered && (reader.entered < to.entered || to.leads_straight_to(reader))
        };
        let leads = |&maker: &StageId| {
            let time = self.time(maker);
            time.entered > to.entered
                || time.leads_straight_to(to)
                || self.list(&self.readers(maker)).contains(&host)
        };
        if self.list(&self.readers(gone)).iter().all(is_met) && makers.iter().all(leads) {
            return Some(Detour::None);
        }
        self.leads_through(graph, host, gone, makers).map(Detour::Through)
    }

    /// The stage from which the search will come to the only reader of `gone` where it came there through `gone`, and
    /// next went straight down to `host`.
    ///
    /// What it left from that reader on it has not met then on the way down to `host` and beyond. If it goes down all the
    /// same, from each stage to the first of its readers that it has not met, and that is in the end the reader of `gone`,
    /// then it leaves the same stages in turn.
    fn leads_through(
        &self,
        graph: &Graph,
        host: StageId,
        gone: StageId,
        makers: &[StageId],
    ) -> Option<StageId> {
        let (to, from) = (self.time(host), self.time(gone));
        let [reader] = *self.list(&self.readers(gone)) else { return None };
        let goes_straight = self.time(reader).entered == from.entered + 1
            && from.entered < to.entered
            && makers.iter().all(|&maker| self.time(maker).leads_straight_to(from));
        let mut at = makers.iter().copied().find(|&maker| self.time(maker).entered + 1 == from.entered)?;
        // Once all that was met from `gone` on is left, `gone` is too.
        let mut due = from.entered + to.left - from.left;
        if !goes_straight {
            return None;
        }
        loop {
            let is_unmet = |&&stage: &&StageId| stage != gone && self.time(stage).entered > from.entered;
            let next = self.list(&self.readers(at)).iter().rev().find(is_unmet).copied();
            let is_first = || next.is_none_or(|next| rank(graph, next) <= rank(graph, reader));
            let is_below = self.time(at).entered > to.entered;
            if at == host && is_first() || is_below && next == Some(reader) {
                return Some(at);
            }
            let time = self.time(next?);
            if (time.entered, time.left) != (due, to.left) {
                return None;
            }
            (at, due) = (next?, due + 1);
        }
    }

    /// Counts anew where the search comes to what it came to through `gone` from the stage `through`.
    pub(crate) fn goes_through(&mut self, through: StageId, gone: StageId) {
        let (to, from) = (self.time(through), self.time(gone));
        let left = to.left - from.left;
        for Node { time, .. } in &mut self.nodes {
            if time.entered > to.entered {
                *time = Time { entered: time.entered - 1, left: time.left - 1 };
            } else if time.entered >= from.entered + left {
                *time = Time { entered: time.entered - left, left: from.left };
            } else if time.entered > from.entered {
                time.entered += to.entered - from.entered - left;
            }
        }
    }

    /// Puts `next` in the place of `gone`.
    pub(crate) fn put(&mut self, place: usize, next: StageId, gone: StageId) {
        self.order[place] = next;
        self.nodes[next as usize].time = self.time(gone);
    }

    /// Whether the order is what it would be anew, but for stages that were removed and do nothing in it: a check of what
    /// is concluded without it.
    pub(crate) fn is_as_anew(&self, graph: &Graph) -> bool {
        let mut anew = self.clone();
        anew.reorder();
        self.order.iter().filter(|&&stage| !graph.at(stage).removed).eq(&anew.order)
    }

    fn time(&self, stage: StageId) -> Time {
        self.nodes[stage as usize].time
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
        let Self { order, before, readers, nodes, clock, path, .. } = self;
        std::mem::swap(order, before);
        order.resize(nodes.len(), 0);
        path.resize_with(nodes.len(), Default::default);
        let mut search = Search { readers, nodes, begin: *clock, clock: *clock, left: 0, order, path };
        for first in 0..search.nodes.len() {
            if search.nodes[first].starts && search.nodes[first].time.entered <= search.begin {
                search.visit(first);
            }
        }
        let left = search.left;
        *clock = search.clock;
        order.truncate(left);
        order.reverse();
    }
}

impl Node {
    fn of(graph: &Graph, stage: &Stage, readers: &mut Vec<StageId>) -> Self {
        if stage.removed {
            return Self::default();
        }
        let start = readers.len();
        if let [output] = stage.outputs[..]
            && let [reader] = graph.of(output).consumers[..]
        {
            // Nearly always there is one.
            readers.push(reader);
        } else {
            for &output in &stage.outputs {
                readers.extend_from_slice(&graph.of(output).consumers);
            }
            if readers.len() > start + 1 {
                readers[start..].sort_unstable_by_key(|&reader| rank(graph, reader));
            }
        }
        Self {
            readers: index(start)..index(readers.len()),
            starts: stage.inputs.iter().all(|&input| graph.of(input).producer.is_none()),
            time: Time::default(),
        }
    }
}

/// The place of a reader among those of the same stage.
fn rank(graph: &Graph, reader: StageId) -> (bool, StageId) {
    (graph.at(reader).expects_chip, reader)
}

/// A search for the order, depth first.
struct Search<'a> {
    readers: &'a [StageId],
    nodes: &'a mut [Node],
    /// Stages that were entered later than this were met.
    begin: u32,
    clock: u32,
    /// How many stages were left for good: those at the beginning of `order`.
    left: usize,
    order: &'a mut [StageId],
    path: &'a mut [(StageId, Range<u32>)],
}

impl Search<'_> {
    fn visit(&mut self, first: usize) {
        let Self { readers, nodes, order, path, begin, .. } = self;
        let (mut clock, mut left, mut depth) = (self.clock + 1, self.left, 0);
        nodes[first].time = Time { entered: clock, left: index(left) };
        let (mut stage, mut rest) = (index(first), nodes[first].readers.clone());
        loop {
            while let Some(place) = rest.next_back() {
                let next = readers[place as usize];
                let node = &mut nodes[next as usize];
                if node.time.entered <= *begin {
                    clock += 1;
                    node.time = Time { entered: clock, left: index(left) };
                    path[depth] = (stage, rest);
                    depth += 1;
                    (stage, rest) = (next, node.readers.clone());
                }
            }
            order[left] = stage;
            left += 1;
            if depth == 0 {
                break;
            }
            depth -= 1;
            (stage, rest) = path[depth].clone();
        }
        (self.clock, self.left) = (clock, left);
    }
}
