//! Successive halving and ASHA: many candidates on a small budget, the best of them on more.

use crate::parts::{FromSpace, Repair, Sampling, Unchanged};
use crate::source::Source;
use crate::{Error, Novelty, Pace, Pending, Ranking};
use boresight_core::{Fidelity, Proposal, SearchSpace, Seed, Strategy, TellError, Trial, TrialId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many draws in a row may yield nothing new before the space counts as exhausted.
const TRIES: u64 = 1000;

/// The numbers of a [`Halving`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HalvingSettings {
    /// Trials in all, at every fidelity, at least 1.
    pub trials: usize,
    /// Fidelities, from 1 to 64; the last one is the whole budget.
    pub rungs: u32,
    /// One of so many passes to the next rung, whose fidelity is so many times larger; at least 2.
    pub reduction: usize,
    /// Candidates that start together in generations, at least 1.
    pub cohort: usize,
    /// In generations, a rung is judged when it is whole: successive halving. In a steady state, whoever is among the
    /// best of those seen on its rung passes at once: ASHA.
    pub pace: Pace,
}

impl Default for HalvingSettings {
    fn default() -> Self {
        Self { trials: 1000, rungs: 3, reduction: 3, cohort: 27, pace: Pace::Generations }
    }
}

impl HalvingSettings {
    /// Checks the rules that the fields state.
    ///
    /// # Errors
    /// Names the first setting that breaks its rule.
    pub fn check(&self) -> Result<(), Error> {
        let zero = [("trials", self.trials), ("rungs", self.rungs as usize), ("cohort", self.cohort)];
        match self.pace {
            Pace::SteadyState { waiting: 0 } => return Err(Error::NothingWaits),
            _ if self.reduction < 2 => return Err(Error::Reduction { reduction: self.reduction }),
            _ if self.rungs > 64 => return Err(Error::Rungs { rungs: self.rungs }),
            _ => {}
        }
        match zero.into_iter().find(|(_, value)| *value == 0) {
            Some((setting, _)) => Err(Error::Zero { setting }),
            None => Ok(()),
        }
    }

    /// The fidelity of a rung, counted from 0: one over a power of the reduction, 1 for the last.
    pub fn fidelity(&self, rung: u32) -> Fidelity {
        let steps = self.rungs.saturating_sub(1).saturating_sub(rung);
        let share = (self.reduction as f64).powi(-i32::try_from(steps).unwrap_or(i32::MAX));
        Fidelity::new(share.max(f64::MIN_POSITIVE)).unwrap_or(Fidelity::FULL)
    }
}

/// What draws and compares in a [`Halving`].
#[derive(Debug)]
pub struct HalvingParts<S: SearchSpace> {
    /// Draws candidates.
    pub sampling: Box<dyn Sampling<S>>,
    /// Repairs them.
    pub repair: Box<dyn Repair<S>>,
    /// How trials of one rung are compared.
    pub ranking: Ranking,
    /// Knows what was proposed before.
    pub novelty: Novelty<S::Genotype>,
}

impl<S: SearchSpace> HalvingParts<S> {
    /// Candidates as the space samples them.
    pub fn new(ranking: Ranking) -> Self {
        Self {
            sampling: Box::new(FromSpace),
            repair: Box::new(Unchanged),
            ranking,
            novelty: Novelty::default(),
        }
    }
}

/// Successive halving and ASHA over fresh samples, with one objective or several: candidates are compared with those of
/// their rung by the ranking, which for several objectives is non-domination, then crowding.
///
/// A candidate passes as a new trial with a larger fidelity, descending from the one before. Only those that were
/// measured and break no constraint pass. No genotype is proposed twice at one fidelity.
///
/// # Examples
/// ```
/// use boresight_core::{Direction, Seed, Strategy};
/// use boresight_evolve::benchmarks::CategoricalSpace;
/// use boresight_evolve::{Halving, HalvingParts, HalvingSettings, Pace, Ranking};
///
/// let space = CategoricalSpace::new(vec![3; 8])?;
/// let ranking = Ranking::Pareto { directions: vec![Direction::Maximise, Direction::Minimise] };
/// // ASHA for four workers.
/// let settings = HalvingSettings { pace: Pace::SteadyState { waiting: 4 }, ..HalvingSettings::default() };
/// let mut strategy = Halving::new(space, HalvingParts::new(ranking), settings, Seed::new(1))?;
/// let asked = strategy.ask(100);
/// assert!(asked.len() == 4 && asked.iter().all(|proposal| (9.0 * proposal.fidelity.share() - 1.0).abs() < 1e-9));
/// # Ok::<(), boresight_evolve::Error>(())
/// ```
///
/// # Source
/// Jamieson and Talwalkar, *Non-stochastic best arm identification and hyperparameter optimization*, 2016; Li et al., *A
/// system for massively parallel hyperparameter tuning*, 2020, algorithm 2; Schmucker et al., *Multi-objective asynchronous
/// successive halving*, 2021, for several objectives.
#[derive(Debug)]
pub struct Halving<S: SearchSpace> {
    space: S,
    parts: HalvingParts<S>,
    settings: HalvingSettings,
    source: Source,
    asked: usize,
    queue: VecDeque<(u32, Proposal<S::Genotype>)>,
    pending: Pending<S::Genotype>,
    /// The rung of each trial that waits.
    waiting: BTreeMap<TrialId, u32>,
    /// What was told, by rung; in generations, of the running cohort.
    rungs: Vec<Vec<Trial<S::Genotype>>>,
    passed: BTreeSet<TrialId>,
    exhausted: bool,
}

impl<S: SearchSpace> Halving<S> {
    /// A search that has proposed nothing yet.
    ///
    /// # Errors
    /// When the settings or the ranking break a rule.
    pub fn new(
        space: S,
        parts: HalvingParts<S>,
        settings: HalvingSettings,
        seed: Seed,
    ) -> Result<Self, Error> {
        settings.check()?;
        parts.ranking.check()?;
        let rungs = (0..settings.rungs).map(|_| Vec::new()).collect();
        Ok(Self {
            space,
            parts,
            settings,
            source: Source::new(seed, TRIES),
            asked: 0,
            queue: VecDeque::new(),
            pending: Pending::default(),
            waiting: BTreeMap::new(),
            rungs,
            passed: BTreeSet::new(),
            exhausted: false,
        })
    }

    fn refill(&mut self) {
        match self.settings.pace {
            _ if self.exhausted || self.asked == self.settings.trials => return,
            Pace::Generations if !self.pending.is_empty() => return,
            Pace::Generations => self.next_rung(),
            Pace::SteadyState { waiting } if self.pending.len() >= waiting => return,
            Pace::SteadyState { .. } => {
                let next = self.promote_one().or_else(|| self.fresh());
                self.queue.extend(next);
            }
        }
        self.queue.truncate(self.settings.trials - self.asked);
        self.exhausted = self.queue.is_empty() && self.pending.is_empty();
    }

    /// The best of the rung that is whole pass; after the last rung, a new cohort starts.
    fn next_rung(&mut self) {
        for rung in 0..self.settings.rungs.saturating_sub(1) {
            let trials = std::mem::take(&mut self.rungs[rung as usize]);
            let places = trials.len().div_ceil(self.settings.reduction);
            for at in self.best(&trials).take(places) {
                self.queue.push_back((rung + 1, self.promoted(&trials[at], rung + 1)));
            }
        }
        self.rungs.iter_mut().for_each(Vec::clear);
        if self.queue.is_empty() {
            let cohort = self.settings.cohort.min(self.settings.trials - self.asked);
            self.queue = (0..cohort).map_while(|_| self.fresh()).collect();
        }
    }

    /// The next to pass, from the upper rungs first, if one may.
    fn promote_one(&mut self) -> Option<(u32, Proposal<S::Genotype>)> {
        for rung in (0..self.settings.rungs.saturating_sub(1)).rev() {
            let trials = &self.rungs[rung as usize];
            let places = trials.len() / self.settings.reduction;
            let next = self.best(trials).take(places).find(|&at| !self.passed.contains(&trials[at].id));
            if let Some(at) = next {
                let proposal = self.promoted(&trials[at], rung + 1);
                self.passed.insert(trials[at].id);
                return Some((rung + 1, proposal));
            }
        }
        None
    }

    /// The indices of those that may pass, best first.
    fn best(&self, trials: &[Trial<S::Genotype>]) -> impl Iterator<Item = usize> + use<S> {
        let mut order = self.parts.ranking.order(trials);
        order.retain(|&at| self.parts.ranking.competes(&trials[at].verdict));
        order.into_iter()
    }

    fn promoted(&self, trial: &Trial<S::Genotype>, rung: u32) -> Proposal<S::Genotype> {
        let genotype = trial.proposal.genotype.clone();
        Proposal { genotype, fidelity: self.settings.fidelity(rung), parents: vec![trial.id] }
    }

    fn fresh(&mut self) -> Option<(u32, Proposal<S::Genotype>)> {
        let HalvingParts { sampling, repair, novelty, .. } = &mut self.parts;
        let genotype = self.source.draw(&self.space, &**sampling, &**repair, novelty)?;
        Some((0, Proposal { fidelity: self.settings.fidelity(0), ..Proposal::new(genotype) }))
    }
}

impl<S: SearchSpace> Strategy for Halving<S> {
    type Genotype = S::Genotype;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        let mut asked = Vec::new();
        while asked.len() < limit {
            if self.queue.is_empty() {
                self.refill();
            }
            let Some((rung, proposal)) = self.queue.pop_front() else { break };
            self.waiting.insert(TrialId(self.asked as u64), rung);
            self.asked += 1;
            asked.push(self.pending.add(proposal));
        }
        asked
    }

    fn tell(&mut self, trial: Trial<S::Genotype>) -> Result<(), TellError> {
        self.parts.ranking.accept(&trial)?;
        self.pending.take(&trial)?;
        let rung = self.waiting.remove(&trial.id).and_then(|rung| self.rungs.get_mut(rung as usize));
        if let Some(rung) = rung {
            rung.push(trial);
        }
        Ok(())
    }
}
