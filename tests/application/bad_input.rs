//! Bad input ends at once with one sentence that names the file or flag and the rule, and the exit code 2.

use crate::support::{run, small_dataset, text, words, write_dataset};
use boresight::data::{Labels, MaskStyle, write_mask_png};
use boresight::space::UnetGenotype;
use std::fs;
use std::path::Path;

/// A search that refuses `line`, naming all of `parts`, and leaves no folder.
#[track_caller]
fn refused(line: &str, parts: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    let mut arguments = words(line);
    if !line.contains("--out") && !line.contains("--resume") {
        arguments.extend(["--out".to_owned(), text(&out)]);
    }
    complains("vessel_search", &arguments, parts);
    assert!(!out.exists(), "{line}: a folder is left");
}

/// An application that refuses `arguments` with one sentence.
#[track_caller]
pub(crate) fn complains(name: &str, arguments: &[String], parts: &[&str]) {
    let answer = run(name, arguments);
    assert_eq!(answer.code, Some(2), "{arguments:?}: {answer:?}");
    assert_eq!(answer.stdout, "", "{arguments:?}");
    let stderr = answer.stderr.as_str();
    assert!(stderr.starts_with("error: ") && stderr.ends_with('\n'), "{arguments:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{arguments:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{arguments:?}: '{part}' is not in: {stderr}");
    }
}

/// A search on a data set in a folder, which `spoil` has spoiled.
#[track_caller]
fn refused_data(flags: &str, spoil: impl FnOnce(&Path), parts: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    write_dataset(place.path(), Labels::Vessels);
    spoil(place.path());
    let tile = if flags.contains("--tile") { "" } else { "--tile 32" };
    refused(&format!("--data {} {tile} {flags}", place.path().display()), parts);
}

const UNSPOILED: fn(&Path) = |_| {};

#[test]
fn numbers_outside_their_range_are_refused_with_flag_and_rule() {
    for (line, sentence) in [
        ("--population 1", "error: --population 1: it must be at least 2\n"),
        ("--epochs 0", "error: --epochs 0: it must be at least 1\n"),
        ("--generations 0", "error: --generations 0: it must be at least 1\n"),
        ("--samples-per-epoch 0", "error: --samples-per-epoch 0: it must be at least 1\n"),
        ("--epochs many", "error: --epochs many: it must be a whole number\n"),
        ("--final-epochs -1", "error: --final-epochs -1: it must be a whole number\n"),
        ("--immigrants 1.5", "error: --immigrants 1.5: it must lie between 0 and 1\n"),
        ("--immigrants NaN", "error: --immigrants NaN: it must lie between 0 and 1\n"),
        ("--target-fps 0", "error: --target-fps 0: it must be above 0\n"),
        ("--workers 0", "error: --workers 0: it must be a whole number of at least 1\n"),
        ("--seed -1", "error: --seed -1: it must be a whole number from 0 to 18446744073709551615\n"),
        (
            "--strategy best",
            "error: --strategy best: it must be one of ga, random, nsga2, nsga3, aging, local, guided, halving\n",
        ),
        ("--stop-after 0", "error: --stop-after 0: it must be above 0\n"),
        ("--stop-after 1e300", "error: --stop-after 1e300: it is too long\n"),
        ("--stop-stagnant 0", "error: --stop-stagnant 0: it must be at least 1\n"),
        ("--stop-at best", "error: --stop-at best: it must be a number\n"),
        ("--limit latency", "error: --limit latency: it must be NAME=VALUE\n"),
        ("--limit latency=-1", "error: --limit latency=-1: the value must be above 0\n"),
        ("--limit miou=0.5", "error: --limit miou=0.5: miou is known only after training\n"),
        ("--epochs", "error: --epochs: a value must follow\n"),
    ] {
        refused(line, &[sentence]);
    }
}

#[test]
fn what_no_search_can_satisfy_is_refused_with_its_flag() {
    refused("--elites 6 --population 6", &["--elites 6", "population of 6"]);
    refused_data("--max-parameters 10", UNSPOILED, &["--max-parameters 10", "the smallest network"]);
    refused_data("--tile 31", UNSPOILED, &["--tile 31", "cannot be halved"]);
    refused("--tile 4096", &["--tile 4096", "do not fit scene", "320 x 320"]);
}

#[test]
fn what_a_strategy_cannot_do_is_refused() {
    refused("--strategy nsga3", &["--strategy nsga3", "--objectives must name at least two"]);
    refused("--waiting 2", &["--waiting", "nsga2, nsga3, aging and halving"]);
}

#[test]
fn a_start_that_is_none_is_refused() {
    refused("--warm-start /no/such/file", &["--warm-start /no/such/file"]);
    let place = tempfile::tempdir().unwrap();
    refused(
        &format!("--warm-start {}", place.path().display()),
        &["--warm-start", "run.json cannot be read"],
    );
    let codes = place.path().join("codes");
    fs::write(&codes, "\nu1;w;n;cba16r-x\n").unwrap();
    refused(&format!("--warm-start {}", codes.display()), &["codes: line 2: "]);
    fs::write(&codes, "\n").unwrap();
    refused(&format!("--warm-start {}", codes.display()), &["it holds no code"]);
}

#[test]
fn unknown_names_are_refused_with_the_known_ones() {
    refused("--limit speed=1", &["--limit speed=1", "'speed'", "latency"]);
    refused("--objectives speed", &["--objectives", "'speed'", "miou", "latency"]);
    refused("--objectives miou,miou", &["--objectives", "'miou' is named twice"]);
    refused("--device tpu", &["--device", "tpu", "myriad-x"]);
    refused("--profile f8", &["--profile", "f8", "myriad-x-optimistic"]);
    refused("--fitness linear", &["--fitness linear", "multiplicative"]);
    refused("--bands B03,B99", &["--bands", "'B99'", "B08"]);
    refused("--bands B03,B03", &["--bands", "'B03' is named twice"]);
    refused("--epoch 3", &["--epoch"]);
    refused("scenes", &["'scenes'"]);
}

#[test]
fn a_missing_data_folder_or_table_is_named() {
    refused("--data /no/such/folder", &["/no/such/folder", "does not exist"]);
    let remove = |folder: &Path| fs::remove_file(folder.join("scenes.csv")).unwrap();
    refused_data("", remove, &["scenes.csv", "is missing"]);
    let remove = |folder: &Path| fs::remove_file(folder.join("scenes/val_mask.png")).unwrap();
    refused_data("", remove, &["val_mask.png", "is missing"]);
}

#[test]
fn a_mask_that_does_not_fit_is_named() {
    let other_size = |folder: &Path| {
        let path = folder.join("scenes/val_mask.png");
        write_mask_png(&path, [70, 89], &[0; 70 * 89], MaskStyle::Binary).unwrap();
    };
    refused_data("", other_size, &["val_mask.png is 89 x 70", "90 x 70", "one size"]);
    let other_values = |folder: &Path| {
        let mut mask = small_dataset(Labels::Vessels).test[0].mask.clone();
        mask[95] = 7;
        write_mask_png(&folder.join("scenes/test_mask.png"), [70, 90], &mask, MaskStyle::Grey).unwrap();
    };
    refused_data("", other_values, &["test_mask.png", "row 1, column 5", "allowed are 0, 255"]);
}

#[test]
fn a_split_without_scenes_is_named() {
    let table = |folder: &Path| {
        fs::write(folder.join("scenes.csv"), "scene,split\ntrain,train\ntest,test\n").unwrap();
    };
    refused_data("", table, &["--data", "the val split has no scene"]);
}

#[test]
fn a_truncated_image_is_named() {
    let truncate = |folder: &Path| {
        let path = folder.join("scenes/train_B08.png");
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    };
    refused_data("", truncate, &["train_B08.png is no readable PNG"]);
}

#[test]
fn bands_and_tiles_that_the_data_do_not_have_are_named() {
    refused_data("--bands B03,B11", UNSPOILED, &["--bands", "'B11'", "B03, B08"]);
    let rule = "--tile 71: tiles of 71 x 71 pixels do not fit scene 'train' of 90 x 70";
    refused_data("--tile 71", UNSPOILED, &[rule]);
}

#[test]
fn a_folder_that_cannot_be_used_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file");
    fs::write(&file, "kept").unwrap();
    for out in [file.clone(), file.join("run")] {
        refused(&format!("--out {}", out.display()), &["--out", "cannot create folder", &text(&out)]);
    }
    refused(&format!("--out {}", place.path().display()), &["--out", "is not empty"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn resuming_needs_a_run_and_takes_no_settings() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().display();
    refused(&format!("--resume {folder}"), &["--resume", "run.json"]);
    refused(&format!("--resume {folder} --epochs 3"), &["--resume", "--epochs cannot be given"]);
    refused(&format!("--resume {folder} --out {folder}/a"), &["--resume", "--out"]);
    fs::write(place.path().join("run.json"), "{}").unwrap();
    refused(&format!("--resume {folder}"), &["--resume", "run.json describes no run"]);
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_code_with_an_error_names_the_column_and_what_was_expected() {
    let error = "u1;w;n;cba16r-x;cba24r-y".parse::<UnetGenotype>().unwrap_err().to_string();
    assert!(error.starts_with("column 24: expected ") && error.ends_with("found 'y'"), "{error}");
}
