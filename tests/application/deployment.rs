//! From a run to an artifact, and scores of networks from anywhere.

use crate::bad_input::complains;
use crate::support::{run_folder, succeed, text, words, write_dataset};
use boresight::core::{Accumulate, Seed};
use boresight::data::{FolderOptions, Labels, read_folder};
use boresight::deploy::onnx::Export;
use boresight::deploy::{Band, Deployment};
use boresight::eval::{Device, Scaled, Score, Simulated, predict};
use boresight::ir::{Builder, Conv2d, InputForm, Network, Op, Shape, Weights};
use boresight::metrics::{Confusion, LabelPair};
use boresight::numerics::NumericProfile;
use serde_json::Value;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// The line of JSON that `evaluate` prints.
fn evaluate(network: &Path, data: &Path, options: &str) -> Value {
    let mut arguments = vec![text(network), "--data".to_owned(), text(data), "--json".to_owned()];
    arguments.extend(words(options));
    serde_json::from_str(&succeed("evaluate", &arguments).stdout).unwrap()
}

#[test]
fn an_artifact_scores_as_the_run_that_it_is_made_of_in_every_form() {
    let place = TempDir::new().unwrap();
    let run = run_folder(place.path(), Labels::Vessels);
    let (data, artifact) = (place.path().join("data"), run.join("artifact"));
    succeed("deploy", &[text(&run), "--target".to_owned(), "onnx".to_owned()]);
    let files =
        ["network-fp32.onnx", "network-fp16.onnx", "network-fp16-weights.onnx", "network.json", "card.md"];
    for file in files.into_iter().chain(["weights.safetensors", "SHA256SUMS"]) {
        assert!(artifact.join(file).metadata().unwrap().len() > 0, "{file}");
    }
    let sums = fs::read_to_string(artifact.join("SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 6);
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(run.join("summary.json")).unwrap()).unwrap();
    for (split, scores) in [("val", &summary["best"]["val"]), ("test", &summary["best"])] {
        let options = format!("--split {split}");
        let expected = [&scores["vessel_iou"]["aligned"], &scores["miou"]["aligned"]];
        for network in [run.clone(), artifact.clone(), artifact.join("network-fp32.onnx")] {
            let found = evaluate(&network, &data, &options);
            assert_eq!([&found["vessel_iou"], &found["miou"]], expected, "{} {split}", network.display());
            assert_eq!((&found["profile"], &found["tile"]), (&"myriad-x-optimistic".into(), &32.into()));
            assert_eq!(found["per_scene"][0]["scene"], split);
        }
        let plain = evaluate(&artifact, &data, &format!("{options} --profile f32"));
        assert_eq!(plain["profile"], "f32");
    }
    let answer = succeed("predict", &[text(&artifact), text(&data.join("scenes/test"))]);
    assert!(answer.stdout.contains("Score: mIoU"), "{answer:?}");
    let again = [text(&run), "--target".to_owned(), "onnx".to_owned()];
    complains("deploy", &again, &["--out", "exists already"]);
}

#[test]
fn a_found_network_is_trained_on_from_its_artifact() {
    let place = TempDir::new().unwrap();
    let run = run_folder(place.path(), Labels::Vessels);
    let (data, more) = (place.path().join("data"), place.path().join("more"));
    let line = format!(
        "{} --data {} --epochs 1 --samples-per-epoch 16 --out {}",
        run.display(),
        data.display(),
        more.display()
    );
    let answer = succeed("train_on", &words(&line));
    let [before, after] = ["before", "after"].map(|when| {
        let line = answer.stdout.lines().find(|line| line.starts_with(when)).unwrap();
        line.split(' ').nth(3).unwrap().trim_end_matches(',').parse::<f64>().unwrap()
    });
    let score = |network: &Path| evaluate(network, &data, "--split val")["vessel_iou"].as_f64().unwrap();
    assert!((score(&run) - before).abs() < 1e-4 && (score(&more) - after).abs() < 1e-4, "{answer:?}");
    let [old, new] =
        [run.join("best.safetensors"), more.join("weights.safetensors")].map(|path| fs::read(path).unwrap());
    assert!(old.len() == new.len() && old != new);
    complains("train_on", &words(&line), &["--out"]);
}

/// A convolution and a head that makes `classes` maps, with weights of its own.
fn foreign(classes: usize) -> (Network, Weights) {
    let mut builder = Builder::new(Shape::new(2, 32, 32)).unwrap();
    let first = builder.add("first", Op::Conv2d(Conv2d::same(6, 3)), &[builder.input()]).unwrap();
    let relu = builder.add("relu", Op::Relu, &[first]).unwrap();
    let head = builder.add("head", Op::Conv2d(Conv2d::same(classes, 1)), &[relu]).unwrap();
    let network = builder.finish(head).unwrap();
    let weights = Weights::initial(&network, Seed::new(9));
    (network, weights)
}

/// Writes a network as one that was made elsewhere.
fn write_onnx(path: &Path, network: &Network, weights: &Weights) {
    fs::write(path, Export::new(network, weights).write().unwrap()).unwrap();
}

#[test]
fn a_network_made_elsewhere_reads_what_it_was_trained_on() {
    let place = TempDir::new().unwrap();
    let (data, path) = (place.path().join("data"), place.path().join("foreign.onnx"));
    write_dataset(&data, Labels::Vessels);
    let (network, weights) = foreign(2);
    write_onnx(&path, &network, &weights);
    let (mean, std) = ([0.3_f32, 0.2], [0.25_f32, 0.125]);
    let options = FolderOptions { full_scale: Some(255.0), ..FolderOptions::default() };
    let dataset = read_folder(&data, &options).unwrap();
    // What stands for 255, and what the counts of the data are multiplied by.
    let cases = [
        ("", InputForm::Normalised, 255.0, "myriad-x-optimistic"),
        ("--input raw --full-scale 10000", InputForm::Counts, 10_000.0, "myriad-x-optimistic"),
        ("--input raw --full-scale 10000 --profile ieee-f16", InputForm::Counts, 10_000.0, "ieee-f16"),
        ("--input raw", InputForm::Counts, 26_214.0, "myriad-x-optimistic"),
    ];
    for (more, form, scale, profile) in cases {
        let band = |at: usize| Band { mean: mean[at] * scale, deviation: std[at] * scale };
        let profile = NumericProfile::named(profile).unwrap();
        let deployment =
            Deployment::convert(&network, &weights, &[band(0), band(1)], form, &profile).unwrap();
        let runner = Simulated.load(&deployment.padding_with_mean()).unwrap();
        let mut runner = Scaled::new(runner, scale / 255.0);
        let map = predict(&mut runner, &dataset.val[0], &mut Vec::new()).unwrap();
        let mut counts = Confusion::new(2).unwrap();
        counts.update(&LabelPair::new(&dataset.val[0].mask, &map)).unwrap();
        let Score { miou, vessel_iou } = Score::of(&counts);
        assert!(counts.predicted(1) > 0 && counts.predicted(0) > 0, "a map that tells nothing apart");
        let found = evaluate(&path, &data, &format!("--mean 0.3,0.2 --std 0.25,0.125 {more}"));
        let expected = [miou, vessel_iou].map(Value::from);
        assert_eq!([&found["miou"], &found["vessel_iou"]], [&expected[0], &expected[1]], "{more}");
    }
}

#[test]
fn one_map_is_the_logit_or_the_probability_of_a_vessel() {
    let place = TempDir::new().unwrap();
    let (data, path) = (place.path().join("data"), place.path().join("foreign.onnx"));
    write_dataset(&data, Labels::Vessels);
    let (one, weights) = foreign(1);
    write_onnx(&path, &one, &weights);
    let options = "--mean 0.3,0.2 --std 0.25,0.125 --profile f32";
    let logit = evaluate(&path, &data, options);
    let mut builder = Builder::new(one.input_shape()).unwrap();
    let mut last = builder.input();
    for (_, node) in one.iter().skip(1) {
        last = builder.add(&node.name, node.op, &[last]).unwrap();
    }
    let last = builder.add("probability", Op::Sigmoid, &[last]).unwrap();
    let probability = builder.finish(last).unwrap();
    let weights = Weights::from_values(&probability, weights.values().to_vec()).unwrap();
    write_onnx(&path, &probability, &weights);
    assert_eq!(evaluate(&path, &data, options), logit);
    assert!(logit["recall"].as_f64().unwrap() > 0.0);
}

#[test]
fn what_cannot_be_scored_is_refused_in_one_sentence() {
    let place = TempDir::new().unwrap();
    let (data, path) = (place.path().join("data"), place.path().join("foreign.onnx"));
    write_dataset(&data, Labels::Vessels);
    let (network, weights) = foreign(2);
    write_onnx(&path, &network, &weights);
    let (data, network) = (text(&data), text(&path));
    let statistics = "--mean 0.3,0.2 --std 0.2,0.1";
    let cases = [
        (format!("{network} --data {data}"), ["does not tell its normalisation", "--mean"]),
        (format!("{network} --data {data} --mean 0.3 --std 0.2"), ["--mean: 1 numbers", "2 bands"]),
        (format!("{network} --data {data} --mean 0.3,0.2 --std 0.2,0"), ["standard deviation", "above 0"]),
        (format!("{network} --data {data} --mean 0.3,x --std 0.2,0.1"), ["--mean", "x"]),
        (format!("{network} --data {data} {statistics} --tile 64"), ["32, 32", "64x64"]),
        (
            format!("{network} --data {data} {statistics} --full-scale 100"),
            ["--full-scale 100", "--input raw"],
        ),
        (format!("{network} --data {data} {statistics} --profile abacus"), ["--profile", "abacus"]),
        (format!("{network} --data {data} {statistics} --bands B03"), ["6300 counts", "2 bands"]),
        (format!("{network} --data {data} {statistics} --split all"), ["--split", "all"]),
        (format!("{network} --data nowhere {statistics}"), ["nowhere", ""]),
        (format!("nowhere.onnx --data {data} {statistics}"), ["nowhere.onnx", "No such file"]),
        (format!("{data} --data {data}"), ["holds no network", "best.json"]),
        (
            format!("{network} --data {data} {statistics} --runner /no/such/program"),
            ["/no/such/program", "cannot be started"],
        ),
    ];
    for (line, parts) in cases {
        complains("evaluate", &words(&line), &parts);
    }
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    complains("evaluate", &words(&format!("{network} --data {data} {statistics}")), &["foreign.onnx"]);
    complains("deploy", std::slice::from_ref(&data), &["run.json", "a finished run has one"]);
    complains("train_on", &words(&format!("{data} --out {network}")), &["best.json"]);
    complains("export_random", &words(&format!("--out {network}")), &["--out"]);
}
