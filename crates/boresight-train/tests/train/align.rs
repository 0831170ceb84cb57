//! Fine-tuning for a device, setting by setting.

use crate::trainer::{TOY, context, network, settings, trainer};
use boresight_core::{Fit, Ignore, TrainEvent, Trainer};
use boresight_ir::{InputForm, Op, Weights, fold_batch_norm};
use boresight_numerics::NumericProfile;
use boresight_plan::{Mode, Plan, Projection};
use boresight_train::{Aligned, Examples, SegmentationTrainer, TrainSettings};
use std::ops::ControlFlow;

/// Weights of a network that was trained in FP32.
fn trained() -> Weights {
    let (profile, settings) = (NumericProfile::f32(), settings(6));
    match trainer(&settings, &profile).train(&network(), &context(1), &mut Ignore).unwrap() {
        Fit::Trained(weights) => weights,
        fit => panic!("{fit:?}"),
    }
}

fn aligned(settings: &TrainSettings, profile: &NumericProfile, start: &Weights) -> (Aligned, Vec<f64>) {
    let mut losses = Vec::new();
    let mut observer = |event: &TrainEvent| {
        if let TrainEvent::Epoch { loss, .. } = event {
            losses.push(*loss);
        }
        ControlFlow::Continue(())
    };
    let tuner =
        SegmentationTrainer { start: Some(start), input: InputForm::Counts, ..trainer(settings, profile) };
    match tuner.align(&network(), &context(2), &mut observer).unwrap() {
        Fit::Trained(aligned) => (aligned, losses),
        fit => panic!("{fit:?}"),
    }
}

/// Cross-entropy of the device on tiles that training has not seen.
fn device_loss(aligned: &Aligned, profile: &NumericProfile) -> f64 {
    let Aligned { network, weights } = aligned;
    let means = crate::trainer::STATISTICS;
    let projection = Projection::new(network, profile, InputForm::Counts, &means[0], &means[1]).unwrap();
    let plan = Plan::inference(network, 1, projection.device()).unwrap();
    let mut memory = plan.workspace();
    let mut constants = vec![0.0; weights.values().len()];
    projection.constants(weights.values(), &mut constants);
    projection.describe_sums(&constants, &mut memory);
    let plane = plan.input_planes().plane();
    let (mut counts, mut labels) = (vec![0.0; 2 * plane], vec![0; plane]);
    let mut sum = 0.0;
    for index in 0..TOY.count() {
        TOY.fill(context(77).seed, index, &mut counts, &mut labels);
        projection.images(plan.input_planes(), &mut counts);
        let logits = plan.forward(&constants, &counts, Mode::Evaluate, &mut memory);
        for (at, label) in labels.iter().enumerate() {
            let [none, vessel] = [f64::from(logits[at]), f64::from(logits[plane + at])];
            let wrong = if *label == 1 { none - vessel } else { vessel - none };
            sum += wrong.exp().ln_1p();
        }
    }
    sum / (TOY.count() * plane) as f64
}

/// The settings, each of them on alone, and all at once.
fn recipes(epochs: usize) -> Vec<(&'static str, TrainSettings)> {
    let plain = TrainSettings { learning_rate: 0.02, ..settings(epochs) };
    vec![
        ("plain", plain.clone()),
        ("folding", TrainSettings { simulated_folding: 0.5, ..plain.clone() }),
        ("folding alone", TrainSettings { simulated_folding: 1.0, ..plain.clone() }),
        ("range", TrainSettings { range_penalty: 0.01, ..plain.clone() }),
        ("powers", TrainSettings { power_scales: true, ..plain.clone() }),
        ("distillation", TrainSettings { distillation: 1.0, ..plain.clone() }),
        (
            "all",
            TrainSettings {
                simulated_folding: 0.5,
                range_penalty: 0.01,
                power_scales: true,
                distillation: 1.0,
                ..plain
            },
        ),
    ]
}

#[test]
fn every_recipe_helps_the_device_and_is_deterministic() {
    let start = trained();
    let profile = NumericProfile::myriad_x_optimistic();
    let (folded, masters) = fold_batch_norm(&network(), &start).unwrap();
    let before = device_loss(&Aligned { network: folded.clone(), weights: masters }, &profile);
    for (name, settings) in recipes(12) {
        let (found, losses) = aligned(&settings, &profile, &start);
        assert_eq!(found.network, folded, "{name}");
        assert!(found.network.nodes().iter().all(|node| !matches!(node.op, Op::BatchNorm { .. })));
        assert_eq!(losses.len(), 12, "{name}");
        let after = device_loss(&found, &profile);
        assert!(after < 0.8 * before, "{name}: {after} after {before}");
        let bits =
            |weights: &Weights| weights.values().iter().map(|value| value.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&aligned(&settings, &profile, &start).0.weights), bits(&found.weights), "{name}");
    }
}

#[test]
fn every_profile_can_be_trained_for() {
    let start = trained();
    for name in NumericProfile::names() {
        let profile = NumericProfile::named(name).unwrap();
        for (recipe, settings) in recipes(2) {
            let (found, losses) = aligned(&settings, &profile, &start);
            assert!(losses.iter().all(|loss| loss.is_finite()), "{name} {recipe}: {losses:?}");
            assert!(device_loss(&found, &profile).is_finite(), "{name} {recipe}");
        }
    }
}

#[test]
fn without_any_of_them_it_is_fine_tuning_of_the_folded_network() {
    let start = trained();
    let profile = NumericProfile::myriad_x_optimistic();
    let settings = TrainSettings { learning_rate: 0.02, ..settings(3) };
    let (found, _) = aligned(&settings, &profile, &start);
    let (folded, masters) = fold_batch_norm(&network(), &start).unwrap();
    let tuner = SegmentationTrainer {
        start: Some(&masters),
        input: InputForm::Counts,
        ..trainer(&settings, &profile)
    };
    match tuner.train(&folded, &context(2), &mut Ignore).unwrap() {
        Fit::Trained(weights) => assert_eq!(found.weights, weights),
        fit => panic!("{fit:?}"),
    }
}
