//! The bookkeeping that every strategy needs: which trials wait for a verdict.

use boresight_core::{Genotype, Outcome, Proposal, TellError, Trial, TrialId};
use std::collections::BTreeMap;

/// The trials that were asked for and not yet told, numbered from 0 in the order in which they were asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending<G> {
    next: u64,
    proposals: BTreeMap<TrialId, Proposal<G>>,
}

impl<G> Default for Pending<G> {
    fn default() -> Self {
        Self { next: 0, proposals: BTreeMap::new() }
    }
}

impl<G: Genotype> Pending<G> {
    /// Gives `proposal` the next number, remembers it and returns it to be handed out.
    pub fn add(&mut self, proposal: Proposal<G>) -> Proposal<G> {
        self.proposals.insert(TrialId(self.next), proposal.clone());
        self.next += 1;
        proposal
    }

    /// Takes a trial that has its verdict off the list.
    ///
    /// # Errors
    /// [`TellError::NotPending`] when the trial does not wait or its proposal is another one than was asked;
    /// [`TellError::NotFinite`] when an objective value is NaN or infinite. Nothing changes then.
    pub fn take(&mut self, trial: &Trial<G>) -> Result<(), TellError> {
        if self.proposals.get(&trial.id) != Some(&trial.proposal) {
            return Err(TellError::NotPending(trial.id));
        }
        if let Outcome::Measured { objectives, .. } = &trial.verdict
            && let Some(index) = objectives.iter().position(|value| !value.is_finite())
        {
            let value = objectives[index].to_string();
            return Err(TellError::NotFinite { trial: trial.id, index, value });
        }
        self.proposals.remove(&trial.id);
        Ok(())
    }

    /// How many trials wait.
    pub fn len(&self) -> usize {
        self.proposals.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.proposals.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: u64, genotype: u8, value: f64) -> Trial<u8> {
        Trial { id: TrialId(id), proposal: Proposal::new(genotype), verdict: Outcome::measured(vec![value]) }
    }

    fn two_waiting() -> Pending<u8> {
        let mut pending = Pending::default();
        pending.add(Proposal::new(7));
        pending.add(Proposal::new(8));
        pending
    }

    #[test]
    fn a_trial_is_taken_once() {
        let mut pending = two_waiting();
        assert_eq!(pending.take(&told(1, 8, 0.5)), Ok(()));
        assert_eq!(pending.take(&told(1, 8, 0.5)), Err(TellError::NotPending(TrialId(1))));
        assert_eq!(pending.len(), 1);
    }

    #[test]
    fn a_verdict_on_another_genotype_is_refused() {
        let mut pending = two_waiting();
        assert_eq!(pending.take(&told(0, 8, 0.5)), Err(TellError::NotPending(TrialId(0))));
        assert_eq!(pending, two_waiting());
    }

    #[test]
    fn values_that_are_not_finite_are_refused() {
        let mut pending = two_waiting();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let refused = pending.take(&told(0, 7, value));
            assert!(matches!(refused, Err(TellError::NotFinite { trial: TrialId(0), index: 0, .. })));
        }
        assert_eq!(pending, two_waiting());
    }
}
