//! Drawing members that were never proposed.

use crate::Novelty;
use crate::parts::{Repair, Sampling};
use boresight_core::{SearchSpace, Seed};

/// Draws members one after the other, each from its own seed, and leaves out what was proposed before.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    seed: Seed,
    tries: u64,
    drawn: u64,
}

impl Source {
    /// A source that gives up for the moment when `tries` draws in a row yield nothing new.
    pub(crate) const fn new(seed: Seed, tries: u64) -> Self {
        Self { seed, tries, drawn: 0 }
    }

    /// A new member, which now counts as proposed.
    pub(crate) fn draw<S: SearchSpace>(
        &mut self,
        space: &S,
        sampling: &dyn Sampling<S>,
        repair: &dyn Repair<S>,
        novelty: &mut Novelty<S::Genotype>,
    ) -> Option<S::Genotype> {
        for _ in 0..self.tries {
            let seed = self.seed.derive("sample", self.drawn);
            let genotype = sampling.sample(space, self.drawn, seed);
            self.drawn += 1;
            let genotype = repair.repair(space, genotype, seed.derive("repair", 0));
            if novelty.admit(&genotype) {
                return Some(genotype);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::CategoricalSpace;
    use crate::parts::{FromSpace, Unchanged};

    #[test]
    fn draws_that_failed_are_not_repeated() {
        let space = CategoricalSpace::new(vec![40]).unwrap();
        let (mut source, mut novelty) = (Source::new(Seed::new(1), 1), Novelty::default());
        let mut draw = || source.draw(&space, &FromSpace, &Unchanged, &mut novelty);
        // Each draw is tried once, so that only a source which goes on finds all of 40.
        assert_eq!((0..1000).filter_map(|_| draw()).count(), 40);
    }
}
