//! Scores a network on whole scenes, on the simulated device or on a real one.
//!
//! `cargo run --release --example evaluate -- runs/001 --data scenes --split test`; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]
#![expect(clippy::doc_markdown, reason = "the comments on the command line are the text of --help")]

#[path = "../vessel_search/mapping.rs"]
mod mapping;
#[path = "../vessel_search/profile.rs"]
mod profile;
#[path = "../vessel_search/refusal.rs"]
mod refusal;
mod report;
mod source;

use boresight::core::{Accumulate, Seconds};
use boresight::data::{Dataset, FolderOptions, Split, read_folder};
use boresight::deploy::{Deployment, onnx};
use boresight::eval::{CommandDevice, Device, DeviceRunner, Scaled, Simulated, predict};
use boresight::metrics::{Confusion, LabelPair};
use boresight::vpu::Vpu;
use clap::{Parser, ValueEnum};
use report::Report;
use source::Source;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// Scores a network on whole scenes, on the simulated device or on a real one.
///
/// Scenes are cut into disjoint tiles of the network's size; the last row and column of tiles are
/// moved back to the edge and only fill what is still open, so that each pixel counts once.
#[derive(Debug, Parser)]
#[command(name = "evaluate", version, allow_negative_numbers = true, verbatim_doc_comment)]
struct Cli {
    /// A run folder, an artifact, or an ONNX file.
    #[arg(value_name = "NETWORK")]
    network: PathBuf,

    /// Folder of the scenes (scenes.csv and scenes/NAME_BAND.png).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    /// The scenes to score.
    #[arg(long, value_enum, default_value_t = Scenes::Val)]
    split: Scenes,

    /// What the device does to numbers: myriad-x-optimistic, ieee-f16, f32 (no device at all), or
    /// a TOML file. Default: the profile that the network was made for, else myriad-x-optimistic.
    #[arg(long, value_name = "NAME", verbatim_doc_comment)]
    profile: Option<String>,

    /// Side of a tile: needed for an ONNX file that leaves it open.
    #[arg(long, value_name = "PIXELS")]
    tile: Option<usize>,

    /// Bands that an ONNX file reads, in its order. Default: those of the data.
    #[arg(long, value_delimiter = ',', value_name = "BAND,...", help_heading = "Networks made elsewhere")]
    bands: Option<Vec<String>>,

    /// Mean of each band of value / 255, for networks made elsewhere.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "M,...",
        requires = "std",
        help_heading = "Networks made elsewhere"
    )]
    mean: Option<Vec<f32>>,

    /// Standard deviation of each band of value / 255.
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "S,...",
        requires = "mean",
        help_heading = "Networks made elsewhere"
    )]
    std: Option<Vec<f32>>,

    /// What the device reads: tiles that were normalised before, or raw counts of
    /// value / 255 x full scale, with the normalisation folded into the first convolutions.
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        help_heading = "Networks made elsewhere",
        verbatim_doc_comment
    )]
    input: Option<Input>,

    /// The count that the value 255 stands for, with --input raw. Default: that of the data.
    #[arg(long, value_name = "COUNT", help_heading = "Networks made elsewhere")]
    full_scale: Option<f64>,

    /// Runs the network on the device that this command reaches instead of the simulated one;
    /// tools/device/README.md tells what it must do.
    #[arg(long, value_name = "COMMAND", help_heading = "Device", verbatim_doc_comment)]
    runner: Option<String>,

    /// Folder for the files that are exchanged with --runner. Default: a temporary one.
    #[arg(long, value_name = "DIR", requires = "runner", help_heading = "Device")]
    exchange: Option<PathBuf>,

    /// Form of the ONNX file that --runner gets.
    #[arg(long, default_value = "fp32", value_name = "FORM", requires = "runner", help_heading = "Device")]
    form: onnx::Form,

    /// Prints one line of JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scenes {
    Train,
    Val,
    Test,
}

impl From<Scenes> for Split {
    fn from(scenes: Scenes) -> Self {
        match scenes {
            Scenes::Train => Self::Train,
            Scenes::Val => Self::Val,
            Scenes::Test => Self::Test,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Input {
    /// Tiles that were normalised before.
    Normalised,
    /// Raw counts.
    Raw,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let profile = cli.profile.as_deref().map(profile::read).transpose()?;
    let source = Source::read(&cli.network, cli.tile)?;
    source.check_options(cli)?;
    let options =
        FolderOptions { bands: source.bands(cli), full_scale: Some(source.full_scale()), tile: None };
    let dataset = read_folder(&cli.data, &options)?;
    let prepared = source.prepare(cli, profile, &dataset)?;
    let side = prepared.deployment.network().input_shape().height;
    if let Some(tile) = cli.tile.filter(|&tile| tile != side) {
        return Err(format!("--tile {tile}: the network reads tiles of {side} x {side} pixels").into());
    }
    let vpu = Vpu::new(boresight::vpu::Device::named("myriad-x")?);
    let mapping = mapping::of(&vpu, prepared.deployment.network());
    let deployment = prepared.deployment.mapped(&mapping);
    let exchange = exchange(cli)?;
    let mut runner = Scaled::new(load(cli, &exchange, &deployment)?, prepared.factor);
    // A device has numerics of its own.
    let profile = cli.runner.as_ref().map_or(prepared.profile, |command| format!("device: {command}"));
    let report = score(cli, &mut runner, &dataset, &profile, side)?;
    exchange.remove()?;
    if cli.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// The folder for the exchange with a device; a temporary one is removed at the end.
struct Exchange {
    folder: PathBuf,
    temporary: bool,
}

impl Exchange {
    fn remove(&self) -> Result<(), Box<dyn Error>> {
        if self.temporary && self.folder.exists() {
            std::fs::remove_dir_all(&self.folder)?;
        }
        Ok(())
    }
}

fn exchange(cli: &Cli) -> Result<Exchange, Box<dyn Error>> {
    if let Some(folder) = &cli.exchange {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("--exchange {}: {error}", folder.display()))?;
        return Ok(Exchange { folder: folder.clone(), temporary: false });
    }
    let folder = std::env::temp_dir().join(format!("boresight-evaluate-{}", std::process::id()));
    Ok(Exchange { folder, temporary: true })
}

fn load(
    cli: &Cli,
    exchange: &Exchange,
    deployment: &Deployment,
) -> Result<Box<dyn DeviceRunner>, Box<dyn Error>> {
    let Some(command) = &cli.runner else { return Ok(Simulated.load(deployment)?) };
    Ok(CommandDevice::new(command, &exchange.folder, cli.form)?.load(deployment)?)
}

/// Scores every scene of the split.
fn score(
    cli: &Cli,
    runner: &mut dyn DeviceRunner,
    dataset: &Dataset,
    profile: &str,
    tile: usize,
) -> Result<Report, Box<dyn Error>> {
    let empty = || -> Result<Confusion, Box<dyn Error>> {
        let counts = Confusion::new(dataset.classes)?;
        Ok(dataset.ignore.map_or(counts.clone(), |ignore| counts.ignoring(ignore)))
    };
    let mut total = empty()?;
    let mut scenes = Vec::new();
    let mut times: Vec<Seconds> = Vec::new();
    for scene in dataset.split(cli.split.into()) {
        let map = predict(runner, scene, &mut times)?;
        let mut counts = empty()?;
        counts.update(&LabelPair::new(&scene.mask, &map))?;
        total.merge(&counts)?;
        if !cli.json {
            eprintln!("{}: {} x {} pixels", scene.name, scene.width, scene.height);
        }
        scenes.push((scene.name.clone(), counts));
    }
    Ok(Report::new(profile, tile, &total, &scenes, &times))
}
