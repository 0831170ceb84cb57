//! From a configuration to data, space, strategy and evaluation settings; everything is checked here.

use crate::cli::{Align, Configuration};
use crate::{profile, scenes};
use boresight::core::Seed;
use boresight::data::{Dataset, SamplerOptions};
use boresight::eval::{EvaluationSettings, Measure};
use boresight::evolve::Ranking;
use boresight::ir::Network;
use boresight::space::{SpaceSettings, UnetSpace};
use boresight::train::{Loss, TrainSettings};
use boresight::vpu::{Device, Vpu};
use std::error::Error;

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

/// How a network trained with `training` is fine-tuned for so many epochs; `None` without epochs. Of the settings of alignment
/// powers of two recover most, see docs/NUMERICS.md.
fn fine_tuning(training: &TrainSettings, epochs: usize) -> Option<TrainSettings> {
    let learning_rate = TrainSettings::finetune(epochs).learning_rate;
    (epochs > 0).then(|| TrainSettings { learning_rate, epochs, power_scales: true, ..training.clone() })
}

/// How the winner alone is fine-tuned.
pub(crate) fn final_alignment(
    configuration: &Configuration,
    training: &TrainSettings,
) -> Result<Option<TrainSettings>, Box<dyn Error>> {
    let epochs = match (configuration.align, configuration.final_align_epochs) {
        (Align::Never, Some(1..)) => {
            return Err("--final-align-epochs: --align never aligns nothing".into());
        }
        (Align::Never, _) | (Align::Search, None) => 0,
        (_, Some(epochs)) => epochs,
        (Align::Final, None) => configuration.finetune_epochs,
    };
    Ok(fine_tuning(training, epochs))
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
    let epochs = if configuration.align == Align::Search { configuration.finetune_epochs } else { 0 };
    let alignment = fine_tuning(&training, epochs);
    Ok(EvaluationSettings {
        tile: configuration.tile,
        samples_per_epoch: configuration.samples_per_epoch,
        sampler: SamplerOptions { ignore: dataset.ignore, ..SamplerOptions::default() },
        training,
        alignment,
        profile: profile::read(&configuration.profile)?,
        input: configuration.input.into(),
    })
}
