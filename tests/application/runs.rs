//! What a search leaves, and that it is the same however it came about.

use crate::bad_input::complains;
use crate::support::{
    Answer, example, fields, succeed, text, timeless, timeless_journal, words, write_dataset,
};
use boresight::data::Labels;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::Stdio;

/// Five trials on synthetic scenes.
const SEARCH: &str = "--tile 32 --population 3 --generations 2 --epochs 1 --finetune-epochs 1 \
    --samples-per-epoch 16 --max-parameters 8000 --seed 3";

fn search(out: &Path, workers: usize) -> Answer {
    let line = format!("{SEARCH} --workers {workers} --out {}", out.display());
    succeed("vessel_search", &words(&line))
}

fn resume(run: &Path, workers: usize) -> Answer {
    succeed("vessel_search", &words(&format!("--resume {} --workers {workers}", run.display())))
}

/// Starts a search and kills it when it has told its first verdict.
fn killed(out: &Path) {
    let line = format!("{SEARCH} --workers 1 --out {}", out.display());
    let mut child = example("vessel_search").args(words(&line)).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let verdict = lines.into_iter().find(|line| line.starts_with("trial 0 ("));
    child.kill().unwrap();
    assert!(verdict.is_some() && !child.wait().unwrap().success());
}

/// What stands in the table, without the last line, which tells the time.
fn table(answer: &Answer) -> &str {
    answer.stdout.trim_end().rsplit_once('\n').unwrap().0
}

#[test]
fn workers_kills_and_resuming_change_nothing_but_times() {
    let place = tempfile::tempdir().unwrap();
    let [one, two, broken] = ["one", "two", "broken"].map(|name| place.path().join(name));
    let answer = search(&one, 1);
    assert!(answer.stderr.contains("at most 5 trials"), "{}", answer.stderr);
    let (journal, summary) = (timeless_journal(&one), timeless(&one.join("summary.json")));
    assert_eq!(journal.len(), 7, "a header, five trials and the end");
    assert_eq!(summary["trials"], 5);

    search(&two, 2);
    assert_eq!(timeless_journal(&two), journal);
    assert_eq!(timeless(&two.join("summary.json")), summary);
    assert_eq!(fs::read(two.join("best.json")).unwrap(), fs::read(one.join("best.json")).unwrap());
    let weights = |run: &Path| fs::read(run.join("best.safetensors")).unwrap();
    assert_eq!(weights(&two), weights(&one));

    killed(&broken);
    assert!(!broken.join("summary.json").exists() && !broken.join("best.json").exists());
    let mut torn = fs::OpenOptions::new().append(true).open(broken.join("journal.jsonl")).unwrap();
    torn.write_all(b"{\"trial\":{\"id\":").unwrap();
    let resumed = resume(&broken, 2);
    assert!(resumed.stderr.contains("torn off"), "{}", resumed.stderr);
    assert!(resumed.stderr.contains("trial 0 (from the journal)"), "{}", resumed.stderr);
    assert_eq!(timeless_journal(&broken), journal);
    assert_eq!(timeless(&broken.join("summary.json")), summary);
    assert_eq!(weights(&broken), weights(&one));
    assert_eq!(table(&resumed), table(&answer));

    let before = fs::read(one.join("journal.jsonl")).unwrap();
    let again = resume(&one, 1);
    assert_eq!(table(&again), table(&answer));
    assert_eq!(timeless(&one.join("summary.json")), summary);
    assert_eq!(fs::read(one.join("journal.jsonl")).unwrap(), before);
}

#[test]
fn a_run_leaves_what_the_summary_promises() {
    let place = tempfile::tempdir().unwrap();
    let (data, run) = (place.path().join("data"), place.path().join("run"));
    write_dataset(&data, Labels::Vessels);
    let line = format!(
        "--data {} --out {} --tile 32 --strategy random --objectives miou,latency,parameters --population 2 \
         --generations 1 --epochs 1 --finetune-epochs 1 --samples-per-epoch 8 --final-epochs 1 --workers 2",
        data.display(),
        run.display()
    );
    let answer = succeed("vessel_search", &words(&line));
    assert!(answer.stdout.contains(&text(&run)), "{}", answer.stdout);
    let summary = timeless(&run.join("summary.json"));
    assert_eq!(fields(&summary), ["best", "front", "trials"]);
    let best = &summary["best"];
    let expected = [
        "code",
        "fps",
        "input_shape",
        "latency_ms",
        "macs",
        "miou",
        "parameters",
        "profile",
        "streams",
        "val",
        "vessel_iou",
    ];
    assert_eq!(fields(best), expected);
    assert_eq!(fields(&best["val"]), ["miou", "vessel_iou"]);
    for scores in [&best["miou"], &best["vessel_iou"], &best["val"]["miou"], &best["val"]["vessel_iou"]] {
        assert_eq!(fields(scores), ["aligned", "converted", "fp32"]);
        let in_range = |score: &Value| score.as_f64().is_some_and(|score| (0.0..=1.0).contains(&score));
        assert!(scores.as_object().unwrap().values().all(in_range), "{scores}");
    }
    assert_eq!(best["input_shape"], serde_json::json!([2, 32, 32]));
    assert!(!summary["front"].as_array().unwrap().is_empty());
    for file in ["run.json", "journal.jsonl", "best.json", "best.safetensors", "overlays/test_test.png"] {
        assert!(run.join(file).is_file(), "{file}");
    }
    let described = timeless(&run.join("run.json"));
    assert_eq!(
        fields(&described),
        ["configuration", "data", "objectives", "planned_trials", "seed", "versions"]
    );
    assert_eq!(described["data"]["fingerprint"].as_str().map(str::len), Some(64));
    assert_eq!(timeless(&run.join("best.json"))["code"], best["code"]);

    // Scenes that have moved are the same scenes; others are refused.
    let moved = place.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    let line = format!("--resume {} --data {}", run.display(), moved.display());
    succeed("vessel_search", &words(&line));
    assert_eq!(timeless(&run.join("summary.json")), summary);
    let mask = fs::read(moved.join("scenes/val_mask.png")).unwrap();
    fs::write(moved.join("scenes/train_mask.png"), mask).unwrap();
    complains("vessel_search", &words(&line), &["--resume: the scenes are not those"]);
}
