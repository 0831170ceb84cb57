//! Parts that make genotypes, from what any space offers.

use super::{Crossover, Mutation, Neighbourhood, Repair, Sampling};
use boresight_core::{Evolvable, SearchSpace, Seed};

/// Sampling, crossover and mutation as the search space has them.
#[derive(Clone, Copy, Debug, Default)]
pub struct FromSpace;

impl<S: SearchSpace> Sampling<S> for FromSpace {
    fn sample(&self, space: &S, _: u64, seed: Seed) -> S::Genotype {
        space.sample(seed)
    }
}

impl<S: Evolvable> Crossover<S> for FromSpace {
    fn cross(&self, space: &S, [first, second]: [&S::Genotype; 2], seed: Seed) -> [S::Genotype; 2] {
        [space.crossover(first, second, seed), space.crossover(second, first, seed.derive("second", 0))]
    }
}

impl<S: Evolvable> Mutation<S> for FromSpace {
    fn mutate(&self, space: &S, genotype: &S::Genotype, seed: Seed) -> S::Genotype {
        space.mutate(genotype, seed)
    }
}

/// So many different mutants as neighbours; fewer where twice as many draws yield no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutants {
    /// How many.
    pub count: usize,
}

impl<S: Evolvable> Neighbourhood<S> for Mutants {
    fn neighbours(&self, space: &S, genotype: &S::Genotype, seed: Seed) -> Vec<S::Genotype> {
        let mut neighbours: Vec<S::Genotype> = Vec::new();
        for index in 0..(self.count as u64).saturating_mul(2) {
            if neighbours.len() == self.count {
                break;
            }
            let mutant = space.mutate(genotype, seed.derive("mutant", index));
            if mutant != *genotype && !neighbours.contains(&mutant) {
                neighbours.push(mutant);
            }
        }
        neighbours
    }
}

/// Repairs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unchanged;

impl<S: SearchSpace> Repair<S> for Unchanged {
    fn repair(&self, _: &S, genotype: S::Genotype, _: Seed) -> S::Genotype {
        genotype
    }
}

/// A crossover or mutation that is left out now and then; what comes in then goes out.
#[derive(Clone, Copy, Debug)]
pub struct Sometimes<P> {
    /// What happens.
    pub part: P,
    /// How likely it happens.
    pub probability: f64,
}

impl<S: SearchSpace, P: Crossover<S>> Crossover<S> for Sometimes<P> {
    fn cross(&self, space: &S, parents: [&S::Genotype; 2], seed: Seed) -> [S::Genotype; 2] {
        if seed.derive("sometimes", 0).stream().chance(self.probability) {
            self.part.cross(space, parents, seed)
        } else {
            parents.map(Clone::clone)
        }
    }
}

impl<S: SearchSpace, P: Mutation<S>> Mutation<S> for Sometimes<P> {
    fn mutate(&self, space: &S, genotype: &S::Genotype, seed: Seed) -> S::Genotype {
        if seed.derive("sometimes", 0).stream().chance(self.probability) {
            self.part.mutate(space, genotype, seed)
        } else {
            genotype.clone()
        }
    }
}

/// Given genotypes first, such as the best of an earlier run, then what `rest` draws.
#[derive(Clone, Debug)]
pub struct WarmStart<G, P> {
    /// What is proposed first, in this order.
    pub first: Vec<G>,
    /// Draws what comes behind.
    pub rest: P,
}

impl<G, P> WarmStart<G, P> {
    /// Genotypes that came from a file, say, and that must be members of `space`.
    ///
    /// # Errors
    /// What is wrong with the first that is none.
    pub fn new<S: SearchSpace<Genotype = G>>(space: &S, first: Vec<G>, rest: P) -> Result<Self, S::Error> {
        for genotype in &first {
            space.decode(genotype)?;
        }
        Ok(Self { first, rest })
    }
}

impl<S: SearchSpace, P: Sampling<S>> Sampling<S> for WarmStart<S::Genotype, P> {
    fn sample(&self, space: &S, index: u64, seed: Seed) -> S::Genotype {
        let given = usize::try_from(index).ok().and_then(|index| self.first.get(index));
        given.map_or_else(|| self.rest.sample(space, index, seed), Clone::clone)
    }
}
