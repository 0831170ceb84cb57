//! Prints the binary16 constants that a device holds for an ONNX file, one line of JSON for each convolution.
//!
//! `cargo run --release --example device_constants -- network.onnx`; `tools/myriad/check_constants.py` holds them to what the
//! compiler has written.
#![expect(clippy::print_stderr, reason = "an application reports to a person")]

#[path = "vessel_search/mapping.rs"]
mod mapping;
#[path = "vessel_search/profile.rs"]
mod profile;
#[path = "vessel_search/refusal.rs"]
mod refusal;

use boresight::deploy::onnx::{ReadOptions, read};
use boresight::deploy::{Band, Deployment};
use boresight::ir::{InputForm, Op, Role};
use boresight::vpu::{Device, Vpu};
use clap::Parser;
use half::f16;
use serde::Serialize;
use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prints the binary16 constants that a device holds for an ONNX file.
#[derive(Debug, Parser)]
#[command(name = "device_constants", version)]
struct Cli {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// A numeric profile, by name or as a TOML file.
    #[arg(long, default_value = "myriad-x-optimistic", value_name = "NAME|FILE")]
    profile: String,
}

/// A convolution's constants, multiplied by the power of two that the tool chain chooses.
#[derive(Debug, Serialize)]
struct Line {
    name: String,
    /// Channels out, channels of one group in, rows and columns of the kernel.
    shape: [usize; 4],
    groups: usize,
    scale: f32,
    /// Bits of binary16.
    weights: Vec<u16>,
    bias: Vec<u16>,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", cli.file.display());
    let bytes = std::fs::read(&cli.file).map_err(|error| about(&error))?;
    let model = read(&bytes, &ReadOptions::default()).map_err(|error| about(&error))?;
    let profile = profile::read(&cli.profile)?;
    let profile = if model.is_fp16 { profile.preconverted() } else { profile };
    let bands = vec![Band { mean: 0.0, deviation: 1.0 }; model.network.input_shape().channels];
    let deployment =
        Deployment::convert(&model.network, &model.weights, &bands, InputForm::Normalised, &profile)?;
    let vpu = Vpu::new(Device::named("myriad-x")?);
    let deployment = deployment.clone().mapped(&mapping::of(&vpu, deployment.network()));
    let (network, constants) = (deployment.network(), deployment.constants());
    let sums = deployment.projection().sums(constants);
    for (id, node) in network.iter() {
        let Op::Conv2d(conv) = node.op else { continue };
        let scale = sums.iter().find(|(at, _)| *at == id.index()).map_or(1.0, |(_, sums)| sums.scale);
        let values = |role| {
            let range = network.layout().range(id, role).unwrap_or(0..0);
            constants[range].iter().map(|value| f16::from_f32(value * scale).to_bits()).collect()
        };
        let inputs = network.node(node.inputs[0]).shape.channels / conv.groups;
        let line = Line {
            name: node.name.clone(),
            shape: [conv.out_channels, inputs, conv.kernel[0], conv.kernel[1]],
            groups: conv.groups,
            scale,
            weights: values(Role::Weight),
            bias: values(Role::Bias),
        };
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&line)?)?;
    }
    Ok(())
}
