//! What a run has found.

use crate::files::{Staging, onnx_name};
use crate::scenes;
use boresight::core::Seed;
use boresight::data::Dataset;
use boresight::deploy::onnx::{Export, Form, Opset};
use boresight::eval::{Artifact, Intake};
use boresight::ir::Weights;
use boresight::train::to_safetensors;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

/// The forms in which a network is written.
pub(crate) const FORMS: [Form; 3] = [Form::Fp32, Form::Fp16, Form::Fp16Weights];
/// The version of the operators in the files.
const OPSET: Opset = Opset::V13;

/// The winner of a run, its scenes, and its scores as the run wrote them down.
pub(crate) struct Found {
    pub(crate) artifact: Artifact,
    pub(crate) weights: Weights,
    pub(crate) dataset: Dataset,
    pub(crate) source: String,
    pub(crate) fingerprint: String,
    pub(crate) seed: u64,
    pub(crate) best: Best,
}

/// What `summary.json` says of the winner: scores on the test split, and on the validation split.
#[derive(Debug, Deserialize)]
pub(crate) struct Best {
    #[serde(flatten)]
    pub(crate) test: Scores,
    pub(crate) val: Scores,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Scores {
    pub(crate) miou: Forms,
    pub(crate) vessel_iou: Forms,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Forms {
    pub(crate) fp32: f64,
    pub(crate) converted: f64,
    pub(crate) aligned: f64,
}

#[derive(Debug, Deserialize)]
struct Summary {
    best: Option<Best>,
}

/// What of `run.json` tells the scenes.
#[derive(Debug, Deserialize)]
struct Run {
    configuration: Configuration,
    data: Data,
    seed: u64,
}

#[derive(Debug, Deserialize)]
struct Configuration {
    data: Option<PathBuf>,
    bands: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct Data {
    source: String,
    fingerprint: String,
}

impl Found {
    /// What lies in a run folder; `data` is where its scenes lie now, if they moved.
    pub(crate) fn read(folder: &Path, data: Option<&Path>) -> Result<Self, Box<dyn Error>> {
        let run: Run = json(&folder.join("run.json"))?;
        let summary: Summary = json(&folder.join("summary.json"))?;
        let best = summary.best.ok_or_else(|| format!("{}: the run has found nothing", folder.display()))?;
        let (artifact, weights) = Artifact::read(folder)?;
        let data = data.or(run.configuration.data.as_deref());
        let dataset = scenes::read(data, run.configuration.bands, Seed::new(run.seed))?;
        if dataset.fingerprint != run.data.fingerprint {
            return Err("--data: the scenes are not those that the run was started with".into());
        }
        let Data { source, fingerprint } = run.data;
        Ok(Self { artifact, weights, dataset, source, fingerprint, seed: run.seed, best })
    }

    /// Writes the network in every form.
    pub(crate) fn write(&self, staging: &Staging) -> Result<(), Box<dyn Error>> {
        let artifact = &self.artifact;
        let deployment = artifact.deploy(&self.weights)?;
        let unconverted = deployment.unconverted();
        for form in FORMS {
            let export = Export {
                form,
                opset: OPSET,
                name: &artifact.code,
                metadata: self.metadata(),
                ..Export::new(deployment.network(), &unconverted)
            };
            let bytes = export.write().map_err(|error| format!("{}: {error}", onnx_name(form)))?;
            staging.write(&onnx_name(form), &bytes)?;
        }
        let weights = to_safetensors(&self.weights, &[("code", &artifact.code)])?;
        staging.write(Artifact::NETWORK_WEIGHTS, &weights)?;
        staging.write(Artifact::NETWORK, &serde_json::to_vec_pretty(artifact)?)
    }

    /// What the files tell besides the network.
    fn metadata(&self) -> BTreeMap<String, String> {
        let Scores { miou, vessel_iou } = &self.best.test;
        let more = [
            ("code", self.artifact.code.clone()),
            ("seed", self.seed.to_string()),
            ("trial", self.artifact.trial.to_string()),
            ("profile", self.artifact.profile.name.clone()),
            ("classes", self.artifact.class_names.join(" ")),
            ("data", self.fingerprint.clone()),
            ("test_miou", miou.aligned.to_string()),
            ("test_vessel_iou", vessel_iou.aligned.to_string()),
        ];
        let mut metadata = Intake::of(&self.artifact).metadata();
        metadata.extend(more.map(|(key, value)| (format!("boresight.{key}"), value)));
        metadata
    }
}

/// What a JSON file of a run holds.
fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Box<dyn Error>> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{}: {error}; a finished run has one", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}
