//! Searches, trains, converts, simulates, scores and costs vessel-segmentation networks.
//!
//! `cargo run --release --example vessel_search` searches on synthetic maritime scenes; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]

mod cli;
mod limits;
mod outcome;
mod refusal;
mod run;
mod scenes;
mod screen;
mod setup;
mod stops;
mod strategies;
mod warm;

use clap::{CommandFactory, FromArgMatches};
use cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    match parsed {
        Ok((cli, matches)) => {
            refusal::exit_code(cli::check_resume(&cli, &matches).and_then(|()| run::run(cli)))
        }
        Err(error) => refusal::usage(&error),
    }
}
