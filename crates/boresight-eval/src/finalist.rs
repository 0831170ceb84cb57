//! What happens to the winner of a search.

use crate::evaluator::{Candidate, Work, final_seed};
use crate::{Error, Score, SegmentationEvaluator};
use boresight_core::{Context, Cost, CostModel, Fidelity, Fit, Seed, TrialId};
use boresight_deploy::{Deployment, without_batch_norm};
use boresight_ir::Network;
use boresight_train::{TrainSettings, read_weights};
use std::fmt;
use std::num::NonZeroUsize;
use std::path::Path;

/// What happens to a winner before it is scored.
#[derive(Clone, Copy, Debug)]
pub struct FinalTraining<'run> {
    /// The seed of the run.
    pub run: Seed,
    /// Trains the winner on, then aligns it again, each time keeping the weights that are best on the validation
    /// split, those before it among them; `None` leaves its weights as they are.
    pub further: Option<&'run TrainSettings>,
    /// Fine-tunes the winner (once more, where candidates were fine-tuned) when that is done, keeping the best weights likewise;
    /// `None`: only what follows from training it on.
    pub alignment: Option<&'run TrainSettings>,
    /// Threads of that training, which is alone; they change no result.
    pub threads: NonZeroUsize,
}

/// Scores of the three forms of a network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stages {
    /// The FP32 network.
    pub fp32: Score,
    /// That network after post-training conversion, on the simulated device.
    pub converted: Score,
    /// After FP16-aware fine-tuning, on the simulated device.
    pub aligned: Score,
}

impl Stages {
    const fn new([fp32, converted, aligned]: [Score; 3]) -> Self {
        Self { fp32, converted, aligned }
    }
}

/// The winner of a search, scored on both splits.
#[derive(Clone, Debug)]
pub struct Finalist {
    /// What it costs.
    pub cost: Cost,
    /// On the validation split, which the search has seen.
    pub val: Stages,
    /// On the test split, which it has not.
    pub test: Stages,
    /// As trained, converted, aligned.
    pub deployments: [Deployment; 3],
    /// Master values of the folded network, fine-tuned.
    pub aligned: boresight_ir::Weights,
}

impl<C> SegmentationEvaluator<'_, C>
where
    C: CostModel<Network>,
    C::Error: fmt::Display,
{
    /// Takes up the weights that `trial` left in `folder`, trains them on as `training` says, and scores them on both
    /// splits.
    ///
    /// # Errors
    /// When a file is missing or damaged, training diverges or is interrupted.
    pub fn finish(
        &self,
        network: &Network,
        trial: TrialId,
        folder: &Path,
        training: FinalTraining<'_>,
    ) -> Result<Finalist, Error> {
        let cost = self
            .cost_model()
            .estimate(network)
            .map_err(|refusal| Error::Refused { reason: refusal.to_string() })?;
        let [fp32, aligned] = Self::weights_of(folder, trial);
        let fp32 = read_weights(&fp32, network)?;
        let context = Context { seed: final_seed(training.run, trial), fidelity: Fidelity::FULL, trial };
        let work = Work { context: &context, threads: training.threads, keeps_best: true };
        let of_search = self.settings().alignment.as_ref();
        let mut candidate = match training.further {
            None => {
                let (folded, _) = without_batch_norm(network, &fp32, &self.settings().profile)?;
                let aligned = read_weights(&aligned, &folded)?;
                Candidate { fp32, aligned, folded }
            }
            Some(settings) => {
                let fp32 = trained(self.train(network, settings, Some(&fp32), work)?)?;
                trained(self.align(network, fp32, of_search, work)?)?
            }
        };
        if let Some(settings) = training.alignment {
            let Candidate { fp32, aligned, folded } = candidate;
            candidate = if of_search.is_some() {
                let more = trained(self.align(&folded, aligned, Some(settings), work)?)?;
                Candidate { fp32, ..more }
            } else {
                trained(self.align(network, fp32, Some(settings), work)?)?
            };
        }
        let deployments = self.deployments(network, &candidate)?;
        let val = Stages::new(self.score(&deployments, &self.dataset().val)?);
        let test = Stages::new(self.score(&deployments, &self.dataset().test)?);
        Ok(Finalist { cost, val, test, deployments, aligned: candidate.aligned })
    }
}

fn trained<M>(fit: Fit<M>) -> Result<M, Error> {
    match fit {
        Fit::Trained(model) => Ok(model),
        Fit::Diverged { reason } => Err(Error::Diverged { reason }),
        Fit::Interrupted => Err(Error::Interrupted),
    }
}
