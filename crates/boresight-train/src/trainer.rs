//! The training loop.

use crate::{Error, Examples, TrainSettings, Validation};
use boresight_core::{Context, Fit, Observer, Seed, TrainEvent, Trainer};
use boresight_ir::{InputForm, Network, Weights};
use boresight_kernels::{AdamW, Planes, Team, adamw_step, clip_norm, loss_and_gradient};
use boresight_numerics::NumericProfile;
use boresight_plan::{Mode, Plan, Projection, Workspace};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

/// Trains a network on tiles, in FP32 or under the numerics of a device.
///
/// With profile `f32` and normalised input this is plain FP32 training of any network. With a device's profile the
/// network must be folded ([`boresight_ir::fold_batch_norm`]): before each step the master values are projected
/// to what the device would hold, every stored activation is rounded, and gradients pass straight through.
/// Equal seeds give bit-equal weights, whatever the number of threads.
#[derive(Clone, Copy)]
pub struct SegmentationTrainer<'data> {
    /// How to train.
    pub settings: &'data TrainSettings,
    /// What to train on.
    pub examples: &'data dyn Examples,
    /// Mean of the training split's counts, for each band.
    pub mean: &'data [f32],
    /// Standard deviation of the training split's counts, for each band.
    pub deviation: &'data [f32],
    /// What the device does to numbers.
    pub profile: &'data NumericProfile,
    /// What the device reads.
    pub input: InputForm,
    /// Master values to start from; `None`: fresh ones, drawn from the context's seed.
    pub start: Option<&'data Weights>,
    /// Threads that one training uses, the caller's among them.
    pub threads: NonZeroUsize,
    /// Scores each epoch, and before the first one `start`; the best weights are kept. `None`: the last epoch's are.
    pub validation: Option<&'data dyn Validation>,
}

impl std::fmt::Debug for SegmentationTrainer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SegmentationTrainer")
            .field("settings", &self.settings)
            .field("profile", &self.profile)
            .field("input", &self.input)
            .finish_non_exhaustive()
    }
}

impl Trainer<Network> for SegmentationTrainer<'_> {
    type Model = Weights;
    type Error = Error;

    fn train(
        &self,
        network: &Network,
        context: &Context,
        observer: &mut dyn Observer<TrainEvent>,
    ) -> Result<Fit<Weights>, Error> {
        self.settings.check()?;
        if self.examples.count() == 0 {
            return Err(Error::NoExamples);
        }
        let projection = Projection::new(network, self.profile, self.input, self.mean, self.deviation)?;
        let plan = Plan::training(network, self.settings.batch, projection.training())?;
        let mut weights = match self.start {
            Some(start) => Weights::from_values(network, start.values().to_vec())?,
            None => Weights::initial(network, context.seed.derive("weights", 0)),
        };
        weights.set_border(&projection.border())?;
        let run = Run::new(*self, network, plan, projection, weights, context);
        run.train(observer)
    }
}

/// One training under way.
struct Run<'data> {
    trainer: SegmentationTrainer<'data>,
    network: &'data Network,
    plan: Plan,
    projection: Projection,
    team: Team,
    memory: Workspace,
    seed: Seed,
    /// Epochs that the context's fidelity pays for.
    epochs: usize,
    weights: Weights,
    /// The average over the steps; stays what training started from where nothing is averaged.
    average: Weights,
    device: Vec<f32>,
    gradient: Vec<f32>,
    moments: [Vec<f32>; 2],
    images: Vec<f32>,
    labels: Vec<u8>,
    slope: Vec<f32>,
    steps_done: usize,
    best: Option<(f64, usize, Weights)>,
}

/// Why an epoch ended early.
enum Stop {
    Diverged(String),
    Interrupted,
}

impl<'data> Run<'data> {
    fn new(
        trainer: SegmentationTrainer<'data>,
        network: &'data Network,
        plan: Plan,
        projection: Projection,
        weights: Weights,
        context: &Context,
    ) -> Self {
        let (input, output) = (plan.input_planes(), plan.output_planes());
        let parameters = network.parameter_count();
        let team = Team::new(trainer.threads);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the epochs")]
        let epochs = ((trainer.settings.epochs as f64 * context.fidelity.share()).ceil() as usize).max(1);
        Self {
            trainer,
            network,
            memory: plan.workspace_on(&team),
            team,
            plan,
            projection,
            seed: context.seed,
            epochs,
            device: vec![0.0; weights.values().len()],
            average: weights.clone(),
            weights,
            gradient: vec![0.0; parameters],
            moments: [vec![0.0; parameters], vec![0.0; parameters]],
            images: vec![0.0; input.len()],
            labels: vec![0; output.batch * output.plane()],
            slope: vec![0.0; output.len()],
            steps_done: 0,
            best: None,
        }
    }

    fn train(mut self, observer: &mut dyn Observer<TrainEvent>) -> Result<Fit<Weights>, Error> {
        self.score_start();
        for epoch in 0..self.epochs {
            let loss = match self.epoch(epoch, observer)? {
                Ok(loss) => loss,
                Err(Stop::Diverged(reason)) => return Ok(Fit::Diverged { reason }),
                Err(Stop::Interrupted) => return Ok(Fit::Interrupted),
            };
            let validation =
                self.trainer.validation.and_then(|validation| validation.score(self.network, self.result()));
            let event = TrainEvent::Epoch { epoch: epoch + 1, epochs: self.epochs, loss, validation };
            if observer.observe(&event).is_break() {
                return Ok(Fit::Interrupted);
            }
            if self.should_stop(epoch, validation) {
                break;
            }
        }
        Ok(Fit::Trained(match self.best {
            Some((.., weights)) => weights,
            None => self.result().clone(),
        }))
    }

    /// Weights that training starts from stand until an epoch beats them.
    fn score_start(&mut self) {
        let validation = self.trainer.validation.filter(|_| self.trainer.start.is_some());
        let score = validation.and_then(|validation| validation.score(self.network, &self.weights));
        self.best = score.filter(|score| !score.is_nan()).map(|score| (score, 0, self.weights.clone()));
    }

    /// Keeps the best epoch; true when patience has run out.
    fn should_stop(&mut self, epoch: usize, validation: Option<f64>) -> bool {
        let validation = validation.filter(|score| !score.is_nan());
        match (&self.best, validation) {
            (Some((best, at, _)), score) if score.is_none_or(|score| score <= *best) => {
                self.trainer.settings.patience.is_some_and(|patience| epoch - at >= patience)
            }
            (_, Some(score)) => {
                self.best = Some((score, epoch, self.result().clone()));
                false
            }
            (_, None) => false,
        }
    }

    /// What training has come to.
    fn result(&self) -> &Weights {
        if self.trainer.settings.averaging > 0.0 { &self.average } else { &self.weights }
    }

    /// Moves the average towards the weights of the last step; at first by more, so that the start is soon forgotten.
    fn average(&mut self) {
        let decay = self.trainer.settings.averaging;
        if decay > 0.0 {
            let steps = self.steps_done as f32;
            let share = 1.0 - decay.min(steps / (steps + 10.0));
            for (average, weight) in self.average.values_mut().iter_mut().zip(self.weights.values()) {
                *average += share * (weight - *average);
            }
        }
    }

    /// Mean loss of one epoch. A last batch that the tiles do not fill is filled from the first tile on.
    fn epoch(
        &mut self,
        epoch: usize,
        observer: &mut dyn Observer<TrainEvent>,
    ) -> Result<Result<f64, Stop>, Error> {
        let steps = self.trainer.examples.count().div_ceil(self.trainer.settings.batch);
        let all = steps * self.epochs;
        let mut sum = 0.0;
        for step in 0..steps {
            self.load(epoch, step);
            match self.step(all)? {
                Ok(loss) => sum += loss,
                Err(reason) => return Ok(Err(Stop::Diverged(format!("epoch {}: {reason}", epoch + 1)))),
            }
            let event = TrainEvent::Step { step: self.steps_done, steps: all };
            if observer.observe(&event) == ControlFlow::Break(()) {
                return Ok(Err(Stop::Interrupted));
            }
        }
        if self.weights.values().iter().any(|value| !value.is_finite()) {
            return Ok(Err(Stop::Diverged(format!("epoch {}: a weight is not finite", epoch + 1))));
        }
        Ok(Ok(sum / steps as f64))
    }

    fn load(&mut self, epoch: usize, step: usize) {
        let seed = self.seed.derive("epoch", epoch as u64);
        let (input, batch) = (self.plan.input_planes(), self.trainer.settings.batch);
        let (examples, projection) = (self.trainer.examples, &self.projection);
        let images = self.images.chunks_exact_mut(input.channels * input.plane());
        let labels = self.labels.chunks_exact_mut(input.plane());
        self.team.each(images.zip(labels).enumerate(), |(at, (counts, labels))| {
            examples.fill(seed, (step * batch + at) % examples.count(), counts, labels);
            projection.images(Planes { batch: 1, ..input }, counts);
        });
    }

    /// One step on the loaded batch: its loss, or why training has left the finite numbers.
    fn step(&mut self, steps: usize) -> Result<Result<f64, String>, Error> {
        let settings = self.trainer.settings;
        self.projection.constants(self.weights.values(), &mut self.device);
        let mode = Mode::Train(self.seed.derive("dropout", self.steps_done as u64));
        let planes = self.plan.output_planes();
        let logits = self.plan.forward(&self.device, &self.images, mode, &mut self.memory);
        let loss =
            loss_and_gradient(&self.team, &settings.loss, planes, logits, &self.labels, &mut self.slope)?;
        if !loss.is_finite() {
            return Ok(Err(format!("the loss became {loss}")));
        }
        self.plan.backward(&self.device, &self.images, &self.slope, &mut self.memory, &mut self.gradient);
        self.projection.adjoint(&self.device, &mut self.gradient);
        let norm = clip_norm(&mut self.gradient, settings.clip);
        if !norm.is_finite() {
            return Ok(Err(format!("the gradient's norm became {norm}")));
        }
        let optimizer = AdamW {
            lr: settings.rate(self.steps_done, steps),
            weight_decay: settings.weight_decay,
            ..AdamW::default()
        };
        self.steps_done += 1;
        let [first, second] = &mut self.moments;
        let parameters = &mut self.weights.values_mut()[..self.gradient.len()];
        adamw_step(
            &self.team,
            parameters,
            &self.gradient,
            first,
            second,
            &optimizer,
            self.steps_done as u64,
            &[],
        );
        self.plan.commit_statistics(&self.memory, settings.momentum, self.weights.values_mut());
        self.average();
        Ok(Ok(loss))
    }
}
