//! A space, a strategy and an evaluator that notice every change of order.

use boresight_core::{
    Context, Direction, Evaluator, Objective, Outcome, Proposal, SearchSpace, Seed, Store, Strategy,
    TellError, Trial, TrialId,
};
use boresight_search::{Error, Journal, Record, Report, Search, SearchEvent, Settings};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;

/// Words of five letters, below 26 each; those that begin with 0 have no phenotype.
pub(crate) struct Words;

#[derive(Debug, thiserror::Error)]
#[error("a word does not begin with 0")]
pub(crate) struct NoWord;

impl SearchSpace for Words {
    type Genotype = Vec<u8>;
    type Phenotype = String;
    type Error = NoWord;

    fn sample(&self, seed: Seed) -> Vec<u8> {
        let mut stream = seed.stream();
        (0..5).map(|_| u8::try_from(stream.below(26)).unwrap()).collect()
    }

    fn decode(&self, word: &Vec<u8>) -> Result<String, NoWord> {
        if word[0] == 0 {
            Err(NoWord)
        } else {
            Ok(word.iter().map(|letter| char::from(b'a' + letter)).collect())
        }
    }
}

/// Proposes words that depend on every verdict and on the order in which they were told.
pub(crate) struct Chained {
    state: Seed,
    population: usize,
    generations: usize,
    asked: u64,
    pending: Vec<TrialId>,
}

impl Chained {
    pub(crate) fn new(seed: Seed, population: usize, generations: usize) -> Self {
        Self { state: seed, population, generations, asked: 0, pending: Vec::new() }
    }
}

impl Strategy for Chained {
    type Genotype = Vec<u8>;

    fn ask(&mut self, limit: usize) -> Vec<Proposal<Vec<u8>>> {
        let left = self.population * self.generations - usize::try_from(self.asked).unwrap();
        let count = left.min(self.population - self.pending.len()).min(limit);
        (0..count)
            .map(|_| {
                let word = Words.sample(self.state.derive("word", self.asked));
                let parents = self.asked.checked_sub(self.population as u64).map(TrialId);
                self.pending.push(TrialId(self.asked));
                self.asked += 1;
                Proposal::new(word).descending_from(parents.into_iter().collect())
            })
            .collect()
    }

    fn tell(&mut self, trial: Trial<Vec<u8>>) -> Result<(), TellError> {
        let place =
            self.pending.iter().position(|&id| id == trial.id).ok_or(TellError::NotPending(trial.id))?;
        self.pending.remove(place);
        let seen = trial.verdict.objectives().map_or(0, |objectives| objectives[0].to_bits());
        self.state = self.state.derive("told", seen);
        Ok(())
    }
}

/// Scores a word by its letters and by the trial's seed; early words of a batch yield to late ones.
pub(crate) struct Scored {
    objectives: Vec<Objective>,
    /// What happens instead of a verdict on a trial.
    pub(crate) mishap: fn(TrialId) -> Result<(), Mishap>,
}

#[derive(Debug, thiserror::Error)]
#[error("the disk is full")]
pub(crate) struct Mishap;

impl Scored {
    pub(crate) fn new() -> Self {
        Self::breaking(|_| Ok(()))
    }

    pub(crate) fn breaking(mishap: fn(TrialId) -> Result<(), Mishap>) -> Self {
        Self { objectives: vec![Objective::new("score", "1", Direction::Maximise)], mishap }
    }
}

impl Evaluator<String> for Scored {
    type Error = Mishap;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, word: &String, context: &Context) -> Result<Outcome, Mishap> {
        (self.mishap)(context.trial)?;
        for _ in 0..(7 - context.trial.0 % 7) * 20 {
            std::thread::yield_now();
        }
        let score = word.bytes().map(f64::from).sum::<f64>() + context.seed.stream().unit();
        Ok(Outcome::Measured {
            objectives: vec![score],
            violations: Vec::new(),
            attributes: [("third".to_owned(), score / 3.0)].into(),
        })
    }
}

pub(crate) const POPULATION: usize = 5;
pub(crate) const GENERATIONS: usize = 4;

pub(crate) fn settings(workers: usize) -> Settings {
    Settings {
        workers: NonZeroUsize::new(workers).unwrap(),
        configuration: serde_json::json!({"generations": GENERATIONS, "rate": 0.1}),
        ..Settings::new(Seed::new(11))
    }
}

/// Runs the toy search on any store.
pub(crate) fn search_on<K>(
    store: &mut K,
    settings: &Settings,
    evaluator: &Scored,
    mut see: impl FnMut(&SearchEvent<'_, Vec<u8>>) -> ControlFlow<()>,
) -> Result<Report<Vec<u8>>, Error>
where
    K: Store<Record<Vec<u8>>>,
    K::Error: Into<boresight_search::Failure>,
{
    let strategy = Chained::new(Seed::new(5), POPULATION, GENERATIONS);
    let mut observer = |event: &SearchEvent<'_, Vec<u8>>| see(event);
    Search { space: &Words, strategy, evaluator, store, settings }.run(&mut observer)
}

/// Runs the toy search to its end on a journal file, new or old.
pub(crate) fn search_in(path: &Path, workers: usize) -> Result<Report<Vec<u8>>, Error> {
    let mut journal = if path.exists() { Journal::open(path)? } else { Journal::create(path)? };
    search_on(&mut journal, &settings(workers), &Scored::new(), |_| ControlFlow::Continue(()))
}

/// The trials of a journal in order, as JSON without their times.
pub(crate) fn trials(path: &Path) -> Vec<String> {
    let mut trials: Vec<_> = Journal::<Vec<u8>>::read(path)
        .unwrap()
        .records
        .into_iter()
        .filter_map(|record| match record {
            Record::Trial { trial, .. } => Some(trial),
            _ => None,
        })
        .collect();
    trials.sort_by_key(|trial| trial.id);
    trials.iter().map(|trial| serde_json::to_string(trial).unwrap()).collect()
}
