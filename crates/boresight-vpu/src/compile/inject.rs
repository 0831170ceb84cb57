//! What runs beside the convolution engine, and the vector cores that each stage gets.

use super::flow::{Concerned, Detour};
use super::graph::{Cores, Graph, Ids, Stage, StageId, ValueId, index};
use super::needs::{Life, Needs};
use super::placement::Placement;
use super::trials::Change;
use smallvec::SmallVec;

impl Placement {
    /// Lets stages of the vector cores and copies run beside the engine's, where neither waits for the other.
    pub(crate) fn inject(&mut self) {
        self.renew_order();
        let (mut engine, mut others) = (Concerned::new(), SmallVec::<[Standing; 32]>::new());
        for &id in &self.flow.order {
            let Stage { kind, removed, .. } = self.graph.at(id);
            if *removed {
                continue;
            }
            if kind.is_nce() {
                engine.push(id);
            } else if !kind.is_special() && kind.cores() != Cores::All {
                others.push(Standing::of(&self.graph, &self.needs, id));
            }
        }
        for host in engine {
            let mut standing = Standing::of(&self.graph, &self.needs, host);
            let mut at = 0;
            while at < others.len() {
                if others[at].is_independent(&standing) {
                    let count = self.flow.order.len();
                    let fits = self.try_inject(host, others[at].stage);
                    if fits {
                        others.remove(at);
                    }
                    if fits || self.flow.order.len() != count {
                        standing = Standing::of(&self.graph, &self.needs, host);
                        for known in &mut others {
                            *known = Standing::of(&self.graph, &self.needs, known.stage);
                        }
                    }
                    if fits {
                        break;
                    }
                }
                at += 1;
            }
        }
    }

    fn try_inject(&mut self, host: StageId, other: StageId) -> bool {
        let (inputs, outputs) = (self.graph.at(other).inputs.clone(), self.graph.at(other).outputs.clone());
        let before = [self.graph.at(host).inputs.len(), self.graph.at(host).outputs.len()];
        let makers: Ids = self.producers(&inputs).collect();
        let detour = self.flow.absorbs(&self.graph, host, other, &makers);
        if detour.is_none() {
            self.forget_removed();
        }
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
        let lives = self.lives(other);
        // What makes the inputs is read by another stage now.
        let changed = makers.iter().copied().chain([host, other]);
        self.look_at(changed.clone());
        let change = self.order_without(host, other, detour.is_some().then_some(&lives[..]));
        if self.attempt(change) {
            if let Some(Detour::Through(stage)) = detour {
                self.flow.goes_through(stage, other);
            }
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
        if detour.is_some() {
            for (id, life) in lives {
                self.needs.set_life(id, life);
            }
        } else {
            self.flow.reorder();
            self.needs.time(&self.flow.order);
        }
        false
    }

    /// When the buffers that `stage` writes and reads are needed.
    fn lives(&self, stage: StageId) -> SmallVec<[(ValueId, Life); 4]> {
        let ids = self.needs.writes(stage).iter().chain(self.needs.reads(stage));
        ids.map(|&id| (id, self.needs.buffer(id).life)).collect()
    }

    /// What changes once `host` does the work of `other`, which keeps its place and does nothing there: the buffers of
    /// `other` are needed at other times. Where that is not all, the order is made anew.
    fn order_without(&mut self, host: StageId, other: StageId, lives: Option<&[(ValueId, Life)]>) -> Change {
        let Some(lives) = lives else {
            self.flow.reorder();
            self.needs.time(&self.flow.order);
            return self.flow.change(host);
        };
        debug_assert!(self.flow.is_as_anew(&self.graph), "nothing else in the order changes");
        let [to, from] = [host, other].map(|stage| self.needs.place_of(stage));
        for &(id, life) in lives {
            let life = self.moved(id, life, [to, from]);
            self.needs.set_life(id, life);
        }
        Change { from: to.min(from), alike: to.max(from) + 1, shift: 0 }
    }

    /// When a buffer is needed once what is done with it at the place `from` is done at `to`.
    fn moved(&self, id: ValueId, life: Life, [to, from]: [usize; 2]) -> Life {
        let (order, needs) = (&self.flow.order, &self.needs);
        let mut found = life;
        if life.first as usize == from {
            let writes = |&at: &usize| needs.writes(order[at]).contains(&id);
            found.first = index((from + 1..to).find(writes).unwrap_or(to));
        } else if needs.writes(order[to]).contains(&id) {
            found = found.written_at(to);
        }
        if life.last as usize == from {
            let reads = |&at: &usize| needs.reads(order[at]).contains(&id);
            found.last = index((to + 1..from).rev().find(reads).unwrap_or(to));
        } else if needs.reads(order[to]).contains(&id) {
            found = found.read_at(to);
        }
        found
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
        self.memory.clear(self.needs.buffer_count());
        let Self { graph, flow, needs, memory, trials, room, cores, .. } = self;
        for ((at, &stage), used) in flow.order.iter().enumerate().zip(trials.used()) {
            if trials.failed() == Some(stage) {
                return Err(stage);
            }
            memory.step(needs, stage, index(at), used).ok_or(stage)?;
            cores[stage as usize] = match needs.cores(stage) {
                Cores::None => 0,
                wanted => index(granted(graph, wanted, stage, room.cores(used))),
            };
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

/// Where a stage is in the order of execution, and where it could be.
#[derive(Clone, Copy, Debug)]
struct Standing {
    stage: StageId,
    place: u32,
    /// The first place at which all that it reads is there.
    ready: u32,
}

impl Standing {
    fn of(graph: &Graph, needs: &Needs, stage: StageId) -> Self {
        let producers = graph.at(stage).inputs.iter().filter_map(|&input| graph.of(input).producer);
        let ready = producers.map(|producer| needs.place_of(producer) + 1).max().unwrap_or(0);
        Self { stage, place: index(needs.place_of(stage)), ready: index(ready) }
    }

    /// Whether neither of two stages needs what the other or a later one makes.
    const fn is_independent(&self, other: &Self) -> bool {
        if self.place < other.place { other.ready <= self.place } else { self.ready <= other.place }
    }
}
