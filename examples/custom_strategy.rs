//! A search strategy of your own: local search that keeps the best network and tries mutants of it.
//!
//! Nothing is trained here, so it ends at once. It looks for a network of a given size, that of the one which the paper
//! ran on the Myriad X: `cargo run --release --example custom_strategy`.
#![expect(clippy::print_stdout, reason = "an example reports to a person")]

use boresight::core::{
    Context, Direction, Evaluator, Evolvable, Ignore, Memory, Objective, Outcome, Proposal, Seed, Strategy,
    TellError, Trial,
};
use boresight::evolve::Pending;
use boresight::ir::Network;
use boresight::search::{Search, Settings};
use boresight::space::{SpaceSettings, UnetSpace, supports_everything};
use std::convert::Infallible;
use std::error::Error;

/// Keeps the trial with the least first objective and proposes `offspring` mutants of it at a time.
struct LocalSearch<S: Evolvable> {
    space: S,
    seed: Seed,
    offspring: usize,
    budget: usize,
    best: Option<Trial<S::Genotype>>,
    pending: Pending<S::Genotype>,
}

impl<S: Evolvable> Strategy for LocalSearch<S> {
    type Genotype = S::Genotype;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        let count = limit.min(self.budget).min(self.offspring - self.pending.len());
        let propose = |_| {
            let seed = self.seed.derive("trial", self.budget as u64);
            self.budget -= 1;
            self.pending.add(match &self.best {
                None => Proposal::new(self.space.sample(seed)),
                Some(best) => Proposal::new(self.space.mutate(&best.proposal.genotype, seed))
                    .descending_from(vec![best.id]),
            })
        };
        (0..count).map(propose).collect()
    }

    fn tell(&mut self, trial: Trial<S::Genotype>) -> Result<(), TellError> {
        self.pending.take(&trial)?;
        let value = |trial: &Trial<S::Genotype>| trial.verdict.objectives().map(|values| values[0]);
        let best = self.best.as_ref().and_then(value).unwrap_or(f64::INFINITY);
        if value(&trial).is_some_and(|value| value <= best) {
            self.best = Some(trial);
        }
        Ok(())
    }
}

/// How many parameters a network is away from a wanted number.
struct Distance {
    wanted: usize,
    objectives: [Objective; 1],
}

impl Evaluator<Network> for Distance {
    type Error = Infallible;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, network: &Network, _: &Context) -> Result<Outcome, Infallible> {
        Ok(Outcome::measured(vec![network.parameter_count().abs_diff(self.wanted) as f64]))
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let space = UnetSpace::new(SpaceSettings::default(), supports_everything)?;
    let seed = Seed::new(1);
    let strategy = LocalSearch {
        space: &space,
        seed: seed.derive("strategy", 0),
        offspring: 8,
        budget: 400,
        best: None,
        pending: Pending::default(),
    };
    let objectives = [Objective::new("distance", "1", Direction::Minimise)];
    let evaluator = Distance { wanted: 95_791, objectives };
    let (store, settings) = (&mut Memory::new(), &Settings::new(seed));
    let report = Search { space: &space, strategy, evaluator, store, settings }.run(&mut Ignore)?;

    let mut least = f64::INFINITY;
    for trial in &report.trials {
        if let Some(&[distance]) = trial.verdict.objectives()
            && distance < least
        {
            least = distance;
            println!("trial {:3}: {distance:6} parameters away: {}", trial.id.0, trial.proposal.genotype);
        }
    }
    Ok(())
}

/// `cargo test --example custom_strategy` holds the strategy to the laws that the search relies on.
#[cfg(test)]
mod tests {
    use super::*;
    use boresight::core::SearchSpace;
    use boresight_testkit::{asynchronous_law, resume_law, strategy_laws};

    #[test]
    fn the_strategy_keeps_the_laws() {
        let space = UnetSpace::new(SpaceSettings::default(), supports_everything).unwrap();
        let make = |seed| LocalSearch {
            space: &space,
            seed,
            offspring: 8,
            budget: 20,
            best: None,
            pending: Pending::default(),
        };
        let evaluate = |genotype: &_| {
            let parameters = space.decode(genotype).unwrap().parameter_count();
            if parameters % 5 == 0 {
                Outcome::Diverged { reason: "a fifth fails".into() }
            } else {
                Outcome::measured(vec![parameters as f64])
            }
        };
        strategy_laws(make, evaluate, 24);
        resume_law(make, evaluate, 24);
        asynchronous_law(make, evaluate, 24);
    }
}
