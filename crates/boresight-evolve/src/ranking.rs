//! How trials are compared: by one fitness, or by Pareto rank and crowding.

use crate::Error;
use crate::pareto::{Winners, crowding_distance, dominates, front, non_dominated_sort};
use boresight_core::{Direction, Outcome, TellError, Trial, TrialId, Violation};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::str::FromStr;

/// How accuracy and speed are joined into one fitness; more is better.
///
/// With m the mIoU and f = min(FPS / target, 1).
///
/// # Source
/// Neural architecture search for on-board processing, Scientific Reports (s41598-025-21467-8): the first is the
/// paper's choice, with all weights 1; the others are those it compares.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FitnessForm {
    /// alpha f + beta m exp(gamma m): a slow but accurate network still counts.
    WeightedExponential {
        /// The weight of speed.
        alpha: f64,
        /// The weight of accuracy.
        beta: f64,
        /// How fast accuracy gains in worth.
        gamma: f64,
    },
    /// f max(0, m + 0.1).
    Multiplicative,
    /// f ln(1 + max(0, m + 0.01)).
    Logarithmic,
    /// f / (1 + exp(-5 m)).
    Sigmoid,
    /// f (1 + m) for m of at least 0, else 0.1 f.
    Stepwise,
}

impl Default for FitnessForm {
    fn default() -> Self {
        Self::WeightedExponential { alpha: 1.0, beta: 1.0, gamma: 1.0 }
    }
}

impl FromStr for FitnessForm {
    type Err = Error;

    /// The form of this name, with the default weights.
    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "weighted-exponential" => Ok(Self::default()),
            "multiplicative" => Ok(Self::Multiplicative),
            "logarithmic" => Ok(Self::Logarithmic),
            "sigmoid" => Ok(Self::Sigmoid),
            "stepwise" => Ok(Self::Stepwise),
            _ => Err(Error::UnknownForm { name: name.to_owned() }),
        }
    }
}

impl FitnessForm {
    /// The fitness at `speed` f, the reached share of the target frame rate in `0..=1`, and `miou` m.
    pub fn value(self, speed: f64, miou: f64) -> f64 {
        match self {
            Self::WeightedExponential { alpha, beta, gamma } => {
                alpha * speed + beta * miou * (gamma * miou).exp()
            }
            Self::Multiplicative => speed * (miou + 0.1).max(0.0),
            Self::Logarithmic => speed * (miou + 0.01).max(0.0).ln_1p(),
            Self::Sigmoid => speed / (1.0 + (-5.0 * miou).exp()),
            Self::Stepwise if miou >= 0.0 => speed * (1.0 + miou),
            Self::Stepwise => 0.1 * speed,
        }
    }
}

/// What is compared of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate<'trial> {
    /// Its number, which is also its age: less is older.
    pub id: TrialId,
    /// What was found.
    pub verdict: &'trial Outcome,
}

impl<'trial, G> From<&'trial Trial<G>> for Candidate<'trial> {
    fn from(trial: &'trial Trial<G>) -> Self {
        Self { id: trial.id, verdict: &trial.verdict }
    }
}

/// Where a candidate stands among those that it was compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Standing {
    /// 0 for those that keep every constraint; above that, more for breaking more of them.
    pub tier: usize,
    /// The layer among all that were compared, 0 for the best; less is better.
    pub layer: usize,
    /// How much room it has within its layer, such as the crowding distance; more is better.
    pub spread: f64,
}

impl Standing {
    /// The better one is less.
    pub fn compare(&self, other: &Self) -> Ordering {
        self.layer.cmp(&other.layer).then(other.spread.total_cmp(&self.spread))
    }
}

/// How trials are compared.
///
/// Every measured trial that breaks no constraint stands above all others. Below come measured trials that break
/// constraints, then infeasible ones, each by how far they break them (the amounts of one constraint are taken
/// relative to its largest among the compared trials, then summed); then infeasible ones of which nobody says by how
/// much, and diverged ones last. Equal trials are ordered by their number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ranking {
    /// By one number made of mIoU and frame rate; further objectives are ignored.
    Fitness {
        /// How the two are joined.
        form: FitnessForm,
        /// The index of the mIoU among the objectives.
        miou: usize,
        /// The index of the frames a second among the objectives.
        fps: usize,
        /// The frames a second above which faster is no better; 120 in the paper.
        target_fps: f64,
    },
    /// By non-dominated layer, then by crowding distance within the layer.
    Pareto {
        /// The direction of each objective.
        directions: Vec<Direction>,
    },
}

impl Ranking {
    /// Checks that the ranking can be computed.
    ///
    /// # Errors
    /// When the target or a weight is no usable number, when mIoU and frame rate are one objective, or when there
    /// are no objectives.
    pub fn check(&self) -> Result<(), Error> {
        match *self {
            Self::Pareto { ref directions } if directions.is_empty() => Err(Error::NoObjectives),
            Self::Fitness { target_fps, .. } if !(target_fps > 0.0 && target_fps.is_finite()) => {
                Err(Error::TargetFps { target_fps })
            }
            Self::Fitness { miou, fps, .. } if miou == fps => Err(Error::SameObjective { index: miou }),
            Self::Fitness { form: FitnessForm::WeightedExponential { alpha, beta, gamma }, .. } => {
                let weights = [("alpha", alpha), ("beta", beta), ("gamma", gamma)];
                match weights.into_iter().find(|(_, value)| !value.is_finite()) {
                    Some((weight, value)) => Err(Error::Weight { weight, value }),
                    None => Ok(()),
                }
            }
            Self::Pareto { .. } | Self::Fitness { .. } => Ok(()),
        }
    }

    /// The indices of `trials` from best to worst.
    pub fn order<G>(&self, trials: &[Trial<G>]) -> Vec<usize> {
        let candidates: Vec<Candidate<'_>> = trials.iter().map(Candidate::from).collect();
        let standings = self.standings(&candidates);
        let mut order: Vec<usize> = (0..trials.len()).collect();
        order.sort_by(|&left, &right| {
            standings[left].compare(&standings[right]).then(trials[left].id.cmp(&trials[right].id))
        });
        order
    }

    /// Where each candidate stands among all of `candidates`: feasibility first, see [`Ranking`].
    ///
    /// # Source
    /// Deb, *An efficient constraint handling method for genetic algorithms*, 2000, for the order of feasible and
    /// infeasible candidates.
    pub fn standings(&self, candidates: &[Candidate<'_>]) -> Vec<Standing> {
        let mut by_number: Vec<usize> = (0..candidates.len()).collect();
        by_number.sort_unstable_by_key(|&at| candidates[at].id);
        let (measured, rest): (Vec<usize>, Vec<usize>) =
            by_number.into_iter().partition(|&at| self.values(candidates[at].verdict).is_some());
        let mut standings = vec![Standing::default(); candidates.len()];
        let layers = self.place_measured(candidates, &measured, &mut standings);
        place_rest(candidates, rest, layers, &mut standings);
        standings
    }

    /// The winners among `trials`: the front of a Pareto ranking or the trials of the best fitness; when no trial keeps
    /// every constraint, those that break them least.
    pub fn winners<'trials, G>(&self, trials: &'trials [Trial<G>]) -> Winners<'trials, G> {
        if let Self::Pareto { directions } = self {
            let front: Vec<_> =
                front(trials, directions).into_iter().filter(|trial| self.competes(&trial.verdict)).collect();
            if !front.is_empty() {
                return Winners::Feasible(front);
            }
        }
        let candidates: Vec<Candidate<'_>> = trials.iter().map(Candidate::from).collect();
        let standings = self.standings(&candidates);
        let Some(best) = standings.iter().map(|standing| standing.layer).min() else {
            return Winners::Nothing;
        };
        let winners: Vec<&Trial<G>> = trials
            .iter()
            .zip(&standings)
            .filter(|(_, at)| at.layer == best)
            .map(|(trial, _)| trial)
            .collect();
        match winners.first().map(|trial| &trial.verdict) {
            Some(verdict) if self.competes(verdict) => Winners::Feasible(winners),
            Some(verdict) if !failure(verdict).1.is_empty() => Winners::LeastViolating(winners),
            _ => Winners::Nothing,
        }
    }

    /// The best of `trials` that was measured and breaks no constraint.
    pub fn best<'trials, G>(&self, trials: &'trials [Trial<G>]) -> Option<&'trials Trial<G>> {
        let first = *self.order(trials).first()?;
        self.values(&trials[first].verdict).is_some().then(|| &trials[first])
    }

    /// The fitness of a measured trial that breaks no constraint; `None` for every other and for a Pareto ranking.
    pub fn fitness(&self, verdict: &Outcome) -> Option<f64> {
        let values = self.values(verdict)?;
        match *self {
            Self::Fitness { form, miou, fps, target_fps } => {
                Some(form.value((values[fps] / target_fps).min(1.0), values[miou]))
            }
            Self::Pareto { .. } => None,
        }
    }

    /// Refuses a verdict whose number of objective values does not fit.
    pub(crate) fn accept<G>(&self, trial: &Trial<G>) -> Result<(), TellError> {
        match &trial.verdict {
            Outcome::Measured { objectives, .. } if !self.fits(objectives.len()) => {
                let (expected, found) = (self.objective_count(), objectives.len());
                Err(TellError::ObjectiveCount { trial: trial.id, expected, found })
            }
            _ => Ok(()),
        }
    }

    /// Whether `left` is better than `right` by itself: it dominates it or has the better fitness. Verdicts that do not
    /// compete are neither better nor worse; see [`standings`](Self::standings).
    pub fn prefers(&self, left: &Outcome, right: &Outcome) -> bool {
        match self {
            Self::Pareto { directions } => {
                let values = self.values(left).zip(self.values(right));
                values.is_some_and(|(left, right)| dominates(left, right, directions))
            }
            Self::Fitness { .. } => self.fitness(left) > self.fitness(right) && self.competes(right),
        }
    }

    /// Whether a verdict was measured, breaks no constraint and has the values that are compared.
    pub fn competes(&self, verdict: &Outcome) -> bool {
        self.values(verdict).is_some()
    }

    /// What is compared of a verdict that competes, so that less is better: the objectives, or the fitness.
    pub(crate) fn minimised(&self, verdict: &Outcome) -> Option<Vec<f64>> {
        let values = self.values(verdict)?;
        match self {
            Self::Pareto { directions } => {
                Some(values.iter().zip(directions).map(|(&value, way)| way.minimised(value)).collect())
            }
            Self::Fitness { .. } => {
                self.fitness(verdict).filter(|fitness| fitness.is_finite()).map(|fitness| vec![-fitness])
            }
        }
    }

    /// The objective values by which a verdict competes, if it does.
    pub(crate) fn values<'verdict>(&self, verdict: &'verdict Outcome) -> Option<&'verdict [f64]> {
        let values = verdict.objectives()?;
        (self.fits(values.len()) && values.iter().all(|value| value.is_finite())).then_some(values)
    }

    /// How many objectives are read.
    fn objective_count(&self) -> usize {
        match self {
            Self::Fitness { miou, fps, .. } => miou.max(fps) + 1,
            Self::Pareto { directions } => directions.len(),
        }
    }

    fn fits(&self, count: usize) -> bool {
        match self {
            Self::Fitness { .. } => count >= self.objective_count(),
            Self::Pareto { .. } => count == self.objective_count(),
        }
    }

    /// Places the measured candidates, which are given by ascending number, and returns how many layers they fill.
    fn place_measured(
        &self,
        candidates: &[Candidate<'_>],
        measured: &[usize],
        standings: &mut [Standing],
    ) -> usize {
        let Self::Pareto { directions } = self else {
            let worth = |at: usize| self.fitness(candidates[at].verdict).filter(|fitness| !fitness.is_nan());
            let worth = measured.iter().map(|&at| (at, -worth(at).unwrap_or(f64::NEG_INFINITY)));
            return place_ascending(worth.collect(), 0, standings);
        };
        let points: Vec<&[f64]> =
            measured.iter().filter_map(|&at| self.values(candidates[at].verdict)).collect();
        let layers = non_dominated_sort(&points, directions);
        for (number, layer) in layers.iter().enumerate() {
            let members: Vec<&[f64]> = layer.iter().map(|&at| points[at]).collect();
            for (&at, spread) in layer.iter().zip(crowding_distance(&members)) {
                standings[measured[at]] = Standing { tier: 0, layer: number, spread };
            }
        }
        layers.len()
    }
}

/// Gives candidates the layers from `first` on by ascending key, equal keys one layer; returns the next free layer.
fn place_ascending(mut keys: Vec<(usize, f64)>, first: usize, standings: &mut [Standing]) -> usize {
    keys.sort_by(|left, right| left.1.total_cmp(&right.1));
    let mut layer = first;
    for (position, &(at, key)) in keys.iter().enumerate() {
        if position > 0 && key.total_cmp(&keys[position - 1].1).is_ne() {
            layer += 1;
        }
        standings[at] = Standing { tier: 0, layer, spread: 0.0 };
    }
    if keys.is_empty() { first } else { layer + 1 }
}

/// Places candidates that do not compete: by kind of failure, then by how far they break constraints.
fn place_rest(candidates: &[Candidate<'_>], rest: Vec<usize>, first: usize, standings: &mut [Standing]) {
    let mut largest: BTreeMap<&str, f64> = BTreeMap::new();
    for violation in rest.iter().flat_map(|&at| failure(candidates[at].verdict).1) {
        let most = largest.entry(&violation.constraint).or_insert(0.0);
        *most = most.max(violation.amount);
    }
    let share = |violation: &Violation| match largest.get(violation.constraint.as_str()) {
        Some(&most) if most > 0.0 && most.is_finite() => violation.amount / most,
        _ => 1.0,
    };
    let mut next = first;
    for kind in [Failure::Violating, Failure::Infeasible, Failure::Unstated, Failure::Diverged] {
        let of_kind = rest.iter().map(|&at| (at, failure(candidates[at].verdict)));
        let keys = of_kind
            .filter(|(_, (found, _))| *found == kind)
            .map(|(at, (_, violations))| (at, violations.iter().map(share).sum::<f64>()));
        next = place_ascending(keys.collect(), next, standings);
    }
    for at in rest {
        standings[at].tier = standings[at].layer - first + 1;
    }
}

/// How bad a failure is, and the constraints that were broken.
fn failure(verdict: &Outcome) -> (Failure, &[Violation]) {
    match verdict {
        Outcome::Measured { violations, .. } if !violations.is_empty() => (Failure::Violating, violations),
        // Nothing said is not nothing broken: it must not pass for the least that can be broken.
        Outcome::Infeasible { violations, .. } if violations.is_empty() => (Failure::Unstated, &[]),
        Outcome::Infeasible { violations, .. } => (Failure::Infeasible, violations),
        Outcome::Measured { .. } | Outcome::Diverged { .. } => (Failure::Diverged, &[]),
    }
}

/// Kinds of failure from mild to severe.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    Violating,
    Infeasible,
    /// Infeasible without an amount.
    Unstated,
    Diverged,
}
