//! Starting the built examples, and small data sets for them.

use boresight::core::Seed;
use boresight::data::{Dataset, Labels, MaskStyle, Scene, SyntheticOptions, synthetic, write_mask_png};
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The built example of this name; `cargo test` builds it beside the tests.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let path = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(path.is_file(), "{} is not built; `cargo test` builds it", path.display());
    Command::new(path)
}

/// What an application answers.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs an example to its end.
pub(crate) fn run<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Answer {
    let Output { status, stdout, stderr } = example(name).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Runs an example that must succeed.
pub(crate) fn succeed<A: AsRef<OsStr>>(name: &str, arguments: &[A]) -> Answer {
    let answer = run(name, arguments);
    assert_eq!(answer.code, Some(0), "{answer:?}");
    answer
}

/// The words of a command line.
pub(crate) fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A scene each for training, validation and test, of 70 rows and 90 columns in the bands B03 and B08.
pub(crate) fn small_dataset(labels: Labels) -> Dataset {
    let bands = ["B03", "B08"].map(str::to_owned).to_vec();
    let options = SyntheticOptions { bands, height: 70, width: 90, scenes: [1; 3], labels };
    synthetic(Seed::new(11), &options).unwrap()
}

/// The counts of each band as 8-bit values.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
fn eight_bit(counts: &[u16], full_scale: f64) -> Vec<u8> {
    counts.iter().map(|&count| (f64::from(count) / full_scale * 255.0).round() as u8).collect()
}

/// Writes the bands of a scene as `<stem>_<band>.png` and its mask as `<stem>_mask.png`, 8 bits each.
pub(crate) fn write_scene(stem: &Path, dataset: &Dataset, scene: &Scene) {
    let size = [scene.height, scene.width];
    let file = |what: &str| PathBuf::from(format!("{}_{what}.png", stem.display()));
    for (band, counts) in dataset.bands.iter().zip(scene.counts.chunks_exact(scene.pixels())) {
        let values = eight_bit(counts, dataset.full_scale);
        write_mask_png(&file(band), size, &values, MaskStyle::Grey).unwrap();
    }
    let style = if dataset.classes == 2 { MaskStyle::Binary } else { MaskStyle::Grey };
    write_mask_png(&file("mask"), size, &scene.mask, style).unwrap();
}

/// Writes the scenes `train`, `val` and `test`, their table, and what tells more than two classes.
pub(crate) fn write_dataset(folder: &Path, labels: Labels) {
    let dataset = small_dataset(labels);
    fs::create_dir_all(folder.join("scenes")).unwrap();
    let splits = [("train", &dataset.train), ("val", &dataset.val), ("test", &dataset.test)];
    let mut table = vec!["scene,split".to_owned()];
    for (split, scenes) in splits {
        table.push(format!("{split},{split}"));
        write_scene(&folder.join("scenes").join(split), &dataset, &scenes[0]);
    }
    fs::write(folder.join("scenes.csv"), table.join("\n")).unwrap();
    if let Some(ignore) = dataset.ignore {
        let description = format!("classes = {:?}\nignore = {ignore}\n", dataset.class_names);
        fs::write(folder.join("dataset.toml"), description).unwrap();
    }
}

/// A run of two trials on the small data set in `place`/data.
pub(crate) fn run_folder(place: &Path, labels: Labels) -> PathBuf {
    let (data, run) = (place.join("data"), place.join("run"));
    write_dataset(&data, labels);
    let line = format!(
        "--data {} --out {} --tile 32 --population 2 --generations 1 --epochs 2 --finetune-epochs 1 \
         --samples-per-epoch 32 --max-parameters 20000 --seed 2",
        data.display(),
        run.display()
    );
    succeed("vessel_search", &words(&line));
    run
}

/// A JSON file without the times in it.
pub(crate) fn timeless(path: &Path) -> Value {
    without_times(&fs::read_to_string(path).unwrap())
}

fn without_times(json: &str) -> Value {
    let mut value: Value = serde_json::from_str(json).unwrap();
    value.as_object_mut().unwrap().remove("wall_s");
    value
}

/// The lines of a journal without times: the header, the trials by number, the events.
pub(crate) fn timeless_journal(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("journal.jsonl")).unwrap();
    let mut lines: Vec<Value> = text.lines().map(without_times).collect();
    lines.sort_by_key(|line| match (line.get("header"), line["trial"]["id"].as_u64()) {
        (Some(_), _) => (0, 0),
        (None, Some(trial)) => (1, trial),
        (None, None) => (2, 0),
    });
    lines
}

/// The names of the fields of a JSON object.
pub(crate) fn fields(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}
