//! Where a network comes from, and what it takes to put it on a device.

use crate::{Cli, Input};
use boresight::data::Dataset;
use boresight::deploy::{Band, Deployment, onnx};
use boresight::eval::{Artifact, Intake};
use boresight::ir::{Builder, InputForm, NodeId, Op, Weights};
use boresight::numerics::NumericProfile;
use std::error::Error;
use std::path::Path;

/// A network that was found by a search, or made elsewhere.
pub(crate) enum Source {
    Found { artifact: Box<Artifact>, weights: Weights },
    Made { model: Box<onnx::Model>, told: Option<Intake> },
}

/// A network that is ready for a device.
pub(crate) struct Prepared {
    pub(crate) deployment: Deployment,
    /// Name of the profile.
    pub(crate) profile: String,
    /// What the counts of the data are multiplied by.
    pub(crate) factor: f32,
}

impl Source {
    pub(crate) fn read(path: &Path, tile: Option<usize>) -> Result<Self, Box<dyn Error>> {
        if path.is_dir() {
            if !Artifact::lies_in(path) {
                let rule = "a finished run has best.json, an artifact network.json";
                return Err(format!("{} holds no network: {rule}", path.display()).into());
            }
            let (artifact, weights) = Artifact::read(path)?;
            return Ok(Self::Found { artifact: Box::new(artifact), weights });
        }
        let about = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let bytes = std::fs::read(path).map_err(|error| about(&error))?;
        let size = tile.map(|tile| [tile; 2]);
        let options = onnx::ReadOptions { size, folder: path.parent(), ..onnx::ReadOptions::default() };
        let model = onnx::read(&bytes, &options).map_err(|error| about(&error))?;
        let told = Intake::from_metadata(&model.metadata).map_err(|error| about(&error))?;
        Ok(Self::Made { model: Box::new(two_classes(model)?), told })
    }

    /// Refuses options that say what the network itself says.
    pub(crate) fn check_options(&self, cli: &Cli) -> Result<(), Box<dyn Error>> {
        let given = [
            ("--bands", cli.bands.is_some()),
            ("--mean", cli.mean.is_some()),
            ("--input", cli.input.is_some()),
            ("--full-scale", cli.full_scale.is_some()),
        ];
        let known = !matches!(self, Self::Made { told: None, .. });
        if let Some((flag, _)) = given.iter().find(|(_, given)| known && *given) {
            return Err(format!("{flag}: {} tells this itself", cli.network.display()).into());
        }
        if !known && cli.mean.is_none() {
            let rule = "give --mean and --std, one number a band of value / 255 (0 and 1 for none)";
            return Err(format!("{} does not tell its normalisation: {rule}", cli.network.display()).into());
        }
        match cli.full_scale {
            Some(scale) if cli.input != Some(Input::Raw) => {
                Err(format!("--full-scale {scale}: it goes with --input raw").into())
            }
            Some(scale) if !(scale.is_finite() && scale > 0.0) => {
                Err(format!("--full-scale {scale}: it must be above 0").into())
            }
            _ => Ok(()),
        }
    }

    /// The bands to read from the data.
    pub(crate) fn bands(&self, cli: &Cli) -> Option<Vec<String>> {
        match self {
            Self::Found { artifact, .. } => {
                Some(artifact.bands.iter().map(|band| band.name.clone()).collect())
            }
            Self::Made { told: Some(told), .. } => Some(told.bands.clone()),
            Self::Made { told: None, .. } => cli.bands.clone(),
        }
    }

    /// The count that 255 is to stand for in 8-bit scenes. Networks made elsewhere get the values themselves.
    pub(crate) fn full_scale(&self) -> f64 {
        match self {
            Self::Found { artifact, .. } => artifact.full_scale,
            Self::Made { told, .. } => told.as_ref().map_or(255.0, |told| told.full_scale),
        }
    }

    pub(crate) fn prepare(
        self,
        cli: &Cli,
        profile: Option<NumericProfile>,
        dataset: &Dataset,
    ) -> Result<Prepared, Box<dyn Error>> {
        let (deployment, profile, factor) = match self {
            Self::Found { artifact, weights } => {
                let profile = profile.unwrap_or_else(|| artifact.profile.clone());
                let (network, bands) = (&artifact.network, artifact.statistics());
                let deployment = if profile.keeps_f32() {
                    Deployment::undeployed(network, &weights, &bands)?
                } else {
                    Deployment::convert(network, &weights, &bands, artifact.input, &profile)?
                };
                (deployment, profile, 1.0)
            }
            Self::Made { model, told: Some(told) } => {
                let profile = of_file(&model, profile);
                (told.deploy(&model.network, &model.weights, &profile)?, profile, 1.0)
            }
            Self::Made { model, told: None } => {
                let profile = of_file(&model, profile);
                made_elsewhere(cli, &model, profile, dataset)?
            }
        };
        let classes = deployment.network().output_shape().channels;
        if classes != dataset.classes {
            return Err(format!(
                "the network tells {classes} classes apart, the data have {}",
                dataset.classes
            )
            .into());
        }
        Ok(Prepared { deployment, profile: profile.name, factor })
    }
}

/// The profile for a file: constants that are FP16 in it are converted already.
fn of_file(model: &onnx::Model, profile: Option<NumericProfile>) -> NumericProfile {
    let profile = profile.unwrap_or_else(NumericProfile::myriad_x_optimistic);
    if model.is_fp16 && !profile.keeps_f32() { profile.preconverted() } else { profile }
}

/// A network of an ONNX file that tells nothing of its input. It pads as all of ONNX does, with zero, which for what
/// was normalised is the mean.
fn made_elsewhere(
    cli: &Cli,
    model: &onnx::Model,
    profile: NumericProfile,
    dataset: &Dataset,
) -> Result<(Deployment, NumericProfile, f32), Box<dyn Error>> {
    let (network, weights) = (&model.network, &model.weights);
    let [mean, std] = [&cli.mean, &cli.std].map(|values| values.clone().unwrap_or_default());
    let bands = network.input_shape().channels;
    for (flag, found) in [("--mean", mean.len()), ("--std", std.len())] {
        if found != bands {
            return Err(format!("{flag}: {found} numbers, but the network reads {bands} bands").into());
        }
    }
    let form = match cli.input {
        Some(Input::Raw) => InputForm::Counts,
        _ => InputForm::Normalised,
    };
    // The values of 8-bit scenes were read as they are; counts of 16 bits stand for themselves.
    let scale = if dataset.eight_bit { 255.0 } else { cli.full_scale.unwrap_or(boresight::data::FULL_SCALE) };
    let device_scale = match cli.input {
        Some(Input::Raw) => cli.full_scale.unwrap_or(boresight::data::FULL_SCALE),
        _ => scale,
    };
    #[expect(clippy::cast_possible_truncation, reason = "statistics and counts are f32")]
    let [times, factor] = [device_scale as f32, (device_scale / scale) as f32];
    let statistics: Vec<Band> = mean
        .iter()
        .zip(&std)
        .map(|(mean, std)| Band { mean: mean * times, deviation: std * times })
        .collect();
    let deployment = if profile.keeps_f32() && form == InputForm::Normalised {
        Deployment::undeployed(network, weights, &statistics)?
    } else {
        Deployment::convert(network, weights, &statistics, form, &profile)?
    };
    Ok((deployment.padding_with_mean(), profile, factor))
}

/// The same model; where it makes one map, the logit or probability of class 1, with two: the class of the larger one
/// is 1 where the map is above 0, or above 1/2 for probabilities.
fn two_classes(model: onnx::Model) -> Result<onnx::Model, Box<dyn Error>> {
    let network = &model.network;
    if network.output_shape().channels != 1 {
        return Ok(model);
    }
    let mut builder = Builder::new(network.input_shape())?;
    let mut place = vec![builder.input()];
    for (_, node) in network.iter().skip(1) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| place[input.index()]).collect();
        place.push(builder.add(&node.name, node.op, &inputs)?);
    }
    let one = place[network.output().index()];
    let constant = builder.add("boresight.threshold", Op::ScaleShift, &[one])?;
    let both = builder.add("boresight.classes", Op::Concat, &[constant, one])?;
    let widened = builder.finish(both)?;
    let mut weights = Weights::from_values(&widened, vec![0.0; widened.layout().len()])?;
    for slot in network.layout().slots() {
        if let Some(target) = widened.layout().find(&slot.name) {
            weights.values_mut()[target.range.clone()]
                .copy_from_slice(&model.weights.values()[slot.range.clone()]);
        }
    }
    let probability = matches!(network.node(network.output()).op, Op::Sigmoid);
    let threshold = if probability { 0.5 } else { 0.0 };
    if let Some(slot) = widened.layout().find("boresight.threshold.shift") {
        weights.values_mut()[slot.range.start] = threshold;
    }
    Ok(onnx::Model { network: widened, weights, ..model })
}
