//! A device behind a command: here a shell script that finds vessels everywhere.

use crate::{TILE, dataset, evaluator, network, settings, verdict};
use boresight_core::Seed;
use boresight_data::Labels;
use boresight_deploy::{Band, Deployment, onnx};
use boresight_eval::{CommandDevice, Device, predict};
use boresight_ir::{InputForm, Weights};
use boresight_numerics::NumericProfile;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// What a device does that finds class 1 everywhere, at 2 ms a tile.
const HONEST: &str = r#"
[ -s "$1/model.onnx" ] || { echo no model >&2; exit 1; }
count=$(($(wc -c < "$1/images.f32") / (2 * 16 * 16 * 4)))
head -c $((count * 16 * 16)) /dev/zero | tr '\0' '\1' > "$1/labels.u8"
times=$(yes 2 | head -n $count | tr '\n' ',')
echo "{\"version\":1,\"device\":\"shell\",\"milliseconds\":[${times%,}]}" > "$1/response.json"
"#;

fn deployment() -> Deployment {
    let network = network(2);
    let weights = Weights::initial(&network, Seed::new(4));
    let bands = [Band { mean: 3_000.0, deviation: 2_000.0 }; 2];
    let profile = NumericProfile::myriad_x_optimistic();
    Deployment::convert(&network, &weights, &bands, InputForm::Counts, &profile).unwrap()
}

/// A device that runs `script`, its files in `folder`.
fn device(folder: &Path, script: &str) -> CommandDevice {
    let path = folder.join("device.sh");
    fs::write(&path, script).unwrap();
    let command = format!("sh {}", path.display());
    CommandDevice::new(&command, &folder.join("exchange"), onnx::Form::Fp32).unwrap()
}

#[test]
fn labels_and_times_come_from_the_command() {
    let folder = TempDir::new().unwrap();
    let device = device(folder.path(), HONEST);
    let scene = &dataset(Labels::Vessels).test[0];
    let mut times = Vec::new();
    let mut runner = device.load(&deployment()).unwrap();
    let map = predict(runner.as_mut(), scene, &mut times).unwrap();
    assert!(map.iter().all(|&label| label == 1));
    let tiles = scene.height.div_ceil(TILE) * scene.width.div_ceil(TILE);
    assert_eq!(times.len(), tiles);
    assert!(times.iter().all(|time| (time.0 - 0.002).abs() < 1e-12));
    let request = fs::read_to_string(folder.path().join("exchange/network-00000/request.json")).unwrap();
    let request: serde_json::Value = serde_json::from_str(&request).unwrap();
    let shape = serde_json::json!([1, 2, 16, 16]);
    assert_eq!((&request["count"], &request["input"]["shape"]), (&tiles.into(), &shape));
}

#[test]
fn a_search_scores_what_is_deployed_on_the_device_that_it_is_given() {
    let folder = TempDir::new().unwrap();
    let device = device(folder.path(), HONEST);
    let (dataset, settings) = (dataset(Labels::Vessels), settings(None));
    let simulated = verdict(&evaluator(&dataset, &settings), &network(2));
    let found = verdict(&evaluator(&dataset, &settings).on_device(&device), &network(2));
    // The device finds vessels everywhere; what is not deployed is scored as before.
    let vessels: f64 = dataset.val[0].mask.iter().map(|&label| f64::from(u8::from(label == 1))).sum();
    let everywhere = vessels / (40.0 * 56.0);
    for form in ["converted", "aligned"] {
        let scored = found.attribute(&format!("vessel_iou_{form}")).unwrap();
        assert!((scored - everywhere).abs() < 1e-12, "{form}: {scored} {everywhere}");
    }
    let fp32 = [&simulated, &found].map(|verdict| verdict.attribute("miou_fp32").map(f64::to_bits));
    assert_eq!(fp32[0], fp32[1]);
}

#[test]
fn what_a_command_gets_wrong_is_told() {
    let scene = &dataset(Labels::Vessels).test[0];
    let after = |more: &str| format!("{HONEST}\n{more}");
    let cases = [
        ("echo starting >&2; echo the stick is gone >&2; exit 3".to_owned(), "the stick is gone"),
        ("exit 1".to_owned(), "it said nothing"),
        ("exit 0".to_owned(), "labels.u8: No such file"),
        (after("rm \"$1/response.json\""), "response.json: No such file"),
        (after("printf x >> \"$1/labels.u8\""), "labels.u8 has 3073 bytes, one a pixel would be 3072"),
        (
            after("tr '\\1' '\\7' < \"$1/labels.u8\" > \"$1/l\"; mv \"$1/l\" \"$1/labels.u8\""),
            "has the label 7, but",
        ),
        (after("echo '{}' > \"$1/response.json\""), "response.json: missing field"),
        (
            after("echo '{\"version\":2,\"device\":\"d\",\"milliseconds\":[]}' > \"$1/response.json\""),
            "version 2, this is version 1",
        ),
        (
            after("echo '{\"version\":1,\"device\":\"d\",\"milliseconds\":[1]}' > \"$1/response.json\""),
            "12 times of at least 0 are expected, d gave 1",
        ),
    ];
    for (script, expected) in cases {
        let folder = TempDir::new().unwrap();
        let mut runner = device(folder.path(), &script).load(&deployment()).unwrap();
        let message = predict(runner.as_mut(), scene, &mut Vec::new()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }
    let folder = TempDir::new().unwrap();
    let missing = CommandDevice::new("/no/such/program", folder.path(), onnx::Form::Fp32).unwrap();
    let mut runner = missing.load(&deployment()).unwrap();
    let message = predict(runner.as_mut(), scene, &mut Vec::new()).unwrap_err().to_string();
    assert!(message.contains("it cannot be started"), "{message}");
    assert!(CommandDevice::new(" ", folder.path(), onnx::Form::Fp32).is_err());
}
