//! Proposals, verdicts and what surrounds them.

use crate::Seed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The number of a trial, counted from 0 in the order in which a strategy proposed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u64);

/// The share of the full budget that an evaluation may spend, in `(0, 1]`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Fidelity(f64);

impl Fidelity {
    /// The whole budget.
    pub const FULL: Self = Self(1.0);

    /// This share of the budget; `None` outside `(0, 1]`.
    pub fn new(share: f64) -> Option<Self> {
        (share > 0.0 && share <= 1.0).then_some(Self(share))
    }

    /// The share, in `(0, 1]`.
    pub const fn share(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Fidelity {
    type Error = String;

    fn try_from(share: f64) -> Result<Self, String> {
        Self::new(share).ok_or_else(|| format!("a fidelity lies in (0, 1], {share} does not"))
    }
}

impl From<Fidelity> for f64 {
    fn from(fidelity: Fidelity) -> Self {
        fidelity.0
    }
}

/// What a strategy asks to have evaluated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal<G> {
    /// The candidate.
    pub genotype: G,
    /// How much of the budget it deserves.
    pub fidelity: Fidelity,
    /// The trials that it descends from: none for a sampled one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<TrialId>,
}

impl<G> Proposal<G> {
    /// A proposal with the whole budget and no parents.
    pub const fn new(genotype: G) -> Self {
        Self { genotype, fidelity: Fidelity::FULL, parents: Vec::new() }
    }

    /// The same proposal, descending from `parents`.
    #[must_use]
    pub fn descending_from(mut self, parents: Vec<TrialId>) -> Self {
        self.parents = parents;
        self
    }
}

/// A constraint that a candidate breaks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// The constraint, such as `parameters`.
    pub constraint: String,
    /// By how much it is broken, above 0, in the constraint's unit.
    pub amount: f64,
}

/// The verdict on a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub enum Outcome {
    /// It was measured.
    Measured {
        /// One finite value for each objective of the evaluator, in its order and natural sign.
        objectives: Vec<f64>,
        /// The constraints that it breaks all the same.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        violations: Vec<Violation>,
        /// What else was seen, by name: for the journal and for people, never for the strategy.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        attributes: BTreeMap<String, f64>,
    },
    /// It cannot be built or deployed; it was not trained.
    Infeasible {
        /// The constraints that it breaks.
        violations: Vec<Violation>,
        /// The rule that it breaks, in one sentence.
        reason: String,
    },
    /// Its training left the finite numbers.
    Diverged {
        /// What was seen, in one sentence.
        reason: String,
    },
}

impl Outcome {
    /// A measurement without violations or attributes.
    pub const fn measured(objectives: Vec<f64>) -> Self {
        Self::Measured { objectives, violations: Vec::new(), attributes: BTreeMap::new() }
    }

    /// The objective values of a measured candidate that breaks no constraint; `None` for every other.
    pub fn objectives(&self) -> Option<&[f64]> {
        match self {
            Self::Measured { objectives, violations, .. } if violations.is_empty() => Some(objectives),
            _ => None,
        }
    }

    /// What else was seen of a measured candidate, by name.
    pub fn attribute(&self, name: &str) -> Option<f64> {
        match self {
            Self::Measured { attributes, .. } => attributes.get(name).copied(),
            _ => None,
        }
    }
}

/// A proposal with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial<G> {
    /// Its number.
    pub id: TrialId,
    /// What was asked.
    pub proposal: Proposal<G>,
    /// What was found.
    pub verdict: Outcome,
}

/// What surrounds one evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// The seed of everything random in it.
    pub seed: Seed,
    /// The share of the full budget that it may spend.
    pub fidelity: Fidelity,
    /// The trial that is evaluated, for naming what it leaves behind.
    pub trial: TrialId,
}

impl Context {
    /// The context of trial 0 with the whole budget.
    pub const fn new(seed: Seed) -> Self {
        Self { seed, fidelity: Fidelity::FULL, trial: TrialId(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_survives_json() {
        let trial = Trial {
            id: TrialId(3),
            proposal: Proposal::new("w8".to_owned()).descending_from(vec![TrialId(1)]),
            verdict: Outcome::Measured {
                objectives: vec![0.1 + 0.2, 1e-300],
                violations: vec![],
                attributes: [("parameters".to_owned(), 95_791.0)].into(),
            },
        };
        let text = serde_json::to_string(&trial).unwrap();
        assert_eq!(serde_json::from_str::<Trial<String>>(&text).unwrap(), trial);
    }

    #[test]
    fn a_broken_constraint_hides_the_objectives() {
        let outcome = Outcome::Measured {
            objectives: vec![0.9],
            violations: vec![Violation { constraint: "parameters".into(), amount: 1.0 }],
            attributes: BTreeMap::new(),
        };
        assert_eq!(outcome.objectives(), None);
    }

    #[test]
    fn fidelity_outside_its_range_is_refused() {
        assert!(
            Fidelity::new(0.0).is_none() && Fidelity::new(1.1).is_none() && Fidelity::new(f64::NAN).is_none()
        );
        assert!(serde_json::from_str::<Fidelity>("2.0").is_err());
    }
}
