//! Times training steps and forward passes of a composed network on the first NVIDIA GPU, as `training_step` times
//! those of the plan on the CPU.
//!
//! `cargo run --release -p boresight-train --features cuda --example gpu_step`.
#![expect(clippy::print_stdout, reason = "an example reports to a person")]
#![expect(clippy::disallowed_methods, reason = "the clock is what this example is about")]

mod learning;

use boresight_core::{SearchSpace, Seed};
use boresight_ir::{Network, Weights};
use boresight_space::{SpaceSettings, UnetGenotype, UnetSpace, supports_everything};
use candle_core::{DType, Device};
use clap::Parser;
use learning::{Learner, placed};
use std::error::Error;
use std::num::NonZeroU32;
use std::time::Instant;

/// Passes before those that count: they load kernels.
const WARM_UP: usize = 5;

/// Times training steps and forward passes of a network on the first NVIDIA GPU; medians, in milliseconds.
#[derive(Debug, Parser)]
struct Options {
    /// A code of the search space.
    #[arg(long, default_value = "u1;w;n;cc16k2r-x;cse16r-x;dn16r-x;cse24r-x;rn40q3r-x")]
    network: String,
    /// Side of the square images, in pixels.
    #[arg(long, default_value_t = 128)]
    size: usize,
    /// Bands of the images.
    #[arg(long, default_value_t = 4)]
    bands: usize,
    /// Images of one step.
    #[arg(long, default_value_t = 8)]
    batch: usize,
    /// Times that are taken.
    #[arg(long, default_value_t = 30)]
    repeats: usize,
    /// Steps between two waits for the GPU; each time is that of so many, divided.
    #[arg(long, default_value = "1")]
    unwatched: NonZeroU32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let device = Device::new_cuda(0)?;
    let network = network(&options)?;
    let mut learner = Learner::new(&network, &Weights::initial(&network, Seed::new(1)), DType::F32, &device)?;
    let [input, output] = [network.input_shape(), network.output_shape()];
    let images = placed(&noise(options.batch * input.len()), DType::F32, &device)?;
    let images = images.reshape((options.batch, input.channels, input.height, input.width))?;
    let truth = placed(&truth(options.batch, output.channels, output.plane()), DType::F32, &device)?;
    let truth = truth.reshape((options.batch, output.channels, output.height, output.width))?;
    let step = median(&options, &device, || learner.step(&images, &truth, 1e-3).map(drop))?;
    let forward = median(&options, &device, || learner.logits(&images).map(drop))?;
    println!(
        "{}: {} parameters, {} images of {} x {} x {}: step {step:.2} ms, forward {forward:.2} ms",
        options.network,
        network.parameter_count(),
        options.batch,
        options.bands,
        options.size,
        options.size,
    );
    Ok(())
}

fn network(options: &Options) -> Result<Network, Box<dyn Error>> {
    let genotype: UnetGenotype = options.network.parse()?;
    let settings = SpaceSettings { bands: options.bands, tile: options.size, ..SpaceSettings::default() };
    Ok(UnetSpace::new(settings.admitting(&genotype), supports_everything)?.decode(&genotype)?)
}

/// Values of mean zero that are spread like an image's.
fn noise(count: usize) -> Vec<f32> {
    let mut stream = Seed::new(7).stream();
    #[expect(clippy::cast_possible_truncation, reason = "any value will do")]
    let draw = |_| stream.uniform(-1.7, 1.7) as f32;
    (0..count).map(draw).collect()
}

/// Every 97th pixel is of the second class, all others of the first.
fn truth(batch: usize, classes: usize, pixels: usize) -> Vec<f32> {
    let class = |pixel: usize| usize::from(pixel.is_multiple_of(97));
    let value = |at: usize| f32::from(u8::from(class(at % pixels) == at / pixels % classes));
    (0..batch * classes * pixels).map(value).collect()
}

/// Median time of a call, in milliseconds, until the device has done it.
fn median<E: Error + 'static>(
    options: &Options,
    device: &Device,
    mut call: impl FnMut() -> Result<(), E>,
) -> Result<f64, Box<dyn Error>> {
    let calls = options.unwatched.get();
    let mut times = Vec::new();
    for _ in 0..options.repeats + WARM_UP {
        let start = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        device.synchronize()?;
        times.push(start.elapsed().as_secs_f64() * 1e3 / f64::from(calls));
    }
    let times = &mut times[WARM_UP..];
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().ok_or_else(|| "nothing was timed".into())
}
