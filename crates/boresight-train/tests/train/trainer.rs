//! Training on a toy problem.

use boresight_core::{Context, Fidelity, Fit, Ignore, Seed, TrainEvent, Trainer};
use boresight_ir::{Builder, Conv2d, InputForm, Network, Op, Shape, Weights, fold_batch_norm};
use boresight_numerics::NumericProfile;
use boresight_testkit::trainer_laws;
use boresight_train::{Examples, Loss, SegmentationTrainer, TrainSettings, Validation};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Mutex;

/// Mean and deviation of the counts of both bands.
pub(crate) const STATISTICS: [[f32; 2]; 2] = [MEAN, DEVIATION];
const MEAN: [f32; 2] = [1400.0, 1000.0];
const DEVIATION: [f32; 2] = [800.0, 300.0];

/// Bright pixels are vessels, with noise in both bands.
pub(crate) struct Toy {
    count: usize,
    brightest: f64,
}

pub(crate) const TOY: Toy = Toy { count: 10, brightest: 3000.0 };

impl Examples for Toy {
    fn count(&self) -> usize {
        self.count
    }

    fn fill(&self, epoch: Seed, index: usize, counts: &mut [f32], labels: &mut [u8]) {
        assert!(index < self.count, "tile {index} does not exist");
        let mut stream = epoch.derive("tile", index as u64).stream();
        let (first, second) = counts.split_at_mut(labels.len());
        for ((first, second), label) in first.iter_mut().zip(second).zip(labels) {
            *label = u8::from(stream.chance(0.2));
            let middle = if *label == 1 { self.brightest } else { 1000.0 };
            *first = (middle + stream.normal() * 200.0).round().max(0.0) as f32;
            *second = (1000.0 + stream.normal() * 300.0).round().max(0.0) as f32;
        }
    }
}

pub(crate) fn network() -> Network {
    let mut builder = Builder::new(Shape::new(2, 8, 7)).unwrap();
    let mut last = builder.input();
    for (name, op) in [
        ("first", Op::Conv2d(Conv2d::same(4, 3).without_bias())),
        ("norm", Op::BatchNorm { epsilon: 1e-5 }),
        ("relu", Op::Relu),
        ("drop", Op::Dropout { rate: 0.1 }),
        ("last", Op::Conv2d(Conv2d::same(2, 1))),
    ] {
        last = builder.add(name, op, &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

pub(crate) fn settings(epochs: usize) -> TrainSettings {
    TrainSettings { batch: 4, learning_rate: 0.05, ..TrainSettings::fp32(epochs) }
}

#[test]
fn the_average_follows_the_weights_quickly_at_first() {
    let (network, profile) = (network(), NumericProfile::f32());
    let start = Weights::initial(&network, Seed::new(3));
    let weights_after = |averaging| {
        // Ten tiles in batches of ten: one step.
        let settings = TrainSettings { batch: 10, averaging, ..settings(1) };
        let trainer = SegmentationTrainer { start: Some(&start), ..trainer(&settings, &profile) };
        match trainer.train(&network, &Context::new(Seed::new(1)), &mut Ignore).unwrap() {
            Fit::Trained(weights) => weights,
            fit => panic!("{fit:?}"),
        }
    };
    let (last, average) = (weights_after(0.0), weights_after(0.99));
    // What training sets itself, the border around the image, is the same at the start of all three.
    let parameters = network.parameter_count();
    let values = start.values().iter().zip(last.values()).zip(average.values()).take(parameters);
    for ((start, last), average) in values {
        let expected = start + 10.0 / 11.0 * (last - start);
        assert!((average - expected).abs() <= 1e-6 * expected.abs().max(1.0), "{average} for {expected}");
    }
    assert_ne!(last.values(), average.values());
}

pub(crate) fn trainer<'data>(
    settings: &'data TrainSettings,
    profile: &'data NumericProfile,
) -> SegmentationTrainer<'data> {
    SegmentationTrainer {
        settings,
        examples: &TOY,
        mean: &MEAN,
        deviation: &DEVIATION,
        profile,
        input: InputForm::Normalised,
        start: None,
        threads: NonZeroUsize::MIN,
        validation: None,
    }
}

pub(crate) fn context(seed: u64) -> Context {
    Context::new(Seed::new(seed))
}

/// The fit and the loss of each epoch.
fn watch(
    trainer: &SegmentationTrainer<'_>,
    network: &Network,
    context: &Context,
) -> (Fit<Weights>, Vec<f64>) {
    let mut losses = Vec::new();
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Epoch { loss, .. } = event {
            losses.push(*loss);
        }
        ControlFlow::Continue(())
    };
    let fit = trainer.train(network, context, &mut observer).unwrap();
    (fit, losses)
}

fn bits(fit: &Fit<Weights>) -> Vec<u32> {
    match fit {
        Fit::Trained(weights) => weights.values().iter().map(|value| value.to_bits()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_laws_of_trainers_hold() {
    let profile = NumericProfile::f32();
    trainer_laws(&trainer(&settings(2), &profile), &network(), &context(1));
}

#[test]
fn one_seed_gives_one_set_of_bits_and_another_seed_another() {
    let (profile, settings) = (NumericProfile::f32(), settings(3));
    let trainer = trainer(&settings, &profile);
    let [first, again, other] = [1, 1, 2].map(|seed| bits(&watch(&trainer, &network(), &context(seed)).0));
    assert_eq!(first, again);
    assert_ne!(first, other);
}

#[test]
fn training_brings_the_loss_down() {
    let (profile, settings) = (NumericProfile::f32(), settings(25));
    let (fit, losses) = watch(&trainer(&settings, &profile), &network(), &context(1));
    assert!(matches!(fit, Fit::Trained(_)));
    assert_eq!(losses.len(), 25);
    assert!(losses[24] < 0.25 * losses[0], "{losses:?}");
}

#[test]
fn fine_tuning_under_binary16_brings_the_loss_of_the_device_down() {
    let (f32, f16) = (NumericProfile::f32(), NumericProfile::myriad_x_optimistic());
    let (settings, fine) = (settings(6), TrainSettings { learning_rate: 0.02, ..settings(15) });
    let (fit, _) = watch(&trainer(&settings, &f32), &network(), &context(1));
    let Fit::Trained(weights) = fit else { panic!("{fit:?}") };
    let (folded, start) = fold_batch_norm(&network(), &weights).unwrap();
    let tuner = SegmentationTrainer { start: Some(&start), input: InputForm::Counts, ..trainer(&fine, &f16) };
    let (fit, losses) = watch(&tuner, &folded, &context(2));
    assert!(losses[14] < 0.7 * losses[0], "{losses:?}");
    assert_eq!(bits(&watch(&tuner, &folded, &context(2)).0), bits(&fit));
}

#[test]
fn a_share_of_the_fidelity_is_a_share_of_the_epochs() {
    let (profile, settings) = (NumericProfile::f32(), settings(8));
    let context = Context { fidelity: Fidelity::new(0.25).unwrap(), ..context(1) };
    assert_eq!(watch(&trainer(&settings, &profile), &network(), &context).1.len(), 2);
}

/// Convolutions without anything between them.
fn deep() -> Network {
    let mut builder = Builder::new(Shape::new(2, 8, 7)).unwrap();
    let mut last = builder.input();
    for at in 0..9 {
        last = builder.add(format!("conv{at}"), Op::Conv2d(Conv2d::same(2, 3)), &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

#[test]
fn a_learning_rate_of_a_million_is_told_as_divergence() {
    let profile = NumericProfile::f32();
    let settings = TrainSettings { learning_rate: 1e6, ..settings(5) };
    let (fit, _) = watch(&trainer(&settings, &profile), &deep(), &context(1));
    let Fit::Diverged { reason } = fit else { panic!("{fit:?}") };
    assert!(reason.starts_with("epoch ") && reason.contains("became"), "{reason}");
}

#[test]
fn activations_beyond_binary16_are_told_as_divergence() {
    let profile = NumericProfile::ieee_f16();
    let settings = settings(2);
    // Deviations that are far too small for the counts make activations of some hundred thousand.
    let trainer = SegmentationTrainer {
        deviation: &[0.05, 0.05],
        input: InputForm::Counts,
        ..trainer(&settings, &profile)
    };
    let (fit, _) = watch(&trainer, &deep(), &context(1));
    assert!(matches!(fit, Fit::Diverged { .. }), "{fit:?}");
}

/// Scores that are told one after the other; remembers what it was shown.
struct Script {
    scores: Vec<Option<f64>>,
    shown: Mutex<Vec<Weights>>,
}

impl Script {
    fn new(scores: &[Option<f64>]) -> Self {
        Self { scores: scores.to_vec(), shown: Mutex::default() }
    }
}

impl Validation for Script {
    fn score(&self, _: &Network, weights: &Weights) -> Option<f64> {
        let mut shown = self.shown.lock().unwrap();
        shown.push(weights.clone());
        self.scores[shown.len() - 1]
    }
}

/// Trains with these scores and a patience of 2: how many epochs ran, and which one's weights came out.
fn stopped(scores: &[Option<f64>]) -> (usize, Option<usize>) {
    let profile = NumericProfile::f32();
    let settings = TrainSettings { patience: Some(2), ..settings(scores.len()) };
    let script = Script::new(scores);
    let trainer = SegmentationTrainer { validation: Some(&script), ..trainer(&settings, &profile) };
    let fit = trainer.train(&network(), &context(1), &mut Ignore).unwrap();
    let Fit::Trained(weights) = fit else { panic!("{fit:?}") };
    let shown = script.shown.into_inner().unwrap();
    (shown.len(), shown.iter().position(|epoch| *epoch == weights))
}

#[test]
fn training_stops_when_patience_runs_out_and_keeps_the_best_epoch() {
    assert_eq!(stopped(&[0.1, 0.5, 0.3, 0.5, 0.9].map(Some)), (4, Some(1)));
    assert_eq!(stopped(&[0.1, 0.5, 0.3, 0.6, 0.2].map(Some)), (5, Some(3)));
}

#[test]
fn weights_that_training_starts_from_stand_until_an_epoch_beats_them() {
    let (network, profile) = (network(), NumericProfile::f32());
    let start = Weights::initial(&network, Seed::new(9));
    for (scores, best) in [([0.5, 0.2, 0.5], 0), ([0.5, 0.2, 0.6], 2)] {
        let settings = settings(2);
        let script = Script::new(&scores.map(Some));
        let trainer = SegmentationTrainer {
            validation: Some(&script),
            start: Some(&start),
            ..trainer(&settings, &profile)
        };
        let fit = trainer.train(&network, &context(1), &mut Ignore).unwrap();
        let shown = script.shown.into_inner().unwrap();
        assert_eq!((shown.len(), fit), (3, Fit::Trained(shown[best].clone())));
    }
}

#[test]
fn no_score_is_worse_than_any() {
    assert_eq!(stopped(&[Some(0.0), None, None, Some(1.0)]), (3, Some(0)));
    assert_eq!(stopped(&[Some(0.0), Some(f64::NAN), None, Some(1.0)]), (3, Some(0)));
    assert_eq!(stopped(&[None, None, None, Some(0.0)]), (4, Some(3)));
    assert_eq!(stopped(&[None, None, None]), (3, Some(2)));
}

#[test]
fn breaking_off_between_epochs_is_obeyed() {
    let (profile, settings) = (NumericProfile::f32(), settings(5));
    let mut epochs = 0;
    let mut observer = |event: &TrainEvent| {
        if matches!(event, TrainEvent::Epoch { .. }) {
            epochs += 1;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let fit = trainer(&settings, &profile).train(&network(), &context(1), &mut observer).unwrap();
    assert_eq!((fit, epochs), (Fit::Interrupted, 1));
}

#[test]
fn what_cannot_be_trained_is_refused_in_one_sentence() {
    let profile = NumericProfile::f32();
    let refused = |trainer: SegmentationTrainer<'_>| {
        trainer.train(&network(), &context(1), &mut Ignore).unwrap_err().to_string()
    };
    let (none, some) = (settings(0), settings(1));
    assert_eq!(refused(trainer(&none, &profile)), "epochs is 0, it must be at least 1");
    let empty = Toy { count: 0, ..TOY };
    let trainer = trainer(&some, &profile);
    assert_eq!(refused(SegmentationTrainer { examples: &empty, ..trainer }), "there is no tile to train on");
    assert_eq!(
        refused(SegmentationTrainer { mean: &[1.0], ..trainer }),
        "the network reads 2 bands, the normalisation has 1"
    );
    let f16 = NumericProfile::ieee_f16();
    assert_eq!(
        refused(SegmentationTrainer { profile: &f16, ..trainer }),
        "batch normalisation 'norm' must be folded before activations are stored as binary16"
    );
    let loss = Loss { class_weights: vec![1.0; 3], ..Loss::default() };
    let weighted = TrainSettings { loss, ..settings(1) };
    assert_eq!(
        refused(SegmentationTrainer { settings: &weighted, ..trainer }),
        "3 class weights for 2 classes"
    );
}
