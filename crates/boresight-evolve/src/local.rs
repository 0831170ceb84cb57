//! Local search: explore the neighbours of the best, move on, start again.

use crate::batch::Batch;
use crate::parts::{FromSpace, Mutants, Neighbourhood, Repair, Sampling, Unchanged};
use crate::source::Source;
use crate::{Candidate, Error, Novelty, Ranking};
use boresight_core::{Evolvable, Proposal, SearchSpace, Seed, Strategy, TellError, Trial, TrialId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

/// How many draws in a row may yield nothing new before the space counts as exhausted.
const TRIES: u64 = 1000;

/// The numbers of a [`LocalSearch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LocalSettings {
    /// Trials in all, at least 1.
    pub trials: usize,
    /// Fresh members from which each climb starts, at least 1.
    pub starts: usize,
    /// Neighbours that are tried before the next step is decided, at least 1; as many as there are workers.
    pub round: usize,
}

impl Default for LocalSettings {
    fn default() -> Self {
        Self { trials: 1000, starts: 10, round: 1 }
    }
}

/// What varies and compares in a [`LocalSearch`].
#[derive(Debug)]
pub struct LocalParts<S: SearchSpace> {
    /// Draws the starts.
    pub sampling: Box<dyn Sampling<S>>,
    /// Knows the neighbours of a member.
    pub neighbourhood: Box<dyn Neighbourhood<S>>,
    /// Repairs starts and neighbours.
    pub repair: Box<dyn Repair<S>>,
    /// How trials are compared.
    pub ranking: Ranking,
    /// Knows what was proposed before.
    pub novelty: Novelty<S::Genotype>,
}

impl<S: Evolvable> LocalParts<S> {
    /// Starts as the space samples them, and up to 20 mutants of each member as its neighbours.
    pub fn new(ranking: Ranking) -> Self {
        Self {
            sampling: Box::new(FromSpace),
            neighbourhood: Box::new(Mutants { count: 20 }),
            repair: Box::new(Unchanged),
            ranking,
            novelty: Novelty::default(),
        }
    }
}

/// Hill climbing with restarts; with several objectives, Pareto local search.
///
/// A climb starts from a few fresh members and keeps those that no other of the climb beats. It explores the neighbours
/// of one of them, in random order and in rounds; when a round beats it, the rest of its neighbours is left. When all
/// that were kept are explored, the next climb starts. The order of verdicts within a round changes nothing. No genotype
/// is proposed twice; the search ends with the budget, or when 1000 draws yield no new start.
///
/// # Source
/// White et al., *Exploring the loss landscape in neural architecture search*, 2021, for local search on architectures;
/// Paquete et al., *Pareto local optimum sets in the biobjective traveling salesman problem*, 2004, for several
/// objectives.
#[derive(Debug)]
pub struct LocalSearch<S: SearchSpace> {
    space: S,
    parts: LocalParts<S>,
    settings: LocalSettings,
    seed: Seed,
    source: Source,
    asked: usize,
    /// The running round.
    batch: Batch<S::Genotype>,
    /// The members of the climb that no other of it beats.
    kept: Vec<Trial<S::Genotype>>,
    explored: BTreeSet<TrialId>,
    /// The member that is explored, and its neighbours that were not tried.
    current: Option<(TrialId, VecDeque<S::Genotype>)>,
    exhausted: bool,
}

impl<S: SearchSpace> LocalSearch<S> {
    /// A search that has proposed nothing yet.
    ///
    /// # Errors
    /// When a setting is 0 or the ranking breaks a rule.
    pub fn new(space: S, parts: LocalParts<S>, settings: LocalSettings, seed: Seed) -> Result<Self, Error> {
        parts.ranking.check()?;
        let LocalSettings { trials, starts, round } = settings;
        for (setting, value) in [("trials", trials), ("starts", starts), ("round", round)] {
            if value == 0 {
                return Err(Error::Zero { setting });
            }
        }
        Ok(Self {
            space,
            parts,
            settings,
            seed,
            source: Source::new(seed, TRIES),
            asked: 0,
            batch: Batch::default(),
            kept: Vec::new(),
            explored: BTreeSet::new(),
            current: None,
            exhausted: false,
        })
    }

    /// Decides what is tried next, once the last round is told.
    fn advance(&mut self) {
        self.settle();
        while self.batch.queue.is_empty() && !self.kept.is_empty() {
            if self.current.is_none() && !self.explore_next() {
                self.kept.clear();
                self.explored.clear();
            }
            self.fill_round();
        }
        if self.batch.queue.is_empty() {
            let starts = self.settings.starts.min(self.settings.trials - self.asked);
            self.batch.queue = (0..starts).map_while(|_| self.fresh()).collect();
        }
        self.exhausted = self.batch.queue.is_empty();
        self.batch.queue.truncate(self.settings.trials - self.asked);
    }

    /// Takes the told round into the climb and drops what is beaten.
    fn settle(&mut self) {
        self.batch.put_in_order();
        self.kept.append(&mut self.batch.told);
        let candidates: Vec<Candidate<'_>> = self.kept.iter().map(Candidate::from).collect();
        let mut standings = self.parts.ranking.standings(&candidates).into_iter();
        self.kept.retain(|_| standings.next().is_some_and(|standing| standing.layer == 0));
        if let Some((explored, _)) = &self.current
            && self.kept.iter().all(|member| member.id != *explored)
        {
            self.current = None;
        }
    }

    /// Turns to the latest member that is not explored, if there is one.
    fn explore_next(&mut self) -> bool {
        let next = self.kept.iter().rev().find(|member| !self.explored.contains(&member.id));
        let Some(member) = next else { return false };
        let seed = self.seed.derive("neighbours", member.id.0);
        let genotype = &member.proposal.genotype;
        let LocalParts { neighbourhood, repair, .. } = &self.parts;
        let neighbours = neighbourhood.neighbours(&self.space, genotype, seed).into_iter().zip(0..);
        let repaired = |(genotype, index)| repair.repair(&self.space, genotype, seed.derive("repair", index));
        let mut neighbours: Vec<S::Genotype> = neighbours.map(repaired).collect();
        seed.derive("order", 0).stream().shuffle(&mut neighbours);
        self.explored.insert(member.id);
        self.current = Some((member.id, neighbours.into()));
        true
    }

    /// Moves new neighbours of the explored member into the round.
    fn fill_round(&mut self) {
        let Some((parent, neighbours)) = &mut self.current else { return };
        while self.batch.queue.len() < self.settings.round {
            let Some(genotype) = neighbours.pop_front() else {
                self.current = None;
                return;
            };
            if self.parts.novelty.admit(&genotype) {
                self.batch.queue.push_back(Proposal::new(genotype).descending_from(vec![*parent]));
            }
        }
    }

    fn fresh(&mut self) -> Option<Proposal<S::Genotype>> {
        let LocalParts { sampling, repair, novelty, .. } = &mut self.parts;
        self.source.draw(&self.space, &**sampling, &**repair, novelty).map(Proposal::new)
    }
}

impl<S: SearchSpace> Strategy for LocalSearch<S> {
    type Genotype = S::Genotype;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        if limit > 0 && self.batch.is_over() && !self.exhausted && self.asked < self.settings.trials {
            self.advance();
        }
        let proposals = self.batch.hand_out(limit);
        self.asked += proposals.len();
        proposals
    }

    fn tell(&mut self, trial: Trial<S::Genotype>) -> Result<(), TellError> {
        self.parts.ranking.accept(&trial)?;
        self.batch.take(trial)
    }
}
