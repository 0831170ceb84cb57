//! Verdicts and their absence.

use crate::{TILE, dataset, evaluator, network, quiet, settings, verdict, vpu};
use boresight_core::{Context, Evaluator, Fidelity, Outcome, Seed, TrainEvent, TrialId};
use boresight_data::Labels;
use boresight_eval::{Error, EvaluationSettings, Measure, Phase, SegmentationEvaluator};
use boresight_ir::{Builder, Conv2d, Filling, InputForm, Op, Shape};
use boresight_numerics::NumericProfile;
use boresight_testkit::evaluator_laws;
use boresight_train::TrainSettings;
use std::ops::ControlFlow;
use std::sync::Mutex;

#[test]
fn it_keeps_the_laws_of_evaluators() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let half = Fidelity::new(0.5).unwrap();
    let contexts = [
        Context::new(Seed::new(1)),
        Context { trial: TrialId(7), fidelity: half, ..Context::new(Seed::new(2)) },
    ];
    evaluator_laws(&evaluator(&dataset, &settings), &network(2), contexts);
}

#[test]
fn a_verdict_tells_the_objectives_and_every_attribute() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let evaluator = SegmentationEvaluator::new(&dataset, &settings, vpu(), &Measure::ALL, &quiet).unwrap();
    let network = network(2);
    let verdict = verdict(&evaluator, &network);
    let Outcome::Measured { objectives, attributes, .. } = &verdict else { panic!("{verdict:?}") };
    let names: Vec<&str> = attributes.keys().map(String::as_str).collect();
    let expected = [
        "fps",
        "latency_s",
        "macs",
        "miou_aligned",
        "miou_converted",
        "miou_fp32",
        "parameters",
        "vessel_iou_aligned",
        "vessel_iou_converted",
        "vessel_iou_fp32",
    ];
    assert_eq!(names, expected);
    let attributes = ["miou_aligned", "vessel_iou_aligned", "latency_s", "fps", "parameters", "macs"];
    for (value, name) in objectives.iter().zip(attributes) {
        assert_eq!(Some(value.to_bits()), verdict.attribute(name).map(f64::to_bits), "{name}");
    }
    // Convolution 6 x 2 x 9, scales and shifts 2 x 6, classes 2 x 6 + 2.
    assert_eq!(objectives[4].to_bits(), 134.0_f64.to_bits());
    assert!(objectives.iter().all(|value| value.is_finite()));
}

#[test]
fn what_the_device_refuses_is_infeasible_without_being_trained() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let never = |_, _, _: &TrainEvent| panic!("a refused network is not trained");
    let evaluator = SegmentationEvaluator::new(&dataset, &settings, vpu(), &[Measure::Miou], &never).unwrap();
    let mut builder = Builder::new(Shape::new(2, TILE, TILE)).unwrap();
    // The compiler takes such an edge only where a max pooling of a larger window reads it.
    let edge = Op::Pad { rows: [1; 2], columns: [1; 2], filling: Filling::Lowest };
    let edge = builder.add("edge", edge, &[builder.input()]).unwrap();
    let head = builder.add("head", Op::Conv2d(Conv2d { padding: [0; 2], ..Conv2d::same(2, 3) }), &[edge]);
    let head = head.unwrap();
    let verdict = verdict(&evaluator, &builder.finish(head).unwrap());
    let Outcome::Infeasible { violations, reason } = verdict else { panic!("{verdict:?}") };
    assert!(reason.contains("edge"), "{reason}");
    assert_eq!(violations[0].constraint, "myriad-x");
}

#[test]
fn leaving_the_finite_numbers_is_a_verdict_in_either_phase() {
    let dataset = dataset(Labels::Vessels);
    let wild = |recipe: TrainSettings| TrainSettings { learning_rate: 1e30, clip: 1e30, epochs: 4, ..recipe };
    let plain = settings(None);
    let training = EvaluationSettings { training: wild(plain.training.clone()), ..plain.clone() };
    let alignment = EvaluationSettings { alignment: plain.alignment.clone().map(wild), ..plain };
    for (settings, start) in [(training, ""), (alignment, "fine-tuning: ")] {
        let verdict = verdict(&evaluator(&dataset, &settings), &network(2));
        let Outcome::Diverged { reason } = verdict else { panic!("{verdict:?}") };
        assert!(reason.starts_with(start) && reason.len() > start.len(), "{reason}");
    }
}

#[test]
fn an_interruption_is_no_verdict() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    for last in [Phase::Training, Phase::Alignment] {
        let stop = |_, phase, _: &TrainEvent| {
            if phase == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let evaluator =
            SegmentationEvaluator::new(&dataset, &settings, vpu(), &[Measure::Miou], &stop).unwrap();
        let ended = evaluator.evaluate(&network(2), &Context::new(Seed::new(1)));
        assert!(matches!(ended, Err(Error::Interrupted)), "{last:?}: {ended:?}");
    }
}

#[test]
fn the_observer_sees_every_step_and_epoch_of_both_phases() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let seen = Mutex::new(Vec::new());
    let watch = |trial: TrialId, phase, event: &TrainEvent| {
        assert_eq!(trial, TrialId(3));
        let what = match event {
            TrainEvent::Step { step, steps } => format!("step {step}/{steps}"),
            TrainEvent::Epoch { epoch, epochs, loss, .. } => {
                assert!(loss.is_finite());
                format!("epoch {epoch}/{epochs}")
            }
            other => format!("{other:?}"),
        };
        seen.lock().unwrap().push((phase, what));
        ControlFlow::Continue(())
    };
    let evaluator = SegmentationEvaluator::new(&dataset, &settings, vpu(), &[Measure::Miou], &watch).unwrap();
    let context = Context { trial: TrialId(3), ..Context::new(Seed::new(1)) };
    evaluator.evaluate(&network(2), &context).unwrap();
    let phases = [Phase::Training, Phase::Alignment];
    let events = ["step 1/2", "step 2/2", "epoch 1/1"];
    let expected: Vec<_> =
        phases.into_iter().flat_map(|phase| events.map(|event| (phase, event.to_owned()))).collect();
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_network_for_other_tiles_is_refused() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let settings = EvaluationSettings { tile: 2 * TILE, ..settings };
    let ended = evaluator(&dataset, &settings).evaluate(&network(2), &Context::new(Seed::new(1)));
    assert!(matches!(ended, Err(Error::Shape { .. })), "{ended:?}");
}

#[test]
fn what_cannot_be_evaluated_is_refused_before_anything_is() {
    let dataset = dataset(Labels::Vessels);
    let plain = settings(None);
    let too_large = EvaluationSettings { tile: 41, ..plain.clone() };
    let no_epochs = EvaluationSettings { training: TrainSettings::fp32(0), ..plain.clone() };
    let no_alignment = EvaluationSettings { alignment: Some(TrainSettings::finetune(0)), ..plain };
    for (settings, rule) in [(too_large, "41 x 41"), (no_epochs, "epochs"), (no_alignment, "epochs")] {
        let built = SegmentationEvaluator::new(&dataset, &settings, vpu(), &[Measure::Miou], &quiet);
        let error = built.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(rule), "{error}");
    }
}

#[test]
fn without_fine_tuning_the_aligned_network_is_the_converted_one() {
    let dataset = dataset(Labels::Vessels);
    let settings = EvaluationSettings { alignment: None, ..settings(None) };
    let verdict = verdict(&evaluator(&dataset, &settings), &network(2));
    for score in ["miou", "vessel_iou"] {
        let [converted, aligned] =
            ["converted", "aligned"].map(|form| verdict.attribute(&format!("{score}_{form}")).unwrap());
        assert_eq!(converted.to_bits(), aligned.to_bits(), "{score}");
    }
}

#[test]
fn without_a_device_conversion_changes_next_to_nothing() {
    let dataset = dataset(Labels::Vessels);
    let settings = EvaluationSettings { profile: NumericProfile::f32(), alignment: None, ..settings(None) };
    for input in [InputForm::Counts, InputForm::Normalised] {
        let settings = EvaluationSettings { input, ..settings.clone() };
        let verdict = verdict(&evaluator(&dataset, &settings), &network(2));
        let [fp32, converted] = ["miou_fp32", "miou_converted"].map(|name| verdict.attribute(name).unwrap());
        // Rounding may turn the label of a pixel in which the two logits are equal but for it.
        assert!((fp32 - converted).abs() < 0.01, "{fp32} and {converted}");
    }
}

#[test]
fn four_classes_with_ignored_pixels_go_the_whole_way() {
    let mut dataset = dataset(Labels::Surfaces);
    assert_eq!((dataset.classes, dataset.ignore), (4, Some(255)));
    for scene in dataset.train.iter_mut().chain(&mut dataset.val) {
        scene.mask[..10 * 56].fill(255);
    }
    let settings = settings(dataset.ignore);
    let verdict = verdict(&evaluator(&dataset, &settings), &network(4));
    for form in ["fp32", "converted", "aligned"] {
        for score in ["miou", "vessel_iou"] {
            let value = verdict.attribute(&format!("{score}_{form}")).unwrap();
            assert!((0.0..=1.0).contains(&value), "{score}_{form} = {value}");
        }
    }
}

#[test]
fn ignored_pixels_teach_nothing() {
    let mut dataset = dataset(Labels::Vessels);
    dataset.ignore = Some(255);
    for scene in &mut dataset.train {
        scene.mask.fill(255);
    }
    // With no label left, the loss has nothing to pull at, and the bias of the classes stays at its start.
    let settings = EvaluationSettings { alignment: None, ..settings(dataset.ignore) };
    let losses = Mutex::new(Vec::new());
    let watch = |_, _, event: &TrainEvent| {
        if let TrainEvent::Epoch { loss, .. } = event {
            losses.lock().unwrap().push(*loss);
        }
        ControlFlow::Continue(())
    };
    let evaluator = SegmentationEvaluator::new(&dataset, &settings, vpu(), &[Measure::Miou], &watch).unwrap();
    let verdict = verdict(&evaluator, &network(2));
    assert!(matches!(verdict, Outcome::Measured { .. }), "{verdict:?}");
    assert!(losses.lock().unwrap().iter().all(|loss| loss.abs() < 1e-6), "{losses:?}");
}
