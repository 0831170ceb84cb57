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

/// The verdict of each trial in the order of their numbers.
fn verdicts(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut trials: Vec<Value> =
        lines.map(|line| line["trial"].clone()).filter(|trial| !trial.is_null()).collect();
    trials.sort_by_key(|trial| trial["id"].as_u64());
    trials.into_iter().map(|trial| trial["verdict"].clone()).collect()
}

#[test]
fn a_search_starts_from_an_earlier_one_and_stops_early() {
    let place = tempfile::tempdir().unwrap();
    let [first, second, whole] = ["first", "second", "whole"].map(|name| place.path().join(name));
    search(&first, 2);
    let best = timeless(&first.join("best.json"))["trial"].as_u64().unwrap();
    let warm = format!("{SEARCH} --strategy nsga2 --warm-start {}", first.display());

    let line = format!("{warm} --stop-at -1 --out {}", second.display());
    let stopped = succeed("vessel_search", &words(&line));
    assert!(stopped.stderr.contains("verdicts that are taken over: 5"), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("Stopped: the fitness reached -1"), "{}", stopped.stderr);
    let (earlier, found) = (verdicts(&first), verdicts(&second));
    assert_eq!(found.len(), 3, "the first generation");
    assert_eq!(found[0], earlier[usize::try_from(best).unwrap()]);
    assert!(found.iter().all(|verdict| earlier.contains(verdict)), "{found:?}");

    // Resumed without the rule, and without what it started from, it becomes the unbroken run.
    succeed("vessel_search", &words(&format!("{warm} --out {}", whole.display())));
    fs::remove_dir_all(&first).unwrap();
    resume(&second, 1);
    assert_eq!(verdicts(&second), verdicts(&whole));
    assert_eq!(timeless(&second.join("summary.json")), timeless(&whole.join("summary.json")));
}

#[test]
fn what_costs_too_much_is_not_trained() {
    let place = tempfile::tempdir().unwrap();
    let (run, codes) = (place.path().join("run"), place.path().join("codes"));
    fs::write(&codes, "u1;w;n;ca8r-x;ca8r-x;ca8r-x\n").unwrap();
    let line = format!(
        "{SEARCH} --strategy nsga3 --objectives miou,latency --waiting 2 --warm-start {} --limit parameters=1 --out {}",
        codes.display(),
        run.display()
    );
    let answer = succeed("vessel_search", &words(&line));
    assert!(answer.stdout.starts_with("No candidate could be measured"), "{}", answer.stdout);
    assert!(answer.stderr.contains("infeasible, parameters is broken by "), "{}", answer.stderr);
    assert!(answer.stderr.contains("u1;w;n;ca8r-x;ca8r-x;ca8r-x"), "{}", answer.stderr);
    let found = verdicts(&run);
    assert!(found.len() == 5 && found.iter().all(|verdict| verdict["verdict"] == "infeasible"), "{found:?}");
    assert!(!answer.stderr.contains("FP32 training"));
}
