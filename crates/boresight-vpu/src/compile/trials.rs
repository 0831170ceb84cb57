//! Trials that run only the stages for which they change something.
//!
//! What the allocator does with a stage follows from what lies where before it and from what the stage asks. A trial
//! therefore starts at the first stage for which it changes anything, from the memory that was kept for that stage, and
//! ends as soon as the rest is known: when no later stage asks anything else than before and the memory is again what
//! it was at the same stage.

use super::graph::{Cores, StageId, ValueId, index};
use super::memory::Room;
use super::needs::Needs;
use super::pool::{Pool, Span};
use std::ops::Range;

/// On-chip memory before a stage, in blocks.
#[derive(Clone, Copy, Debug)]
struct Mark {
    end: u32,
    /// How far it is in use while the stage runs.
    used: u32,
    /// Where its holes are in [`Trials::holes`].
    holes: [u32; 2],
}

impl Mark {
    const fn holes(self) -> Range<usize> {
        self.holes[0] as usize..self.holes[1] as usize
    }
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

/// Where a buffer is.
#[derive(Clone, Copy, Debug, Default)]
struct Seat {
    /// In the run that holds.
    kept: Span,
    /// In the last run that put it somewhere.
    span: Span,
    /// That run, by number.
    run: u32,
}

/// The run that holds so far, and trials that change it.
#[derive(Debug, Default)]
pub(crate) struct Trials {
    now: Pool,
    /// What lies on chip before each stage and after the last one, up to the stage for which there is no room.
    marks: Vec<Mark>,
    /// The same of the trial that is being run.
    fresh: Vec<Mark>,
    holes: Vec<Span>,
    /// For each buffer, where it is.
    seats: Vec<Seat>,
    /// Buffers that the run being made put somewhere, and its number.
    seated: Vec<ValueId>,
    run: u32,
    /// Those of them that are needed still and are elsewhere in the run that holds.
    moved: usize,
    /// The stage for which there is no room.
    failed: Option<StageId>,
}

impl Trials {
    /// Runs everything from the start; [`Trials::failed`] tells for which stage there is no room, or too few cores.
    pub(crate) fn settle(&mut self, needs: &Needs, order: &[StageId], room: Room) {
        self.holes.clear();
        self.seats.clear();
        self.seats.resize(needs.buffer_count(), Seat::default());
        self.run = 0;
        self.now.clear();
        self.begin();
        self.failed = None;
        for (at, &stage) in order.iter().enumerate() {
            if !self.step(needs, stage, index(at), room) {
                self.failed = Some(stage);
                break;
            }
        }
        if self.failed.is_none() {
            self.mark();
        }
        std::mem::swap(&mut self.marks, &mut self.fresh);
        self.keep_seats();
    }

    /// The stage for which there is no room in the run that holds.
    pub(crate) const fn failed(&self) -> Option<StageId> {
        self.failed
    }

    /// How far on-chip memory is in use while each stage runs, and at the end.
    pub(crate) fn used(&self) -> impl Iterator<Item = u32> {
        self.marks.iter().map(|mark| mark.used)
    }

    /// Buffers that lie on chip where [`Trials::settle`] found no room, by number.
    pub(crate) fn resident(&self, needs: &Needs) -> Vec<ValueId> {
        let place = index(self.marks.len()) - 1;
        let is_needed = |id: &ValueId| needs.buffer(*id).life.last >= place;
        let mut resident: Vec<ValueId> = self.seated.iter().copied().filter(is_needed).collect();
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
        self.begin();
        let kept = self.holes.len();
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
            if !self.step(needs, stage, index(at), room) {
                break None;
            }
            at += 1;
        };
        if let Some(rest) = rest {
            self.keep(from..rest);
            self.keep_seats();
            self.failed = None;
        } else {
            self.holes.truncate(kept);
        }
        debug_assert!(
            self.is_as_anew(needs, order, room, rest.is_some()),
            "a trial says what the whole run says"
        );
        rest.is_some()
    }

    /// Begins a run.
    fn begin(&mut self) {
        self.fresh.clear();
        self.seated.clear();
        (self.run, self.moved) = (self.run + 1, 0);
    }

    /// Puts the marks of the trial in the places of those that do not hold any more.
    fn keep(&mut self, gone: Range<usize>) {
        let Self { marks, fresh, .. } = self;
        if gone.len() == fresh.len() {
            marks[gone].copy_from_slice(fresh);
        } else {
            marks.splice(gone, fresh.drain(..));
        }
    }

    fn keep_seats(&mut self) {
        for &id in &self.seated {
            let seat = &mut self.seats[id as usize];
            seat.kept = seat.span;
        }
    }

    /// Forgets the stages at these places, which change nothing.
    pub(crate) fn forget(&mut self, mut is_idle: impl FnMut(usize) -> bool) {
        let mut at = 0;
        self.marks.retain(|_| {
            at += 1;
            !is_idle(at - 1)
        });
    }

    /// Runs a stage, if there is room for it: gives it its results and cores, and takes away what is read no more.
    ///
    /// External memory has no end, so it decides nothing.
    fn step(&mut self, needs: &Needs, stage: StageId, place: u32, room: Room) -> bool {
        let at = self.fresh.len();
        self.mark();
        let cores = needs.cores(stage);
        let Some(left) = room.beside(cores) else { return false };
        // A stage that wants all cores has them before its results have a place, others take what is left.
        let limit = if cores == Cores::All { left } else { room.blocks };
        if self.now.end > limit {
            return false;
        }
        let (writes, reads) = needs.of(stage);
        for &id in writes {
            let buffer = needs.buffer(id);
            debug_assert!(
                buffer.life.last >= place,
                "nothing is written after it was read for the last time"
            );
            if buffer.on_chip && buffer.life.first == place {
                let Some(span) = self.now.allocate(buffer.blocks, limit) else { return false };
                let seat = &mut self.seats[id as usize];
                (seat.span, seat.run) = (span, self.run);
                self.moved += usize::from(span != seat.kept);
                self.seated.push(id);
            }
        }
        if self.now.end > left {
            return false;
        }
        self.fresh[at].used = self.now.end;
        for &id in reads {
            let buffer = needs.buffer(id);
            if buffer.on_chip && buffer.life.ends_at(place) {
                self.take_away(id);
            }
        }
        true
    }

    fn take_away(&mut self, id: ValueId) {
        let Seat { kept, span, run } = self.seats[id as usize];
        let is_seated = run == self.run;
        self.moved -= usize::from(is_seated && span != kept);
        self.now.free(if is_seated { span } else { kept });
    }

    /// Keeps what lies where.
    fn mark(&mut self) {
        let Self { now, fresh, holes, .. } = self;
        let places = match fresh.last() {
            Some(last) if !now.changed => last.holes,
            _ => {
                let start = index(holes.len());
                // One by one, which takes less time than to move so few together.
                for &hole in &now.holes {
                    holes.push(hole);
                }
                now.changed = false;
                [start, index(holes.len())]
            }
        };
        fresh.push(Mark { end: now.end, used: now.end, holes: places });
    }

    fn load(&mut self, at: usize) {
        let Self { now, marks, holes, .. } = self;
        now.clear();
        now.end = marks[at].end;
        now.holes.extend_from_slice(&holes[marks[at].holes()]);
    }

    /// Whether on-chip memory is what it was before this stage in the run that holds. Buffers that this run has not put
    /// anywhere are where they were.
    fn is_as_before(&self, at: usize) -> bool {
        self.moved == 0
            && self
                .marks
                .get(at)
                .is_some_and(|mark| mark.end == self.now.end && self.holes[mark.holes()] == self.now.holes)
    }

    /// Whether a run from the start does what the trial concluded.
    fn is_as_anew(&self, needs: &Needs, order: &[StageId], room: Room, fits: bool) -> bool {
        let mut anew = Self::default();
        anew.settle(needs, order, room);
        anew.failed.is_none() == fits && (!fits || anew.used().eq(self.used()))
    }
}
