//! Writes random networks of the search space as ONNX files, with an input, the logits of the simulated device and how far
//! another right execution may be from them: what tools/runtimes/check.py holds other runtimes to.
//!
//! `cargo run --release --example export_random -- --out exported`; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]

#[path = "vessel_search/refusal.rs"]
mod refusal;

use boresight::core::{SearchSpace, Seed, Stream};
use boresight::deploy::onnx::{Export, Form, Opset};
use boresight::deploy::{Band, Deployment, Simulator, tolerance};
use boresight::ir::{InputForm, Network, Role, Weights};
use boresight::numerics::{Format, NumericProfile};
use boresight::space::{SpaceSettings, UnetSpace, supports_everything};
use clap::Parser;
use serde::Serialize;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes random networks of the search space as ONNX files, with inputs, logits and tolerances.
#[derive(Debug, Parser)]
#[command(name = "export_random", version)]
struct Cli {
    /// Networks to draw.
    #[arg(long, default_value_t = 20, value_name = "N")]
    random: u64,

    /// Seed of networks, weights and inputs.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Side of a tile in pixels.
    #[arg(long, default_value_t = 64, value_name = "PIXELS")]
    size: usize,

    /// Folder for the files; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// One line of `manifest.jsonl`.
#[derive(Serialize)]
struct Entry {
    code: String,
    opset: i64,
    form: String,
    onnx: String,
    input: String,
    shape: [usize; 4],
    logits: String,
    logits_shape: [usize; 4],
    tolerance: String,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let settings = SpaceSettings { tile: cli.size, ..SpaceSettings::default() };
    let space = UnetSpace::new(settings, supports_everything)
        .map_err(|error| format!("--size {}: {error}", cli.size))?;
    std::fs::create_dir_all(&cli.out).map_err(|error| format!("--out {}: {error}", cli.out.display()))?;
    let mut lines = String::new();
    for number in 0..cli.random {
        let seed = Seed::new(cli.seed).derive("network", number);
        let genotype = space.sample(seed);
        let drawn = Drawn { code: genotype.to_string(), network: space.decode(&genotype)?, number, seed };
        for entry in drawn.export(&cli.out)? {
            lines.push_str(&serde_json::to_string(&entry)?);
            lines.push('\n');
        }
    }
    // Last, so that a folder with a manifest is whole.
    std::fs::write(cli.out.join("manifest.jsonl"), lines)?;
    eprintln!("{} networks written to {}", cli.random, cli.out.display());
    println!("{}", cli.out.join("manifest.jsonl").display());
    Ok(())
}

/// A network with all that is random about it.
struct Drawn {
    code: String,
    network: Network,
    number: u64,
    seed: Seed,
}

impl Drawn {
    /// Every second network reads counts; the others normalised images, whose border is not zero.
    const fn input(&self) -> InputForm {
        if self.number.is_multiple_of(2) { InputForm::Counts } else { InputForm::Normalised }
    }

    /// The network as the file of a form holds it.
    fn deployment(&self, form: Form) -> Result<Deployment, Box<dyn Error>> {
        let bands = bands(&self.network);
        let weights = weights(&self.network, self.seed);
        let profile = match form {
            Form::Fp32 => NumericProfile::f32(),
            Form::Fp16 => NumericProfile::ieee_f16(),
            Form::Fp16Weights => NumericProfile {
                name: "fp16-weights".to_owned(),
                weights: Format::F16,
                ..NumericProfile::f32()
            },
        };
        let deployment = Deployment::convert(&self.network, &weights, &bands, self.input(), &profile)?;
        // A border goes into biases, which FP16 then rounds: another network by more than these tolerances say.
        let plain = form == Form::Fp32 || self.input() == InputForm::Counts;
        Ok(if plain { deployment } else { deployment.padding_with_mean() })
    }

    /// Writes the files of every form and version, and of the network with its batch normalisations.
    fn export(&self, folder: &Path) -> Result<Vec<Entry>, Box<dyn Error>> {
        let mut entries = Vec::new();
        for form in [Form::Fp32, Form::Fp16, Form::Fp16Weights] {
            let deployment = self.deployment(form)?;
            self.export_one(folder, &format!("n{:02}-{form}", self.number), form, &deployment, &mut entries)?;
        }
        let (bands, weights) = (bands(&self.network), weights(&self.network, self.seed));
        let kept = Deployment::undeployed(&self.network, &weights, &bands)?;
        self.export_one(folder, &format!("n{:02}-kept", self.number), Form::Fp32, &kept, &mut entries)?;
        Ok(entries)
    }

    fn export_one(
        &self,
        folder: &Path,
        name: &str,
        form: Form,
        deployment: &Deployment,
        entries: &mut Vec<Entry>,
    ) -> Result<(), Box<dyn Error>> {
        let counts = counts(&self.network, self.seed);
        let simulator = Simulator::new(deployment.clone(), 1)?;
        let mut memory = simulator.memory();
        let logits = simulator.logits(&counts, &mut memory);
        let tolerance = tolerance(deployment, &counts, form == Form::Fp16);
        let mut image = counts.clone();
        deployment.normalise(&mut image);
        let file = |what: &str| format!("{name}.{what}.f32");
        for (what, values) in [("input", &*image), ("logits", logits), ("tolerance", &tolerance)] {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            std::fs::write(folder.join(file(what)), bytes)?;
        }
        let (input, output) = (self.network.input_shape(), self.network.output_shape());
        let weights = deployment.unconverted();
        for opset in [Opset::V11, Opset::V13] {
            let onnx = format!("{name}-{}.onnx", opset.number());
            let export = Export { form, opset, ..Export::new(deployment.network(), &weights) };
            std::fs::write(folder.join(&onnx), export.write()?)?;
            entries.push(Entry {
                code: self.code.clone(),
                opset: opset.number(),
                form: form.to_string(),
                onnx,
                input: file("input"),
                shape: [1, input.channels, input.height, input.width],
                logits: file("logits"),
                logits_shape: [1, output.channels, output.height, output.width],
                tolerance: file("tolerance"),
            });
        }
        Ok(())
    }
}

/// Statistics whose border is a small integer.
fn bands(network: &Network) -> Vec<Band> {
    vec![Band { mean: 1024.0, deviation: 512.0 }; network.input_shape().channels]
}

/// Weights in which every value counts.
fn weights(network: &Network, seed: Seed) -> Weights {
    let mut weights = Weights::initial(network, seed);
    for slot in network.layout().clone().slots() {
        let mut stream = seed.derive(&slot.name, 1).stream();
        let mut draw = || match slot.role {
            Role::Scale => stream.uniform(0.5, 1.5),
            Role::Variance => stream.uniform(0.5, 2.0),
            _ => stream.normal() * 0.3,
        };
        if slot.role != Role::Weight {
            weights.values_mut()[slot.range.clone()].fill_with(|| narrow(draw()));
        }
    }
    weights
}

/// Counts of one tile: noise about a level that differs from place to place, as in a scene.
fn counts(network: &Network, seed: Seed) -> Vec<f32> {
    let mut stream: Stream = seed.derive("counts", 0).stream();
    let shape = network.input_shape();
    (0..shape.len())
        .map(|at| {
            let place = at % shape.plane();
            let level = 700.0 + 10.0 * (place / shape.width) as f64;
            narrow((level + 400.0 * stream.normal()).clamp(0.0, 4095.0).round())
        })
        .collect()
}

#[expect(clippy::cast_possible_truncation, reason = "data are drawn in f64 and stored in f32")]
const fn narrow(value: f64) -> f32 {
    value as f32
}
