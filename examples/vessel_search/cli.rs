//! The command line, and the configuration that a run folder keeps.
#![expect(clippy::doc_markdown, reason = "the comments on the command line are the text of --help")]

use boresight::evolve::FitnessForm;
use boresight::ir::InputForm;
use boresight::space::ChannelRule;
use clap::{Args, Parser, ValueEnum};
use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Searches vessel-segmentation networks for an accelerator, under its numerics and its cost.
#[derive(Clone, Debug, Parser)]
#[command(name = "vessel_search", version, allow_negative_numbers = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) configuration: Configuration,

    /// Candidates that are trained at once, one thread each; the winner is trained on by all. No result depends on it.
    #[arg(
        long,
        default_value_t = default_workers(),
        value_parser = workers,
        value_name = "N",
        help_heading = "Run"
    )]
    pub(crate) workers: NonZeroUsize,

    /// Folder of the run; must not exist or be empty. Default: the next free runs/NNN.
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    pub(crate) out: Option<PathBuf>,

    /// Proposes known networks first: a file with a code a line, or the folder of an earlier run,
    /// whose best come first. Where that run had the same scenes and settings, what it measured
    /// is not measured again.
    #[arg(long, value_name = "FILE|DIR", help_heading = "Search", verbatim_doc_comment)]
    pub(crate) warm_start: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) stopping: Stopping,

    /// Goes on with the interrupted run in this folder, with the settings that it was
    /// started with.
    #[arg(long, value_name = "DIR", conflicts_with = "out", help_heading = "Run", verbatim_doc_comment)]
    pub(crate) resume: Option<PathBuf>,
}

/// When a search ends before its last generation; it can be resumed.
#[derive(Clone, Debug, Args)]
pub(crate) struct Stopping {
    /// Starts no candidate once so many minutes have passed.
    #[arg(long = "stop-after", value_parser = minutes, value_name = "MINUTES", help_heading = "Run")]
    pub(crate) after: Option<f64>,

    /// Ends the search when so many candidates in a row brought nothing better.
    #[arg(long = "stop-stagnant", value_parser = at_least::<1>, value_name = "N", help_heading = "Run")]
    pub(crate) stagnant: Option<usize>,

    /// Ends the search when a candidate reaches this fitness, or this value of the first objective.
    #[arg(long = "stop-at", value_parser = finite, value_name = "VALUE", help_heading = "Run")]
    pub(crate) at: Option<f64>,
}

fn default_workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Everything that decides what a run finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    /// Folder of real scenes (scenes.csv and scenes/NAME_BAND.png); without it, synthetic
    /// scenes are drawn from the seed.
    #[arg(long, value_name = "DIR", help_heading = "Data", verbatim_doc_comment)]
    pub(crate) data: Option<PathBuf>,

    /// Bands to use, separated by commas. Default: all that every scene has
    /// (synthetic scenes: B03,B04,B08,B11).
    #[arg(long, value_delimiter = ',', value_name = "BAND,...", help_heading = "Data", verbatim_doc_comment)]
    pub(crate) bands: Option<Vec<String>>,

    /// Side of a tile in pixels; networks read tiles of this size.
    #[arg(
        long,
        default_value_t = 128,
        value_parser = at_least::<8>,
        value_name = "PIXELS",
        help_heading = "Data"
    )]
    pub(crate) tile: usize,

    /// How candidates are proposed.
    #[arg(long, value_enum, default_value_t = StrategyName::Ga, help_heading = "Search")]
    pub(crate) strategy: StrategyName,

    /// What is optimised: 'fitness' (one value from on-device mIoU and FPS, see --fitness),
    /// or a Pareto front over some of miou, vessel_iou, latency, fps, parameters, macs,
    /// peak_memory, energy, ddr_traffic and nce_utilisation, separated by commas.
    #[arg(
        long,
        default_value = "fitness",
        value_name = "NAME,...",
        help_heading = "Search",
        verbatim_doc_comment
    )]
    pub(crate) objectives: String,

    /// Form of the fitness: weighted-exponential, multiplicative, logarithmic, sigmoid or stepwise.
    #[arg(
        long,
        default_value = "weighted-exponential",
        value_parser = fitness_form,
        value_name = "FORM",
        help_heading = "Search"
    )]
    pub(crate) fitness: String,

    /// Candidates of a generation.
    #[arg(long, default_value_t = 4, value_parser = at_least::<2>, value_name = "N", help_heading = "Search")]
    pub(crate) population: usize,

    /// Generations; the first population counts as generation 1.
    #[arg(long, default_value_t = 2, value_parser = at_least::<1>, value_name = "N", help_heading = "Search")]
    pub(crate) generations: usize,

    /// Best candidates that live on into the next generation; they are not measured again.
    #[arg(long, default_value_t = 1, value_parser = at_least::<0>, value_name = "N", help_heading = "Search")]
    pub(crate) elites: usize,

    /// Share of the population that is sampled afresh in each generation.
    #[arg(long, default_value_t = 0.2, value_parser = share, value_name = "SHARE", help_heading = "Search")]
    pub(crate) immigrants: f64,

    /// Epochs of FP32 training for each candidate.
    #[arg(
        long,
        default_value_t = 2,
        value_parser = at_least::<1>,
        value_name = "N",
        help_heading = "Training"
    )]
    pub(crate) epochs: usize,

    /// Epochs of FP16-aware fine-tuning for each candidate; 0: candidates are only converted.
    #[arg(
        long,
        default_value_t = 1,
        value_parser = at_least::<0>,
        value_name = "N",
        help_heading = "Training"
    )]
    pub(crate) finetune_epochs: usize,

    /// Training tiles of one epoch.
    #[arg(
        long,
        default_value_t = 256,
        value_parser = at_least::<1>,
        value_name = "N",
        help_heading = "Training"
    )]
    pub(crate) samples_per_epoch: usize,

    /// Tiles of one training step.
    #[arg(
        long,
        default_value_t = 8,
        value_parser = at_least::<1>,
        value_name = "N",
        help_heading = "Training"
    )]
    pub(crate) batch: usize,

    /// Learning rate at the top of the FP32 schedule.
    #[arg(
        long,
        default_value_t = 4e-3,
        value_parser = positive,
        value_name = "RATE",
        help_heading = "Training"
    )]
    pub(crate) learning_rate: f64,

    /// Epochs for which the winner is trained on in FP32, before it is aligned again.
    #[arg(
        long,
        default_value_t = 0,
        value_parser = at_least::<0>,
        value_name = "N",
        help_heading = "Training"
    )]
    pub(crate) final_epochs: usize,

    /// Most parameters that a candidate may have.
    #[arg(
        long,
        default_value_t = 100_000,
        value_parser = at_least::<1>,
        value_name = "N",
        help_heading = "Search"
    )]
    pub(crate) max_parameters: usize,

    /// What a candidate may cost, asked before it is trained: NAME=VALUE,... with latency (s), macs,
    /// parameters, peak_memory, ddr_traffic (bytes) or energy (J) at most, or fps or
    /// nce_utilisation (of 1) at least.
    #[arg(
        long,
        value_delimiter = ',',
        value_parser = crate::limits::checked,
        value_name = "NAME=VALUE,...",
        help_heading = "Search",
        verbatim_doc_comment
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) limit: Vec<String>,

    /// Candidates that are trained at once without generations: as soon as one has its verdict, the
    /// next is proposed. For nsga2, nsga3, aging and halving; what is found then depends on which
    /// one ends first, and the journal says so.
    #[arg(long, value_parser = at_least::<1>, value_name = "N", help_heading = "Search", verbatim_doc_comment)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) waiting: Option<usize>,

    /// Tiles a second beyond which more speed adds nothing to the fitness. From low orbit, 60 tiles
    /// of 128 pixels of 10 m cover a swath of 14 km.
    #[arg(
        long,
        default_value_t = 60.0,
        value_parser = positive,
        value_name = "FPS",
        help_heading = "Device"
    )]
    pub(crate) target_fps: f64,

    /// Device for which networks are searched.
    #[arg(long, default_value = "myriad-x", value_name = "NAME", help_heading = "Device")]
    pub(crate) device: String,

    /// What the device does to numbers: myriad-x-optimistic, myriad-x-pessimistic, ieee-f16,
    /// bfloat16, int8, f32, or a TOML file of yours.
    #[arg(
        long,
        default_value = "myriad-x-optimistic",
        value_name = "NAME|FILE",
        help_heading = "Device",
        verbatim_doc_comment
    )]
    pub(crate) profile: String,

    /// When networks are fine-tuned under the numerics of the device: each candidate in the search
    /// (its score is that of the aligned network), only the winner, or none.
    #[arg(long, value_enum, default_value_t, help_heading = "Training", verbatim_doc_comment)]
    #[serde(default, skip_serializing_if = "Align::is_search")]
    pub(crate) align: Align,

    /// Epochs of FP16-aware fine-tuning for the winner, once it is found. Default: those of
    /// --finetune-epochs with --align final, else 0.
    #[arg(
        long,
        value_parser = at_least::<0>,
        value_name = "N",
        help_heading = "Training",
        verbatim_doc_comment
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) final_align_epochs: Option<usize>,

    /// What the deployed network reads: raw sensor counts, with the normalisation folded into
    /// its first layer, or tiles that were normalised before.
    #[arg(long, value_enum, default_value_t = Input::Raw, help_heading = "Device", verbatim_doc_comment)]
    pub(crate) input: Input,

    /// How channels follow from genes: a width for each stage, or the multiplication of the
    /// published space.
    #[arg(long, value_enum, default_value_t = Channels::Width, help_heading = "Search", verbatim_doc_comment)]
    pub(crate) channels: Channels,

    /// Seed of everything random: equal seeds give equal runs.
    #[arg(long, default_value_t = 1, value_parser = seed, value_name = "N", help_heading = "Run")]
    pub(crate) seed: u64,
}

/// How candidates are proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StrategyName {
    /// Genetic algorithm with elites and immigrants.
    Ga,
    /// Random search with the same number of trials.
    Random,
    /// NSGA-II: parents compete with their children.
    Nsga2,
    /// NSGA-III: the same with niches around reference directions, for several objectives.
    Nsga3,
    /// Aging evolution: mutants of the best of a few, and the older half of the population dies.
    Aging,
    /// Local search: mutants of the best, a population at a time, with restarts.
    Local,
    /// Guided by a Gaussian process over numbers of a network, a population at a time.
    Guided,
    /// Successive halving: a population on a ninth of the epochs, the best third on three times as
    /// many, and so on.
    Halving,
}

impl StrategyName {
    /// Whether it can do without generations.
    pub(crate) const fn breeds_one_by_one(self) -> bool {
        matches!(self, Self::Nsga2 | Self::Nsga3 | Self::Aging | Self::Halving)
    }
}

/// When networks are fine-tuned under the numerics of the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Align {
    /// Every candidate.
    #[default]
    Search,
    /// The winner alone.
    Final,
    /// None.
    Never,
}

impl Align {
    /// Runs of earlier versions knew nothing else, and their files say nothing of it.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
    const fn is_search(&self) -> bool {
        matches!(self, Self::Search)
    }
}

/// What the deployed network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Input {
    /// Raw sensor counts.
    Raw,
    /// Normalised tiles.
    Normalised,
}

impl From<Input> for InputForm {
    fn from(input: Input) -> Self {
        match input {
            Input::Raw => Self::Counts,
            Input::Normalised => Self::Normalised,
        }
    }
}

/// How channels follow from genes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Channels {
    /// A width for each stage.
    Width,
    /// A stage's input channels times a coefficient.
    Multiply,
}

impl From<Channels> for ChannelRule {
    fn from(channels: Channels) -> Self {
        match channels {
            Channels::Width => Self::Width,
            Channels::Multiply => Self::Multiply,
        }
    }
}

fn at_least<const LEAST: usize>(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "it must be a whole number".to_owned())?;
    if number < LEAST { Err(format!("it must be at least {LEAST}")) } else { Ok(number) }
}

fn workers(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "it must be a whole number of at least 1".to_owned())
}

fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("it must be a whole number from 0 to {}", u64::MAX))
}

fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if (0.0..=1.0).contains(&number) { Ok(number) } else { Err("it must lie between 0 and 1".to_owned()) }
}

fn minutes(text: &str) -> Result<f64, String> {
    let number = positive(text)?;
    let time = std::time::Duration::try_from_secs_f64(60.0 * number);
    time.map(|_| number).map_err(|_| "it is too long".to_owned())
}

fn finite(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "it must be a number".to_owned())
}

fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it must be a number".to_owned())?;
    if number > 0.0 && number.is_finite() { Ok(number) } else { Err("it must be above 0".to_owned()) }
}

fn fitness_form(text: &str) -> Result<String, String> {
    text.parse::<FitnessForm>().map(|_| text.to_owned()).map_err(|error| error.to_string())
}
