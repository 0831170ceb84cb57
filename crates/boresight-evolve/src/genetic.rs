//! The genetic algorithm of the paper, as ask and tell.

use crate::batch::Batch;
use crate::parts::{Rival, Survivor};
use crate::{Candidate, Error, Parts, Ranking, Standing};
use boresight_core::{Evolvable, Proposal, SearchSpace, Seed, Strategy, TellError, Trial, TrialId};
use serde::{Deserialize, Serialize};

/// How often a child is varied anew, and then a fresh member sampled, before its place stays empty.
const TRIES: u64 = 100;

/// The parameters of [`GeneticAlgorithm`]; the defaults are the paper's.
///
/// # Source
/// Neural architecture search for on-board processing, Scientific Reports (s41598-025-21467-8). Its mutation
/// probability of 0.2 for each gene belongs to the search space, not here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneticSettings {
    /// Members of each generation, at least 2.
    pub population: usize,
    /// Generations, at least 1; the first population counts as generation 1.
    pub generations: usize,
    /// How many of the best pass into the next generation with their verdict, below `population`. They are never
    /// proposed again.
    pub elites: usize,
    /// The share of the population that is sampled afresh in each later generation, rounded to whole members and at
    /// most what the elites leave.
    pub immigrants: f64,
    /// The share of the population, from the best down, that may become parents; rounded up, at least two of them.
    pub mating_pool: f64,
    /// The probability that a child is crossed from two parents; otherwise it starts as a copy of one.
    pub crossover: f64,
    /// The probability that a child is mutated at all; how much of it changes is the search space's business.
    pub mutation: f64,
}

impl Default for GeneticSettings {
    fn default() -> Self {
        Self {
            population: 50,
            generations: 15,
            elites: 2,
            immigrants: 0.2,
            mating_pool: 0.5,
            crossover: 1.0,
            mutation: 1.0,
        }
    }
}

impl GeneticSettings {
    /// Checks the rules that the fields state.
    ///
    /// # Errors
    /// Names the first setting that breaks its rule.
    pub fn check(&self) -> Result<(), Error> {
        let &Self { population, generations, elites, .. } = self;
        if population < 2 {
            return Err(Error::Population { population });
        }
        if generations == 0 {
            return Err(Error::NoGenerations);
        }
        if elites >= population {
            return Err(Error::Elites { elites, population });
        }
        let shares = [
            ("immigrants", self.immigrants),
            ("mating_pool", self.mating_pool),
            ("crossover", self.crossover),
            ("mutation", self.mutation),
        ];
        if let Some((setting, value)) = shares.into_iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            return Err(Error::Share { setting, value });
        }
        if self.mating_pool > 0.0 { Ok(()) } else { Err(Error::NoParents) }
    }

    /// The trials that the settings imply; fewer only when the space runs out of new genotypes.
    pub const fn planned_trials(&self) -> usize {
        let later = self.generations.saturating_sub(1);
        self.population.saturating_add(later.saturating_mul(self.newcomers()))
    }

    /// The new members of each later generation.
    const fn newcomers(&self) -> usize {
        self.population.saturating_sub(self.elites)
    }

    fn immigrant_count(&self) -> usize {
        members((self.immigrants * self.population as f64).round()).min(self.newcomers())
    }

    fn pool_size(&self) -> usize {
        members((self.mating_pool * self.population as f64).ceil()).max(2)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a population")]
fn members(share: f64) -> usize {
    share as usize
}

/// A member of a population, and where it stands in it.
type Member<G> = (Trial<G>, Standing);

/// The paper's generational genetic algorithm.
///
/// All proposals of a generation can be asked for before the first is told; the next generation starts when the last
/// is told. It holds the elites, children of the mating pool, and immigrants, in this order. Trials that failed are
/// parents only while fewer than two were measured. No genotype is proposed twice: a child that was proposed before
/// is varied anew, up to 100 times, then replaced by a fresh sample, up to 100 draws, else its place stays empty. A
/// generation in which nothing is new ends the search.
///
/// Its [`Parts`] can be swapped one at a time: survival orders a finished generation, elites and mating pool are its
/// beginning, and selection chooses pairs of the pool. A child of a pair is the first one that the crossover makes.
///
/// What is proposed depends on the seed and the verdicts alone, not on the order of the verdicts in a generation.
#[derive(Debug)]
pub struct GeneticAlgorithm<S: SearchSpace> {
    space: S,
    parts: Parts<S>,
    settings: GeneticSettings,
    seed: Seed,
    generation: usize,
    sampled: u64,
    batch: Batch<S::Genotype>,
    elites: Vec<Trial<S::Genotype>>,
}

impl<S: Evolvable> GeneticAlgorithm<S> {
    /// The paper's algorithm, with the parts of [`Parts::genetic`], that has proposed nothing yet.
    ///
    /// # Errors
    /// When the settings or the ranking break a rule.
    pub fn new(space: S, settings: GeneticSettings, ranking: Ranking, seed: Seed) -> Result<Self, Error> {
        Self::with_parts(space, Parts::genetic(ranking), settings, seed)
    }
}

impl<S: SearchSpace> GeneticAlgorithm<S> {
    /// An algorithm with parts of your own that has proposed nothing yet.
    ///
    /// # Errors
    /// When the settings or the parts break a rule.
    pub fn with_parts(
        space: S,
        parts: Parts<S>,
        settings: GeneticSettings,
        seed: Seed,
    ) -> Result<Self, Error> {
        settings.check()?;
        parts.survival.check(&parts.ranking)?;
        Ok(Self {
            space,
            parts,
            settings,
            seed,
            generation: 0,
            sampled: 0,
            batch: Batch::default(),
            elites: Vec::new(),
        })
    }

    /// The generation that is being proposed or evaluated, counted from 1; 0 before the first is asked for.
    pub fn generation(&self) -> usize {
        self.generation
    }

    /// Fills the queue with the next generation, if there is one.
    fn advance(&mut self) {
        let nothing_new = self.generation > 0 && self.batch.told.is_empty();
        if nothing_new || self.generation == self.settings.generations {
            return;
        }
        let population = self.take_population();
        let pool = self.mating_pool(&population);
        let immigrants = self.settings.immigrant_count();
        let (children, places) = match self.generation {
            0 => (0, self.settings.population),
            _ => (self.settings.newcomers() - immigrants, self.settings.newcomers()),
        };
        self.generation += 1;
        let generation = self.seed.derive("generation", self.generation as u64);
        for place in 0..places {
            let seed = generation.derive("child", place as u64);
            let child = if place < children { self.vary(&pool, seed) } else { None };
            let proposal = child.or_else(|| self.sample(seed));
            self.batch.queue.extend(proposal);
        }
        self.elites = population.into_iter().take(self.settings.elites).map(|(trial, _)| trial).collect();
    }

    /// Elites and newcomers of the finished generation, in the order of the survival.
    fn take_population(&mut self) -> Vec<Member<S::Genotype>> {
        self.batch.put_in_order();
        let mut trials = std::mem::take(&mut self.elites);
        trials.append(&mut self.batch.told);
        let candidates: Vec<Candidate<'_>> = trials.iter().map(Candidate::from).collect();
        let (size, seed) = (self.settings.population, self.seed.derive("survival", self.generation as u64));
        let survivors = self.parts.survival.survive(&self.parts.ranking, &candidates, size, seed);
        let mut trials: Vec<Option<Trial<S::Genotype>>> = trials.into_iter().map(Some).collect();
        let take = |Survivor { index, standing }| Some((trials.get_mut(index)?.take()?, standing));
        survivors.into_iter().filter_map(take).collect()
    }

    /// Those that become parents: of those that compete first, of the others where fewer than two do.
    fn mating_pool<'members>(
        &self,
        population: &'members [Member<S::Genotype>],
    ) -> Vec<&'members Member<S::Genotype>> {
        let competes = |member: &&Member<S::Genotype>| self.parts.ranking.competes(&member.0.verdict);
        let (mut pool, rest): (Vec<_>, Vec<_>) = population.iter().partition(competes);
        let size = self.settings.pool_size();
        let places = if pool.is_empty() { size } else { size.min(pool.len().max(2)) };
        pool.extend(rest);
        pool.truncate(places);
        pool
    }

    /// A child of the mating pool that was never proposed.
    fn vary(&mut self, pool: &[&Member<S::Genotype>], seed: Seed) -> Option<Proposal<S::Genotype>> {
        let rivals =
            pool.iter().map(|(trial, standing)| Rival { candidate: trial.into(), standing: *standing });
        let rivals: Vec<Rival<'_>> = rivals.collect();
        (0..if pool.is_empty() { 0 } else { TRIES }).find_map(|attempt| {
            let seed = seed.derive("vary", attempt);
            let chosen = self.parts.selection.select(&self.parts.ranking, &rivals, 2, seed);
            let parents: Vec<_> =
                chosen.iter().filter_map(|&at| pool.get(at)).map(|(trial, _)| trial).collect();
            let child = self.child(&parents, seed)?;
            self.parts.novelty.admit(&child.genotype).then_some(child)
        })
    }

    /// A member of the space that was never proposed.
    fn sample(&mut self, seed: Seed) -> Option<Proposal<S::Genotype>> {
        let Parts { sampling, repair, novelty, .. } = &mut self.parts;
        (0..TRIES).find_map(|attempt| {
            let seed = seed.derive("sample", attempt);
            let genotype = sampling.sample(&self.space, self.sampled, seed);
            self.sampled += 1;
            let genotype = repair.repair(&self.space, genotype, seed.derive("repair", 0));
            novelty.admit(&genotype).then(|| Proposal::new(genotype))
        })
    }

    /// A child of one parent or two, new or not; `None` without parents.
    fn child(&self, parents: &[&Trial<S::Genotype>], seed: Seed) -> Option<Proposal<S::Genotype>> {
        let (first, rest) = parents.split_first()?;
        let mut draws = seed.derive("variation", 0).stream();
        let (crossed, mutated) =
            (draws.chance(self.settings.crossover), draws.chance(self.settings.mutation));
        let second = rest.first().filter(|second| crossed && second.id != first.id);
        let mut genotype = first.proposal.genotype.clone();
        let mut ancestors: Vec<TrialId> = vec![first.id];
        if let Some((second, crossover)) = second.zip(self.parts.crossover.as_ref()) {
            let pair = [&genotype, &second.proposal.genotype];
            [genotype, _] = crossover.cross(&self.space, pair, seed.derive("crossover", 0));
            ancestors.push(second.id);
        }
        if mutated {
            genotype = self.parts.mutation.mutate(&self.space, &genotype, seed.derive("mutation", 0));
        }
        let genotype = self.parts.repair.repair(&self.space, genotype, seed.derive("repair", 0));
        Some(Proposal::new(genotype).descending_from(ancestors))
    }
}

impl<S: SearchSpace> Strategy for GeneticAlgorithm<S> {
    type Genotype = S::Genotype;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        if self.batch.is_over() {
            self.advance();
        }
        self.batch.hand_out(limit)
    }

    fn tell(&mut self, trial: Trial<S::Genotype>) -> Result<(), TellError> {
        self.parts.ranking.accept(&trial)?;
        self.batch.take(trial)
    }
}
