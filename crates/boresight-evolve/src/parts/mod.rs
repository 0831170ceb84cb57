//! The parts of an evolutionary strategy: values that can be swapped one at a time.
//!
//! Each part is a small trait with one method. What varies genotypes takes the search space as its parameter, so a part
//! works on every space that can do what it needs; selection and survival see verdicts alone. Parts have no state but
//! [`Survival`], which may remember what it saw, and draw from the seed that they are given.

mod reference;
mod selection;
mod survival;
mod variation;

pub use reference::{NicheSurvival, largest_lattice, lattice_directions};
pub use selection::{Pairs, Tournament, Uniform};
pub use survival::{OldestDies, Truncation};
pub use variation::{FromSpace, Mutants, Sometimes, Unchanged, WarmStart};

use crate::{Candidate, Error, Novelty, Ranking, Standing};
use boresight_core::{Evolvable, SearchSpace, Seed};
use std::fmt::Debug;

/// Draws the first members, and fresh ones where variation finds nothing new.
pub trait Sampling<S: SearchSpace>: Debug + Send {
    /// The `index`-th member that is drawn, counted from 0 over the whole run.
    fn sample(&self, space: &S, index: u64, seed: Seed) -> S::Genotype;
}

/// Crosses two members.
pub trait Crossover<S: SearchSpace>: Debug + Send {
    /// Two children; neither parent changes.
    fn cross(&self, space: &S, parents: [&S::Genotype; 2], seed: Seed) -> [S::Genotype; 2];
}

/// Varies one member.
pub trait Mutation<S: SearchSpace>: Debug + Send {
    /// A neighbour of `genotype`.
    fn mutate(&self, space: &S, genotype: &S::Genotype, seed: Seed) -> S::Genotype;
}

/// Knows what lies next to a member.
pub trait Neighbourhood<S: SearchSpace>: Debug + Send {
    /// The neighbours of `genotype`: all of them where they are few, else a sample.
    fn neighbours(&self, space: &S, genotype: &S::Genotype, seed: Seed) -> Vec<S::Genotype>;
}

/// Brings what variation made back to what is wanted, such as an even number of stages.
pub trait Repair<S: SearchSpace>: Debug + Send {
    /// The member that stands for `genotype`.
    fn repair(&self, space: &S, genotype: S::Genotype, seed: Seed) -> S::Genotype;
}

/// Chooses parents.
pub trait Selection: Debug + Send {
    /// `count` indices of `members`, which are not empty; each two in a row become a pair.
    fn select(&self, ranking: &Ranking, members: &[Rival<'_>], count: usize, seed: Seed) -> Vec<usize>;
}

/// Chooses who lives on.
pub trait Survival: Debug + Send {
    /// At most `size` of `candidates`, none twice, with their standings. Called once for each generation, or for each
    /// verdict in a steady state.
    fn survive(
        &mut self,
        ranking: &Ranking,
        candidates: &[Candidate<'_>],
        size: usize,
        seed: Seed,
    ) -> Vec<Survivor>;

    /// Checks that the part can work with `ranking`.
    ///
    /// # Errors
    /// When it cannot.
    fn check(&self, ranking: &Ranking) -> Result<(), Error> {
        ranking.check()
    }
}

/// A member that may become a parent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival<'trial> {
    /// What is known of it.
    pub candidate: Candidate<'trial>,
    /// Where it stood when it survived.
    pub standing: Standing,
}

/// A candidate that lives on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Survivor {
    /// Its index among the candidates.
    pub index: usize,
    /// Where it stands.
    pub standing: Standing,
}

/// The parts of an evolutionary strategy. Start from a set such as [`Parts::nsga2`] and replace what you like.
#[derive(Debug)]
pub struct Parts<S: SearchSpace> {
    /// Draws members.
    pub sampling: Box<dyn Sampling<S>>,
    /// Chooses parents.
    pub selection: Box<dyn Selection>,
    /// Crosses parents; `None` for strategies whose children have one parent.
    pub crossover: Option<Box<dyn Crossover<S>>>,
    /// Varies children.
    pub mutation: Box<dyn Mutation<S>>,
    /// Repairs children and samples.
    pub repair: Box<dyn Repair<S>>,
    /// Chooses who lives on.
    pub survival: Box<dyn Survival>,
    /// How trials are compared.
    pub ranking: Ranking,
    /// Knows what was proposed before.
    pub novelty: Novelty<S::Genotype>,
}

impl<S: Evolvable> Parts<S> {
    /// The paper's genetic algorithm: random pairs of the mating pool, crossover and mutation of the space, the best
    /// first. Made for [`GeneticAlgorithm::with_parts`](crate::GeneticAlgorithm::with_parts).
    pub fn genetic(ranking: Ranking) -> Self {
        Self { selection: Box::new(Pairs), ..Self::nsga2(ranking) }
    }

    /// NSGA-II: binary tournaments, crossover and mutation of the space, the best by layer and crowding live on.
    /// A fitness as the ranking makes it a genetic algorithm in which parents compete with their children.
    ///
    /// # Source
    /// Deb et al., *A fast and elitist multiobjective genetic algorithm: NSGA-II*, 2002.
    pub fn nsga2(ranking: Ranking) -> Self {
        Self {
            sampling: Box::new(FromSpace),
            selection: Box::new(Tournament { size: 2 }),
            crossover: Some(Box::new(FromSpace)),
            mutation: Box::new(FromSpace),
            repair: Box::new(Unchanged),
            survival: Box::new(Truncation),
            ranking,
            novelty: Novelty::default(),
        }
    }

    /// NSGA-III: parents at random among equals in feasibility, survival by niches around `directions`, which
    /// [`lattice_directions`] makes.
    ///
    /// # Source
    /// Deb and Jain, *An evolutionary many-objective optimization algorithm using reference-point-based nondominated
    /// sorting approach*, parts I and II, 2014.
    ///
    /// # Errors
    /// When `directions` are none, or not of as many values as the ranking has objectives.
    pub fn nsga3(ranking: Ranking, directions: Vec<Vec<f64>>) -> Result<Self, Error> {
        Ok(Self {
            selection: Box::new(Uniform),
            survival: Box::new(NicheSurvival::new(directions)?),
            ..Self::nsga2(ranking)
        })
    }

    /// Aging evolution: mutants of the best of `sample` random members, and the oldest member dies. With a Pareto
    /// ranking, the best is the least dominated and the loneliest. Made for a [steady state](crate::Pace::SteadyState).
    ///
    /// # Source
    /// Real et al., *Regularized evolution for image classifier architecture search*, 2019.
    pub fn aging(ranking: Ranking, sample: usize) -> Self {
        Self {
            selection: Box::new(Tournament { size: sample }),
            crossover: None,
            survival: Box::new(OldestDies),
            ..Self::nsga2(ranking)
        }
    }
}
