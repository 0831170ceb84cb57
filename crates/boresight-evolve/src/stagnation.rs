//! When further trials are no longer worth it.

use crate::pareto::{dominates, hypervolume};
use crate::{Error, Ranking};
use boresight_core::{Direction, Trial};

/// Notices that the hypervolume of the front stays as it is. A rule for a search that sees its trials from time to time.
///
/// # Examples
/// ```
/// use boresight_core::{Direction::Minimise, Outcome, Proposal, Trial, TrialId};
/// use boresight_evolve::Stagnation;
/// let trial = |id, value| {
///     Trial { id: TrialId(id), proposal: Proposal::new(id), verdict: Outcome::measured(vec![value]) }
/// };
/// let mut rule = Stagnation::new(vec![Minimise], vec![10.0], 2, 0.01)?;
/// let trials = [trial(0, 5.0), trial(1, 4.0), trial(2, 4.0), trial(3, 7.0)];
/// assert!(!rule.stagnates(&trials[..2]) && !rule.stagnates(&trials[..3]));
/// assert!(rule.stagnates(&trials));
/// # Ok::<(), boresight_evolve::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Stagnation {
    directions: Vec<Direction>,
    reference: Vec<f64>,
    patience: usize,
    gain: f64,
    /// How many trials were seen, and the front of their values.
    seen: usize,
    front: Vec<Vec<f64>>,
    /// The hypervolume that must be beaten, and how many trials there were when it was reached.
    best: f64,
    since: usize,
}

impl Stagnation {
    /// A rule that holds when `patience` trials have not made the hypervolume up to `reference` larger by the share
    /// `gain`. Before anything lies inside the reference point, it holds for as many trials without a change.
    ///
    /// # Errors
    /// When there are no objectives, the reference has another number of values, or `gain` is not in 0..=1.
    pub fn new(
        directions: Vec<Direction>,
        reference: Vec<f64>,
        patience: usize,
        gain: f64,
    ) -> Result<Self, Error> {
        Ranking::Pareto { directions: directions.clone() }.check()?;
        if directions.len() != reference.len() {
            return Err(Error::DirectionLength { expected: directions.len(), found: reference.len() });
        }
        if !(0.0..=1.0).contains(&gain) {
            return Err(Error::Share { setting: "gain", value: gain });
        }
        Ok(Self { directions, reference, patience, gain, seen: 0, front: Vec::new(), best: 0.0, since: 0 })
    }

    /// Whether the rule holds after all of `trials`, of which those that it saw before come first.
    pub fn stagnates<G>(&mut self, trials: &[Trial<G>]) -> bool {
        let fresh = trials.get(self.seen..).unwrap_or_default();
        self.seen = self.seen.max(trials.len());
        let points = fresh.iter().filter_map(|trial| trial.verdict.objectives());
        let mut changed = false;
        for point in points.filter(|point| point.len() == self.directions.len()) {
            let beaten = |one: &[f64], other: &[f64]| one == other || dominates(one, other, &self.directions);
            if !self.front.iter().any(|kept| beaten(kept, point)) {
                self.front.retain(|kept| !dominates(point, kept, &self.directions));
                self.front.push(point.to_vec());
                changed = true;
            }
        }
        if changed {
            let volume = hypervolume(&self.front, &self.reference, &self.directions);
            if volume > self.best * (1.0 + self.gain) {
                (self.best, self.since) = (volume, self.seen);
            }
        }
        self.seen - self.since >= self.patience.max(1)
    }
}
