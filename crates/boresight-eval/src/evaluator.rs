//! The whole way of one candidate.

use crate::scoring::{Score, confusion};
use crate::{Device, Error, EvaluationSettings, Measure, SceneTiles, Simulated};
use boresight_core::{
    Context, Cost, CostModel, Evaluator, Fit, Objective, Observer, Outcome, Seed, TrainEvent, Trainer,
    TrialId, Violation,
};
use boresight_data::{Dataset, Normalisation, Scene};
use boresight_deploy::{Band, Deployment, Mapping, without_batch_norm};
use boresight_ir::{InputForm, Network, Shape, Weights};
use boresight_numerics::NumericProfile;
use boresight_train::{Aligned, SegmentationTrainer, TrainSettings, Validation, to_safetensors};
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Where in its evaluation a candidate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Training in FP32.
    Training,
    /// Fine-tuning under the device's numerics.
    Alignment,
}

/// Sees the training of every candidate, from worker threads; `Break` interrupts it.
pub type Progress<'run> = dyn Fn(TrialId, Phase, &TrainEvent) -> ControlFlow<()> + Send + Sync + 'run;

/// Trains, fine-tunes, converts, runs on the simulated device, scores and costs a network.
///
/// The verdict's attributes are `parameters`, `macs`, `latency_s`, `fps` and, on the validation split,
/// `miou_fp32`, `miou_converted`, `miou_aligned` and the same three of `vessel_iou`.
pub struct SegmentationEvaluator<'run, C> {
    dataset: &'run Dataset,
    bands: Vec<Band>,
    settings: &'run EvaluationSettings,
    cost: C,
    measures: Vec<Measure>,
    objectives: Vec<Objective>,
    weights: Option<PathBuf>,
    device: &'run dyn Device,
    mapping: &'run MappingOf<'run>,
    progress: &'run Progress<'run>,
}

/// What a tool chain decides about the convolutions of a network, see [`Mapping`].
pub type MappingOf<'run> = dyn Fn(&Network) -> Mapping + Send + Sync + 'run;

impl<C: fmt::Debug> fmt::Debug for SegmentationEvaluator<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmentationEvaluator")
            .field("settings", &self.settings)
            .field("cost", &self.cost)
            .field("measures", &self.measures)
            .finish_non_exhaustive()
    }
}

/// What sees the training of one candidate.
type Watcher<'watch> = dyn Observer<TrainEvent> + 'watch;

/// A training to be done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work<'run> {
    pub(crate) context: &'run Context,
    pub(crate) threads: NonZeroUsize,
    /// Whether each epoch is scored on the validation split, so that the best weights are kept.
    pub(crate) keeps_best: bool,
}

/// A trained candidate in its two forms.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// FP32 weights of the network.
    pub(crate) fp32: Weights,
    /// Fine-tuned master values of the folded network; those of `fp32` where nothing was fine-tuned.
    pub(crate) aligned: Weights,
    /// The network without batch normalisation.
    pub(crate) folded: Network,
}

impl<'run, C> SegmentationEvaluator<'run, C> {
    /// An evaluator on the training and validation splits of `dataset`.
    ///
    /// # Errors
    /// When tiles do not fit the scenes or a setting lies outside its range.
    pub fn new(
        dataset: &'run Dataset,
        settings: &'run EvaluationSettings,
        cost: C,
        measures: &[Measure],
        progress: &'run Progress<'run>,
    ) -> Result<Self, Error> {
        dataset.require_tile(settings.tile)?;
        settings.training.check()?;
        if let Some(alignment) = &settings.alignment {
            alignment.check()?;
        }
        let statistics = Normalisation::of(dataset);
        let bands = statistics.mean.iter().zip(&statistics.std);
        Ok(Self {
            dataset,
            bands: bands.map(|(&mean, &deviation)| Band { mean, deviation }).collect(),
            settings,
            cost,
            measures: measures.to_vec(),
            objectives: measures.iter().map(|measure| measure.objective()).collect(),
            weights: None,
            device: &Simulated,
            mapping: &|_| Mapping::default(),
            progress,
        })
    }

    /// The same evaluator, leaving the weights of each trial in `folder`, see [`SegmentationEvaluator::weights_of`].
    #[must_use]
    pub fn keeping_weights(self, folder: &Path) -> Self {
        Self { weights: Some(folder.to_owned()), ..self }
    }

    /// The same evaluator, scoring what is deployed on `device` instead of the simulated one. What is kept of a final
    /// training is still chosen on the simulated device.
    #[must_use]
    pub fn on_device(self, device: &'run dyn Device) -> Self {
        Self { device, ..self }
    }

    /// The same evaluator on a device whose tool chain decides so about convolutions. Training takes no account of it.
    #[must_use]
    pub fn mapped(self, mapping: &'run MappingOf<'run>) -> Self {
        Self { mapping, ..self }
    }

    /// The two files in `folder` that keep a trial's weights: FP32, and aligned masters of the folded network.
    pub fn weights_of(folder: &Path, trial: TrialId) -> [PathBuf; 2] {
        ["fp32", "aligned"].map(|form| folder.join(format!("trial-{:05}-{form}.safetensors", trial.0)))
    }

    /// Statistics of the training split, for each band.
    pub fn bands(&self) -> &[Band] {
        &self.bands
    }

    pub(crate) const fn settings(&self) -> &EvaluationSettings {
        self.settings
    }

    pub(crate) const fn dataset(&self) -> &'run Dataset {
        self.dataset
    }

    pub(crate) const fn cost_model(&self) -> &C {
        &self.cost
    }

    fn check_shape(&self, network: &Network) -> Result<(), Error> {
        let tile = self.settings.tile;
        let data = Shape::new(self.dataset.bands.len(), tile, tile);
        if network.input_shape() == data {
            Ok(())
        } else {
            Err(Error::Shape { network: network.input_shape(), data })
        }
    }

    /// Trains in FP32; `start` continues from weights.
    pub(crate) fn train(
        &self,
        network: &Network,
        settings: &TrainSettings,
        start: Option<&Weights>,
        work: Work<'_>,
    ) -> Result<Fit<Weights>, Error> {
        let profile = NumericProfile::f32();
        let form = InputForm::Normalised;
        let train = |trainer: SegmentationTrainer<'_>, observer: &mut Watcher<'_>| {
            trainer.train(network, work.context, observer)
        };
        self.fit(settings, (&profile, form), start, (Phase::Training, work), train)
    }

    /// Fine-tunes the network under the device's numerics as the settings say; without settings it is only folded.
    pub(crate) fn align(
        &self,
        network: &Network,
        fp32: Weights,
        settings: Option<&TrainSettings>,
        work: Work<'_>,
    ) -> Result<Fit<Candidate>, Error> {
        let (profile, input) = (&self.settings.profile, self.settings.input);
        let fit = match settings {
            None => {
                let (network, weights) = without_batch_norm(network, &fp32, profile)?;
                Fit::Trained(Aligned { network, weights })
            }
            Some(settings) => {
                let seed = work.context.seed.derive("alignment", 0);
                let context = Context { seed, ..work.context.clone() };
                let align = |trainer: SegmentationTrainer<'_>, observer: &mut Watcher<'_>| {
                    trainer.align(network, &context, observer)
                };
                let phase = (Phase::Alignment, Work { context: &context, ..work });
                self.fit(settings, (profile, input), Some(&fp32), phase, align)?
            }
        };
        Ok(match fit {
            Fit::Trained(Aligned { network: folded, weights: aligned }) => {
                Fit::Trained(Candidate { fp32, aligned, folded })
            }
            Fit::Diverged { reason } => Fit::Diverged { reason: format!("fine-tuning: {reason}") },
            Fit::Interrupted => Fit::Interrupted,
        })
    }

    fn fit<M>(
        &self,
        settings: &TrainSettings,
        (profile, input): (&NumericProfile, InputForm),
        start: Option<&Weights>,
        (phase, work): (Phase, Work<'_>),
        train: impl FnOnce(SegmentationTrainer<'_>, &mut Watcher<'_>) -> Result<Fit<M>, boresight_train::Error>,
    ) -> Result<Fit<M>, Error> {
        let (tile, count) = (self.settings.tile, self.settings.samples_per_epoch);
        let examples = SceneTiles::new(&self.dataset.train, tile, count, &self.settings.sampler)?;
        let mean: Vec<f32> = self.bands.iter().map(|band| band.mean).collect();
        let deviation: Vec<f32> = self.bands.iter().map(|band| band.deviation).collect();
        let validation = MiouOnVal { phase, dataset: self.dataset, bands: &self.bands, profile, input };
        let trainer = SegmentationTrainer {
            settings,
            examples: &examples,
            mean: &mean,
            deviation: &deviation,
            profile,
            input,
            start,
            threads: work.threads,
            validation: if work.keeps_best { Some(&validation) } else { None },
        };
        let mut observer = |event: &TrainEvent| (self.progress)(work.context.trial, phase, event);
        Ok(train(trainer, &mut observer)?)
    }

    /// The three deployments of a candidate: as trained, converted, aligned.
    pub(crate) fn deployments(
        &self,
        network: &Network,
        candidate: &Candidate,
    ) -> Result<[Deployment; 3], Error> {
        let EvaluationSettings { profile, input, .. } = self.settings;
        let convert = |network: &Network, weights| {
            let deployment = Deployment::convert(network, weights, &self.bands, *input, profile)?;
            let mapping = (self.mapping)(deployment.network());
            Ok::<_, Error>(deployment.mapped(&mapping))
        };
        Ok([
            Deployment::undeployed(network, &candidate.fp32, &self.bands)?,
            convert(network, &candidate.fp32)?,
            convert(&candidate.folded, &candidate.aligned)?,
        ])
    }

    /// Scores of deployments over whole scenes.
    pub(crate) fn score(&self, deployments: &[Deployment; 3], scenes: &[Scene]) -> Result<[Score; 3], Error> {
        let [fp32, converted, aligned] = deployments;
        let score = |device: &dyn Device, deployment| -> Result<Score, Error> {
            let mut runner = device.load(deployment)?;
            Ok(Score::of(&confusion(runner.as_mut(), self.dataset, scenes)?))
        };
        Ok([score(&Simulated, fp32)?, score(self.device, converted)?, score(self.device, aligned)?])
    }

    fn keep(&self, candidate: &Candidate, trial: TrialId) -> Result<(), Error> {
        let Some(folder) = &self.weights else { return Ok(()) };
        let files = Self::weights_of(folder, trial);
        for (path, weights) in files.into_iter().zip([&candidate.fp32, &candidate.aligned]) {
            let bytes = to_safetensors(weights, &[])?;
            // Written under another name first, so that a file of this name is always whole.
            let partial = path.with_extension("partial");
            std::fs::write(&partial, bytes)
                .and_then(|()| std::fs::rename(&partial, &path))
                .map_err(|source| Error::File { path, source })?;
        }
        Ok(())
    }

    fn measure(&self, network: &Network, cost: &Cost, [fp32, converted, aligned]: [Score; 3]) -> Outcome {
        let value = |measure: &Measure| measure.of(network, cost, aligned.miou, aligned.vessel_iou);
        let mut attributes = BTreeMap::from([
            ("parameters".to_owned(), network.parameter_count() as f64),
            ("macs".to_owned(), network.macs() as f64),
            ("latency_s".to_owned(), cost.latency.0),
            ("fps".to_owned(), cost.fps),
        ]);
        for (form, score) in [("fp32", fp32), ("converted", converted), ("aligned", aligned)] {
            attributes.insert(format!("miou_{form}"), score.miou);
            attributes.insert(format!("vessel_iou_{form}"), score.vessel_iou);
        }
        let objectives = self.measures.iter().map(value).collect();
        Outcome::Measured { objectives, violations: Vec::new(), attributes }
    }
}

impl<C> Evaluator<Network> for SegmentationEvaluator<'_, C>
where
    C: CostModel<Network>,
    C::Error: fmt::Display,
{
    type Error = Error;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, network: &Network, context: &Context) -> Result<Outcome, Error> {
        self.check_shape(network)?;
        let cost = match self.cost.estimate(network) {
            Ok(cost) => cost,
            Err(refusal) => {
                let violation = Violation { constraint: self.cost.device().to_owned(), amount: 1.0 };
                return Ok(Outcome::Infeasible { violations: vec![violation], reason: refusal.to_string() });
            }
        };
        // Other candidates are trained beside this one.
        let work = Work { context, threads: NonZeroUsize::MIN, keeps_best: false };
        let fit = match self.train(network, &self.settings.training, None, work)? {
            Fit::Trained(weights) => self.align(network, weights, self.settings.alignment.as_ref(), work)?,
            Fit::Diverged { reason } => Fit::Diverged { reason },
            Fit::Interrupted => Fit::Interrupted,
        };
        match fit {
            Fit::Trained(candidate) => {
                let deployments = self.deployments(network, &candidate)?;
                let scores = self.score(&deployments, &self.dataset.val)?;
                self.keep(&candidate, context.trial)?;
                Ok(self.measure(network, &cost, scores))
            }
            Fit::Diverged { reason } => Ok(Outcome::Diverged { reason }),
            Fit::Interrupted => Err(Error::Interrupted),
        }
    }
}

/// mIoU on the validation split, as the trained network will be scored at the end.
struct MiouOnVal<'run> {
    phase: Phase,
    dataset: &'run Dataset,
    bands: &'run [Band],
    profile: &'run NumericProfile,
    input: InputForm,
}

impl Validation for MiouOnVal<'_> {
    fn score(&self, network: &Network, weights: &Weights) -> Option<f64> {
        let Self { phase, dataset, bands, profile, input } = *self;
        // What cannot be deployed or scored has no score here; the final scoring says why.
        let deployment = match phase {
            Phase::Training => Deployment::undeployed(network, weights, bands),
            Phase::Alignment => Deployment::convert(network, weights, bands, input, profile),
        };
        let mut runner = Simulated.load(&deployment.ok()?).ok()?;
        Some(Score::of(&confusion(runner.as_mut(), dataset, &dataset.val).ok()?).miou)
    }
}

/// The seed of what follows the search for `trial`.
pub(crate) const fn final_seed(run: Seed, trial: TrialId) -> Seed {
    run.derive("final", trial.0)
}
