//! The loop: ask a batch, evaluate it, store each verdict at once, tell the batch in the order of its trials.

use crate::pool::{Bench, Desk, Done, Job};
use crate::record::not_finite;
use crate::stop::{Stop, expired, reached};
use crate::{Error, Event, FORMAT, Failure, Header, Origin, Record, Report, SearchEvent};
use boresight_core::{
    Evaluator, Genotype, Observer, Outcome, Proposal, SearchSpace, Seed, Store, Strategy, Trial, TrialId,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

/// How a search runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The seed of every trial; trial `t` gets `seed.derive("trial", t)`. Strategies carry their own.
    pub seed: Seed,
    /// Threads that evaluate, one candidate each. It changes how long a search takes, never what it finds.
    pub workers: NonZeroUsize,
    /// The largest number of trials that are asked for before any of them is told; at least the population of a
    /// strategy that works in generations.
    pub batch: NonZeroUsize,
    /// Everything else that decides the result, in the application's words. A search is only resumed with an equal one.
    pub configuration: Value,
}

impl Settings {
    /// One worker, batches of up to 1024 trials and an empty configuration.
    pub const fn new(seed: Seed) -> Self {
        const BATCH: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
        Self { seed, workers: NonZeroUsize::MIN, batch: BATCH, configuration: Value::Null }
    }

    pub(crate) fn header(&self, asynchronous: bool) -> Header {
        let Self { seed, batch, configuration, .. } = self;
        let batch = if asynchronous { 1 } else { batch.get() };
        Header { format: FORMAT, seed: *seed, batch, configuration: configuration.clone(), asynchronous }
    }
}

/// A search that is ready to run. Space, strategy and evaluator may be values, references or boxes.
///
/// A store that holds records of an earlier run is resumed by replay: the strategy is asked again and must propose what
/// is recorded, recorded verdicts are told without an evaluation, missing ones are evaluated. The result is that
/// of the unbroken run.
#[derive(Debug)]
pub struct Search<'run, S, T, E, K> {
    /// Decodes what the strategy proposes. What it cannot decode is [`Outcome::Infeasible`].
    pub space: S,
    /// A fresh strategy, also when the search is resumed.
    pub strategy: T,
    /// Gives the verdicts.
    pub evaluator: E,
    /// Keeps the records: a [`Journal`](crate::Journal), or [`Memory`](boresight_core::Memory).
    pub store: &'run mut K,
    /// How the search runs.
    pub settings: &'run Settings,
}

impl<S, T, E, K> Search<'_, S, T, E, K>
where
    S: SearchSpace,
    T: Strategy<Genotype = S::Genotype>,
    E: Evaluator<S::Phenotype>,
    E::Error: Into<Failure>,
    K: Store<Record<S::Genotype>>,
    K::Error: Into<Failure>,
{
    /// Runs until the strategy ends or the observer breaks it off.
    ///
    /// # Errors
    /// When the evaluator has no verdict or panics, the strategy refuses a verdict, the store fails, or the
    /// stored records belong to another search. Trials that were running are waited for and stored before.
    pub fn run(
        self,
        observer: &mut dyn for<'event> Observer<SearchEvent<'event, S::Genotype>>,
    ) -> Result<Report<S::Genotype>, Error> {
        self.run_until(&mut [], observer)
    }

    /// Runs until the strategy ends, one of `stops` ends the search, or the observer breaks it off.
    ///
    /// # Errors
    /// As [`run`](Self::run) has them.
    pub fn run_until(
        self,
        stops: &mut [Stop<'_, S::Genotype>],
        observer: &mut dyn for<'event> Observer<SearchEvent<'event, S::Genotype>>,
    ) -> Result<Report<S::Genotype>, Error> {
        let Self { space, mut strategy, evaluator, store, settings } = self;
        let past = Past::of(store, &settings.header(false))?;
        let bench = Bench { space: &space, evaluator: &evaluator, seed: settings.seed };
        let objectives = evaluator.objectives().len();
        let mut run = Run { past, clerk: Clerk::new(store, observer, objectives), report: Report::default() };
        for number in 1_usize.. {
            let first = run.report.trials.len() as u64;
            let asked: Vec<_> =
                (first..).map(TrialId).zip(ask(&mut strategy, settings.batch.get())).collect();
            if asked.is_empty() {
                return run.finish();
            }
            run.clerk.announce(&SearchEvent::Asked { batch: number, proposals: &asked });
            let missing = run.replay(&asked)?;
            let workers = settings.workers.get().min(missing.len());
            let mut desk = BatchDesk { jobs: missing.into_iter(), clerk: &mut run.clerk, stops };
            bench.serve(workers, &mut desk)?;
            let whole = run.clerk.batch.len() == asked.len();
            let told = run.close_batch()?;
            if !whole {
                break;
            }
            for trial in &run.report.trials[told..] {
                strategy.tell(trial.clone())?;
            }
            run.clerk.announce(&SearchEvent::Told { batch: number, trials: &run.report.trials });
            let rule = reached(stops, &run.report.trials);
            run.clerk.stopped = run.clerk.stopped.take().or(rule);
            if run.clerk.flow.is_break() || run.clerk.stopped.is_some() {
                break;
            }
        }
        run.interrupt()
    }
}

/// Hands out the trials of one batch.
struct BatchDesk<'run, 'desk, 'stop, J, G, K> {
    jobs: J,
    clerk: &'desk mut Clerk<'run, G, K>,
    stops: &'desk [Stop<'stop, G>],
}

impl<'batch, J, G, K> Desk<&'batch Job<G>> for BatchDesk<'_, '_, '_, J, G, K>
where
    J: Iterator<Item = &'batch Job<G>>,
    G: Genotype,
    K: Store<Record<G>, Error: Into<Failure>>,
{
    fn next(&mut self) -> Option<&'batch Job<G>> {
        if self.clerk.flow.is_break() || self.clerk.stopped.is_some() {
            return None;
        }
        let job = self.jobs.next()?;
        self.clerk.stopped = expired(self.stops);
        if self.clerk.stopped.is_some() {
            return None;
        }
        self.clerk.announce(&SearchEvent::Started { trial: job.0, proposal: &job.1 });
        Some(job)
    }

    fn done(&mut self, Done { job: (id, proposal), verdict, wall_s }: Done<&'batch Job<G>>) {
        let trial = self.clerk.keep(*id, proposal.clone(), verdict, wall_s);
        self.clerk.batch.extend(trial);
    }
}

/// Asks until the strategy offers nothing more or the batch is full.
fn ask<T: Strategy>(strategy: &mut T, limit: usize) -> Vec<Proposal<T::Genotype>> {
    let mut asked = Vec::new();
    while asked.len() < limit {
        let more = strategy.ask(limit - asked.len());
        if more.is_empty() {
            break;
        }
        asked.extend(more);
    }
    asked
}

/// What the store knows from an earlier run.
struct Past<G> {
    trials: BTreeMap<TrialId, (Trial<G>, f64)>,
    finished: bool,
}

impl<G: Genotype> Past<G> {
    /// Reads `store`; writes the header into an empty one.
    fn of<K: Store<Record<G>, Error: Into<Failure>>>(store: &mut K, header: &Header) -> Result<Self, Error> {
        let mut past = Self { trials: BTreeMap::new(), finished: false };
        let mut records = store.replay().map_err(store_error)?.into_iter();
        match records.next() {
            None => store.append(&Record::Header(header.clone())).map_err(store_error)?,
            Some(Record::Header(recorded)) => {
                if let Some((name, recorded, given)) = recorded.difference(header) {
                    return Err(Error::OtherSettings { name, recorded, given });
                }
            }
            Some(_) => return Err(Error::NoHeader),
        }
        for record in records {
            match record {
                Record::Header(_) => return Err(Error::NoHeader),
                Record::Event(event) => past.finished |= event == Event::Finished,
                // The header says that there are none; one that is there all the same belongs to another search.
                Record::Asked { id, .. } => return Err(Error::NotAsked(id)),
                Record::Trial { trial, wall_s } => {
                    let id = trial.id;
                    if past.trials.insert(id, (trial, wall_s)).is_some() {
                        return Err(Error::Duplicate(id));
                    }
                }
            }
        }
        Ok(past)
    }
}

pub(crate) fn store_error(error: impl Into<Failure>) -> Error {
    Error::Store { source: error.into() }
}

/// Everything of a run that changes.
struct Run<'run, G, K> {
    past: Past<G>,
    clerk: Clerk<'run, G, K>,
    report: Report<G>,
}

impl<G: Genotype, K: Store<Record<G>, Error: Into<Failure>>> Run<'_, G, K> {
    /// Takes the recorded verdicts of a batch over and returns the trials that have none.
    fn replay<'batch>(&mut self, asked: &'batch [Job<G>]) -> Result<Vec<&'batch Job<G>>, Error> {
        let mut missing = Vec::new();
        for job in asked {
            let (id, proposal) = job;
            let Some((trial, wall_s)) = self.past.trials.remove(id) else {
                missing.push(job);
                continue;
            };
            same_proposal(*id, &trial.proposal, proposal)?;
            self.report.replayed += 1;
            self.clerk.announce(&SearchEvent::Finished { trial: &trial, origin: Origin::Replayed, wall_s });
            self.clerk.batch.push(trial);
        }
        Ok(missing)
    }

    /// Moves the trials of the batch into the report, in order, and returns where they begin there.
    fn close_batch(&mut self) -> Result<usize, Error> {
        self.clerk.take_error()?;
        let told = self.report.trials.len();
        self.clerk.batch.sort_by_key(|trial| trial.id);
        self.report.trials.append(&mut self.clerk.batch);
        Ok(told)
    }

    fn finish(mut self) -> Result<Report<G>, Error> {
        if let Some(&trial) = self.past.trials.keys().next() {
            return Err(Error::Surplus { trial, asked: self.report.trials.len() });
        }
        if !self.past.finished {
            self.clerk.store.append(&Record::Event(Event::Finished)).map_err(store_error)?;
        }
        self.report.finished = true;
        Ok(self.report)
    }

    fn interrupt(mut self) -> Result<Report<G>, Error> {
        self.report.stopped = self.clerk.end()?;
        Ok(self.report)
    }
}

/// Refuses a proposal that is not the recorded one.
pub(crate) fn same_proposal<G: Genotype>(
    trial: TrialId,
    recorded: &Proposal<G>,
    proposed: &Proposal<G>,
) -> Result<(), Error> {
    if recorded == proposed {
        return Ok(());
    }
    let (recorded, proposed) = (format!("{recorded:?}"), format!("{proposed:?}"));
    Err(Error::OtherProposal { trial, recorded, proposed })
}

/// Stores and announces what happens, and knows whether the search goes on.
pub(crate) struct Clerk<'run, G, K> {
    pub(crate) store: &'run mut K,
    observer: &'run mut dyn for<'event> Observer<SearchEvent<'event, G>>,
    objectives: usize,
    pub(crate) flow: ControlFlow<()>,
    /// The rule that ended the search, if one did.
    pub(crate) stopped: Option<String>,
    /// The error of the lowest trial that has one, so that the number of workers rarely decides which is shown.
    pub(crate) failed: Option<(TrialId, Error)>,
    /// The trials of the current batch that have a verdict, in the order in which they got it.
    batch: Vec<Trial<G>>,
}

impl<'run, G, K> Clerk<'run, G, K> {
    pub(crate) fn new(
        store: &'run mut K,
        observer: &'run mut dyn for<'event> Observer<SearchEvent<'event, G>>,
        objectives: usize,
    ) -> Self {
        let flow = ControlFlow::Continue(());
        Self { store, observer, objectives, flow, stopped: None, failed: None, batch: Vec::new() }
    }

    pub(crate) fn announce(&mut self, event: &SearchEvent<'_, G>) {
        if self.observer.observe(event).is_break() {
            self.flow = ControlFlow::Break(());
        }
    }

    pub(crate) fn fail(&mut self, trial: TrialId, error: Error) {
        self.flow = ControlFlow::Break(());
        if self.failed.as_ref().is_none_or(|(first, _)| trial < *first) {
            self.failed = Some((trial, error));
        }
    }

    fn check(&self, trial: TrialId, verdict: &Outcome) -> Result<(), Error> {
        if let Outcome::Measured { objectives, .. } = verdict
            && objectives.len() != self.objectives
        {
            let (expected, found) = (self.objectives, objectives.len());
            return Err(Error::ObjectiveCount { trial, expected, found });
        }
        match not_finite(verdict) {
            Some((name, value)) => Err(Error::NotFinite { trial, name, value }),
            None => Ok(()),
        }
    }
}

impl<G: Genotype, K: Store<Record<G>, Error: Into<Failure>>> Clerk<'_, G, K> {
    pub(crate) fn append(&mut self, record: &Record<G>) -> Result<(), Error> {
        self.store.append(record).map_err(store_error)
    }

    /// Stores and announces a verdict, and returns its trial; what has none ends the search.
    pub(crate) fn keep(
        &mut self,
        id: TrialId,
        proposal: Proposal<G>,
        verdict: Result<Outcome, Error>,
        wall_s: f64,
    ) -> Option<Trial<G>> {
        let checked = verdict.and_then(|verdict| self.check(id, &verdict).map(|()| verdict));
        let stored = checked.and_then(|verdict| {
            let record = Record::Trial { trial: Trial { id, proposal, verdict }, wall_s };
            self.append(&record)?;
            Ok(record)
        });
        match stored {
            Ok(Record::Trial { trial, .. }) => {
                self.announce(&SearchEvent::Finished { trial: &trial, origin: Origin::Fresh, wall_s });
                Some(trial)
            }
            Ok(_) => None,
            Err(error) => {
                self.fail(id, error);
                None
            }
        }
    }

    /// The error that ended the search, if one did; it is stored as an event.
    pub(crate) fn take_error(&mut self) -> Result<(), Error> {
        let Some((_, error)) = self.failed.take() else { return Ok(()) };
        // The verdicts are stored; an event that cannot be stored must not hide why the search stopped.
        let _ = self.append(&Record::Event(Event::Failed { reason: error.to_string() }));
        Err(error)
    }

    /// Stores and announces that the search ends before its strategy, and returns the rule that ended it.
    pub(crate) fn end(&mut self) -> Result<Option<String>, Error> {
        let rule = self.stopped.take();
        let event = rule.clone().map_or(Event::Interrupted, |rule| Event::Stopped { rule });
        self.append(&Record::Event(event))?;
        match &rule {
            Some(rule) => self.announce(&SearchEvent::Stopped { rule }),
            None => self.announce(&SearchEvent::Interrupted),
        }
        Ok(rule)
    }
}
