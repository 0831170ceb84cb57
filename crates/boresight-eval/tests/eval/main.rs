//! The evaluator's promises, on tiny networks and tiny synthetic scenes.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod artifact;
#[cfg(unix)]
mod command;
mod evaluator;
mod intake;
mod scoring;

use boresight_core::{Context, Evaluator, Outcome, Seed, TrainEvent, TrialId};
use boresight_data::{Dataset, Labels, SamplerOptions, SyntheticOptions, synthetic};
use boresight_eval::{EvaluationSettings, Measure, Phase, SegmentationEvaluator};
use boresight_ir::{Builder, Conv2d, InputForm, Network, Op, Shape};
use boresight_numerics::NumericProfile;
use boresight_train::{Loss, TrainSettings};
use boresight_vpu::{Device, Vpu};
use std::ops::ControlFlow;

/// Side of the tiles; the scenes below are no multiples of it.
const TILE: usize = 16;

/// Two scenes to train on and one each for validation and test, of 40 rows and 56 columns in two bands.
fn dataset(labels: Labels) -> Dataset {
    let bands = ["B03", "B08"].map(str::to_owned).to_vec();
    let options = SyntheticOptions { bands, height: 40, width: 56, scenes: [2, 1, 1], labels };
    synthetic(Seed::new(5), &options).unwrap()
}

/// Convolution, batch normalisation, activation, classes.
fn network(classes: usize) -> Network {
    let mut builder = Builder::new(Shape::new(2, TILE, TILE)).unwrap();
    let stem = Op::Conv2d(Conv2d::same(6, 3).without_bias());
    let stem = builder.add("stem", stem, &[builder.input()]).unwrap();
    let norm = builder.add("norm", Op::BatchNorm { epsilon: 1e-5 }, &[stem]).unwrap();
    let relu = builder.add("relu", Op::Relu, &[norm]).unwrap();
    let head = builder.add("head", Op::Conv2d(Conv2d::same(classes, 1)), &[relu]).unwrap();
    builder.finish(head).unwrap()
}

/// One epoch of training and one of fine-tuning, of two steps each.
fn settings(ignore: Option<u8>) -> EvaluationSettings {
    let loss = Loss { dice: 1.0, ignore, ..Loss::default() };
    EvaluationSettings {
        tile: TILE,
        samples_per_epoch: 16,
        sampler: SamplerOptions { ignore, ..SamplerOptions::default() },
        training: TrainSettings { loss: loss.clone(), ..TrainSettings::fp32(1) },
        alignment: Some(TrainSettings { loss, ..TrainSettings::finetune(1) }),
        profile: NumericProfile::myriad_x_optimistic(),
        input: InputForm::Counts,
    }
}

fn vpu() -> Vpu {
    Vpu::new(Device::named("myriad-x").unwrap())
}

const fn quiet(_: TrialId, _: Phase, _: &TrainEvent) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// An evaluator by mIoU and FPS that nobody watches.
fn evaluator<'run>(
    dataset: &'run Dataset,
    settings: &'run EvaluationSettings,
) -> SegmentationEvaluator<'run, Vpu> {
    SegmentationEvaluator::new(dataset, settings, vpu(), &[Measure::Miou, Measure::Fps], &quiet).unwrap()
}

/// The verdict on `network` in the context of seed 1.
fn verdict(evaluator: &SegmentationEvaluator<'_, Vpu>, network: &Network) -> Outcome {
    evaluator.evaluate(network, &Context::new(Seed::new(1))).unwrap()
}
