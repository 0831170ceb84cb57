//! What a network costs on the device: stages, cycles, memory, latency, energy.
//!
//! `cargo run --release --example estimate -- 'u1;w;n;cba16r-x;cba16r-x;cba16r-x'`; `-- --help` explains the rest.
#![expect(clippy::print_stderr, reason = "an application reports to a person")]

#[path = "../vessel_search/refusal.rs"]
mod refusal;
mod report;
mod table;

use boresight::core::{SearchSpace, Seed};
use boresight::deploy::onnx::{self, Export, ReadOptions};
use boresight::ir::{Network, Role, Weights};
use boresight::space::{SpaceSettings, UnetGenotype, UnetSpace};
use boresight::vpu::{Device, Prediction, Transfer, Vpu};
use clap::{Parser, ValueEnum};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Says what a network costs on the device, stage by stage, without running or compiling it.
#[derive(Debug, Parser)]
#[command(name = "estimate", version, verbatim_doc_comment)]
struct Cli {
    /// A code of the search space, such as 'u1;w;n;cba16r-x;cba16r-x;cba16r-x', or a file: an
    /// ONNX file (.onnx) or a network as JSON (.json).
    #[arg(value_name = "NETWORK", required_unless_present = "random", verbatim_doc_comment)]
    network: Option<String>,

    /// Draws this many networks of the search space instead.
    #[arg(long, value_name = "N", conflicts_with = "network")]
    random: Option<u64>,

    /// Seed of the draws and of their weights.
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Rows and columns of the image: 128 for networks of the search space unless it is given,
    /// and what an ONNX file says unless it leaves them open.
    #[arg(long, value_name = "PIXELS", verbatim_doc_comment)]
    size: Option<usize>,

    /// Bands of the image, for networks of the search space.
    #[arg(long, value_name = "N", default_value_t = 4)]
    bands: usize,

    /// Writes each drawn network as an ONNX file into this folder, with random weights.
    #[arg(long, value_name = "DIR", requires = "random")]
    export: Option<PathBuf>,

    /// One line of JSON for each network instead of a table.
    #[arg(long)]
    json: bool,

    /// The device: myriad-x, rvc2, or a file in the format of crates/boresight-vpu/devices.
    #[arg(long, value_name = "NAME|FILE", default_value = "myriad-x")]
    device: String,

    /// Inferences at once.
    #[arg(long, value_name = "N")]
    streams: Option<u32>,

    /// How images and results travel: usb2, usb3 or none.
    #[arg(long, value_name = "LINK")]
    link: Option<String>,

    /// In which form they travel.
    #[arg(long, value_enum)]
    transfer: Option<Form>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    F16,
    F32,
    U8,
}

impl Cli {
    fn pixels(&self) -> usize {
        self.size.unwrap_or(128)
    }
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let vpu = Vpu::new(device(cli)?);
    match (&cli.network, cli.random) {
        (Some(network), _) => {
            let network = read(cli, network)?;
            let prediction = vpu.predict(&network)?;
            show(cli, &network, &prediction, None)
        }
        (None, Some(count)) => draw(cli, &vpu, count),
        (None, None) => Err("NETWORK or --random is missing".into()),
    }
}

fn device(cli: &Cli) -> Result<Device, Box<dyn Error>> {
    let mut device = if Path::new(&cli.device).is_file() {
        let text = std::fs::read_to_string(&cli.device)
            .map_err(|error| format!("--device {}: {error}", cli.device))?;
        Device::from_toml(&text).map_err(|error| format!("--device {}: {error}", cli.device))?
    } else {
        Device::named(&cli.device).map_err(|error| format!("--device: {error}"))?
    };
    if let Some(streams) = cli.streams {
        device = device.with_streams(streams).map_err(|error| format!("--streams: {error}"))?;
    }
    if let Some(link) = &cli.link {
        device = device.with_link(link).map_err(|error| format!("--link: {error}"))?;
    }
    Ok(match cli.transfer {
        Some(Form::F16) => device.with_transfer(Transfer::F16),
        Some(Form::F32) => device.with_transfer(Transfer::F32),
        Some(Form::U8) => device.with_transfer(Transfer::U8),
        None => device,
    })
}

/// Networks of every size: the point is what they cost.
fn settings(cli: &Cli) -> SpaceSettings {
    SpaceSettings { tile: cli.pixels(), bands: cli.bands, ..SpaceSettings::default() }
}

fn read(cli: &Cli, network: &str) -> Result<Network, Box<dyn Error>> {
    let path = Path::new(network);
    let is = |extension: &str| path.extension().is_some_and(|found| found.eq_ignore_ascii_case(extension));
    if is("onnx") {
        return read_onnx(cli, path);
    }
    if is("json") {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{network}: {error}"))?;
        return Ok(serde_json::from_str(&text).map_err(|error| format!("{network}: {error}"))?);
    }
    let genotype: UnetGenotype = network.parse().map_err(|error| format!("{network}: {error}"))?;
    let settings = settings(cli).admitting(&genotype);
    let space = UnetSpace::new(settings, boresight::space::supports_everything)?;
    Ok(space.decode(&genotype).map_err(|error| format!("{network}: {error}"))?)
}

/// The network in an ONNX file; where the file leaves its size open, `--size` gives it.
fn read_onnx(cli: &Cli, path: &Path) -> Result<Network, Box<dyn Error>> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = std::fs::read(path).map_err(|error| about(&error))?;
    let size = cli.size.map(|size| [size; 2]);
    let options = ReadOptions { folder: path.parent(), size, ..ReadOptions::default() };
    let model = onnx::read(&bytes, &options);
    Ok(model.map_err(|error| about(&error))?.network)
}

fn draw(cli: &Cli, vpu: &Vpu, count: u64) -> Result<(), Box<dyn Error>> {
    let space = UnetSpace::new(settings(cli), boresight::space::supports_everything)
        .map_err(|error| format!("--size {}: {error}", cli.pixels()))?;
    if let Some(folder) = &cli.export {
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("--export {}: the folder cannot be made: {error}", folder.display()))?;
    }
    for at in 0..count {
        let genotype = space.sample(Seed::new(cli.seed).derive("network", at));
        let network = space.decode(&genotype)?;
        let onnx = match &cli.export {
            Some(folder) => {
                let path = folder.join(format!("{}_{at:04}.onnx", cli.pixels()));
                let seed = Seed::new(cli.seed).derive("weights", at);
                std::fs::write(&path, Export::new(&network, &weights(&network, seed)).write()?)
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                Some(path)
            }
            None => None,
        };
        let code = genotype.to_string();
        match vpu.predict(&network) {
            Ok(prediction) => show(cli, &network, &prediction, Some((&code, onnx.as_deref())))?,
            Err(error) if cli.json => {
                let refusal =
                    report::Refusal { error: error.to_string(), code: &code, onnx: onnx.as_deref() };
                writeln!(std::io::stdout(), "{}", serde_json::to_string(&refusal)?)?;
            }
            Err(error) => eprintln!("{code}: {error}"),
        }
    }
    Ok(())
}

/// Random weights. Normalisations are random too: the compiler leaves one out that changes nothing.
fn weights(network: &Network, seed: Seed) -> Weights {
    let mut weights = Weights::initial(network, seed);
    let layout = weights.layout().clone();
    let mut stream = seed.derive("statistics", 0).stream();
    for slot in layout.slots() {
        if matches!(slot.role, Role::Scale | Role::Shift | Role::Mean | Role::Variance) {
            for value in &mut weights.values_mut()[slot.range.clone()] {
                *value = narrow(stream.uniform(0.5, 1.5));
            }
        }
    }
    weights
}

#[expect(clippy::cast_possible_truncation, reason = "weights are kept in f32")]
const fn narrow(value: f64) -> f32 {
    value as f32
}

fn show(
    cli: &Cli,
    network: &Network,
    prediction: &Prediction,
    drawn: Option<(&str, Option<&Path>)>,
) -> Result<(), Box<dyn Error>> {
    if cli.json {
        writeln!(std::io::stdout(), "{}", serde_json::to_string(&report::Report::new(prediction, drawn))?)?;
    } else {
        if let Some((code, _)) = drawn {
            writeln!(std::io::stdout(), "{code}")?;
        }
        writeln!(std::io::stdout(), "{}", table::table(network, prediction))?;
    }
    Ok(())
}
