//! A space of bit strings, and verdicts on them.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use boresight_core::{Direction, Evolvable, Outcome, SearchSpace, Seed, Strategy, Trial, TrialId, Violation};
use boresight_evolve::Ranking;
use std::convert::Infallible;

/// Bit strings of one length; each bit of a mutant is redrawn with the probability `redraw`.
#[derive(Clone, Debug)]
pub struct Bits {
    pub length: usize,
    pub redraw: f64,
}

impl SearchSpace for Bits {
    type Genotype = Vec<bool>;
    type Phenotype = Vec<bool>;
    type Error = Infallible;

    fn sample(&self, seed: Seed) -> Vec<bool> {
        let mut stream = seed.stream();
        (0..self.length).map(|_| stream.chance(0.5)).collect()
    }

    fn decode(&self, bits: &Vec<bool>) -> Result<Vec<bool>, Infallible> {
        Ok(bits.clone())
    }
}

impl Evolvable for Bits {
    fn mutate(&self, bits: &Vec<bool>, seed: Seed) -> Vec<bool> {
        let mut stream = seed.stream();
        bits.iter().map(|&bit| if stream.chance(self.redraw) { stream.chance(0.5) } else { bit }).collect()
    }

    fn crossover(&self, first: &Vec<bool>, second: &Vec<bool>, seed: Seed) -> Vec<bool> {
        let cut = seed.stream().below(self.length);
        first[..cut].iter().chain(&second[cut..]).copied().collect()
    }
}

pub fn bits(length: usize) -> Bits {
    Bits { length, redraw: 0.1 }
}

/// The number of ones, more is better, and where the first one stands, less is better.
pub fn measure(bits: &[bool]) -> Outcome {
    let ones = bits.iter().filter(|&&bit| bit).count();
    let first = bits.iter().position(|&bit| bit).unwrap_or(bits.len());
    Outcome::measured(vec![ones as f64, first as f64])
}

/// Of eight strings one violates a constraint, one is infeasible and one diverges; the others are measured.
pub fn mixed(bits: &[bool]) -> Outcome {
    let ones = bits.iter().filter(|&&bit| bit).count();
    let violations = vec![Violation { constraint: "ones".into(), amount: 1.0 + ones as f64 }];
    match (bits[0], bits[1], bits[2]) {
        (true, true, true) => Outcome::Diverged { reason: "overflow".into() },
        (true, true, false) => Outcome::Infeasible { violations, reason: "too many ones".into() },
        (true, false, true) => {
            Outcome::Measured { objectives: vec![1.0, 1.0], violations, attributes: [].into() }
        }
        _ => measure(bits),
    }
}

pub fn pareto() -> Ranking {
    Ranking::Pareto { directions: vec![Direction::Maximise, Direction::Minimise] }
}

/// Asks for `batch` proposals at a time until the strategy ends.
pub fn run<S: Strategy>(
    strategy: &mut S,
    batch: usize,
    evaluate: impl Fn(&S::Genotype) -> Outcome,
) -> Vec<Trial<S::Genotype>> {
    let mut trials = Vec::new();
    loop {
        let asked = strategy.ask(batch);
        if asked.is_empty() {
            return trials;
        }
        let first = trials.len();
        trials.extend(asked.into_iter().zip(first as u64..).map(|(proposal, id)| {
            let verdict = evaluate(&proposal.genotype);
            Trial { id: TrialId(id), proposal, verdict }
        }));
        for trial in &trials[first..] {
            assert_eq!(strategy.tell(trial.clone()), Ok(()));
        }
    }
}
