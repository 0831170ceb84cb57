//! Compares a search that aligns every candidate with one that aligns its winner alone, at equal total budget.
//!
//! `cargo run --release --example align_search_or_final -- --out comparisons/1`; `-- --help` explains the rest.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an application reports to a person")]
#![expect(clippy::doc_markdown, reason = "the comments on the command line are the text of --help")]

#[path = "vessel_search/cli.rs"]
mod cli;
#[path = "vessel_search/limits.rs"]
mod limits;
#[path = "vessel_search/mapping.rs"]
mod mapping;
#[path = "vessel_search/outcome.rs"]
mod outcome;
#[path = "vessel_search/profile.rs"]
mod profile;
#[path = "vessel_search/refusal.rs"]
mod refusal;
#[path = "vessel_search/run.rs"]
mod run;
#[path = "vessel_search/scenes.rs"]
mod scenes;
#[path = "vessel_search/screen.rs"]
mod screen;
#[path = "vessel_search/setup.rs"]
mod setup;
#[path = "vessel_search/stops.rs"]
mod stops;
#[path = "vessel_search/strategies.rs"]
mod strategies;
#[path = "vessel_search/warm.rs"]
mod warm;

use clap::Parser;
use cli::{Align, Cli};
use serde_json::Value;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

/// Compares a search that aligns every candidate with one that aligns its winner alone.
///
/// Takes the options of vessel_search. Both searches get the same number of candidates and of epochs for each: with
/// --epochs E and --finetune-epochs M, the first trains a candidate for E epochs in FP32 and M aligned, the second for
/// E + M in FP32. The winner of either is then aligned for --final-align-epochs (default: M), and scored on the test split.
#[derive(Debug, Parser)]
#[command(name = "align_search_or_final", version, allow_negative_numbers = true)]
struct Options {
    #[command(flatten)]
    search: Cli,

    /// Searches of each kind, from seed --seed on.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seeds: u64,
}

fn main() -> ExitCode {
    match Options::try_parse() {
        Ok(options) => refusal::exit_code(compare(&options)),
        Err(error) => refusal::usage(&error),
    }
}

/// Test scores of one winner.
struct Scored {
    code: String,
    parameters: u64,
    /// mIoU in FP32, converted, aligned.
    miou: [f64; 3],
    vessel_iou: f64,
}

fn compare(options: &Options) -> Result<(), Box<dyn Error>> {
    let out = options.search.out.clone().ok_or("--out: a folder for the runs must be given")?;
    if options.search.resume.is_some() || options.search.configuration.align != Align::default() {
        return Err("--resume and --align: this example starts both kinds of search itself".into());
    }
    println!(
        "{:<28} {:>10} {:>8} {:>10} {:>8} {:>10}  network",
        "search", "parameters", "FP32", "converted", "aligned", "vessel IoU"
    );
    let mut sums = [0.0; 2];
    for seed in 0..options.seeds {
        for (sum, align) in sums.iter_mut().zip([Align::Search, Align::Final]) {
            let configuration = arm(options, align, seed);
            let folder = out.join(format!("{}-{}", configuration.seed, word(align)));
            let scored = scored(options, configuration, folder)?;
            *sum += scored.miou[2];
            println!(
                "{:<28} {:>10} {:>8.4} {:>10.4} {:>8.4} {:>10.4}  {}",
                format!("seed {}, aligned {}", options.search.configuration.seed + seed, word(align)),
                scored.parameters,
                scored.miou[0],
                scored.miou[1],
                scored.miou[2],
                scored.vessel_iou,
                scored.code
            );
        }
    }
    let [search, last] = sums.map(|sum| sum / options.seeds as f64);
    println!("Mean aligned test mIoU: {search:.4} aligned in the search, {last:.4} at its end");
    Ok(())
}

const fn word(align: Align) -> &'static str {
    match align {
        Align::Search => "in-search",
        Align::Final => "at-the-end",
        Align::Never => "never",
    }
}

/// The configuration of one search.
fn arm(options: &Options, align: Align, seed: u64) -> cli::Configuration {
    let mut configuration = options.search.configuration.clone();
    configuration.seed += seed;
    configuration.align = align;
    let last = configuration.final_align_epochs.unwrap_or(configuration.finetune_epochs);
    configuration.final_align_epochs = Some(last);
    if align == Align::Final {
        configuration.epochs += configuration.finetune_epochs;
    }
    configuration
}

/// Runs a search, goes on with it where it was interrupted, or reads what it has left.
fn scored(
    options: &Options,
    configuration: cli::Configuration,
    folder: PathBuf,
) -> Result<Scored, Box<dyn Error>> {
    let path = folder.join("summary.json");
    if !path.exists() {
        let started = folder.join("run.json").exists();
        let (out, resume) = if started { (None, Some(folder)) } else { (Some(folder), None) };
        run::run(Cli { configuration, out, resume, ..options.search.clone() })?;
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let summary: Value =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    let best = &summary["best"];
    let number = |score: &str, form: &str| {
        best[score][form].as_f64().ok_or_else(|| format!("{}: the search has found nothing", path.display()))
    };
    Ok(Scored {
        code: best["code"].as_str().unwrap_or_default().to_owned(),
        parameters: best["parameters"].as_u64().unwrap_or_default(),
        miou: [number("miou", "fp32")?, number("miou", "converted")?, number("miou", "aligned")?],
        vessel_iou: number("vessel_iou", "aligned")?,
    })
}
