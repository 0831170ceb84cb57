//! Measures search strategies on benchmark problems and on tables of finished evaluations.
//!
//! `cargo run --release --example strategy_bench -- --problem zdt1 --strategy nsga2 --evaluations 25000 --population 100
//! --seeds 31 --reference reference.json`. Nothing is trained here.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example reports to a person")]

mod bench;
mod cli;
mod contestants;
mod measures;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("strategy_bench: {error}");
            ExitCode::from(2)
        }
    }
}
