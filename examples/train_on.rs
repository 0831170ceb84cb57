//! Trains a found network on: reads the artifact or run folder that holds it, fine-tunes it under the numerics of its
//! device on scenes of yours, and writes what it has become as another artifact.
//!
//! `cargo run --release --example train_on -- runs/001 --out runs/001-more`; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]

#[path = "vessel_search/refusal.rs"]
mod refusal;
#[path = "vessel_search/scenes.rs"]
mod scenes;

use boresight::core::{Context, Fidelity, Fit, Seed, TrainEvent, Trainer, TrialId};
use boresight::data::{Dataset, SamplerOptions};
use boresight::deploy::Deployment;
use boresight::eval::{Artifact, Device, SceneTiles, Score, Simulated, confusion};
use boresight::ir::Weights;
use boresight::search::RunFolder;
use boresight::train::{Loss, SegmentationTrainer, TrainSettings, to_safetensors};
use clap::Parser;
use std::error::Error;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

/// Trains a found network on, under the numerics of its device.
#[derive(Debug, Parser)]
#[command(name = "train_on", version)]
struct Cli {
    /// An artifact or a run folder.
    #[arg(value_name = "FOLDER")]
    network: PathBuf,

    /// Folder of scenes; without it, synthetic scenes are drawn from the seed.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Epochs.
    #[arg(long, default_value_t = 2, value_name = "N")]
    epochs: usize,

    /// Training tiles of an epoch.
    #[arg(long, default_value_t = 256, value_name = "N")]
    samples_per_epoch: usize,

    /// Top of the learning rate's schedule.
    #[arg(long, default_value_t = 5e-4, value_name = "RATE")]
    learning_rate: f64,

    /// Seed of tiles and dropout.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Folder for the new artifact; must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let (artifact, weights) = Artifact::read(&cli.network)?;
    let bands = artifact.bands.iter().map(|band| band.name.clone()).collect();
    let dataset = scenes::read(cli.data.as_deref(), Some(bands), Seed::new(cli.seed))?;
    let folder = RunFolder::create(&cli.out).map_err(|error| format!("--out: {error}"))?;
    report("before", &artifact, &weights, &dataset)?;
    let weights = train(cli, &artifact, &weights, &dataset)?;
    report("after", &artifact, &weights, &dataset)?;
    folder.write(Artifact::NETWORK_WEIGHTS, &to_safetensors(&weights, &[("code", &artifact.code)])?)?;
    // Last, so that a folder with a description is whole.
    folder.write(Artifact::NETWORK, &serde_json::to_vec_pretty(&artifact)?)?;
    println!("Written: {}", folder.path().display());
    Ok(())
}

fn train(
    cli: &Cli,
    artifact: &Artifact,
    weights: &Weights,
    dataset: &Dataset,
) -> Result<Weights, Box<dyn Error>> {
    let ignore = artifact.ignore;
    let loss = Loss { ignore, ..TrainSettings::fp32(1).loss };
    let settings =
        TrainSettings { learning_rate: cli.learning_rate, loss, ..TrainSettings::finetune(cli.epochs) };
    let tile = artifact.network.input_shape().height;
    let sampler = SamplerOptions { ignore, ..SamplerOptions::default() };
    let examples = SceneTiles::new(&dataset.train, tile, cli.samples_per_epoch, &sampler)?;
    // The statistics that the network was made with, also where these scenes have others.
    let (mean, deviation): (Vec<f32>, Vec<f32>) =
        artifact.bands.iter().map(|band| (band.mean, band.deviation)).unzip();
    let trainer = SegmentationTrainer {
        settings: &settings,
        examples: &examples,
        mean: &mean,
        deviation: &deviation,
        profile: &artifact.profile,
        input: artifact.input,
        start: Some(weights),
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        validation: None,
    };
    let context = Context {
        seed: Seed::new(cli.seed).derive("train_on", 0),
        fidelity: Fidelity::FULL,
        trial: TrialId(artifact.trial),
    };
    let mut progress = |event: &TrainEvent| {
        if let TrainEvent::Epoch { epoch, epochs, loss, .. } = event {
            eprintln!("Epoch {epoch} of {epochs}: loss {loss:.4}");
        }
        ControlFlow::Continue(())
    };
    match trainer.train(&artifact.network, &context, &mut progress)? {
        Fit::Trained(weights) => Ok(weights),
        Fit::Diverged { reason } => Err(format!("training diverged: {reason}").into()),
        Fit::Interrupted => Err("training was interrupted".into()),
    }
}

/// Tells how the network scores on the simulated device.
fn report(
    when: &str,
    artifact: &Artifact,
    weights: &Weights,
    dataset: &Dataset,
) -> Result<(), Box<dyn Error>> {
    let deployment: Deployment = artifact.deploy(weights)?;
    let mut runner = Simulated.load(&deployment)?;
    let Score { miou, vessel_iou } = Score::of(&confusion(runner.as_mut(), dataset, &dataset.val)?);
    println!("{when}: vessel IoU {vessel_iou:.4}, mIoU {miou:.4} on the validation split");
    Ok(())
}
