//! The baseline that every strategy must beat.

use crate::parts::{FromSpace, Repair, Sampling, Unchanged};
use crate::source::Source;
use crate::{Error, Novelty, Pending};
use boresight_core::{Proposal, SearchSpace, Seed, Strategy, TellError, Trial};

/// How many draws in a row may yield nothing new before the space counts as exhausted.
const TRIES: u64 = 1000;

/// What draws in a [`RandomSearch`]; the default samples as the space does.
#[derive(Debug)]
pub struct RandomParts<S: SearchSpace> {
    /// Draws members.
    pub sampling: Box<dyn Sampling<S>>,
    /// Repairs them.
    pub repair: Box<dyn Repair<S>>,
    /// Knows what was proposed before.
    pub novelty: Novelty<S::Genotype>,
}

impl<S: SearchSpace> Default for RandomParts<S> {
    fn default() -> Self {
        Self { sampling: Box::new(FromSpace), repair: Box::new(Unchanged), novelty: Novelty::default() }
    }
}

/// Independent samples of a space, none twice, up to a budget of trials.
///
/// It ends early when 1000 draws in a row yield nothing new. Verdicts do not change what it proposes.
#[derive(Debug)]
pub struct RandomSearch<S: SearchSpace> {
    space: S,
    parts: RandomParts<S>,
    left: usize,
    source: Source,
    pending: Pending<S::Genotype>,
}

impl<S: SearchSpace> RandomSearch<S> {
    /// A search of `budget` trials.
    ///
    /// # Errors
    /// When the budget is 0.
    pub fn new(space: S, budget: usize, seed: Seed) -> Result<Self, Error> {
        Self::with_parts(space, RandomParts::default(), budget, seed)
    }

    /// A search of `budget` trials with parts of your own.
    ///
    /// # Errors
    /// When the budget is 0.
    pub fn with_parts(space: S, parts: RandomParts<S>, budget: usize, seed: Seed) -> Result<Self, Error> {
        if budget == 0 {
            return Err(Error::NoBudget);
        }
        Ok(Self { space, parts, left: budget, source: Source::new(seed, TRIES), pending: Pending::default() })
    }

    fn draw(&mut self) -> Option<Proposal<S::Genotype>> {
        self.left = self.left.checked_sub(1)?;
        let RandomParts { sampling, repair, novelty } = &mut self.parts;
        let new = self.source.draw(&self.space, &**sampling, &**repair, novelty);
        if new.is_none() {
            self.left = 0;
        }
        new.map(|genotype| self.pending.add(Proposal::new(genotype)))
    }
}

impl<S: SearchSpace> Strategy for RandomSearch<S> {
    type Genotype = S::Genotype;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        (0..limit).map_while(|_| self.draw()).collect()
    }

    fn tell(&mut self, trial: Trial<S::Genotype>) -> Result<(), TellError> {
        self.pending.take(&trial)
    }
}
