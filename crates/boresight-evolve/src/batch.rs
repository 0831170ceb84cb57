//! Proposals that are handed out, and the verdicts that come back.

use crate::Pending;
use boresight_core::{Genotype, Proposal, TellError, Trial};
use std::collections::VecDeque;

/// A batch of proposals, of which none is made before the verdicts on the one before are there.
#[derive(Clone, Debug)]
pub(crate) struct Batch<G> {
    /// What is still to be handed out.
    pub(crate) queue: VecDeque<Proposal<G>>,
    pending: Pending<G>,
    /// Trials with their verdicts, in the order in which they came back.
    pub(crate) told: Vec<Trial<G>>,
}

impl<G> Default for Batch<G> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), pending: Pending::default(), told: Vec::new() }
    }
}

impl<G: Genotype> Batch<G> {
    /// Whether everything was handed out, and every verdict is there.
    pub(crate) fn is_over(&self) -> bool {
        self.queue.is_empty() && self.pending.is_empty()
    }

    /// Hands out the next proposals, at most `limit`.
    pub(crate) fn hand_out(&mut self, limit: usize) -> Vec<Proposal<G>> {
        let count = limit.min(self.queue.len());
        self.queue.drain(..count).map(|proposal| self.pending.add(proposal)).collect()
    }

    /// Takes a trial that has its verdict.
    ///
    /// # Errors
    /// As [`Pending::take`].
    pub(crate) fn take(&mut self, trial: Trial<G>) -> Result<(), TellError> {
        self.pending.take(&trial)?;
        self.told.push(trial);
        Ok(())
    }

    /// Puts the trials into the order in which they were asked for, which no number of workers changes.
    pub(crate) fn put_in_order(&mut self) {
        self.told.sort_unstable_by_key(|trial| trial.id);
    }
}
