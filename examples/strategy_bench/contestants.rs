//! The strategies by name.

use crate::bench::{Bench, Variation};
use crate::cli::{Cli, StrategyName};
use boresight::core::{Evaluator, Proposal, SearchSpace, Seed, Strategy, TellError, Trial};
use boresight::evolve::parts::largest_lattice;
use boresight::evolve::{
    Evolution, EvolutionSettings, GeneticAlgorithm, GeneticSettings, GuidedParts, GuidedSearch,
    GuidedSettings, LocalParts, LocalSearch, LocalSettings, Pace, Parts, RandomSearch, Ranking,
};
use std::error::Error;

/// A strategy that is measured.
pub(crate) struct Contestant<'run, S: SearchSpace> {
    engine: Engine<'run, S>,
    batch: usize,
}

enum Engine<'run, S: SearchSpace> {
    Evolution(Box<Evolution<&'run S>>),
    Other(Box<dyn Strategy<Genotype = S::Genotype> + 'run>),
}

// A space behind a reference is a space.
impl<S: SearchSpace> Contestant<'_, S> {
    /// How many proposals are asked for at once.
    pub(crate) const fn batch(&self) -> usize {
        self.batch
    }

    pub(crate) fn ask(&mut self, limit: usize) -> Vec<Proposal<S::Genotype>> {
        match &mut self.engine {
            Engine::Evolution(evolution) => evolution.ask(limit),
            Engine::Other(strategy) => strategy.ask(limit),
        }
    }

    pub(crate) fn tell(&mut self, trial: Trial<S::Genotype>) -> Result<(), TellError> {
        match &mut self.engine {
            Engine::Evolution(evolution) => evolution.tell(trial),
            Engine::Other(strategy) => strategy.tell(trial),
        }
    }

    /// The values of those of the last population that keep every constraint. An archive of all trials would flatter.
    pub(crate) fn population(&self) -> Option<Vec<Vec<f64>>> {
        match &self.engine {
            Engine::Evolution(evolution) => {
                let values = evolution.population().filter_map(|trial| trial.verdict.objectives());
                Some(values.map(<[f64]>::to_vec).collect())
            }
            Engine::Other(_) => None,
        }
    }
}

/// The strategy that the command line names.
pub(crate) fn build<'run, B: Bench>(
    bench: &'run B,
    cli: &Cli,
    seed: Seed,
) -> Result<Contestant<'run, B::Space>, Box<dyn Error>> {
    let space = bench.space();
    let directions = bench.evaluator().objectives().iter().map(|objective| objective.direction).collect();
    let ranking = Ranking::Pareto { directions };
    let &Cli { strategy, population, evaluations, .. } = cli;
    let engine = match strategy {
        StrategyName::Nsga2 | StrategyName::Nsga3 | StrategyName::Aging => {
            Engine::Evolution(Box::new(evolution(bench, cli, ranking, seed)?))
        }
        StrategyName::Ga => {
            let settings = GeneticSettings { population, ..GeneticSettings::default() };
            let later =
                evaluations.saturating_sub(population).div_ceil((population - settings.elites).max(1));
            let settings = GeneticSettings { generations: 1 + later, ..settings };
            Engine::Other(Box::new(GeneticAlgorithm::new(space, settings, ranking, seed)?))
        }
        StrategyName::Random => Engine::Other(Box::new(RandomSearch::new(space, evaluations, seed)?)),
        StrategyName::Local => {
            let settings = LocalSettings {
                trials: evaluations,
                round: cli.waiting.unwrap_or(1),
                ..LocalSettings::default()
            };
            let parts = LocalParts { neighbourhood: bench.neighbourhood(), ..LocalParts::new(ranking) };
            Engine::Other(Box::new(LocalSearch::new(space, parts, settings, seed)?))
        }
        StrategyName::Guided => {
            let settings = GuidedSettings {
                trials: evaluations,
                initial: population,
                round: cli.waiting.unwrap_or(1),
                ..GuidedSettings::default()
            };
            let tuned = bench.tune(Parts::nsga2(ranking.clone()), Variation::Nsga2);
            let features = bench.features();
            let features = move |genotype: &B::Genotype| features.features(genotype);
            let parts = GuidedParts { mutation: tuned.mutation, ..GuidedParts::new(ranking, features) };
            Engine::Other(Box::new(GuidedSearch::new(space, parts, settings, seed)?))
        }
    };
    let alone = cli.waiting.is_some() || strategy == StrategyName::Aging;
    Ok(Contestant { engine, batch: if alone { cli.waiting.unwrap_or(1) } else { population } })
}

fn evolution<'run, B: Bench>(
    bench: &'run B,
    cli: &Cli,
    ranking: Ranking,
    seed: Seed,
) -> Result<Evolution<&'run B::Space>, Box<dyn Error>> {
    let &Cli { population, evaluations, .. } = cli;
    let objectives = bench.evaluator().objectives().len();
    let aging = cli.strategy == StrategyName::Aging;
    let waiting = cli.waiting.or(aging.then_some(1));
    let parts = match cli.strategy {
        StrategyName::Nsga3 => {
            let directions = largest_lattice(objectives, population);
            bench.tune(Parts::nsga3(ranking, directions)?, Variation::Nsga3)
        }
        StrategyName::Aging => {
            let sample = cli.sample.unwrap_or_else(|| (population / 2).clamp(1, 10));
            bench.tune(Parts::aging(ranking, sample), Variation::Nsga2)
        }
        _ => bench.tune(Parts::nsga2(ranking), Variation::Nsga2),
    };
    let settings = EvolutionSettings {
        pace: waiting.map_or(Pace::Generations, |waiting| Pace::SteadyState { waiting }),
        ..EvolutionSettings::generations(population, evaluations)
    };
    Ok(Evolution::new(bench.space(), parts, settings, seed)?)
}
