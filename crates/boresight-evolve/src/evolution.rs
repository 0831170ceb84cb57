//! The engine of evolutionary strategies: it moves trials between parts and knows when to breed.

use crate::parts::{Rival, Survivor};
use crate::source::Source;
use crate::{Candidate, Error, Parts, Pending, Standing};
use boresight_core::{Proposal, SearchSpace, Seed, Strategy, TellError, Trial, TrialId};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How often parents are chosen anew, and then fresh members sampled, before a place stays empty.
const TRIES: u64 = 100;

/// When children are bred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// A generation is bred when the last trial of the one before was told. The order of verdicts within a generation
    /// changes nothing.
    Generations,
    /// A child is bred whenever fewer than `waiting` trials wait for their verdict, and every verdict counts at once:
    /// for evaluations that differ in length. The first members may all wait at once.
    SteadyState {
        /// Trials that wait at once, at least 1; as many as there are workers.
        waiting: usize,
    },
}

/// The numbers of an [`Evolution`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionSettings {
    /// Members that live at once, at least 2.
    pub population: usize,
    /// Children of a generation, at least 1; a steady state breeds one at a time.
    pub offspring: usize,
    /// Trials in all, at least 1, the first members included.
    pub trials: usize,
    /// When children are bred.
    pub pace: Pace,
}

impl Default for EvolutionSettings {
    fn default() -> Self {
        Self { population: 100, offspring: 100, trials: 10_000, pace: Pace::Generations }
    }
}

impl EvolutionSettings {
    /// `trials` trials in generations of `population` members and as many children.
    pub const fn generations(population: usize, trials: usize) -> Self {
        Self { population, offspring: population, trials, pace: Pace::Generations }
    }

    /// `trials` trials, of which `waiting` wait for their verdict at once.
    pub const fn steady_state(population: usize, trials: usize, waiting: usize) -> Self {
        Self { population, offspring: 1, trials, pace: Pace::SteadyState { waiting } }
    }

    /// Checks the rules that the fields state.
    ///
    /// # Errors
    /// Names the first setting that breaks its rule.
    pub const fn check(&self) -> Result<(), Error> {
        let Self { population, offspring, trials, pace } = *self;
        match pace {
            _ if population < 2 => Err(Error::Population { population }),
            _ if trials == 0 => Err(Error::NoBudget),
            Pace::Generations if offspring == 0 => Err(Error::NoOffspring),
            Pace::SteadyState { waiting: 0 } => Err(Error::NothingWaits),
            _ => Ok(()),
        }
    }
}

/// A member of a population.
#[derive(Clone, Debug)]
struct Member<G> {
    trial: Trial<G>,
    standing: Standing,
}

/// An evolutionary strategy made of [`Parts`]: NSGA-II, NSGA-III, aging evolution, or your own.
///
/// No genotype is proposed twice, and members that live on are never measured again. Where parents yield nothing new in
/// 100 tries, a fresh member is sampled, up to 100 draws; else the place stays empty. It ends with the budget, or when
/// nothing new is found.
#[derive(Debug)]
pub struct Evolution<S: SearchSpace> {
    space: S,
    parts: Parts<S>,
    settings: EvolutionSettings,
    seed: Seed,
    generation: u64,
    source: Source,
    asked: usize,
    queue: VecDeque<Proposal<S::Genotype>>,
    pending: Pending<S::Genotype>,
    members: Vec<Member<S::Genotype>>,
    told: Vec<Trial<S::Genotype>>,
    exhausted: bool,
}

impl<S: SearchSpace> Evolution<S> {
    /// A strategy that has proposed nothing yet.
    ///
    /// # Errors
    /// When the settings or the parts break a rule.
    pub fn new(space: S, parts: Parts<S>, settings: EvolutionSettings, seed: Seed) -> Result<Self, Error> {
        settings.check()?;
        parts.survival.check(&parts.ranking)?;
        Ok(Self {
            space,
            parts,
            settings,
            seed,
            generation: 0,
            source: Source::new(seed, TRIES),
            asked: 0,
            queue: VecDeque::new(),
            pending: Pending::default(),
            members: Vec::new(),
            told: Vec::new(),
            exhausted: false,
        })
    }

    /// The members that live, best first where the survival sorts them; in generations, those of the last whole one.
    pub fn population(&self) -> impl Iterator<Item = &Trial<S::Genotype>> {
        self.members.iter().map(|member| &member.trial)
    }

    /// Breeds what the pace allows into the queue.
    fn refill(&mut self) {
        let left = self.settings.trials - self.asked;
        match self.settings.pace {
            _ if self.exhausted || left == 0 => return,
            Pace::Generations if !self.pending.is_empty() => return,
            Pace::Generations if self.generation == 0 => self.found(self.settings.population.min(left)),
            Pace::Generations => self.breed(self.settings.offspring.min(left)),
            Pace::SteadyState { .. } if self.asked < self.settings.population => self.found_or_breed(),
            Pace::SteadyState { waiting } if self.pending.len() >= waiting => return,
            Pace::SteadyState { .. } if self.members.is_empty() && !self.pending.is_empty() => return,
            Pace::SteadyState { .. } => self.breed(1),
        }
        self.exhausted = self.queue.is_empty() && self.pending.is_empty();
    }

    /// Queues `places` fresh members.
    fn found(&mut self, places: usize) {
        for _ in 0..places {
            let fresh = self.fresh();
            self.queue.extend(fresh);
        }
    }

    /// Queues a first member; where sampling finds none any more, variation may.
    fn found_or_breed(&mut self) {
        self.found(1);
        if self.queue.is_empty() && self.pending.is_empty() && !self.members.is_empty() {
            self.breed(1);
        }
    }

    /// Queues children for `places`; fresh members where nobody lives.
    fn breed(&mut self, places: usize) {
        if self.members.is_empty() {
            return self.found(places);
        }
        let seed = self.seed.derive("breed", self.asked as u64);
        let arity = if self.parts.crossover.is_some() { 2 } else { 1 };
        let chosen = self.select(places.next_multiple_of(arity), seed.derive("selection", 0));
        for (number, parents) in chosen.chunks(arity).enumerate() {
            let seed = seed.derive("parents", number as u64);
            for child in self.vary(parents, seed) {
                if self.queue.len() == places {
                    return;
                }
                let new = if self.parts.novelty.admit(&child.genotype) {
                    Some(child)
                } else {
                    self.renew(arity, seed.derive("again", self.queue.len() as u64))
                };
                self.queue.extend(new);
            }
        }
    }

    /// The indices of so many parents.
    fn select(&self, count: usize, seed: Seed) -> Vec<usize> {
        let rivals = self.members.iter();
        let rivals: Vec<Rival<'_>> = rivals
            .map(|Member { trial, standing }| Rival {
                candidate: Candidate::from(trial),
                standing: *standing,
            })
            .collect();
        self.parts.selection.select(&self.parts.ranking, &rivals, count, seed)
    }

    /// A new child in the place of one that is not; a fresh member where none is found.
    fn renew(&mut self, arity: usize, seed: Seed) -> Option<Proposal<S::Genotype>> {
        for attempt in 0..TRIES {
            let seed = seed.derive("attempt", attempt);
            let parents = self.select(arity, seed.derive("selection", 0));
            let children = self.vary(&parents, seed);
            let new = children.into_iter().find(|child| self.parts.novelty.admit(&child.genotype));
            if new.is_some() {
                return new;
            }
        }
        self.fresh()
    }

    /// The children of one or two members, new or not.
    fn vary(&self, parents: &[usize], seed: Seed) -> Vec<Proposal<S::Genotype>> {
        let Parts { crossover, mutation, repair, .. } = &self.parts;
        let trials: Vec<&Trial<S::Genotype>> = parents.iter().map(|&at| &self.members[at].trial).collect();
        let (genotypes, ancestors): (Vec<S::Genotype>, Vec<TrialId>) = match (crossover, &trials[..]) {
            (Some(crossover), [first, second]) if first.id != second.id => {
                let pair = [&first.proposal.genotype, &second.proposal.genotype];
                let children = crossover.cross(&self.space, pair, seed.derive("crossover", 0));
                (children.into(), vec![first.id, second.id])
            }
            _ => {
                let copies = trials.iter().map(|trial| trial.proposal.genotype.clone()).collect();
                (copies, trials.first().map(|trial| trial.id).into_iter().collect())
            }
        };
        let varied = genotypes.into_iter().enumerate().map(|(number, genotype)| {
            let seed = seed.derive("child", number as u64);
            let mutant = mutation.mutate(&self.space, &genotype, seed.derive("mutation", 0));
            let repaired = repair.repair(&self.space, mutant, seed.derive("repair", 0));
            Proposal::new(repaired).descending_from(ancestors.clone())
        });
        varied.collect()
    }

    /// A member that was never proposed.
    fn fresh(&mut self) -> Option<Proposal<S::Genotype>> {
        let Parts { sampling, repair, novelty, .. } = &mut self.parts;
        self.source.draw(&self.space, &**sampling, &**repair, novelty).map(Proposal::new)
    }

    /// Lets members and told trials compete for the places.
    fn select_survivors(&mut self) {
        self.told.sort_unstable_by_key(|trial| trial.id);
        let members = self.members.drain(..).map(|member| member.trial);
        let trials: Vec<Trial<S::Genotype>> = members.chain(self.told.drain(..)).collect();
        let candidates: Vec<Candidate<'_>> = trials.iter().map(Candidate::from).collect();
        let (size, seed) = (self.settings.population, self.seed.derive("survival", self.generation));
        let Parts { survival, ranking, .. } = &mut self.parts;
        let survivors = survival.survive(ranking, &candidates, size, seed);
        let mut trials: Vec<Option<Trial<S::Genotype>>> = trials.into_iter().map(Some).collect();
        let take = |Survivor { index, standing }| {
            let trial = trials.get_mut(index)?.take()?;
            Some(Member { trial, standing })
        };
        self.members = survivors.into_iter().filter_map(take).collect();
        self.generation += 1;
    }
}

impl<S: SearchSpace> Strategy for Evolution<S> {
    type Genotype = S::Genotype;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        let mut asked = Vec::new();
        while asked.len() < limit {
            if self.queue.is_empty() {
                self.refill();
            }
            let Some(proposal) = self.queue.pop_front() else { break };
            self.asked += 1;
            asked.push(self.pending.add(proposal));
        }
        asked
    }

    fn tell(&mut self, trial: Trial<S::Genotype>) -> Result<(), TellError> {
        self.parts.ranking.accept(&trial)?;
        self.pending.take(&trial)?;
        self.told.push(trial);
        let whole = self.queue.is_empty() && self.pending.is_empty();
        if whole || matches!(self.settings.pace, Pace::SteadyState { .. }) {
            self.select_survivors();
        }
        Ok(())
    }
}
