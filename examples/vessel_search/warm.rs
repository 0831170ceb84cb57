//! Starting from networks that are known: a list of codes, or what an earlier run found.

use crate::cli::{Configuration, StrategyName};
use crate::profile;
use crate::run::recorded;
use boresight::core::{Fidelity, SearchSpace, Trial, TrialId};
use boresight::eval::SegmentationEvaluator;
use boresight::evolve::Ranking;
use boresight::evolve::pareto::Winners;
use boresight::search::{Journal, RunFolder};
use boresight::space::{UnetGenotype, UnetSpace};
use boresight::vpu::Vpu;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};

/// The file of a run folder that keeps it.
const FILE: &str = "warm-start.json";

/// What a search starts from.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Warm {
    /// What is proposed first, in this order; different networks, all of them members.
    pub(crate) first: Vec<UnetGenotype>,
    /// Trials whose verdicts hold in this run too.
    pub(crate) known: Vec<Trial<UnetGenotype>>,
    /// Where weights of those that are proposed first lie, by their place.
    #[serde(skip)]
    weights: BTreeMap<usize, [PathBuf; 2]>,
}

impl Warm {
    /// What lies at `path`: a run folder, or a file with a code a line.
    pub(crate) fn read(
        path: &Path,
        configuration: &Configuration,
        fingerprint: &str,
        space: &UnetSpace,
        ranking: &Ranking,
    ) -> Result<Self, Box<dyn Error>> {
        let warm = if path.is_dir() {
            Self::of_run(path, configuration, fingerprint, space, ranking)
        } else {
            Self::of_codes(path, space)
        };
        warm.map_err(|error| format!("--warm-start {}: {error}", path.display()).into())
    }

    fn of_codes(path: &Path, space: &UnetSpace) -> Result<Self, Box<dyn Error>> {
        let text = std::fs::read_to_string(path)?;
        let codes = text.lines().map(str::trim).zip(1..).filter(|(code, _)| !code.is_empty());
        let genotypes = codes.map(|(code, line)| {
            let genotype: UnetGenotype = code.parse().map_err(|error| format!("line {line}: {error}"))?;
            space.check(&genotype).map_err(|error| format!("line {line}: {error}"))?;
            Ok(genotype)
        });
        let genotypes: Vec<UnetGenotype> = genotypes.collect::<Result<_, String>>()?;
        if genotypes.is_empty() {
            return Err("it holds no code".into());
        }
        Ok(Self { first: different(genotypes, space), ..Self::default() })
    }

    /// The best trials of an earlier run, as many as a population holds. Its verdicts hold where all that decides one is
    /// equal and the weights of its winners are there, so that no weights are missed later: who lost then loses now.
    fn of_run(
        folder: &Path,
        configuration: &Configuration,
        fingerprint: &str,
        space: &UnetSpace,
        ranking: &Ranking,
    ) -> Result<Self, Box<dyn Error>> {
        let earlier = recorded(folder)?;
        let trials = Journal::<UnetGenotype>::read(RunFolder::open(folder)?.journal())?.trials();
        let competing = ranking.order(&trials).into_iter().map(|at| &trials[at]);
        let competing = competing.filter(|trial| ranking.competes(&trial.verdict));
        let mut first = different(competing.map(|trial| trial.proposal.genotype.clone()).collect(), space);
        first.truncate(configuration.population);
        // A file of the same name may say something else.
        let equal = !profile::is_file(&configuration.profile)
            && earlier.data.fingerprint == fingerprint
            && comparable(&earlier.configuration) == comparable(configuration)
            && ![earlier.configuration.strategy, configuration.strategy].contains(&StrategyName::Halving);
        let weights = weights(folder, ranking, &trials, &first).filter(|_| equal);
        let known = trials.into_iter().filter(|trial| trial.proposal.fidelity == Fidelity::FULL);
        Ok(match weights {
            Some(weights) => Self { first, known: known.collect(), weights },
            None => Self { first, ..Self::default() },
        })
    }

    /// What an interrupted run was started from.
    pub(crate) fn resumed(folder: &RunFolder) -> Result<Self, Box<dyn Error>> {
        let path = folder.file(FILE);
        if !path.is_file() {
            return Ok(Self::default());
        }
        let text = std::fs::read_to_string(&path)?;
        Ok(serde_json::from_str(&text).map_err(|error| format!("--resume: {}: {error}", path.display()))?)
    }

    /// Says what the search starts from.
    pub(crate) fn announce(&self) {
        if !self.first.is_empty() {
            let (first, known) = (self.first.len(), self.known.len());
            eprintln!("Start: {first} known networks come first; verdicts that are taken over: {known}");
        }
    }

    /// Keeps it in the folder of a run, with the weights that came along.
    pub(crate) fn keep(&self, folder: &RunFolder, weights: &Path) -> Result<(), Box<dyn Error>> {
        if self.first.is_empty() {
            return Ok(());
        }
        for (&place, from) in &self.weights {
            let files = SegmentationEvaluator::<Vpu>::weights_of(weights, TrialId(place as u64));
            for (from, to) in from.iter().zip(files) {
                std::fs::copy(from, to)?;
            }
        }
        Ok(folder.write(FILE, &serde_json::to_vec_pretty(self)?)?)
    }
}

/// The first genotype of each network that is a member.
fn different(genotypes: Vec<UnetGenotype>, space: &UnetSpace) -> Vec<UnetGenotype> {
    let mut seen = BTreeSet::new();
    let new = |genotype: &UnetGenotype| {
        space.decode(genotype).is_ok_and(|network| seen.insert(*network.hash().bytes()))
    };
    genotypes.into_iter().filter(new).collect()
}

/// The files of the winners by their place among those that come first; `None` where a winner or a file of one is not there.
fn weights(
    folder: &Path,
    ranking: &Ranking,
    trials: &[Trial<UnetGenotype>],
    first: &[UnetGenotype],
) -> Option<BTreeMap<usize, [PathBuf; 2]>> {
    let Winners::Feasible(winners) = ranking.winners(trials) else { return None };
    let place = |trial: &&Trial<UnetGenotype>| {
        let place = first.iter().position(|genotype| *genotype == trial.proposal.genotype)?;
        let files = SegmentationEvaluator::<Vpu>::weights_of(&folder.join("weights"), trial.id);
        files.iter().all(|file| file.is_file()).then_some((place, files))
    };
    winners.iter().map(place).collect()
}

/// The settings that decide a verdict and what it is worth.
fn comparable(configuration: &Configuration) -> Configuration {
    Configuration {
        data: None,
        strategy: StrategyName::Ga,
        population: 0,
        generations: 0,
        elites: 0,
        immigrants: 0.0,
        waiting: None,
        final_epochs: 0,
        seed: 0,
        ..configuration.clone()
    }
}
