//! Segments an image with the network that a search has found, on the simulated device, tile by tile.
//!
//! `cargo run --release --example predict -- runs/001 scenes/algiers`; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]
#![expect(clippy::doc_markdown, reason = "the comments on the command line are the text of --help")]

#[path = "vessel_search/refusal.rs"]
mod refusal;

use boresight::core::Accumulate;
use boresight::data::{MaskStyle, Scene, Tiling, band_paths, read_bands, write_mask_png};
use boresight::eval::{Artifact, Device, Score, Simulated, predict};
use boresight::metrics::{Confusion, LabelPair};
use boresight::report::{Overlay, write_png};
use clap::Parser;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Segments an image with the network that a search has found, on the simulated device.
///
/// Writes NAME_predicted.png (0: background, 255: vessel; a palette where there are more
/// classes) and NAME_overlay.png. Where NAME_mask.png lies beside the image, the overlay
/// shows what was found and what was missed, and the scores are printed.
#[derive(Debug, Parser)]
#[command(name = "predict", version, verbatim_doc_comment)]
struct Cli {
    /// Folder of a finished run, with its best.json and best.safetensors, or an artifact.
    #[arg(value_name = "RUN_FOLDER")]
    run: PathBuf,

    /// The image: what the names of its band files begin with ('scenes/algiers' stands for
    /// scenes/algiers_B03.png, scenes/algiers_B04.png ...), or the files themselves in the
    /// order of the network's bands. Files are grey PNG or TIFF images; 16-bit values are
    /// sensor counts, 8-bit values are scaled to counts as in training.
    #[arg(required = true, value_name = "IMAGE", verbatim_doc_comment)]
    image: Vec<PathBuf>,

    /// Folder for the results. Default: RUN_FOLDER/predictions.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    if !Artifact::lies_in(&cli.run) {
        let rule = "a run that vessel_search has finished has one, or network.json in an artifact";
        return Err(format!("{} has no {} in it; {rule}", cli.run.display(), Artifact::DESCRIPTION).into());
    }
    let (artifact, weights) = Artifact::read(&cli.run)?;
    let mut runner = Simulated.load(&artifact.deploy(&weights)?)?;
    let bands: Vec<String> = artifact.bands.iter().map(|band| band.name.clone()).collect();
    let (stem, paths) = files(&cli.image, &bands)?;
    let raster = read_bands(&paths, artifact.full_scale)?;
    let scene = Scene {
        name: name_of(&stem),
        height: raster.height,
        width: raster.width,
        counts: raster.counts,
        mask: Vec::new(),
    };
    let shape = artifact.network.input_shape();
    let image = |error| format!("{}: {error}", stem.display());
    Tiling::disjoint(scene.height, scene.width, shape.height).map_err(image)?;
    let out = cli.out.clone().unwrap_or_else(|| cli.run.join("predictions"));
    std::fs::create_dir_all(&out)
        .map_err(|error| format!("--out {}: the folder cannot be made: {error}", out.display()))?;
    println!("Network: {}, for tiles of {}x{} pixels", artifact.code, shape.height, shape.width);
    println!("Image: {}, {}x{} pixels, bands {}", scene.name, scene.width, scene.height, bands.join(" "));
    let map = predict(runner.as_mut(), &scene, &mut Vec::new())?;
    report_shares(&artifact, &map);
    let labels = labels_beside(&stem, &artifact, &scene);
    if let Some(labels) = &labels {
        report_scores(&artifact, labels, &map)?;
    }
    let overlay = Overlay {
        bands: &bands,
        labels: labels.as_deref(),
        prediction: Some(&map),
        ignore: artifact.ignore,
        title: &scene.name,
        ..Overlay::new([scene.height, scene.width], &scene.counts)
    };
    let [mask, picture] = ["predicted", "overlay"].map(|what| out.join(format!("{}_{what}.png", scene.name)));
    write_mask_png(&mask, [scene.height, scene.width], &map, style(&artifact))?;
    write_png(&picture, &overlay.draw()?)?;
    println!("Written: {} and {}", mask.display(), picture.display());
    Ok(())
}

/// What the names of the image's files begin with, and the file of each band.
fn files(image: &[PathBuf], bands: &[String]) -> Result<(PathBuf, Vec<PathBuf>), Box<dyn Error>> {
    if let [stem] = image
        && !stem.is_file()
    {
        return Ok((stem.clone(), band_paths(stem, bands)?));
    }
    if image.len() != bands.len() {
        return Err(format!(
            "files given: {}, but the network reads {} bands; give one file for each of {}, in this order, \
             or what their names begin with",
            image.len(),
            bands.len(),
            bands.join(", ")
        )
        .into());
    }
    for (path, band) in image.iter().zip(bands) {
        let named = band_of(path);
        if named != *band && bands.contains(&named) {
            return Err(format!(
                "{} stands where band {band} belongs; the order is {}",
                path.display(),
                bands.join(", ")
            )
            .into());
        }
    }
    Ok((stem_of(&image[0]), image.to_vec()))
}

/// The last word of a file's name, where the band is named.
fn band_of(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit('_').next().unwrap_or_default().to_owned()
}

/// A band file's path without band and extension; where only those are left, the folder.
fn stem_of(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    match stem.rsplit_once('_') {
        Some((name, _)) => path.with_file_name(name),
        None => path.parent().map_or_else(PathBuf::new, Path::to_owned),
    }
}

fn name_of(stem: &Path) -> String {
    stem.file_name().map_or_else(|| "image".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The labels of `<stem>_mask.png`, where there is one; says why when they cannot be used.
fn labels_beside(stem: &Path, artifact: &Artifact, scene: &Scene) -> Option<Vec<u8>> {
    let path = band_paths(stem, &["mask".to_owned()]).ok()?.pop()?;
    match read_labels(&path, artifact, scene) {
        Ok(labels) => Some(labels),
        Err(reason) => {
            println!("No score: {reason}");
            None
        }
    }
}

/// A mask of the image's size: 0 and 255 for two classes, or the classes themselves.
fn read_labels(path: &Path, artifact: &Artifact, scene: &Scene) -> Result<Vec<u8>, Box<dyn Error>> {
    // With this full scale, the value of a pixel is its count.
    let raster = read_bands(std::slice::from_ref(&path.to_owned()), 255.0)?;
    if [raster.height, raster.width] != [scene.height, scene.width] {
        let size = format!("{}x{}", raster.width, raster.height);
        return Err(format!("{} has {size} pixels, the image another number", path.display()).into());
    }
    let classes = artifact.class_names.len();
    let binary = classes == 2 && raster.counts.iter().all(|&value| value == 0 || value == 255);
    let label = |&value: &u16| match u8::try_from(value) {
        Ok(value) if binary => Some(u8::from(value == 255)),
        Ok(value) if usize::from(value) < classes || artifact.ignore == Some(value) => Some(value),
        _ => None,
    };
    let labels: Option<Vec<u8>> = raster.counts.iter().map(label).collect();
    labels.ok_or_else(|| format!("{} has values that are none of {classes} classes", path.display()).into())
}

fn report_shares(artifact: &Artifact, map: &[u8]) {
    for (class, name) in artifact.class_names.iter().enumerate().skip(1) {
        let count = map.iter().filter(|&&label| usize::from(label) == class).count();
        println!("Found: {name} in {count} pixels ({:.2} %)", 100.0 * count as f64 / map.len() as f64);
    }
}

fn report_scores(artifact: &Artifact, labels: &[u8], map: &[u8]) -> Result<(), Box<dyn Error>> {
    let mut counts = Confusion::new(artifact.class_names.len())?;
    if let Some(ignore) = artifact.ignore {
        counts = counts.ignoring(ignore);
    }
    counts.update(&LabelPair::new(labels, map))?;
    let Score { miou, vessel_iou } = Score::of(&counts);
    println!("Score: mIoU {miou:.4}, {} IoU {vessel_iou:.4}", artifact.class_names[1]);
    Ok(())
}

fn style(artifact: &Artifact) -> MaskStyle {
    if artifact.class_names.len() == 2 { MaskStyle::Binary } else { MaskStyle::Indexed }
}
