//! Searches, trains, converts, simulates, scores and costs vessel-segmentation networks.
//!
//! `cargo run --release --example vessel_search` searches on synthetic maritime scenes; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]

mod cli;
mod limits;
mod mapping;
mod outcome;
mod profile;
mod refusal;
mod run;
mod scenes;
mod screen;
mod setup;
mod stops;
mod strategies;
mod warm;

use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use cli::Cli;
use std::error::Error;
use std::process::ExitCode;

fn main() -> ExitCode {
    let parsed = Cli::command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches).map(|cli| (cli, matches)));
    match parsed {
        Ok((cli, matches)) => refusal::exit_code(check_resume(&cli, &matches).and_then(|()| run::run(cli))),
        Err(error) => refusal::usage(&error),
    }
}

/// `--resume` takes every setting from the run folder, so none may stand beside it but where the scenes lie now, and when to
/// stop.
fn check_resume(cli: &Cli, matches: &ArgMatches) -> Result<(), Box<dyn Error>> {
    if cli.resume.is_none() {
        return Ok(());
    }
    let given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    let beside = ["resume", "workers", "data", "after", "stagnant", "at"];
    let names = matches.ids().map(clap::Id::as_str).filter(|name| !beside.contains(name));
    match names.filter(|name| !["Configuration", "Stopping"].contains(name)).find(given) {
        Some(name) => {
            let flag = name.replace('_', "-");
            Err(format!("--resume takes its settings from the run folder, so --{flag} cannot be given")
                .into())
        }
        None => Ok(()),
    }
}
