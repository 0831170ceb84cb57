//! Writes the networks whose run times others published as ONNX files, with random weights.
//!
//! `cargo run --release --example published -- FOLDER` writes those of crates/boresight-vpu/data/timings.csv. Outputs of a
//! detector are joined into one, by nodes whose names begin with `join`.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]

#[path = "../crates/boresight-vpu/tests/zoo/mod.rs"]
mod zoo;

use boresight::core::Seed;
use boresight::deploy::onnx::Export;
use boresight::ir::Weights;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder] = &arguments[..] else {
        eprintln!("error: one argument is wanted, the folder for the files");
        return ExitCode::from(2);
    };
    match write(Path::new(folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {folder}: {error}");
            ExitCode::from(2)
        }
    }
}

fn write(folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    for line in include_str!("../crates/boresight-vpu/data/timings.csv").lines().skip(1) {
        let mut fields = line.split(',');
        let (Some(name), Some(side), Some(bands)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let Some((family, built)) = zoo::network(name, side.parse()?, bands.parse()?)? else { continue };
        let path = folder.join(format!("{}_{side}_{bands}.onnx", name.replace(' ', "_")));
        let weights = Weights::initial(&built.network, Seed::new(1));
        std::fs::write(&path, Export::new(&built.network, &weights).write()?)?;
        let parameters = built.network.parameter_count();
        let (join, values) = (zoo::JOIN, built.values);
        println!(
            "{}: {family}, {parameters} parameters, {values} outputs, joined by '{join}'",
            path.display()
        );
    }
    Ok(())
}
