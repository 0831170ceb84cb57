//! What is trained and scored, and kept so that nothing is done twice.

use crate::vessels::{Fleet, Hits};
use crate::{engineering, mapping};
use boresight::core::{Context, Fit, Seed, TrainEvent, Trainer};
use boresight::data::{Dataset, SamplerOptions};
use boresight::deploy::{Band, Deployment};
use boresight::eval::{Device, Scaled, SceneTiles, Simulated, predict};
use boresight::ir::{InputForm, Network, Weights};
use boresight::numerics::NumericProfile;
use boresight::search::write_atomically;
use boresight::train::{Aligned, Loss, SegmentationTrainer, TrainSettings, read_weights, to_safetensors};
use boresight::vpu::Vpu;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// What all cells share.
pub(crate) struct Study<'run> {
    pub(crate) network: &'run Network,
    pub(crate) vpu: &'run Vpu,
    pub(crate) folder: &'run Path,
    pub(crate) epochs: usize,
    pub(crate) align_epochs: usize,
    pub(crate) samples: usize,
    pub(crate) batch: usize,
    pub(crate) threads: NonZeroUsize,
}

/// Scenes as one kind of input, and the device that reads them.
pub(crate) struct Part<'run> {
    pub(crate) seed: u64,
    pub(crate) dataset: &'run Dataset,
    pub(crate) bands: Vec<Band>,
    pub(crate) input: InputForm,
    pub(crate) profile: &'run NumericProfile,
    /// Name of the files.
    pub(crate) name: String,
}

/// How one form of a network did on the test split.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Form {
    /// Vessel by vessel, scene after scene.
    pub(crate) hits: Vec<Hits>,
    pub(crate) pixels: u64,
}

/// Forms by name.
pub(crate) type Forms = BTreeMap<String, Form>;

/// The FP32 weights of one seed.
pub(crate) struct Weighed {
    pub(crate) trained: Weights,
    /// Trained on for as long as an alignment takes.
    pub(crate) control: Weights,
    /// The network without batch normalisations, as alignment trains it.
    pub(crate) folded: Network,
    /// That network trained on as an alignment does, but in FP32: what differs is the numerics alone.
    pub(crate) equal: Weights,
}

impl Study<'_> {
    /// The weights of a seed, trained where they are not kept.
    pub(crate) fn weights(
        &self,
        seed: u64,
        dataset: &Dataset,
        bands: &[Band],
    ) -> Result<Weighed, Box<dyn Error>> {
        let fine = TrainSettings::finetune(self.align_epochs);
        let trained = self.fp32(
            seed,
            "fp32",
            self.network,
            (dataset, bands),
            (&TrainSettings::fp32(self.epochs), None),
        )?;
        let control = self.fp32(seed, "control", self.network, (dataset, bands), (&fine, Some(&trained)))?;
        let (folded, masters) = boresight::ir::fold_batch_norm(self.network, &trained)?;
        let equal = self.fp32(seed, "equal", &folded, (dataset, bands), (&fine, Some(&masters)))?;
        Ok(Weighed { trained, control, folded, equal })
    }

    /// Weights of FP32 training, kept under `name`.
    fn fp32(
        &self,
        seed: u64,
        name: &str,
        network: &Network,
        (dataset, bands): (&Dataset, &[Band]),
        (settings, start): (&TrainSettings, Option<&Weights>),
    ) -> Result<Weights, Box<dyn Error>> {
        self.kept_weights(seed, name, network, || {
            // What follows the first training sees the same tiles in all its forms.
            let stream = if start.is_some() { "control" } else { name };
            let context = Context::new(Seed::new(seed).derive(stream, 0));
            let examples = self.examples(dataset)?;
            let (mean, deviation) = statistics(bands);
            let trainer = SegmentationTrainer {
                settings: &self.with_loss(settings, dataset),
                examples: &examples,
                mean: &mean,
                deviation: &deviation,
                profile: &NumericProfile::f32(),
                input: InputForm::Normalised,
                start,
                threads: self.threads,
                validation: None,
            };
            let mut watcher = watcher(format!("seed {seed}, {name}"));
            trained(trainer.train(network, &context, &mut watcher)?)
        })
    }

    /// Scores of what needs no training of its own.
    pub(crate) fn base(&self, part: &Part<'_>, weighed: &Weighed) -> Result<Forms, Box<dyn Error>> {
        self.kept_forms(part, "base", || {
            let Weighed { trained, control, folded, equal } = weighed;
            let mut forms = Forms::new();
            for (names, network, weights) in [
                (["FP32", "converted"], self.network, trained),
                (["control FP32", "control converted"], self.network, control),
                (["equal control FP32", "equal control converted"], folded, equal),
            ] {
                let deployments = [
                    Deployment::undeployed(network, weights, &part.bands)?,
                    Deployment::convert(network, weights, &part.bands, part.input, part.profile)?,
                ];
                for (name, deployment) in names.into_iter().zip(deployments) {
                    forms.insert(name.to_owned(), self.score(part, &deployment, 1.0)?);
                }
            }
            for variant in engineering::variants(part, folded, equal)? {
                let form = self.score(part, &variant.deployment, variant.factor)?;
                forms.insert(variant.name.to_owned(), form);
            }
            Ok(forms)
        })
    }

    /// Scores of the network fine-tuned by one recipe.
    pub(crate) fn aligned(
        &self,
        part: &Part<'_>,
        trained_weights: &Weights,
        recipe: &str,
        settings: &TrainSettings,
    ) -> Result<Forms, Box<dyn Error>> {
        self.kept_forms(part, recipe, || {
            let context = Context::new(Seed::new(part.seed).derive("control", 0));
            let examples = self.examples(part.dataset)?;
            let (mean, deviation) = statistics(&part.bands);
            let trainer = SegmentationTrainer {
                settings: &self.with_loss(settings, part.dataset),
                examples: &examples,
                mean: &mean,
                deviation: &deviation,
                profile: part.profile,
                input: part.input,
                start: Some(trained_weights),
                threads: self.threads,
                validation: None,
            };
            let mut watcher = watcher(format!("seed {}, {}, {recipe}", part.seed, part.name));
            let Aligned { network, weights } = match trainer.align(self.network, &context, &mut watcher)? {
                // What cannot be trained for is a finding, and has no score.
                Fit::Diverged { reason } => {
                    eprintln!("seed {}, {}, {recipe}: diverged, {reason}", part.seed, part.name);
                    return Ok(Forms::new());
                }
                fit => trained(fit)?,
            };
            let deployment = Deployment::convert(&network, &weights, &part.bands, part.input, part.profile)?;
            Ok(Forms::from([(format!("aligned, {recipe}"), self.score(part, &deployment, 1.0)?)]))
        })
    }

    fn score(&self, part: &Part<'_>, deployment: &Deployment, factor: f32) -> Result<Form, Box<dyn Error>> {
        let mapping = mapping::of(self.vpu, deployment.network());
        let mut runner = Scaled::new(Simulated.load(&deployment.clone().mapped(&mapping))?, factor);
        let mut form = Form { hits: Vec::new(), pixels: 0 };
        for scene in &part.dataset.test {
            let map = predict(&mut runner, scene, &mut Vec::new())?;
            let (hits, pixels) = Fleet::new(scene).hits(scene, &map, part.dataset.ignore);
            form.hits.extend(hits);
            form.pixels += pixels;
        }
        Ok(form)
    }

    fn examples<'data>(&self, dataset: &'data Dataset) -> Result<SceneTiles<'data>, Box<dyn Error>> {
        let options = SamplerOptions { ignore: dataset.ignore, ..SamplerOptions::default() };
        let tile = self.network.input_shape().height;
        Ok(SceneTiles::new(&dataset.train, tile, self.samples, &options)?)
    }

    fn with_loss(&self, settings: &TrainSettings, dataset: &Dataset) -> TrainSettings {
        let loss = Loss { ignore: dataset.ignore, ..settings.loss.clone() };
        TrainSettings { batch: self.batch, loss, ..settings.clone() }
    }

    fn kept_weights(
        &self,
        seed: u64,
        name: &str,
        network: &Network,
        train: impl FnOnce() -> Result<Weights, Box<dyn Error>>,
    ) -> Result<Weights, Box<dyn Error>> {
        let path = self.file(seed, &format!("{name}.safetensors"))?;
        if path.exists() {
            return Ok(read_weights(&path, network)?);
        }
        let weights = train()?;
        write_atomically(&path, &to_safetensors(&weights, &[])?)?;
        Ok(weights)
    }

    fn kept_forms(
        &self,
        part: &Part<'_>,
        what: &str,
        score: impl FnOnce() -> Result<Forms, Box<dyn Error>>,
    ) -> Result<Forms, Box<dyn Error>> {
        let path = self.file(part.seed, &format!("{}-{what}.json", part.name))?;
        if path.exists() {
            return read(&path);
        }
        let forms = score()?;
        write_atomically(&path, &serde_json::to_vec(&forms)?)?;
        Ok(forms)
    }

    fn file(&self, seed: u64, name: &str) -> Result<PathBuf, Box<dyn Error>> {
        let folder = self.folder.join(format!("seed-{seed}"));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder.join(name))
    }
}

/// What a JSON file holds.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Box<dyn Error>> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn statistics(bands: &[Band]) -> (Vec<f32>, Vec<f32>) {
    bands.iter().map(|band| (band.mean, band.deviation)).unzip()
}

fn watcher(what: String) -> impl FnMut(&TrainEvent) -> ControlFlow<()> {
    move |event| {
        if let TrainEvent::Epoch { epoch, epochs, loss, .. } = event {
            eprintln!("{what}: epoch {epoch} of {epochs}, loss {loss:.4}");
        }
        ControlFlow::Continue(())
    }
}

fn trained<M>(fit: Fit<M>) -> Result<M, Box<dyn Error>> {
    match fit {
        Fit::Trained(model) => Ok(model),
        Fit::Diverged { reason } => Err(format!("training diverged: {reason}").into()),
        Fit::Interrupted => Err("training was interrupted".into()),
    }
}
