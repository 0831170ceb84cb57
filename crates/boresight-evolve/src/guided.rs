//! Predictor-guided search: a surrogate says which candidates are worth their evaluation.

use crate::batch::Batch;
use crate::parts::{FromSpace, Mutation, Repair, Sampling, Unchanged};
use crate::process::{Kernel, Process};
use crate::source::Source;
use crate::{Error, Novelty, Ranking};
use boresight_core::{Evolvable, Proposal, SearchSpace, Seed, Strategy, TellError, Trial, TrialId};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

/// How many draws in a row may yield nothing new before the space counts as exhausted.
const TRIES: u64 = 1000;

/// The numbers of a [`GuidedSearch`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GuidedSettings {
    /// Trials in all, at least 1.
    pub trials: usize,
    /// Fresh members that are measured before the surrogate is asked, at least 2.
    pub initial: usize,
    /// Proposals between two looks at verdicts, at least 1; as many as there are workers.
    pub round: usize,
    /// Candidates among which the surrogate chooses each proposal, at least 1: mutants of the best, and a quarter of
    /// fresh ones.
    pub pool: usize,
    /// Trials on which the surrogate is fitted at most, the best and the latest, at least 2; time grows with its cube.
    pub memory: usize,
}

impl Default for GuidedSettings {
    fn default() -> Self {
        Self { trials: 500, initial: 20, round: 1, pool: 200, memory: 300 }
    }
}

impl GuidedSettings {
    /// Checks the rules that the fields state.
    ///
    /// # Errors
    /// Names the first setting that breaks its rule.
    pub fn check(&self) -> Result<(), Error> {
        let &Self { trials, initial, round, pool, memory } = self;
        if let Some((setting, _)) =
            [("trials", trials), ("round", round), ("pool", pool)].into_iter().find(|(_, value)| *value == 0)
        {
            return Err(Error::Zero { setting });
        }
        match [("initial", initial), ("memory", memory)].into_iter().find(|(_, value)| *value < 2) {
            Some((setting, _)) => Err(Error::BelowTwo { setting }),
            None => Ok(()),
        }
    }
}

/// A genotype as numbers, always as many; what is alike shall be near.
pub trait Features<G>: Send {
    /// The numbers of `genotype`, finite ones.
    fn features(&self, genotype: &G) -> Vec<f64>;
}

impl<G, F: Fn(&G) -> Vec<f64> + Send> Features<G> for F {
    fn features(&self, genotype: &G) -> Vec<f64> {
        self(genotype)
    }
}

/// What a candidate is worth that is predicted with an uncertainty.
pub trait Acquisition: Debug + Send {
    /// The worth of a value, of which less is better, of this mean and deviation; `best` is the least that was measured.
    fn worth(&self, mean: f64, deviation: f64, best: f64) -> f64;
}

/// By how much the best is expected to be improved.
///
/// # Source
/// Jones, Schonlau, Welch, *Efficient global optimization of expensive black-box functions*, 1998, equation 15.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedImprovement;

impl Acquisition for ExpectedImprovement {
    fn worth(&self, mean: f64, deviation: f64, best: f64) -> f64 {
        if deviation <= 0.0 {
            return (best - mean).max(0.0);
        }
        let score = (best - mean) / deviation;
        let density = (-0.5 * score * score).exp() / std::f64::consts::TAU.sqrt();
        deviation * (score * normal_below(score) + density)
    }
}

/// The mean less so many deviations: an optimist's guess.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LowerBound {
    /// How many deviations, at least 0.
    pub deviations: f64,
}

impl Acquisition for LowerBound {
    fn worth(&self, mean: f64, deviation: f64, _: f64) -> f64 {
        self.deviations * deviation - mean
    }
}

/// The probability that a standard normal number lies below `score`; the error is below 1e-7.
///
/// # Source
/// Abramowitz and Stegun, *Handbook of mathematical functions*, 26.2.17.
fn normal_below(score: f64) -> f64 {
    let share = 1.0 / (1.0 + 0.231_641_9 * score.abs());
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let sum = series.iter().fold(0.0, |sum, factor| (sum + factor) * share);
    let above = sum * (-0.5 * score * score).exp() / std::f64::consts::TAU.sqrt();
    if score >= 0.0 { 1.0 - above } else { above }
}

/// What varies, predicts and compares in a [`GuidedSearch`].
pub struct GuidedParts<S: SearchSpace> {
    /// Draws the first members and the fresh candidates.
    pub sampling: Box<dyn Sampling<S>>,
    /// Makes candidates of the best.
    pub mutation: Box<dyn Mutation<S>>,
    /// Repairs first members and candidates.
    pub repair: Box<dyn Repair<S>>,
    /// What the surrogate sees of a genotype.
    pub features: Box<dyn Features<S::Genotype>>,
    /// What a prediction is worth.
    pub acquisition: Box<dyn Acquisition>,
    /// How trials are compared.
    pub ranking: Ranking,
    /// Knows what was proposed before.
    pub novelty: Novelty<S::Genotype>,
}

impl<S: Evolvable> GuidedParts<S> {
    /// Sampling and mutation as the space has them, valued by expected improvement.
    pub fn new(ranking: Ranking, features: impl Features<S::Genotype> + 'static) -> Self {
        Self {
            sampling: Box::new(FromSpace),
            mutation: Box::new(FromSpace),
            repair: Box::new(Unchanged),
            features: Box::new(features),
            acquisition: Box::new(ExpectedImprovement),
            ranking,
            novelty: Novelty::default(),
        }
    }
}

impl<S: SearchSpace> Debug for GuidedParts<S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sampling, mutation, repair, acquisition, ranking, novelty, .. } = self;
        let mut parts = formatter.debug_struct("GuidedParts");
        parts.field("sampling", sampling).field("mutation", mutation).field("repair", repair);
        parts
            .field("acquisition", acquisition)
            .field("ranking", ranking)
            .field("novelty", novelty)
            .finish_non_exhaustive()
    }
}

/// Search guided by a Gaussian process over a genotype's features.
///
/// After the first members, each proposal is the candidate of a fresh pool that the acquisition values most. Several
/// objectives are joined by weights that are drawn anew for each proposal, so proposals spread over the front; what
/// failed counts as the worst that was measured. Proposals of one round take earlier ones of it as measured where they
/// are predicted. The order of verdicts within a round changes nothing, and no genotype is proposed twice.
///
/// # Examples
/// ```
/// use boresight_core::{Direction, Seed, Strategy};
/// use boresight_evolve::benchmarks::{Categorical, CategoricalSpace};
/// use boresight_evolve::{GuidedParts, GuidedSearch, GuidedSettings, LowerBound, Ranking};
///
/// let space = CategoricalSpace::new(vec![3; 8])?;
/// let ranking = Ranking::Pareto { directions: vec![Direction::Maximise] };
/// let numbers = space.clone();
/// let parts = GuidedParts {
///     acquisition: Box::new(LowerBound { deviations: 1.0 }),
///     ..GuidedParts::new(ranking, move |genotype: &Categorical| numbers.one_hot(genotype))
/// };
/// let mut strategy = GuidedSearch::new(space, parts, GuidedSettings::default(), Seed::new(1))?;
/// assert_eq!(strategy.ask(100).len(), 20);
/// # Ok::<(), boresight_evolve::Error>(())
/// ```
///
/// # Source
/// Jones et al., 1998, for the surrogate and its use; Knowles, *`ParEGO`*, 2006, equation 2, for joining objectives;
/// Ginsbourger et al., *Kriging is well-suited to parallelize optimization*, 2010, section 4, for rounds.
#[derive(Debug)]
pub struct GuidedSearch<S: SearchSpace> {
    space: S,
    parts: GuidedParts<S>,
    settings: GuidedSettings,
    seed: Seed,
    source: Source,
    asked: usize,
    batch: Batch<S::Genotype>,
    /// The kernel, and on how many trials it was chosen.
    kernel: Option<(Kernel, usize)>,
    exhausted: bool,
}

impl<S: SearchSpace> GuidedSearch<S> {
    /// A search that has proposed nothing yet.
    ///
    /// # Errors
    /// When the settings or the ranking break a rule.
    pub fn new(space: S, parts: GuidedParts<S>, settings: GuidedSettings, seed: Seed) -> Result<Self, Error> {
        settings.check()?;
        parts.ranking.check()?;
        Ok(Self {
            space,
            parts,
            settings,
            seed,
            source: Source::new(seed, TRIES),
            asked: 0,
            batch: Batch::default(),
            kernel: None,
            exhausted: false,
        })
    }

    fn refill(&mut self) {
        let left = self.settings.trials - self.asked;
        if self.batch.told.is_empty() {
            let initial = self.settings.initial.min(left);
            self.batch.queue = (0..initial).map_while(|_| self.fresh()).collect();
        } else {
            self.batch.put_in_order();
            self.guide(self.settings.round.min(left));
        }
        self.exhausted = self.batch.queue.is_empty();
    }

    /// Queues so many of what the surrogate values most.
    fn guide(&mut self, places: usize) {
        let order = self.parts.ranking.order(&self.batch.told);
        let known = self.remembered(&order);
        let scale = Scale::of(known.iter().map(|&at| self.features(&self.batch.told[at].proposal.genotype)));
        let points: Vec<Vec<f64>> = known
            .iter()
            .map(|&at| scale.apply(self.features(&self.batch.told[at].proposal.genotype)))
            .collect();
        let seed = self.seed.derive("round", self.asked as u64);
        let mut surrogate: Option<(Process, Vec<Vec<f64>>)> = None;
        for place in 0..places as u64 {
            let seed = seed.derive("place", place);
            let joined = standardised(&self.joined(&known, seed.derive("weights", 0)));
            let kernel = self.kernel(&points, &joined);
            let (process, lies) =
                surrogate.get_or_insert_with(|| (Process::new(kernel, points.clone()), Vec::new()));
            // Proposals of this round count as measured where they are predicted.
            let values = believed(process, &points, lies, joined);
            let weights = process.weights(&values);
            let best = values.iter().copied().fold(f64::INFINITY, f64::min);
            let worth = |point: &[f64]| {
                let (mean, deviation) = process.predict(point, &weights);
                self.parts.acquisition.worth(mean, deviation, best)
            };
            let pool = self.pool(&order, seed);
            let rated = pool.into_iter().map(|(genotype, parent)| {
                let point = scale.apply(self.parts.features.features(&genotype));
                (worth(&point), genotype, parent, point)
            });
            let mut rated: Vec<_> = rated.collect();
            rated.sort_by(|left, right| right.0.total_cmp(&left.0));
            let novelty = &mut self.parts.novelty;
            let chosen = rated.into_iter().find(|(_, genotype, ..)| novelty.admit(genotype));
            let Some((_, genotype, parent, point)) = chosen else {
                let fresh = self.fresh();
                self.batch.queue.extend(fresh);
                continue;
            };
            self.batch.queue.push_back(Proposal::new(genotype).descending_from(parent.into_iter().collect()));
            process.add(point.clone());
            lies.push(point);
        }
    }

    /// The indices of the trials that the surrogate is fitted on: the best half and the latest half of the memory.
    fn remembered(&self, order: &[usize]) -> Vec<usize> {
        let memory = self.settings.memory;
        if order.len() <= memory {
            return (0..order.len()).collect();
        }
        let mut known: Vec<usize> = order[..memory / 2].to_vec();
        for at in (0..self.batch.told.len()).rev() {
            if known.len() == memory {
                break;
            }
            if !known[..memory / 2].contains(&at) {
                known.push(at);
            }
        }
        known.sort_unstable();
        known
    }

    fn features(&self, genotype: &S::Genotype) -> Vec<f64> {
        self.parts.features.features(genotype)
    }

    /// One value for each of these trials, of which less is better.
    fn joined(&self, known: &[usize], seed: Seed) -> Vec<f64> {
        let minimised = |at: usize| self.parts.ranking.minimised(&self.batch.told[at].verdict);
        let rows: Vec<Option<Vec<f64>>> = known.iter().map(|&at| minimised(at)).collect();
        let scale = Scale::of(rows.iter().flatten().cloned());
        let count = rows.iter().flatten().next().map_or(0, Vec::len);
        let mut stream = seed.stream();
        let drawn: Vec<f64> = (0..count).map(|_| -(1.0 - stream.unit()).ln()).collect();
        let total: f64 = drawn.iter().sum();
        let weight = |at: usize| if total > 0.0 { drawn[at] / total } else { 1.0 };
        let join = |row: Vec<f64>| {
            let shares: Vec<f64> =
                scale.apply(row).into_iter().enumerate().map(|(at, value)| weight(at) * value).collect();
            shares.iter().copied().fold(f64::NEG_INFINITY, f64::max) + 0.05 * shares.iter().sum::<f64>()
        };
        let joined: Vec<Option<f64>> = rows.into_iter().map(|row| row.map(join)).collect();
        let worst = joined.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        let worst = if worst.is_finite() { worst } else { 0.0 };
        joined.into_iter().map(|value| value.unwrap_or(worst)).collect()
    }

    /// The kernel, chosen anew when a fifth more trials are known.
    fn kernel(&mut self, points: &[Vec<f64>], values: &[f64]) -> Kernel {
        match self.kernel {
            Some((kernel, count)) if 5 * points.len() < 6 * count => kernel,
            Some((kernel, count)) if points.len() == count => kernel,
            _ => {
                let kernel = Kernel::likeliest(points, values);
                self.kernel = Some((kernel, points.len()));
                kernel
            }
        }
    }

    /// Candidates: mutants of the best tenth, at least of five, and a quarter of fresh ones.
    fn pool(&self, order: &[usize], seed: Seed) -> Vec<(S::Genotype, Option<TrialId>)> {
        let parents = &order[..order.len().min(order.len().div_ceil(10).max(5))];
        let candidate = |index: usize| {
            let seed = seed.derive("candidate", index as u64);
            let parent = seed.derive("parent", 0).stream().pick(parents).map(|&at| &self.batch.told[at]);
            let (genotype, parent) = match parent.filter(|_| !index.is_multiple_of(4)) {
                Some(parent) => {
                    let mutant =
                        (0..=index as u64 % 3).fold(parent.proposal.genotype.clone(), |base, step| {
                            self.parts.mutation.mutate(&self.space, &base, seed.derive("mutation", step))
                        });
                    (mutant, Some(parent.id))
                }
                // Numbers behind all that the first members can have drawn.
                None => (self.parts.sampling.sample(&self.space, u64::MAX, seed), None),
            };
            (self.parts.repair.repair(&self.space, genotype, seed.derive("repair", 0)), parent)
        };
        (0..self.settings.pool).map(candidate).collect()
    }

    fn fresh(&mut self) -> Option<Proposal<S::Genotype>> {
        let GuidedParts { sampling, repair, novelty, .. } = &mut self.parts;
        self.source.draw(&self.space, &**sampling, &**repair, novelty).map(Proposal::new)
    }
}

impl<S: SearchSpace> Strategy for GuidedSearch<S> {
    type Genotype = S::Genotype;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        if limit > 0 && self.batch.is_over() && !self.exhausted && self.asked < self.settings.trials {
            self.refill();
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

/// The values of the points, and behind them what is predicted for each lie.
fn believed(process: &Process, points: &[Vec<f64>], lies: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    if !lies.is_empty() {
        let honest = process.first(points.len());
        let weights = honest.weights(&values);
        values.extend(lies.iter().map(|lie| honest.predict(lie, &weights).0));
    }
    values
}

/// The values shifted and scaled to mean 0 and variance 1; all 0 where they do not vary.
fn standardised(values: &[f64]) -> Vec<f64> {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    values.iter().map(|value| if deviation > 0.0 { (value - mean) / deviation } else { 0.0 }).collect()
}

/// The range of each column of some rows.
struct Scale(Vec<[f64; 2]>);

impl Scale {
    fn of(rows: impl Iterator<Item = Vec<f64>>) -> Self {
        let mut ranges: Vec<[f64; 2]> = Vec::new();
        for row in rows {
            ranges.resize(row.len().max(ranges.len()), [f64::INFINITY, f64::NEG_INFINITY]);
            for (range, value) in ranges.iter_mut().zip(row) {
                *range = [range[0].min(value), range[1].max(value)];
            }
        }
        Self(ranges)
    }

    /// A row with each value in 0..=1 where the rows' own are; 0 where they do not vary.
    fn apply(&self, row: Vec<f64>) -> Vec<f64> {
        let scaled = row.into_iter().zip(&self.0);
        scaled
            .map(|(value, [low, high])| if high > low { (value - low) / (high - low) } else { 0.0 })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_distribution_has_its_published_values() {
        for (score, expected) in
            [(0.0, 0.5), (1.0, 0.841_344_746), (-1.96, 0.024_997_895), (4.0, 0.999_968_329)]
        {
            assert!((normal_below(score) - expected).abs() < 1e-7, "{score}");
        }
    }

    #[test]
    fn uncertainty_is_worth_something_and_a_sure_loss_nothing() {
        let worth = |mean, deviation| ExpectedImprovement.worth(mean, deviation, 0.0);
        assert!(worth(0.5, 1.0) > worth(0.5, 0.1) && worth(-1.0, 0.1) > worth(0.0, 0.1));
        assert!(worth(1.0, 0.0).abs() < f64::EPSILON && (worth(-1.0, 0.0) - 1.0).abs() < f64::EPSILON);
        // Of a standard normal around the best: its density at 0.
        assert!((worth(0.0, 1.0) - 0.398_942_28).abs() < 1e-6);
        assert!(
            LowerBound { deviations: 2.0 }.worth(1.0, 1.0, 0.0)
                > LowerBound { deviations: 0.0 }.worth(1.0, 1.0, 0.0)
        );
    }
}
