//! The baseline that every strategy must beat.

use crate::{Error, Pending};
use boresight_core::{Proposal, SearchSpace, Seed, Strategy, TellError, Trial};
use std::collections::HashSet;

/// How many draws in a row may yield nothing new before the space counts as exhausted.
const TRIES: u64 = 1000;

/// Independent samples of a space, none twice, up to a budget of trials.
///
/// It ends early when 1000 draws in a row yield nothing new. Verdicts do not change what it proposes.
#[derive(Clone, Debug)]
pub struct RandomSearch<S: SearchSpace> {
    space: S,
    left: usize,
    seed: Seed,
    drawn: u64,
    pending: Pending<S::Genotype>,
    proposed: HashSet<S::Genotype>,
}

impl<S: SearchSpace> RandomSearch<S> {
    /// A search of `budget` trials.
    ///
    /// # Errors
    /// When the budget is 0.
    pub fn new(space: S, budget: usize, seed: Seed) -> Result<Self, Error> {
        if budget == 0 {
            return Err(Error::NoBudget);
        }
        let (pending, proposed) = (Pending::default(), HashSet::new());
        Ok(Self { space, left: budget, seed, drawn: 0, pending, proposed })
    }

    fn draw(&mut self) -> Option<Proposal<S::Genotype>> {
        self.left = self.left.checked_sub(1)?;
        for _ in 0..TRIES {
            let genotype = self.space.sample(self.seed.derive("sample", self.drawn));
            self.drawn += 1;
            if self.proposed.insert(genotype.clone()) {
                return Some(self.pending.add(Proposal::new(genotype)));
            }
        }
        self.left = 0;
        None
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
