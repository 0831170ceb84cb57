//! What a trial leaves, and what the winner becomes.

use crate::{dataset, evaluator, network, settings};
use boresight_core::{Context, Evaluator, Outcome, Seed, TrialId};
use boresight_data::{Dataset, Labels};
use boresight_deploy::Simulator;
use boresight_eval::{
    Artifact, BandStatistics, EvaluationSettings, FinalTraining, Finalist, SegmentationEvaluator, Stages,
};
use boresight_train::{TrainSettings, to_safetensors};
use boresight_vpu::Vpu;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

const TRIAL: TrialId = TrialId(2);

/// The verdict on the network, which leaves its weights in `folder`.
fn evaluated(dataset: &Dataset, settings: &EvaluationSettings, folder: &Path) -> Outcome {
    let evaluator = evaluator(dataset, settings).keeping_weights(folder);
    let context = Context { trial: TRIAL, ..Context::new(Seed::new(1)) };
    evaluator.evaluate(&network(2), &context).unwrap()
}

fn finished(
    dataset: &Dataset,
    settings: &EvaluationSettings,
    folder: &Path,
    further: Option<&TrainSettings>,
) -> Finalist {
    finished_on(NonZeroUsize::MIN, dataset, settings, folder, further)
}

fn finished_on(
    threads: NonZeroUsize,
    dataset: &Dataset,
    settings: &EvaluationSettings,
    folder: &Path,
    further: Option<&TrainSettings>,
) -> Finalist {
    let training = FinalTraining { run: Seed::new(1), further, alignment: None, threads };
    evaluator(dataset, settings).finish(&network(2), TRIAL, folder, training).unwrap()
}

/// Scores of both splits, as bits.
fn bits(finalist: &Finalist) -> Vec<u64> {
    let stages = [&finalist.val, &finalist.test].into_iter();
    let scores = stages.flat_map(|Stages { fp32, converted, aligned }| [fp32, converted, aligned]);
    scores.flat_map(|score| [score.miou.to_bits(), score.vessel_iou.to_bits()]).collect()
}

fn write_artifact(dataset: &Dataset, settings: &EvaluationSettings, finalist: &Finalist, folder: &Path) {
    let artifact = Artifact {
        code: "none".to_owned(),
        trial: TRIAL.0,
        network: finalist.deployments[2].network().clone(),
        bands: BandStatistics::of(dataset, evaluator(dataset, settings).bands()),
        class_names: dataset.class_names.clone(),
        ignore: dataset.ignore,
        full_scale: dataset.full_scale,
        input: settings.input,
        profile: settings.profile.clone(),
    };
    fs::write(folder.join(Artifact::DESCRIPTION), serde_json::to_vec(&artifact).unwrap()).unwrap();
    fs::write(folder.join(Artifact::WEIGHTS), to_safetensors(&finalist.aligned, &[]).unwrap()).unwrap();
}

#[test]
fn the_winner_scores_on_val_what_its_trial_scored() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let folder = tempfile::tempdir().unwrap();
    let verdict = evaluated(&dataset, &settings, folder.path());
    let finalist = finished(&dataset, &settings, folder.path(), None);
    let Stages { fp32, converted, aligned } = finalist.val;
    for (form, score) in [("fp32", fp32), ("converted", converted), ("aligned", aligned)] {
        let told = verdict.attribute(&format!("miou_{form}")).unwrap();
        assert_eq!(score.miou.to_bits(), told.to_bits(), "{form}");
    }
    assert_eq!(verdict.attribute("fps").map(f64::to_bits), Some(finalist.cost.fps.to_bits()));
}

#[test]
fn training_the_winner_on_is_equal_for_equal_seeds_and_any_threads() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let folder = tempfile::tempdir().unwrap();
    evaluated(&dataset, &settings, folder.path());
    let further = TrainSettings { epochs: 2, ..settings.training.clone() };
    let [one, two] = [1, 3].map(|threads| {
        let threads = NonZeroUsize::new(threads).unwrap();
        finished_on(threads, &dataset, &settings, folder.path(), Some(&further))
    });
    assert_eq!((bits(&one), one.aligned.values()), (bits(&two), two.aligned.values()));
    let before = finished(&dataset, &settings, folder.path(), None);
    assert!(one.val.fp32.miou >= before.val.fp32.miou);
    assert_ne!(before.aligned.values(), one.aligned.values());
}

#[test]
fn nothing_but_whole_weight_files_is_left() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let folder = tempfile::tempdir().unwrap();
    evaluated(&dataset, &settings, folder.path());
    let mut left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    left.sort_unstable();
    let mut expected = SegmentationEvaluator::<Vpu>::weights_of(folder.path(), TRIAL).to_vec();
    expected.sort_unstable();
    assert_eq!(left, expected);
}

#[test]
fn an_artifact_that_is_read_back_predicts_the_same() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let folder = tempfile::tempdir().unwrap();
    evaluated(&dataset, &settings, folder.path());
    let finalist = finished(&dataset, &settings, folder.path(), None);
    write_artifact(&dataset, &settings, &finalist, folder.path());
    let (artifact, weights) = Artifact::read(folder.path()).unwrap();
    assert_eq!(artifact.bands[1].name, "B08");
    let deployed = artifact.deploy(&weights).unwrap();
    assert_eq!(deployed.constants(), finalist.deployments[2].constants());
    let [written, read] = [finalist.deployments[2].clone(), deployed].map(|deployment| {
        crate::scoring::map(&Simulator::new(deployment, 1).unwrap(), &dataset.test[0]).unwrap()
    });
    assert_eq!(written, read);
}

#[test]
fn a_damaged_artifact_is_named() {
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let refused = || Artifact::read(folder).unwrap_err().to_string();
    assert!(refused().contains("best.json"));
    evaluated(&dataset, &settings, folder);
    let finalist = finished(&dataset, &settings, folder, None);
    write_artifact(&dataset, &settings, &finalist, folder);
    let weights = folder.join(Artifact::WEIGHTS);
    let whole = fs::read(&weights).unwrap();
    fs::write(&weights, &whole[..whole.len() - 4]).unwrap();
    assert!(refused().contains("best.safetensors"), "{}", refused());
    fs::remove_file(&weights).unwrap();
    assert!(refused().contains("best.safetensors"), "{}", refused());
    fs::write(folder.join(Artifact::DESCRIPTION), "{").unwrap();
    assert!(refused().contains("best.json") && refused().contains("does not describe a network"));
}
