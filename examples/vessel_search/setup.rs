//! From a configuration to data, space, strategy and evaluation settings; everything is checked here.

use crate::cli::{Configuration, StrategyName};
use crate::scenes;
use boresight::core::{Seed, Strategy};
use boresight::data::{Dataset, SamplerOptions};
use boresight::eval::{EvaluationSettings, Measure};
use boresight::evolve::parts::Mutants;
use boresight::evolve::{
    Evolution, EvolutionSettings, GeneticAlgorithm, GeneticSettings, LocalParts, LocalSearch, LocalSettings,
    Parts, RandomSearch, Ranking,
};
use boresight::ir::Network;
use boresight::numerics::NumericProfile;
use boresight::space::{SpaceSettings, UnetGenotype, UnetSpace};
use boresight::train::{Loss, TrainSettings};
use boresight::vpu::{Device, Vpu};
use std::error::Error;

/// A strategy over the U-Net space.
pub(crate) type BoxedStrategy<'space> = Box<dyn Strategy<Genotype = UnetGenotype> + 'space>;

/// The scenes, in which the tiles must fit.
pub(crate) fn dataset(configuration: &Configuration) -> Result<Dataset, Box<dyn Error>> {
    let dataset =
        scenes::read(configuration.data.as_deref(), configuration.bands.clone(), seed(configuration))?;
    dataset
        .require_tile(configuration.tile)
        .map_err(|error| format!("--tile {}: {error}", configuration.tile))?;
    Ok(dataset)
}

/// The seed of the run.
pub(crate) const fn seed(configuration: &Configuration) -> Seed {
    Seed::new(configuration.seed)
}

/// The U-Nets that fit the data, the limit and the device.
pub(crate) fn space(
    configuration: &Configuration,
    dataset: &Dataset,
    vpu: &Vpu,
) -> Result<UnetSpace, Box<dyn Error>> {
    let settings = SpaceSettings {
        bands: dataset.bands.len(),
        tile: configuration.tile,
        classes: dataset.classes,
        rule: configuration.channels.into(),
        max_parameters: configuration.max_parameters,
        ..SpaceSettings::default()
    };
    let vpu = vpu.clone();
    let support = move |network: &Network| vpu.supports(network).map_err(|error| error.to_string());
    Ok(UnetSpace::new(settings, support).map_err(|error| match error {
        boresight::space::Error::LimitTooLow { limit, .. } => format!("--max-parameters {limit}: {error}"),
        boresight::space::Error::Tile { tile, .. } => format!("--tile {tile}: {error}"),
        error => error.to_string(),
    })?)
}

/// The cost model.
pub(crate) fn vpu(configuration: &Configuration) -> Result<Vpu, Box<dyn Error>> {
    let device = Device::named(&configuration.device).map_err(|error| format!("--device: {error}"))?;
    Ok(Vpu::new(device))
}

/// What is optimised, and how trials are ranked by it.
pub(crate) fn ranking(configuration: &Configuration) -> Result<(Vec<Measure>, Ranking), Box<dyn Error>> {
    if configuration.objectives == "fitness" {
        let form = configuration.fitness.parse()?;
        let ranking = Ranking::Fitness { form, miou: 0, fps: 1, target_fps: configuration.target_fps };
        return Ok((vec![Measure::Miou, Measure::Fps], ranking));
    }
    let names = configuration.objectives.split(',').map(str::trim);
    let measures: Vec<Measure> = names
        .map(str::parse)
        .collect::<Result<_, _>>()
        .map_err(|error: boresight::eval::Error| format!("--objectives: {error}, or 'fitness'"))?;
    for (at, measure) in measures.iter().enumerate() {
        if measures[..at].contains(measure) {
            return Err(format!("--objectives: '{measure}' is named twice").into());
        }
    }
    let directions = measures.iter().map(|measure| measure.objective().direction).collect();
    Ok((measures, Ranking::Pareto { directions }))
}

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

/// The strategy, and the number of trials that it will ask for at most.
pub(crate) fn strategy<'space>(
    configuration: &Configuration,
    space: &'space UnetSpace,
    ranking: &Ranking,
) -> Result<(BoxedStrategy<'space>, usize), Box<dyn Error>> {
    let settings = genetic(configuration)?;
    let planned = settings.planned_trials();
    let seed = seed(configuration).derive("strategy", 0);
    let strategy: BoxedStrategy<'space> = match configuration.strategy {
        StrategyName::Ga => Box::new(GeneticAlgorithm::new(space, settings, ranking.clone(), seed)?),
        StrategyName::Random => Box::new(RandomSearch::new(space, planned, seed)?),
        StrategyName::Nsga2 => {
            let settings = EvolutionSettings::generations(configuration.population, planned);
            Box::new(Evolution::new(space, Parts::nsga2(ranking.clone()), settings, seed)?)
        }
        StrategyName::Aging => {
            let population = configuration.population;
            // Whole generations, so that the number of workers changes nothing.
            let settings = EvolutionSettings {
                offspring: population.div_ceil(2),
                ..EvolutionSettings::generations(population, planned)
            };
            let parts = Parts::aging(ranking.clone(), population.div_ceil(2));
            Box::new(Evolution::new(space, parts, settings, seed)?)
        }
        StrategyName::Local => {
            let population = configuration.population;
            let settings = LocalSettings { trials: planned, starts: population, round: population };
            let parts = LocalParts {
                neighbourhood: Box::new(Mutants { count: 4 * population }),
                ..LocalParts::new(ranking.clone())
            };
            Box::new(LocalSearch::new(space, parts, settings, seed)?)
        }
    };
    Ok((strategy, planned))
}

/// How candidates are trained, converted and scored.
pub(crate) fn evaluation(
    configuration: &Configuration,
    dataset: &Dataset,
) -> Result<EvaluationSettings, Box<dyn Error>> {
    let recipe = TrainSettings::fp32(configuration.epochs);
    let training = TrainSettings {
        batch: configuration.batch,
        learning_rate: configuration.learning_rate,
        loss: Loss { ignore: dataset.ignore, ..recipe.loss.clone() },
        ..recipe
    };
    let epochs = configuration.finetune_epochs;
    let alignment = (epochs > 0).then(|| TrainSettings {
        learning_rate: TrainSettings::finetune(epochs).learning_rate,
        epochs,
        ..training.clone()
    });
    Ok(EvaluationSettings {
        tile: configuration.tile,
        samples_per_epoch: configuration.samples_per_epoch,
        sampler: SamplerOptions { ignore: dataset.ignore, ..SamplerOptions::default() },
        training,
        alignment,
        profile: NumericProfile::named(&configuration.profile)
            .map_err(|error| format!("--profile: {error}"))?,
        input: configuration.input.into(),
    })
}
