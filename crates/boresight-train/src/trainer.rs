//! The training loop.

use crate::teacher::Teacher;
use crate::way::{ConstantPenalty, Way};
use crate::{Error, Examples, TrainSettings, Validation};
use boresight_core::{Context, Fit, Observer, Seed, TrainEvent, Trainer};
use boresight_ir::{InputForm, Network, Op, Weights, fold_batch_norm, separate_batch_norm};
use boresight_kernels::{AdamW, Planes, Team, adamw_step, clip_norm, loss_and_gradient};
use boresight_numerics::{BatchNorm, NumericProfile};
use boresight_plan::{
    FoldingSimulation, Mode, Penalty, Plan, Projection, TrainingExtras, Workspace, power_scales,
};
use std::num::NonZeroUsize;
use std::ops::{ControlFlow, Range};

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
        self.check()?;
        let weights = self.first_weights(network, context)?;
        let epochs = self.epochs(context);
        let (network, phase) =
            (Learner { network, teacher: network }, Phase { first: 0, end: epochs, epochs });
        self.phase(network, &weights, &weights, phase, context)?.train(observer)
    }
}

/// A network that was fine-tuned under the numerics of a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Aligned {
    /// The network without batch normalisations.
    pub network: Network,
    /// Its master values.
    pub weights: Weights,
}

/// The network that learns, and the one whose FP32 results it may learn from.
#[derive(Clone, Copy)]
struct Learner<'data> {
    network: &'data Network,
    teacher: &'data Network,
}

/// Which epochs of a training are run.
#[derive(Clone, Copy)]
struct Phase {
    first: usize,
    end: usize,
    /// All of them; the learning rate runs over these.
    epochs: usize,
}

impl SegmentationTrainer<'_> {
    /// Fine-tunes a trained network under the numerics of a device: `network` with the weights [`SegmentationTrainer::start`],
    /// as they came out of FP32 training.
    ///
    /// For a share of the epochs ([`TrainSettings::simulated_folding`]) its batch normalisations follow each batch, while every
    /// constant is as wrong as it will be in the folded network; then they are frozen, the network is folded, and what is
    /// left of the epochs trains that.
    ///
    /// # Errors
    /// As [`Trainer::train`].
    pub fn align(
        &self,
        network: &Network,
        context: &Context,
        observer: &mut dyn Observer<TrainEvent>,
    ) -> Result<Fit<Aligned>, Error> {
        self.check()?;
        let start = self.first_weights(network, context)?;
        let epochs = self.epochs(context);
        // Where nothing is rounded there is nothing to simulate.
        let simulates = has_batch_norm(network) && !self.profile.keeps_f32();
        let simulated = if simulates { share(self.settings.simulated_folding, epochs) } else { 0 };
        let mut weights = start.clone();
        if simulated > 0 {
            let phase = Phase { first: 0, end: simulated, epochs };
            let learner = Learner { network, teacher: network };
            match self.phase(learner, &weights, &start, phase, context)?.train(observer)? {
                Fit::Trained(trained) => weights = trained,
                Fit::Diverged { reason } => return Ok(Fit::Diverged { reason }),
                Fit::Interrupted => return Ok(Fit::Interrupted),
            }
        }
        let (folded, masters) = match self.profile.batch_norm {
            BatchNorm::Folded => fold_batch_norm(network, &weights)?,
            BatchNorm::Separate => separate_batch_norm(network, &weights)?,
        };
        if simulated == epochs {
            return Ok(Fit::Trained(Aligned { network: folded, weights: masters }));
        }
        let phase = Phase { first: simulated, end: epochs, epochs };
        let learner = Learner { network: &folded, teacher: network };
        let fit = self.phase(learner, &masters, &start, phase, context)?.train(observer)?;
        Ok(match fit {
            Fit::Trained(weights) => Fit::Trained(Aligned { network: folded, weights }),
            Fit::Diverged { reason } => Fit::Diverged { reason },
            Fit::Interrupted => Fit::Interrupted,
        })
    }

    fn check(&self) -> Result<(), Error> {
        self.settings.check()?;
        if self.examples.count() == 0 { Err(Error::NoExamples) } else { Ok(()) }
    }

    /// Epochs that the context's fidelity pays for.
    fn epochs(&self, context: &Context) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the epochs")]
        let epochs = (self.settings.epochs as f64 * context.fidelity.share()).ceil() as usize;
        epochs.max(1)
    }

    fn first_weights(&self, network: &Network, context: &Context) -> Result<Weights, Error> {
        let mut weights = match self.start {
            Some(start) => Weights::from_values(network, start.values().to_vec())?,
            None => Weights::initial(network, context.seed.derive("weights", 0)),
        };
        let border = self.mean.iter().zip(self.deviation).map(|(mean, deviation)| -mean / deviation);
        // Another number of bands is refused by the projection, which names both.
        if self.mean.len() == network.input_shape().channels {
            weights.set_border(&border.collect::<Vec<f32>>())?;
        }
        Ok(weights)
    }

    /// A training of some epochs, ready to run. `taught` are the teacher's weights.
    fn phase<'run>(
        &self,
        learner: Learner<'run>,
        weights: &Weights,
        taught: &Weights,
        phase: Phase,
        context: &Context,
    ) -> Result<Run<'run>, Error>
    where
        Self: 'run,
    {
        let (network, settings) = (learner.network, self.settings);
        let (way, simulates_folding) = self.way(network)?;
        let powers = match &way {
            Way::Direct(projection) if settings.power_scales => {
                power_scales(network, projection, weights.values())
            }
            _ => Vec::new(),
        };
        let way = match way {
            Way::Direct(projection) => Way::Direct(projection.with_powers(powers.clone())),
            simulated @ Way::Simulated(_) => simulated,
        };
        let limit = self.profile.activations.largest() / 2.0;
        let penalised = settings.range_penalty > 0.0 && limit < f32::MAX / 4.0;
        let penalty = penalised.then_some(Penalty { limit, weight: settings.range_penalty });
        let arithmetic = way.projection().training();
        let extras = TrainingExtras { simulates_folding, penalty };
        let plan = Plan::training_with(network, settings.batch, arithmetic, extras)?;
        let team = Team::new(self.threads);
        let distils = settings.distillation > 0.0;
        let teacher =
            distils.then(|| Teacher::new(learner.teacher, taught, settings.batch, &team)).transpose()?;
        let tools = Tools { way, powers, teacher, team };
        Ok(Run::new(*self, network, plan, tools, weights.clone(), phase, context))
    }

    /// How master values of `network` become constants, and whether that simulates the folding of what is still there.
    fn way(&self, network: &Network) -> Result<(Way, bool), Error> {
        let Self { profile, input, mean, deviation, .. } = *self;
        if !profile.keeps_f32() && has_batch_norm(network) && self.settings.simulated_folding > 0.0 {
            let simulation = FoldingSimulation::new(network, profile, input, mean, deviation)?;
            return Ok((Way::Simulated(simulation), true));
        }
        Ok((Way::Direct(Projection::new(network, profile, input, mean, deviation)?), false))
    }
}

fn has_batch_norm(network: &Network) -> bool {
    network.nodes().iter().any(|node| matches!(node.op, Op::BatchNorm { .. }))
}

/// A share of the epochs, rounded to whole ones.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of the epochs")]
fn share(share: f64, epochs: usize) -> usize {
    (share * epochs as f64).round() as usize
}

/// What a run works with besides its plan.
struct Tools {
    way: Way,
    /// Powers of two that constants are multiplied by.
    powers: Vec<(Range<usize>, f32)>,
    teacher: Option<Teacher>,
    team: Team,
}

/// One training under way.
struct Run<'data> {
    trainer: SegmentationTrainer<'data>,
    network: &'data Network,
    plan: Plan,
    way: Way,
    powers: Vec<(Range<usize>, f32)>,
    teacher: Option<Teacher>,
    penalty: Option<ConstantPenalty>,
    team: Team,
    memory: Workspace,
    seed: Seed,
    phase: Phase,
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
        tools: Tools,
        weights: Weights,
        phase: Phase,
        context: &Context,
    ) -> Self {
        let (input, output) = (plan.input_planes(), plan.output_planes());
        let parameters = network.parameter_count();
        let Tools { way, powers, teacher, team } = tools;
        let steps = trainer.examples.count().div_ceil(trainer.settings.batch);
        let weight = trainer.settings.range_penalty;
        let penalised = weight > 0.0 && matches!(way, Way::Direct(_));
        Self {
            trainer,
            network,
            memory: plan.workspace_on(&team),
            team,
            plan,
            way,
            powers,
            teacher,
            penalty: penalised.then(|| ConstantPenalty::new(weight, weights.values().len())),
            seed: context.seed,
            phase,
            device: vec![0.0; weights.values().len()],
            average: weights.clone(),
            weights,
            gradient: vec![0.0; parameters],
            moments: [vec![0.0; parameters], vec![0.0; parameters]],
            images: vec![0.0; input.len()],
            labels: vec![0; output.batch * output.plane()],
            slope: vec![0.0; output.len()],
            steps_done: phase.first * steps,
            best: None,
        }
    }

    fn train(mut self, observer: &mut dyn Observer<TrainEvent>) -> Result<Fit<Weights>, Error> {
        self.score_start();
        for epoch in self.phase.first..self.phase.end {
            let loss = match self.epoch(epoch, observer)? {
                Ok(loss) => loss,
                Err(Stop::Diverged(reason)) => return Ok(Fit::Diverged { reason }),
                Err(Stop::Interrupted) => return Ok(Fit::Interrupted),
            };
            let validation =
                self.trainer.validation.and_then(|validation| validation.score(self.network, &self.result()));
            let event = TrainEvent::Epoch { epoch: epoch + 1, epochs: self.phase.epochs, loss, validation };
            if observer.observe(&event).is_break() {
                return Ok(Fit::Interrupted);
            }
            if self.should_stop(epoch, validation) {
                break;
            }
        }
        Ok(Fit::Trained(match self.best {
            Some((.., weights)) => weights,
            None => self.result(),
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
                self.best = Some((score, epoch, self.result()));
                false
            }
            (_, None) => false,
        }
    }

    /// What training has come to; powers of two are part of it.
    fn result(&self) -> Weights {
        let averaged = self.trainer.settings.averaging > 0.0;
        let mut weights = if averaged { self.average.clone() } else { self.weights.clone() };
        for (range, power) in &self.powers {
            for value in &mut weights.values_mut()[range.clone()] {
                *value *= power;
            }
        }
        weights
    }

    /// Steps of the epochs before this phase.
    fn steps_before(&self) -> usize {
        self.phase.first * self.trainer.examples.count().div_ceil(self.trainer.settings.batch)
    }

    /// Moves the average towards the weights of the last step; at first by more, so that the start is soon forgotten.
    fn average(&mut self) {
        let decay = self.trainer.settings.averaging;
        if decay > 0.0 {
            let steps = (self.steps_done - self.steps_before()) as f32;
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
        let all = steps * self.phase.epochs;
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
        let (trainer, way) = (self.trainer, &self.way);
        let images = self.images.chunks_exact_mut(input.channels * input.plane());
        let labels = self.labels.chunks_exact_mut(input.plane());
        self.team.each(images.zip(labels).enumerate(), |(at, (counts, labels))| {
            trainer.examples.fill(seed, (step * batch + at) % trainer.examples.count(), counts, labels);
        });
        if let Some(teacher) = &mut self.teacher {
            teacher.images.copy_from_slice(&self.images);
            normalise(trainer.mean, trainer.deviation, input, &mut teacher.images);
        }
        let images = self.images.chunks_exact_mut(input.channels * input.plane());
        self.team.each(images, |counts| way.images(Planes { batch: 1, ..input }, counts));
    }

    /// One step on the loaded batch: its loss, or why training has left the finite numbers.
    fn step(&mut self, steps: usize) -> Result<Result<f64, String>, Error> {
        let settings = self.trainer.settings;
        self.way.constants(&self.weights, &mut self.device, &mut self.memory)?;
        let mode = Mode::Train(self.seed.derive("dropout", self.steps_done as u64));
        let planes = self.plan.output_planes();
        let logits = self.plan.forward(&self.device, &self.images, mode, &mut self.memory);
        let mut loss =
            loss_and_gradient(&self.team, &settings.loss, planes, logits, &self.labels, &mut self.slope)?;
        if let Some(teacher) = &mut self.teacher {
            loss += teacher.add(settings.distillation, planes, logits, &mut self.slope);
        }
        if !loss.is_finite() {
            return Ok(Err(format!("the loss became {loss}")));
        }
        self.plan.backward(&self.device, &self.images, &self.slope, &mut self.memory, &mut self.gradient);
        if let (Some(penalty), Way::Direct(projection)) = (&mut self.penalty, &self.way) {
            penalty.add(projection, self.weights.values(), &mut self.gradient);
        }
        self.way.adjoint(&self.device, &mut self.gradient);
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
        let step = (self.steps_done - self.steps_before()) as u64;
        let [first, second] = &mut self.moments;
        let parameters = &mut self.weights.values_mut()[..self.gradient.len()];
        adamw_step(&self.team, parameters, &self.gradient, first, second, &optimizer, step, &[]);
        self.plan.commit_statistics(&self.memory, settings.momentum, self.weights.values_mut());
        self.average();
        Ok(Ok(loss))
    }
}

/// Normalises counts in place.
fn normalise(mean: &[f32], deviation: &[f32], planes: Planes, counts: &mut [f32]) {
    for (at, plane) in counts.chunks_exact_mut(planes.plane()).enumerate() {
        let band = at % planes.channels;
        for value in plane {
            *value = (*value - mean[band]) / deviation[band];
        }
    }
}
