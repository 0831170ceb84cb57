//! One run: search, then the winner.

use crate::cli::{Cli, Configuration};
use crate::outcome::Summary;
use crate::screen::{Screen, Watcher};
use crate::warm::Warm;
use crate::{limits, mapping, outcome, profile, setup, stops, strategies};
use boresight::core::{Direction, Objective, Trial};
use boresight::data::Dataset;
use boresight::eval::{BandStatistics, EvaluationSettings, FinalTraining, Finalist, SegmentationEvaluator};
use boresight::evolve::{Ranking, pareto};
use boresight::ir::Network;
use boresight::search::{Cached, Joint, Journal, RunFolder, Search, Settings, Stop};
use boresight::space::{UnetGenotype, UnetSpace};
use boresight::train::TrainSettings;
use boresight::vpu::Vpu;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::error::Error;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Trials with their verdicts.
pub(crate) type Trials = [Trial<UnetGenotype>];

/// What `run.json` holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RunFile {
    pub(crate) configuration: Configuration,
    seed: u64,
    versions: Versions,
    pub(crate) data: DataFile,
    objectives: Vec<Objective>,
    planned_trials: usize,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Versions {
    boresight: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DataFile {
    source: String,
    pub(crate) fingerprint: String,
    bands: Vec<BandStatistics>,
    class_names: Vec<String>,
}

/// Runs what the command line asks for.
pub(crate) fn run(cli: Cli) -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "the wall time is reported and reaches no result")]
    let start = Instant::now();
    let earlier = cli.resume.as_deref().map(recorded).transpose();
    let earlier = earlier.map_err(|error| format!("--resume: {error}"))?;
    let configuration = match &earlier {
        Some(run) => moved(run, cli.configuration.data),
        None => cli.configuration,
    };
    let vpu = setup::vpu(&configuration)?;
    let (measures, ranking) = setup::ranking(&configuration)?;
    strategies::genetic(&configuration)?;
    let dataset = setup::dataset(&configuration)?;
    if earlier.is_some_and(|run| run.data.fingerprint != dataset.fingerprint) {
        return Err("--resume: the scenes are not those that the run was started with".into());
    }
    let space = setup::space(&configuration, &dataset, &vpu)?;
    let settings = setup::evaluation(&configuration, &dataset)?;
    setup::final_alignment(&configuration, &settings.training)?;
    let mapping = |network: &_| mapping::of(&vpu, network);
    let cheap = limits::cheap(&configuration.limit, vpu.clone())?;
    let mut stops = stops::rules(&cli.stopping, &ranking)?;
    let warm = match &cli.warm_start {
        Some(path) => Warm::read(path, &configuration, &dataset.fingerprint, &space, &ranking)?,
        None => Warm::default(),
    };
    let (_, planned) = strategies::strategy(&configuration, &space, &ranking, &warm.first)?;
    let screen = screen(&configuration, planned);
    let progress = |trial, phase, event: &_| screen.train(trial, phase, event);
    let evaluator =
        SegmentationEvaluator::new(&dataset, &settings, vpu.clone(), &measures, &progress)?.mapped(&mapping);
    let folder = match (&cli.resume, &cli.out) {
        (Some(folder), _) => RunFolder::open(folder).map_err(about("--resume"))?,
        (None, Some(folder)) => RunFolder::create(folder).map_err(about("--out"))?,
        (None, None) => RunFolder::next("runs")?,
    };
    let weights = folder.file("weights");
    std::fs::create_dir_all(&weights)?;
    let session = Session {
        configuration: &configuration,
        dataset: &dataset,
        space: &space,
        settings: &settings,
        ranking: &ranking,
        directions: measures.iter().map(|measure| measure.objective().direction).collect(),
        evaluator: evaluator.keeping_weights(&weights),
        screen: &screen,
        folder: &folder,
    };
    let warm = if cli.resume.is_none() {
        warm.keep(&folder, &weights)?;
        session.write_run_file(planned)?;
        warm
    } else {
        Warm::resumed(&folder)?
    };
    session.announce(planned, cli.workers);
    warm.announce();
    let found =
        session.search((cli.workers, cli.resume.is_some()), &cheap, &warm, &mut stops).and_then(|trials| {
            let winner = session.finish(&trials, cli.workers)?;
            Ok((trials, winner))
        });
    screen.clear();
    let (trials, winner) = found?;
    let summary = Summary::new(&session, &trials, winner.as_ref(), start.elapsed().as_secs_f64());
    outcome::write(&session, winner.as_ref(), &summary)?;
    outcome::print(&summary, &folder);
    Ok(())
}

/// Counts trials where there are no generations.
fn screen(configuration: &Configuration, planned: usize) -> Screen {
    match configuration.waiting {
        Some(_) => Screen::new("trial", planned),
        None => Screen::new("generation", configuration.generations),
    }
}

/// What an earlier run was started with.
pub(crate) fn recorded(folder: &Path) -> Result<RunFile, Box<dyn Error>> {
    let path = folder.join("run.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(serde_json::from_str(&text)
        .map_err(|error| format!("{} describes no run: {error}", path.display()))?)
}

/// The configuration of an interrupted run; `data` is where its scenes lie now, if they moved.
fn moved(run: &RunFile, data: Option<PathBuf>) -> Configuration {
    let data = data.or_else(|| run.configuration.data.clone());
    Configuration { data, ..run.configuration.clone() }
}

/// Puts the flag that gave a folder before what is wrong with it.
fn about(flag: &str) -> impl Fn(boresight::search::Error) -> String {
    move |error| match error.source() {
        Some(cause) => format!("{flag}: {error}: {cause}"),
        None => format!("{flag}: {error}"),
    }
}

/// The parts of a run.
pub(crate) struct Session<'run> {
    pub(crate) configuration: &'run Configuration,
    pub(crate) dataset: &'run Dataset,
    pub(crate) space: &'run UnetSpace,
    pub(crate) settings: &'run EvaluationSettings,
    pub(crate) ranking: &'run Ranking,
    pub(crate) directions: Vec<Direction>,
    pub(crate) evaluator: SegmentationEvaluator<'run, Vpu>,
    pub(crate) screen: &'run Screen,
    pub(crate) folder: &'run RunFolder,
}

/// The winner of a run.
pub(crate) struct Winner {
    pub(crate) trial: Trial<UnetGenotype>,
    pub(crate) finalist: Finalist,
}

impl Session<'_> {
    fn write_run_file(&self, planned_trials: usize) -> Result<(), Box<dyn Error>> {
        use boresight::core::Evaluator;
        let source = match &self.configuration.data {
            Some(folder) => folder.display().to_string(),
            None => "synthetic".to_owned(),
        };
        let file = RunFile {
            configuration: self.configuration.clone(),
            seed: self.configuration.seed,
            versions: Versions { boresight: env!("CARGO_PKG_VERSION").to_owned() },
            data: DataFile {
                source,
                fingerprint: self.dataset.fingerprint.clone(),
                bands: BandStatistics::of(self.dataset, self.evaluator.bands()),
                class_names: self.dataset.class_names.clone(),
            },
            objectives: self.evaluator.objectives().to_vec(),
            planned_trials,
        };
        Ok(self.folder.write("run.json", &serde_json::to_vec_pretty(&file)?)?)
    }

    fn announce(&self, planned: usize, workers: NonZeroUsize) {
        let configuration = self.configuration;
        let source = match &configuration.data {
            Some(folder) => folder.display().to_string(),
            None => format!("synthetic scenes of seed {}", configuration.seed),
        };
        let splits = [&self.dataset.train, &self.dataset.val, &self.dataset.test].map(Vec::len);
        eprintln!(
            "Data: {source}; bands {}; {} scenes for training, {} for validation, {} for test",
            self.dataset.bands.join(" "),
            splits[0],
            splits[1],
            splits[2]
        );
        eprintln!(
            "Search: at most {planned} trials (generations: {}, population: {}), each {} + {} epochs of {} tiles; workers: {workers}",
            configuration.generations,
            configuration.population,
            configuration.epochs,
            configuration.finetune_epochs,
            configuration.samples_per_epoch
        );
        let folder = self.folder.path().display();
        eprintln!("Run folder: {folder}; an interrupted run goes on with --resume {folder}");
    }

    fn search(
        &self,
        (workers, resume): (NonZeroUsize, bool),
        cheap: &limits::Cheap,
        warm: &Warm,
        stops: &mut [Stop<'_, UnetGenotype>],
    ) -> Result<Vec<Trial<UnetGenotype>>, Box<dyn Error>> {
        let (strategy, _) = strategies::strategy(self.configuration, self.space, self.ranking, &warm.first)?;
        let path = self.folder.journal();
        let mut journal = if resume { Journal::open(path)? } else { Journal::create(path)? };
        if let Some(torn) = journal.torn() {
            let line = torn.line;
            self.screen
                .say(&format!("The journal's last line ({line}) was torn off; its trial is run again."));
        }
        let batch = NonZeroUsize::new(self.configuration.population).unwrap_or(NonZeroUsize::MIN);
        let mut configuration = serde_json::json!({
            "settings": self.configuration_without_paths(),
            "data": self.dataset.fingerprint,
        });
        // A file may change between a run and its resumption.
        if profile::is_file(&self.configuration.profile) {
            configuration["profile"] = serde_json::to_value(&self.settings.profile)?;
        }
        if !warm.first.is_empty() {
            configuration["warm_start"] = serde_json::to_value(&warm.first)?;
        }
        let key = |network: &Network| *network.hash().bytes();
        let dear = Cached::new(&self.evaluator, key).knowing(self.space, warm.known.iter().cloned());
        let seed = setup::seed(self.configuration);
        let search = Search {
            space: self.space,
            strategy,
            evaluator: Joint::screening::<Network>(cheap, dear),
            store: &mut journal,
            settings: &Settings { seed, workers, batch, configuration },
        };
        let told = |trials: &Trials| self.forget_losers(trials);
        let mut watcher = Watcher { screen: self.screen, told };
        let report = match self.configuration.waiting {
            Some(_) => search.run_asynchronously(stops, &mut watcher)?,
            None => search.run_until(stops, &mut watcher)?,
        };
        self.screen.say_pace(self.configuration.batch, "and worker");
        Ok(report.trials)
    }

    /// The configuration as the journal keeps it: a moved data folder is the same run, its fingerprint tells.
    fn configuration_without_paths(&self) -> Configuration {
        Configuration { data: None, ..self.configuration.clone() }
    }

    /// Deletes the weights of trials that can no longer win.
    fn forget_losers(&self, trials: &Trials) {
        let kept: BTreeSet<_> = match self.ranking {
            Ranking::Pareto { directions } => pareto::front(trials, directions),
            Ranking::Fitness { .. } => self.ranking.best(trials).into_iter().collect(),
        }
        .into_iter()
        .map(|trial| trial.id)
        .collect();
        let folder = self.folder.file("weights");
        for trial in trials.iter().filter(|trial| !kept.contains(&trial.id)) {
            for path in SegmentationEvaluator::<Vpu>::weights_of(&folder, trial.id) {
                // A file that is not there was deleted before; one that stays only takes room.
                std::fs::remove_file(path).unwrap_or_default();
            }
        }
    }

    /// The fittest trial; of a front the best one in the first objective.
    fn winner<'trials>(&self, trials: &'trials Trials) -> Option<&'trials Trial<UnetGenotype>> {
        let Ranking::Pareto { directions } = self.ranking else { return self.ranking.best(trials) };
        let value = |trial: &Trial<UnetGenotype>| {
            trial.verdict.objectives().map_or(f64::INFINITY, |values| directions[0].minimised(values[0]))
        };
        pareto::front(trials, directions)
            .into_iter()
            .min_by(|first, second| value(first).total_cmp(&value(second)).then(first.id.cmp(&second.id)))
    }

    /// Trains the best trial on, aligns it again and scores it; `None` when no trial was measured.
    fn finish(&self, trials: &Trials, threads: NonZeroUsize) -> Result<Option<Winner>, Box<dyn Error>> {
        use boresight::core::SearchSpace;
        let Some(trial) = self.winner(trials) else { return Ok(None) };
        let epochs = self.configuration.final_epochs;
        let more = if epochs > 0 { format!("{epochs} more epochs, then ") } else { String::new() };
        self.screen.say(&format!("Winner: trial {}; {more}scoring on the test split", trial.id.0));
        let further = (epochs > 0).then(|| TrainSettings { epochs, ..self.settings.training.clone() });
        let network = self.space.decode(&trial.proposal.genotype)?;
        let alignment = setup::final_alignment(self.configuration, &self.settings.training)?;
        let training = FinalTraining {
            run: setup::seed(self.configuration),
            further: further.as_ref(),
            alignment: alignment.as_ref(),
            threads,
        };
        let weights = self.folder.file("weights");
        let finalist = self.evaluator.finish(&network, trial.id, &weights, training)?;
        self.screen.say_pace(self.configuration.batch, &format!("on {threads} threads"));
        Ok(Some(Winner { trial: trial.clone(), finalist }))
    }
}
