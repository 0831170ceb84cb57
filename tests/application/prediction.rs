//! Images through the network of a finished run.

use crate::bad_input::complains;
use crate::support::{run_folder, small_dataset, succeed, text, timeless, write_scene};
use boresight::data::{Labels, Scene, band_paths, read_bands};
use boresight::eval::{Artifact, Device, Simulated, predict};
use std::fs;
use std::path::{Path, PathBuf};

/// What the simulated device makes of the 8-bit files of a scene.
fn simulated(run: &Path, stem: &Path) -> Vec<u8> {
    let (artifact, weights) = Artifact::read(run).unwrap();
    let mut runner = Simulated.load(&artifact.deploy(&weights).unwrap()).unwrap();
    let raster = read_bands(&band_paths(stem, &bands()).unwrap(), artifact.full_scale).unwrap();
    let (height, width) = (raster.height, raster.width);
    let scene = Scene { name: String::new(), height, width, counts: raster.counts, mask: Vec::new() };
    predict(runner.as_mut(), &scene, &mut Vec::new()).unwrap()
}

fn bands() -> Vec<String> {
    ["B03", "B08"].map(str::to_owned).to_vec()
}

/// The classes of a written mask of two classes.
fn written(path: &Path) -> Vec<u8> {
    let values = read_bands(&[path.to_owned()], 255.0).unwrap().counts;
    values.into_iter().map(|value| u8::from(value == 255)).collect()
}

/// A 16-bit grey TIFF without compression.
fn write_tiff(path: &Path, [height, width]: [u16; 2], values: &[u16]) {
    let length = 2 * u32::try_from(values.len()).unwrap();
    // Width, height, bits, compression, photometric interpretation, offset, samples a pixel, rows a strip, length.
    let entries: [(u16, u32); 9] = [
        (256, width.into()),
        (257, height.into()),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height.into()),
        (279, length),
    ];
    let mut bytes = b"II*\0".to_vec();
    bytes.extend((8 + length).to_le_bytes());
    bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
    bytes.extend(9_u16.to_le_bytes());
    for (tag, value) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(4_u16.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend([0; 4]);
    fs::write(path, bytes).unwrap();
}

/// Refusals of images, one after the other, on a finished run.
fn refusals(run: &Path, place: &Path) {
    let refused = |image: &[PathBuf], parts: &[&str]| {
        let arguments: Vec<String> =
            [run].into_iter().chain(image.iter().map(PathBuf::as_path)).map(text).collect();
        complains("predict", &arguments, parts);
    };
    let stem = place.join("data/scenes/test");
    let files = band_paths(&stem, &bands()).unwrap();
    refused(&[place.join("none")], &["none_B03.png is missing"]);
    refused(&files[..1], &["files given: 1", "2 bands", "B03, B08"]);
    refused(&[files[1].clone(), files[0].clone()], &["test_B08.png stands where band B03 belongs"]);
    let lone = place.join("lone");
    fs::copy(&files[0], place.join("lone_B03.png")).unwrap();
    refused(&[lone], &["lone_B08.png is missing"]);
    let small = place.join("small");
    for band in bands() {
        write_tiff(&PathBuf::from(format!("{}_{band}.tif", small.display())), [31, 90], &[9; 31 * 90]);
    }
    refused(std::slice::from_ref(&small), &["small", "32 x 32 pixels do not fit an image of 90 x 31"]);
    refused(&[files[0].clone(), place.join("small_B08.tif")], &["small_B08.tif is 90 x 31", "90 x 70"]);
    let file = place.join("file");
    fs::write(&file, "kept").unwrap();
    let arguments = [text(run), text(&stem), "--out".to_owned(), text(&file)];
    complains("predict", &arguments, &["--out", "file", "cannot be made"]);
    complains("predict", &[text(place), text(&stem)], &["best.json"]);
}

#[test]
fn an_image_gets_the_label_map_of_the_simulated_device() {
    let place = tempfile::tempdir().unwrap();
    let run = run_folder(place.path(), Labels::Vessels);
    let stem = place.path().join("data/scenes/test");
    let expected = simulated(&run, &stem);

    // By prefix, with the scores that the summary tells of the only test scene.
    let answer = succeed("predict", &[text(&run), text(&stem)]);
    let results = run.join("predictions");
    assert_eq!(written(&results.join("test_predicted.png")), expected);
    assert!(results.join("test_overlay.png").is_file());
    let best = &timeless(&run.join("summary.json"))["best"];
    let [miou, vessel_iou] = ["miou", "vessel_iou"].map(|score| best[score]["aligned"].as_f64().unwrap());
    let score = format!("Score: mIoU {miou:.4}, vessel IoU {vessel_iou:.4}");
    assert!(answer.stdout.contains(&score), "'{score}' is not in: {}", answer.stdout);

    // By files, into a folder of its own.
    let out = place.path().join("results");
    let files = band_paths(&stem, &bands()).unwrap();
    let arguments = [text(&run), text(&files[0]), text(&files[1]), "--out".to_owned(), text(&out)];
    succeed("predict", &arguments);
    assert_eq!(written(&out.join("test_predicted.png")), expected);

    // The same counts as 16-bit values, and without labels.
    let raster = read_bands(&files, small_dataset(Labels::Vessels).full_scale).unwrap();
    let sixteen = place.path().join("sixteen");
    for (band, counts) in bands().iter().zip(raster.counts.chunks_exact(70 * 90)) {
        write_tiff(&PathBuf::from(format!("{}_{band}.tif", sixteen.display())), [70, 90], counts);
    }
    let answer = succeed("predict", &[text(&run), text(&sixteen), "--out".to_owned(), text(&out)]);
    assert_eq!(written(&out.join("sixteen_predicted.png")), expected);
    assert!(!answer.stdout.contains("Score"), "{}", answer.stdout);

    refusals(&run, place.path());
}

#[test]
fn four_classes_with_ignored_pixels_are_searched_and_predicted() {
    let place = tempfile::tempdir().unwrap();
    let run = run_folder(place.path(), Labels::Surfaces);
    let answer = succeed("predict", &[text(&run), text(&place.path().join("data/scenes/test"))]);
    for class in ["vessel", "land", "cloud"] {
        assert!(answer.stdout.contains(&format!("Found: {class} in ")), "{}", answer.stdout);
    }
    let miou = timeless(&run.join("summary.json"))["best"]["miou"]["aligned"].as_f64().unwrap();
    assert!(answer.stdout.contains(&format!("Score: mIoU {miou:.4}, ")), "{}", answer.stdout);
    assert_eq!(timeless(&run.join("best.json"))["ignore"], 255);
}

#[test]
fn labels_that_cannot_be_used_are_told_and_do_not_stop_a_prediction() {
    let place = tempfile::tempdir().unwrap();
    let run = run_folder(place.path(), Labels::Vessels);
    let dataset = small_dataset(Labels::Vessels);
    let stem = place.path().join("odd");
    write_scene(&stem, &dataset, &dataset.test[0]);
    let mask = place.path().join("odd_mask.png");
    fs::copy(place.path().join("data/scenes/test_B08.png"), &mask).unwrap();
    let answer = succeed("predict", &[text(&run), text(&stem)]);
    assert!(
        answer.stdout.contains("No score: ") && answer.stdout.contains("odd_mask.png"),
        "{}",
        answer.stdout
    );
    assert!(run.join("predictions/odd_predicted.png").is_file());
}
