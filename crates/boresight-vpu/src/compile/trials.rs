//! Trials that run only the stages for which they change something.
//!
//! What the allocator does with a stage follows from what lies where before it and from what the stage asks. A trial
//! therefore starts at the first stage for which it changes anything, from the memory that was kept for that stage, and
//! ends as soon as the rest is known: when no later stage asks anything else than before and the memory is again what
//! it was at the same stage.

use super::graph::{StageId, index};
use super::memory::{Bank, Held, Room};
use super::needs::Needs;
use super::pool::Span;
use std::ops::Range;

/// On-chip memory before a stage, by places in the lists of [`Trials`].
#[derive(Clone, Debug)]
struct Mark {
    end: usize,
    /// How far it is in use while the stage runs.
    used: usize,
    holes: Range<u32>,
    held: Range<u32>,
}

/// What a trial changes, by places in the order of execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// Stages before this one are the same, and ask the same.
    pub(crate) from: usize,
    /// So are those from here on,
    pub(crate) alike: usize,
    /// which were so many places later.
    pub(crate) shift: usize,
}

/// The run that holds so far, and trials that change it.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    now: Bank,
    /// What lies on chip before each stage and after the last one, up to the stage for which there is no room.
    marks: Vec<Mark>,
    /// The same of the trial that is being run.
    fresh: Vec<Mark>,
    holes: Vec<Span>,
    held: Vec<Held>,
    /// The stage for which there is no room.
    failed: Option<StageId>,
}

impl Trials {
    /// Runs everything from the start; [`Trials::failed`] tells for which stage there is no room, or too few cores.
    pub(crate) fn settle(&mut self, needs: &Needs, order: &[StageId], room: Room) {
        self.now.clear();
        self.fresh.clear();
        self.holes.clear();
        self.held.clear();
        self.failed = None;
        for &stage in order {
            if !self.step(needs, stage, room) {
                self.failed = Some(stage);
                break;
            }
        }
        if self.failed.is_none() {
            self.mark();
        }
        std::mem::swap(&mut self.marks, &mut self.fresh);
    }

    /// The stage for which there is no room in the run that holds.
    pub(crate) const fn failed(&self) -> Option<StageId> {
        self.failed
    }

    /// How far on-chip memory is in use while each stage runs, and at the end.
    pub(crate) fn used(&self) -> impl Iterator<Item = usize> {
        self.marks.iter().map(|mark| mark.used)
    }

    /// Buffers that lie on chip where [`Trials::settle`] found no room, by number.
    pub(crate) fn resident(&self) -> Vec<u32> {
        let mut resident: Vec<u32> = self.now.held.iter().map(|held| held.buffer).collect();
        resident.sort_unstable();
        resident
    }

    /// Whether there is room for all stages of `order` after a change, which then is the run that holds.
    pub(crate) fn attempt(&mut self, needs: &Needs, order: &[StageId], room: Room, change: Change) -> bool {
        let Change { from, alike, shift } = change;
        if from >= self.marks.len() {
            // The run that holds does not come this far, and neither would this one.
            return false;
        }
        self.load(from);
        self.fresh.clear();
        let kept = [self.holes.len(), self.held.len()];
        let mut at = from;
        // Where the marks that still hold begin.
        let rest = loop {
            if at >= alike && self.is_as_before(at + shift) {
                break self.failed.is_none().then_some(at + shift);
            }
            let Some(&stage) = order.get(at) else {
                self.mark();
                break Some(self.marks.len());
            };
            if !self.step(needs, stage, room) {
                break None;
            }
            at += 1;
        };
        debug_assert_eq!(rest.is_some(), runs(needs, order, room), "a trial says what the whole run says");
        if let Some(rest) = rest {
            self.marks.splice(from..rest, self.fresh.drain(..));
            self.failed = None;
        } else {
            self.holes.truncate(kept[0]);
            self.held.truncate(kept[1]);
        }
        rest.is_some()
    }

    /// Forgets the stages at these places, which change nothing.
    pub(crate) fn forget(&mut self, mut is_idle: impl FnMut(usize) -> bool) {
        let mut at = 0;
        self.marks.retain(|_| {
            at += 1;
            !is_idle(at - 1)
        });
    }

    /// Runs a stage, if there is room for it.
    fn step(&mut self, needs: &Needs, stage: StageId, room: Room) -> bool {
        self.mark();
        let used = self.now.step(needs, stage, room);
        if let (Some(used), Some(mark)) = (used, self.fresh.last_mut()) {
            mark.used = used;
        }
        used.is_some()
    }

    /// Keeps what lies where.
    fn mark(&mut self) {
        let Self { now, fresh, holes, held, .. } = self;
        let end = now.pool.end;
        fresh.push(Mark {
            end,
            used: end,
            holes: append(holes, &now.pool.holes),
            held: append(held, &now.held),
        });
    }

    fn load(&mut self, at: usize) {
        let Self { now, marks, holes, held, .. } = self;
        let mark = &marks[at];
        now.clear();
        now.pool.end = mark.end;
        now.pool.holes.extend_from_slice(&holes[places(&mark.holes)]);
        now.held.extend_from_slice(&held[places(&mark.held)]);
    }

    fn is_as_before(&self, at: usize) -> bool {
        self.marks.get(at).is_some_and(|mark| {
            mark.end == self.now.pool.end
                && self.holes[places(&mark.holes)] == self.now.pool.holes
                && self.held[places(&mark.held)] == self.now.held
        })
    }
}

/// Adds a few items one by one, which takes less time than to move them together; their places.
fn append<T: Copy>(list: &mut Vec<T>, items: &[T]) -> Range<u32> {
    let start = index(list.len());
    list.reserve(items.len());
    for &item in items {
        list.push(item);
    }
    start..index(list.len())
}

fn places(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

/// Whether there is room for all stages, run from the start.
fn runs(needs: &Needs, order: &[StageId], room: Room) -> bool {
    let mut bank = Bank::default();
    order.iter().all(|&stage| bank.step(needs, stage, room).is_some())
}
