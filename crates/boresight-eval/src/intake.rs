//! What an ONNX file tells of its input.

use crate::{Artifact, Error};
use boresight_deploy::{Band, Deployment};
use boresight_ir::{InputForm, Network, Weights};
use boresight_numerics::NumericProfile;
use std::collections::BTreeMap;

/// What the metadata of a file that was made of an [`Artifact`] tell of its input.
#[derive(Clone, Debug, PartialEq)]
pub struct Intake {
    /// Names of the bands, in the order of the channels.
    pub bands: Vec<String>,
    /// What the network was trained on: mean and deviation of the counts of each band.
    pub statistics: Vec<Band>,
    /// What the file reads: raw counts, its weights holding the normalisation, or values that were normalised before.
    pub form: InputForm,
    /// The count that the value 255 of an 8-bit image stands for.
    pub full_scale: f64,
}

impl Intake {
    /// What is to be told of the network of `artifact`.
    pub fn of(artifact: &Artifact) -> Self {
        Self {
            bands: artifact.bands.iter().map(|band| band.name.clone()).collect(),
            statistics: artifact.statistics(),
            form: artifact.input,
            full_scale: artifact.full_scale,
        }
    }

    /// The entries for a file.
    pub fn metadata(&self) -> BTreeMap<String, String> {
        let list = |number: fn(&Band) -> f32| {
            self.statistics.iter().map(|band| number(band).to_string()).collect::<Vec<_>>().join(" ")
        };
        let form = match self.form {
            InputForm::Counts => "counts",
            InputForm::Normalised => "normalised",
        };
        [
            ("input", form.to_owned()),
            ("bands", self.bands.join(" ")),
            ("mean", list(|band| band.mean)),
            ("deviation", list(|band| band.deviation)),
            ("full_scale", self.full_scale.to_string()),
        ]
        .map(|(key, value)| (format!("boresight.{key}"), value))
        .into()
    }

    /// What a file's metadata tell; `None` when it is no file of an artifact.
    ///
    /// # Errors
    /// When it is one and an entry is missing or broken.
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, Error> {
        if !metadata.contains_key("boresight.input") {
            return Ok(None);
        }
        let broken = |key: &str, rule: &str| Error::Metadata {
            key: format!("boresight.{key}"),
            rule: rule.to_owned(),
        };
        let entry =
            |key: &str| metadata.get(&format!("boresight.{key}")).ok_or_else(|| broken(key, "it is missing"));
        let numbers = |key: &str| -> Result<Vec<f32>, Error> {
            let numbers: Result<Vec<f32>, _> = entry(key)?.split(' ').map(str::parse).collect();
            numbers.map_err(|_| broken(key, "it is no list of numbers"))
        };
        let form = match entry("input")?.as_str() {
            "counts" => InputForm::Counts,
            "normalised" => InputForm::Normalised,
            _ => return Err(broken("input", "it is neither 'counts' nor 'normalised'")),
        };
        let bands: Vec<String> = entry("bands")?.split(' ').map(str::to_owned).collect();
        let (mean, deviation) = (numbers("mean")?, numbers("deviation")?);
        if [mean.len(), deviation.len()] != [bands.len(); 2] {
            return Err(broken("mean", "there is not one mean and one deviation a band"));
        }
        let statistics =
            mean.into_iter().zip(deviation).map(|(mean, deviation)| Band { mean, deviation }).collect();
        let full_scale: f64 =
            entry("full_scale")?.parse().map_err(|_| broken("full_scale", "it is no number"))?;
        Ok(Some(Self { bands, statistics, form, full_scale }))
    }

    /// A file's network as a device holds it. The file pads with zero where the network that was trained pads with count zero:
    /// what makes up for that is in its weights.
    ///
    /// # Errors
    /// When weights or bands do not fit the network.
    pub fn deploy(
        &self,
        network: &Network,
        weights: &Weights,
        profile: &NumericProfile,
    ) -> Result<Deployment, Error> {
        // A file that reads counts normalises nothing before.
        let plain = vec![Band { mean: 0.0, deviation: 1.0 }; self.statistics.len()];
        let bands = if self.form == InputForm::Counts { &plain } else { &self.statistics };
        let deployment = Deployment::convert(network, weights, bands, InputForm::Normalised, profile)?;
        Ok(deployment.padding_with_mean())
    }
}
