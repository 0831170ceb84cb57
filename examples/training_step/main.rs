//! Times training steps and forward passes of one network, as `benches/peers` does beside PyTorch.
//!
//! `cargo run --release --example training_step -- --network reference --size 128 --json`.
#![expect(clippy::print_stdout, reason = "an example reports to a person")]
#![expect(clippy::disallowed_methods, reason = "the clock is what this example is about")]

mod reference;

use boresight::core::{Context, Fit, Observer, SearchSpace, Seed, TrainEvent, Trainer};
use boresight::ir::{InputForm, Network, Weights, fold_batch_norm};
use boresight::numerics::NumericProfile;
use boresight::plan::{Arithmetic, Mode, Plan, Team};
use boresight::space::{SpaceSettings, UnetGenotype, UnetSpace, supports_everything};
use boresight::train::{Examples, SegmentationTrainer, TrainSettings};
use clap::Parser;
use serde::Serialize;
use std::error::Error;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

/// Times training steps and forward passes of one network; medians, in milliseconds.
#[derive(Debug, Parser)]
struct Options {
    /// `reference`, or a code of the search space such as `u1;w;n;ca40r-x;dn32g-x`.
    #[arg(long, default_value = "reference")]
    network: String,
    /// Side of the square images, in pixels.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Bands of the images.
    #[arg(long, default_value_t = 3)]
    bands: usize,
    /// Images of one step.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Threads of a step and of a forward pass.
    #[arg(long, default_value = "1")]
    threads: NonZeroUsize,
    /// Timed steps.
    #[arg(long, default_value_t = 10)]
    repeats: usize,
    /// Time FP16-aware steps with FP16 sums as well, which take several times as long.
    #[arg(long)]
    f16_sums: bool,
    /// Print one line of JSON.
    #[arg(long)]
    json: bool,
    /// Write the network as JSON to this file, and time nothing.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

/// What is printed.
#[derive(Debug, Serialize)]
struct Report {
    network: String,
    parameters: usize,
    size: usize,
    batch: usize,
    threads: usize,
    /// Forward pass without gradient, running statistics.
    forward_ms: f64,
    /// One step of FP32 training: tiles loaded, forward, loss, backward, clipping, AdamW.
    step_ms: f64,
    /// The same in FP16-aware training of the folded network under `myriad-x-optimistic`.
    step_fp16_ms: f64,
    /// The same under `myriad-x-pessimistic`, where sums are FP16.
    #[serde(skip_serializing_if = "Option::is_none")]
    step_f16_sums_ms: Option<f64>,
    /// The latter divided by the former: what FP16 sums cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    f16_sums_cost: Option<f64>,
    /// Most memory that the process held; none where the system does not tell.
    peak_rss_mb: Option<f64>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let network = network(&options)?;
    if let Some(file) = &options.write {
        return Ok(std::fs::write(file, network.to_json())?);
    }
    let weights = Weights::initial(&network, Seed::new(1));
    let forward_ms = forward(&options, &network, &weights)?;
    let step_ms = steps(&options, &network, None, &NumericProfile::f32())?;
    let peak_rss_mb = peak_rss_mb();
    let (folded, masters) = fold_batch_norm(&network, &weights)?;
    let aware = |profile: &NumericProfile| steps(&options, &folded, Some(&masters), profile);
    let step_fp16_ms = aware(&NumericProfile::myriad_x_optimistic())?;
    let pessimistic = NumericProfile::myriad_x_pessimistic();
    let step_f16_sums_ms = options.f16_sums.then(|| aware(&pessimistic)).transpose()?;
    let report = Report {
        forward_ms,
        step_ms,
        peak_rss_mb,
        step_fp16_ms,
        step_f16_sums_ms,
        f16_sums_cost: step_f16_sums_ms.map(|sums| sums / step_fp16_ms),
        parameters: network.parameter_count(),
        size: options.size,
        batch: options.batch,
        threads: options.threads.get(),
        network: options.network.clone(),
    };
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report:#?}");
    }
    Ok(())
}

fn network(options: &Options) -> Result<Network, Box<dyn Error>> {
    if options.network == "reference" {
        return Ok(reference::network(options.bands, 2, options.size)?);
    }
    let genotype: UnetGenotype = options.network.parse()?;
    let settings = SpaceSettings { bands: options.bands, tile: options.size, ..SpaceSettings::default() };
    Ok(UnetSpace::new(settings.admitting(&genotype), supports_everything)?.decode(&genotype)?)
}

fn forward(options: &Options, network: &Network, weights: &Weights) -> Result<f64, Box<dyn Error>> {
    let plan = Plan::inference(network, options.batch, Arithmetic::Fast)?;
    let mut memory = plan.workspace_on(&Team::new(options.threads));
    let images: Vec<f32> = noise(plan.input_planes().len()).collect();
    let mut times = Vec::new();
    for _ in 0..options.repeats + 2 {
        let start = Instant::now();
        plan.forward(weights.values(), &images, Mode::Evaluate, &mut memory);
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    Ok(median(&mut times[2..]))
}

fn steps(
    options: &Options,
    network: &Network,
    start: Option<&Weights>,
    profile: &NumericProfile,
) -> Result<f64, Box<dyn Error>> {
    let shape = network.input_shape();
    let tiles = Tiles { count: options.batch * (options.repeats + 2), counts: noise(shape.len()).collect() };
    let trainer = SegmentationTrainer {
        settings: &TrainSettings { batch: options.batch, ..TrainSettings::fp32(1) },
        examples: &tiles,
        mean: &vec![0.0; shape.channels],
        deviation: &vec![1.0; shape.channels],
        profile,
        input: InputForm::Normalised,
        start,
        threads: options.threads,
        validation: None,
    };
    let mut clock = Clock { last: Instant::now(), times: Vec::new() };
    match trainer.train(network, &Context::new(Seed::new(1)), &mut clock)? {
        Fit::Trained(_) => Ok(median(&mut clock.times[2..])),
        Fit::Diverged { reason } => Err(reason.into()),
        Fit::Interrupted => Err("interrupted".into()),
    }
}

/// Tiles that cost nothing to make: one image again and again, with labels of a few pixels.
struct Tiles {
    count: usize,
    counts: Vec<f32>,
}

impl Examples for Tiles {
    fn count(&self) -> usize {
        self.count
    }

    fn fill(&self, _epoch: Seed, index: usize, counts: &mut [f32], labels: &mut [u8]) {
        counts.copy_from_slice(&self.counts);
        for (pixel, label) in labels.iter_mut().enumerate() {
            *label = u8::from((pixel + index).is_multiple_of(97));
        }
    }
}

/// Notes when steps end.
struct Clock {
    last: Instant,
    times: Vec<f64>,
}

impl Observer<TrainEvent> for Clock {
    fn observe(&mut self, event: &TrainEvent) -> ControlFlow<()> {
        if matches!(event, TrainEvent::Step { .. }) {
            self.times.push(self.last.elapsed().as_secs_f64() * 1e3);
            self.last = Instant::now();
        }
        ControlFlow::Continue(())
    }
}

/// Values of mean zero that are spread like an image's.
fn noise(count: usize) -> impl Iterator<Item = f32> {
    let mut stream = Seed::new(7).stream();
    #[expect(clippy::cast_possible_truncation, reason = "any value will do")]
    let draw = move |_| stream.uniform(-1.7, 1.7) as f32;
    (0..count).map(draw)
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// The kernel's own record of this process's largest resident memory.
fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}
