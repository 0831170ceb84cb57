//! Measures what a device's numerics cost a network, and how much of it fine-tuning under them recovers.
//!
//! `cargo run --release --example precision_study -- --out studies/1`; `-- --help` explains the rest.
#![expect(clippy::print_stderr, reason = "an application reports to a person")]
#![expect(clippy::doc_markdown, reason = "the comments on the command line are the text of --help")]

mod cells;
mod engineering;
#[path = "../vessel_search/mapping.rs"]
mod mapping;
#[path = "../vessel_search/profile.rs"]
mod profile;
mod recipes;
#[path = "../vessel_search/refusal.rs"]
mod refusal;
#[path = "../vessel_search/scenes.rs"]
mod scenes;
mod table;
mod vessels;

use boresight::core::{SearchSpace, Seed};
use boresight::data::{Dataset, Light, Normalisation};
use boresight::deploy::Band;
use boresight::ir::{InputForm, Network};
use boresight::numerics::NumericProfile;
use boresight::search::write_atomically;
use boresight::space::{SpaceSettings, UnetGenotype, UnetSpace, supports_everything};
use boresight::vpu::{Device, Vpu};
use cells::{Part, Study};
use clap::{Parser, ValueEnum};
use recipes::Recipe;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use table::{Row, Table};

/// Measures what a device's numerics cost a network, and how much of it fine-tuning under them
/// recovers.
///
/// One network is trained in FP32 once for each seed. Then, for each input and profile, it is
/// converted; trained on in FP32 for as long as an alignment takes, and converted (the control, and
/// the equal control, which is folded as alignment has it: the gap is measured there); given to the
/// tool chain otherwise, without any training; and aligned. All are scored on the test split on the
/// simulated device. What is finished is kept in --out and not done again.
#[derive(Debug, Parser)]
#[command(name = "precision_study", version, verbatim_doc_comment)]
struct Cli {
    /// Folder of scenes; without it, synthetic scenes are drawn for each seed.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Bands to use, separated by commas. Default: all that every scene has.
    #[arg(long, value_delimiter = ',', value_name = "BAND,...")]
    bands: Option<Vec<String>>,

    /// Light on the scenes: as they are, behind a veil, or mostly dark with few bright places.
    #[arg(long, value_enum, default_value_t, value_name = "NAME")]
    light: Lighting,

    /// Code of the network, as vessel_search prints it.
    #[arg(long, default_value = "u1;w;b;ca16r-x;mb24e5r-x;mb32e5r-x;mb24e6r-x", value_name = "CODE")]
    code: String,

    /// Side of a tile in pixels.
    #[arg(long, default_value_t = 128, value_name = "PIXELS")]
    tile: usize,

    /// Trainings of the network, each from other weights and tiles: seeds 1, 2 and so on.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seeds: u64,

    /// Epochs of FP32 training.
    #[arg(long, default_value_t = 20, value_name = "N")]
    epochs: usize,

    /// Epochs of alignment, and of the control's further FP32 training.
    #[arg(long, default_value_t = 5, value_name = "N")]
    align_epochs: usize,

    /// Training tiles of an epoch.
    #[arg(long, default_value_t = 512, value_name = "N")]
    samples_per_epoch: usize,

    /// Tiles of a training step.
    #[arg(long, default_value_t = 8, value_name = "N")]
    batch: usize,

    /// Numeric profiles, by name or as TOML files, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "myriad-x-optimistic,myriad-x-pessimistic",
        value_name = "NAME|FILE,..."
    )]
    profiles: Vec<String>,

    /// What the device reads, separated by commas: 'normalised', or raw counts with the
    /// normalisation folded in: 'counts-16bit' as the data have them, or 'counts-N' where the
    /// full scale of the data is N.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "normalised,counts-10000,counts-16bit",
        value_name = "INPUT,...",
        verbatim_doc_comment
    )]
    inputs: Vec<String>,

    /// How networks are aligned, separated by commas: plain, folding, range, powers,
    /// distillation (each setting alone), or all.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "plain,powers",
        value_name = "NAME,...",
        verbatim_doc_comment
    )]
    recipes: Vec<Recipe>,

    /// Threads of a training; no result depends on them. Default: all.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,

    /// Folder of the study; must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Goes on with the study in --out: what is finished there is not done again.
    #[arg(long)]
    resume: bool,
}

/// Light on the scenes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Lighting {
    /// As they are.
    #[default]
    Day,
    /// Behind a veil that leaves a sixteenth of each count.
    LowContrast,
    /// Squared, so that most of them are dark.
    HighRange,
}

/// What may not change when a study goes on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Fixed {
    code: String,
    bands: Option<Vec<String>>,
    #[serde(default)]
    light: Lighting,
    tile: usize,
    epochs: usize,
    align_epochs: usize,
    samples_per_epoch: usize,
    batch: usize,
    /// Of real scenes.
    fingerprint: Option<String>,
}

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => refusal::exit_code(run(&cli)),
        Err(error) => refusal::usage(&error),
    }
}

fn run(cli: &Cli) -> Result<(), Box<dyn Error>> {
    if cli.seeds == 0 {
        return Err("--seeds 0: it must be at least 1".into());
    }
    let profiles: Vec<NumericProfile> =
        cli.profiles.iter().map(|name| profile::read(name)).collect::<Result<_, _>>()?;
    let inputs: Vec<Intake> = cli.inputs.iter().map(|name| Intake::parse(name)).collect::<Result<_, _>>()?;
    let first = scenes(cli, 1)?;
    first.require_tile(cli.tile).map_err(|error| format!("--tile {}: {error}", cli.tile))?;
    if first.classes != 2 {
        return Err(
            format!("the data have {} classes, a study takes water and vessels", first.classes).into()
        );
    }
    let network = network(cli, &first)?;
    open(cli, &first)?;
    let vpu = Vpu::new(Device::named("myriad-x")?);
    let study = Study {
        network: &network,
        vpu: &vpu,
        folder: &cli.out,
        epochs: cli.epochs,
        align_epochs: cli.align_epochs,
        samples: cli.samples_per_epoch,
        batch: cli.batch,
        threads: cli
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)),
    };
    let mut rows = Vec::new();
    for seed in 1..=cli.seeds {
        rows.extend(of_seed(cli, &study, seed, &profiles, &inputs)?);
    }
    let table = Table::new(cli, &study, &rows)?;
    write_atomically(cli.out.join("study.json"), &serde_json::to_vec_pretty(&table)?)?;
    write_atomically(cli.out.join("study.svg"), table.chart().svg().as_bytes())?;
    writeln!(std::io::stdout(), "{}", table.text())?;
    writeln!(std::io::stdout(), "Written: {}", cli.out.display())?;
    Ok(())
}

/// Everything of one seed.
fn of_seed(
    cli: &Cli,
    study: &Study<'_>,
    seed: u64,
    profiles: &[NumericProfile],
    inputs: &[Intake],
) -> Result<Vec<Row>, Box<dyn Error>> {
    let dataset = scenes(cli, seed)?;
    let weighed = study.weights(seed, &dataset, &bands(&dataset))?;
    let mut rows = Vec::new();
    for input in inputs {
        let scaled = input.scaled(&dataset)?;
        for profile in profiles {
            let part = Part {
                seed,
                dataset: &scaled,
                bands: bands(&scaled),
                input: input.form,
                profile,
                name: format!("{}-{}", input.name, profile.name),
            };
            let mut forms = study.base(&part, &weighed)?;
            for recipe in &cli.recipes {
                let settings = recipe.settings(study.align_epochs);
                forms.extend(study.aligned(&part, &weighed.trained, recipe.name(), &settings)?);
            }
            rows.push(Row { seed, input: input.name.clone(), profile: profile.name.clone(), forms });
        }
    }
    Ok(rows)
}

fn scenes(cli: &Cli, seed: u64) -> Result<Dataset, Box<dyn Error>> {
    let scenes = scenes::read(cli.data.as_deref(), cli.bands.clone(), Seed::new(seed))?;
    Ok(match cli.light {
        Lighting::Day => scenes,
        Lighting::LowContrast => scenes.in_light(Light::LowContrast)?,
        Lighting::HighRange => scenes.in_light(Light::HighRange)?,
    })
}

fn bands(dataset: &Dataset) -> Vec<Band> {
    let statistics = Normalisation::of(dataset);
    let bands = statistics.mean.iter().zip(&statistics.std);
    bands.map(|(&mean, &deviation)| Band { mean, deviation }).collect()
}

fn network(cli: &Cli, dataset: &Dataset) -> Result<Network, Box<dyn Error>> {
    let genotype: UnetGenotype = cli.code.parse().map_err(|error| format!("--code: {error}"))?;
    let settings = SpaceSettings {
        bands: dataset.bands.len(),
        tile: cli.tile,
        classes: dataset.classes,
        ..SpaceSettings::default()
    };
    let space = UnetSpace::new(settings.admitting(&genotype), supports_everything)?;
    Ok(space.decode(&genotype).map_err(|error| format!("--code: {error}"))?)
}

/// Makes the folder of a new study, or checks that it is that of the one that goes on.
fn open(cli: &Cli, dataset: &Dataset) -> Result<(), Box<dyn Error>> {
    let fixed = Fixed {
        code: cli.code.clone(),
        bands: cli.bands.clone(),
        light: cli.light,
        tile: cli.tile,
        epochs: cli.epochs,
        align_epochs: cli.align_epochs,
        samples_per_epoch: cli.samples_per_epoch,
        batch: cli.batch,
        fingerprint: cli.data.as_ref().map(|_| dataset.fingerprint.clone()),
    };
    let path = cli.out.join("settings.json");
    if cli.resume {
        let earlier: Fixed = cells::read(&path).map_err(|error| format!("--resume: {error}"))?;
        if earlier != fixed {
            return Err("--resume: the study was started with other settings or scenes; \
                        only seeds, profiles, inputs and recipes may be added"
                .into());
        }
        return Ok(());
    }
    if cli.out.exists() && std::fs::read_dir(&cli.out).is_ok_and(|mut files| files.next().is_some()) {
        return Err(format!("--out {}: it is not empty; go on with --resume", cli.out.display()).into());
    }
    std::fs::create_dir_all(&cli.out).map_err(|error| format!("--out {}: {error}", cli.out.display()))?;
    Ok(write_atomically(path, &serde_json::to_vec_pretty(&fixed)?)?)
}

/// What the device reads.
struct Intake {
    name: String,
    form: InputForm,
    /// Full scale of the counts; `None`: that of the data.
    full_scale: Option<f64>,
}

impl Intake {
    fn parse(name: &str) -> Result<Self, Box<dyn Error>> {
        let wrong =
            || format!("--inputs {name}: it must be normalised, counts-16bit or counts-N, N from 1 to 65504");
        let (form, full_scale) = match name.strip_prefix("counts-") {
            None if name == "normalised" => (InputForm::Normalised, None),
            Some("16bit") => (InputForm::Counts, None),
            Some(number) => {
                let scale: f64 = number.parse().map_err(|_| wrong())?;
                if !(1.0..=65_504.0).contains(&scale) {
                    return Err(wrong().into());
                }
                (InputForm::Counts, Some(scale))
            }
            None => return Err(wrong().into()),
        };
        Ok(Self { name: name.to_owned(), form, full_scale })
    }

    /// The same scenes as this sensor counts them.
    fn scaled(&self, dataset: &Dataset) -> Result<Dataset, Box<dyn Error>> {
        Ok(match self.full_scale {
            Some(full_scale) => dataset.in_scale(full_scale)?,
            None => dataset.clone(),
        })
    }
}
