//! The strategies by name, over the U-Net space.

use crate::cli::{Configuration, StrategyName};
use crate::setup::seed;
use boresight::core::{Seed, Strategy};
use boresight::evolve::parts::{FromSpace, Mutants, Sampling, WarmStart, largest_lattice};
use boresight::evolve::{
    Evolution, EvolutionSettings, GeneticAlgorithm, GeneticSettings, GuidedParts, GuidedSearch,
    GuidedSettings, Halving, HalvingParts, HalvingSettings, LocalParts, LocalSearch, LocalSettings, Novelty,
    Pace, Parts, RandomParts, RandomSearch, Ranking,
};
use boresight::ir::Network;
use boresight::space::{UnetGenotype, UnetSpace};
use std::error::Error;

/// A strategy over the U-Net space.
type BoxedStrategy<'space> = Box<dyn Strategy<Genotype = UnetGenotype> + 'space>;

/// The settings of the genetic algorithm; the other strategies take the number of trials from them.
pub(crate) fn genetic(configuration: &Configuration) -> Result<GeneticSettings, Box<dyn Error>> {
    let settings = GeneticSettings {
        population: configuration.population,
        generations: configuration.generations,
        elites: configuration.elites,
        immigrants: configuration.immigrants,
        ..GeneticSettings::default()
    };
    settings.check().map_err(|error| match error {
        boresight::evolve::Error::Elites { elites, .. } => format!("--elites {elites}: {error}"),
        error => error.to_string(),
    })?;
    Ok(settings)
}

/// A strategy that is about to be made.
struct Maker<'space> {
    space: &'space UnetSpace,
    ranking: Ranking,
    first: Vec<UnetGenotype>,
    population: usize,
    planned: usize,
    waiting: Option<usize>,
    seed: Seed,
}

/// The strategy, which proposes `first` before anything else, and the number of trials that it will ask for at most.
pub(crate) fn strategy<'space>(
    configuration: &Configuration,
    space: &'space UnetSpace,
    ranking: &Ranking,
    first: &[UnetGenotype],
) -> Result<(BoxedStrategy<'space>, usize), Box<dyn Error>> {
    let settings = genetic(configuration)?;
    let planned = settings.planned_trials();
    let maker = Maker {
        space,
        ranking: ranking.clone(),
        first: first.to_vec(),
        population: configuration.population,
        planned,
        waiting: configuration.waiting,
        seed: seed(configuration).derive("strategy", 0),
    };
    let name = configuration.strategy;
    if maker.waiting.is_some() && !name.breeds_one_by_one() {
        return Err("--waiting: only nsga2, nsga3, aging and halving work without generations".into());
    }
    let strategy = match name {
        StrategyName::Ga => maker.genetic(settings)?,
        StrategyName::Random => maker.random()?,
        StrategyName::Nsga2 | StrategyName::Nsga3 | StrategyName::Aging => maker.evolution(name)?,
        StrategyName::Local => maker.local()?,
        StrategyName::Guided => maker.guided()?,
        StrategyName::Halving => maker.halving()?,
    };
    Ok((strategy, planned))
}

impl<'space> Maker<'space> {
    fn sampling(&self) -> Box<dyn Sampling<&'space UnetSpace>> {
        Box::new(WarmStart { first: self.first.clone(), rest: FromSpace })
    }

    /// Two genotypes of one network are one candidate.
    fn novelty(&self) -> Novelty<UnetGenotype> {
        Novelty::of_phenotypes(self.space.clone(), |network: &Network| *network.hash().bytes())
    }

    fn genetic(self, settings: GeneticSettings) -> Result<BoxedStrategy<'space>, Box<dyn Error>> {
        let (sampling, novelty) = (self.sampling(), self.novelty());
        let parts = Parts { sampling, novelty, ..Parts::genetic(self.ranking) };
        Ok(Box::new(GeneticAlgorithm::with_parts(self.space, parts, settings, self.seed)?))
    }

    fn random(self) -> Result<BoxedStrategy<'space>, Box<dyn Error>> {
        let parts =
            RandomParts { sampling: self.sampling(), novelty: self.novelty(), ..RandomParts::default() };
        Ok(Box::new(RandomSearch::with_parts(self.space, parts, self.planned, self.seed)?))
    }

    fn evolution(self, name: StrategyName) -> Result<BoxedStrategy<'space>, Box<dyn Error>> {
        let (sampling, novelty) = (self.sampling(), self.novelty());
        let (ranking, half) = (self.ranking.clone(), self.population.div_ceil(2));
        let parts = match name {
            StrategyName::Nsga3 => {
                let objectives =
                    if let Ranking::Pareto { directions } = &ranking { directions.len() } else { 1 };
                if objectives < 2 {
                    return Err("--strategy nsga3: --objectives must name at least two".into());
                }
                Parts::nsga3(ranking, largest_lattice(objectives, self.population))?
            }
            StrategyName::Aging => Parts::aging(ranking, half),
            _ => Parts::nsga2(ranking),
        };
        let parts = Parts { sampling, novelty, ..parts };
        // Aging evolution in whole generations, so that the number of workers changes nothing.
        let offspring = if name == StrategyName::Aging { half } else { self.population };
        let settings = EvolutionSettings {
            offspring,
            pace: self.pace(),
            ..EvolutionSettings::generations(self.population, self.planned)
        };
        Ok(Box::new(Evolution::new(self.space, parts, settings, self.seed)?))
    }

    fn pace(&self) -> Pace {
        self.waiting.map_or(Pace::Generations, |waiting| Pace::SteadyState { waiting })
    }

    fn local(self) -> Result<BoxedStrategy<'space>, Box<dyn Error>> {
        let parts = LocalParts {
            sampling: self.sampling(),
            novelty: self.novelty(),
            neighbourhood: Box::new(Mutants { count: 4 * self.population }),
            ..LocalParts::new(self.ranking)
        };
        let settings =
            LocalSettings { trials: self.planned, starts: self.population, round: self.population };
        Ok(Box::new(LocalSearch::new(self.space, parts, settings, self.seed)?))
    }

    fn guided(self) -> Result<BoxedStrategy<'space>, Box<dyn Error>> {
        let (sampling, novelty) = (self.sampling(), self.novelty());
        let parts =
            GuidedParts { sampling, novelty, ..GuidedParts::new(self.ranking, UnetGenotype::features) };
        let settings = GuidedSettings {
            trials: self.planned,
            initial: self.population,
            round: self.population,
            ..GuidedSettings::default()
        };
        Ok(Box::new(GuidedSearch::new(self.space, parts, settings, self.seed)?))
    }

    fn halving(self) -> Result<BoxedStrategy<'space>, Box<dyn Error>> {
        let (sampling, novelty, pace) = (self.sampling(), self.novelty(), self.pace());
        let parts = HalvingParts { sampling, novelty, ..HalvingParts::new(self.ranking) };
        let settings = HalvingSettings {
            trials: self.planned,
            cohort: self.population,
            pace,
            ..HalvingSettings::default()
        };
        Ok(Box::new(Halving::new(self.space, parts, settings, self.seed)?))
    }
}
