//! Searches, trains, converts, simulates, scores and costs vessel-segmentation networks.
//!
//! `cargo run --release --example vessel_search` searches on synthetic maritime scenes; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]

mod cli;
mod outcome;
mod run;
mod screen;
mod setup;

use clap::{CommandFactory, FromArgMatches};
use cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let parsed = Cli::from_arg_matches(&matches);
    let result = match parsed {
        Ok(cli) => cli::check_resume(&cli, &matches).and_then(|()| run::run(cli)),
        Err(error) => error.exit(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", sentence(error.as_ref()));
            ExitCode::from(2)
        }
    }
}

/// An error with its causes, each of them once.
fn sentence(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
