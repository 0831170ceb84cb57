//! Where in the order of execution stages are and buffers are touched.

use super::graph::{StageId, ValueId, index};
use super::needs::Needs;

/// Places in the order of execution.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// For each buffer, the first and the last place at which it is written or read.
    of: Vec<[u32; 2]>,
    /// For each stage, where it is.
    places: Vec<u32>,
}

impl Reach {
    /// Looks at every stage of `order`.
    pub(crate) fn look(&mut self, needs: &Needs, order: &[StageId]) {
        self.of.clear();
        self.of.resize(needs.buffer_count(), [u32::MAX, 0]);
        for (at, &stage) in order.iter().enumerate() {
            self.put(stage, at);
            for &buffer in needs.writes(stage).iter().chain(needs.reads(stage)) {
                let [first, last] = &mut self.of[buffer as usize];
                *first = index(at).min(*first);
                *last = index(at);
            }
        }
    }

    /// The first and the last place at which `buffer` is touched.
    pub(crate) fn of(&self, buffer: ValueId) -> [usize; 2] {
        let [first, last] = self.of[buffer as usize];
        [first.min(last) as usize, last as usize]
    }

    /// The same if these stages touched it too.
    pub(crate) fn joined(&self, buffer: ValueId, stages: impl Iterator<Item = StageId>) -> [usize; 2] {
        stages
            .map(|stage| self.place(stage))
            .fold(self.of(buffer), |[first, last], at| [first.min(at), last.max(at)])
    }

    pub(crate) fn set(&mut self, buffer: ValueId, [first, last]: [usize; 2]) {
        self.of[buffer as usize] = [index(first), index(last)];
    }

    /// Where a stage is.
    pub(crate) fn place(&self, stage: StageId) -> usize {
        self.places[stage as usize] as usize
    }

    /// Puts a stage at a place.
    pub(crate) fn put(&mut self, stage: StageId, at: usize) {
        if self.places.len() <= stage as usize {
            self.places.resize(stage as usize + 1, 0);
        }
        self.places[stage as usize] = index(at);
    }
}
