//! Makes an artifact that can be flown of what a search has found, and verifies it.
//!
//! `cargo run --release --example deploy -- runs/001 --target myriad-x`; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]
#![expect(clippy::doc_markdown, reason = "the comments on the command line are the text of --help")]

mod card;
mod compiler;
mod files;
mod found;
#[path = "../vessel_search/profile.rs"]
mod profile;
#[path = "../vessel_search/refusal.rs"]
mod refusal;
#[path = "../vessel_search/scenes.rs"]
mod scenes;
mod verified;

use boresight::deploy::onnx::Form;
use boresight::vpu::{Device, Vpu};
use clap::{Parser, ValueEnum};
use compiler::Compiler;
use files::Staging;
use found::Found;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// Makes an artifact that can be flown of what a search has found, and verifies it.
///
/// The artifact has the network as ONNX files in three forms and as safetensors, a blob for
/// the target, a card that tells what it is and how it scores, and checksums. Every ONNX file is
/// read back and scored on the simulated device; the first must score as the run says.
#[derive(Debug, Parser)]
#[command(name = "deploy", version, verbatim_doc_comment)]
struct Cli {
    /// Folder of a finished run.
    #[arg(value_name = "RUN_FOLDER")]
    run: PathBuf,

    /// What the artifact is for. A blob for myriad-x needs the compiler that
    /// tools/myriad/setup.py fetches; onnx leaves the blob out.
    #[arg(long, value_enum, default_value_t = Target::MyriadX, verbatim_doc_comment)]
    target: Target,

    /// Folder of the artifact; must not exist. Default: RUN_FOLDER/artifact.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Where the scenes of the run lie now, if they moved.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Further profiles under which the FP32 and the FP16 file are scored, by name or as TOML files,
    /// separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "NAME|FILE,...", verbatim_doc_comment)]
    profile: Vec<String>,

    /// Folder of the compiler, where it is not the one that tools/myriad/setup.py chooses.
    #[arg(long, value_name = "DIR")]
    compiler: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// ONNX files alone.
    Onnx,
    /// Intel Movidius Myriad X: a blob as well.
    MyriadX,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    let further: Vec<_> = cli.profile.iter().map(|name| profile::read(name)).collect::<Result<_, _>>()?;
    let found = Found::read(&cli.run, cli.data.as_deref())?;
    let out = cli.out.clone().unwrap_or_else(|| cli.run.join("artifact"));
    let staging = Staging::new(&out)?;
    eprintln!("Network: {}, {} parameters", found.artifact.code, found.artifact.network.parameter_count());
    found.write(&staging)?;
    let compiled = match cli.target {
        Target::Onnx => Vec::new(),
        Target::MyriadX => {
            eprintln!("Compiling for Myriad X");
            // FP16 weights that are cast to FP32 are for this compiler what an FP32 file has.
            let compiler = Compiler::new(cli.compiler.as_deref());
            let forms = [Form::Fp32, Form::Fp16].into_iter();
            forms.map(|form| compiler.compile(form, &staging)).collect::<Result<_, _>>()?
        }
    };
    eprintln!("Scoring every file on the simulated device");
    let verified = verified::verify(&found, &staging, &further)?;
    let vpu = Vpu::new(Device::named("myriad-x")?);
    let card = card::Card { found: &found, compiled: &compiled, verified: &verified, vpu: &vpu };
    staging.write("card.md", card.text()?.as_bytes())?;
    staging.finish()?;
    for line in verified.lines() {
        println!("{line}");
    }
    println!("Written: {}", out.display());
    Ok(())
}
