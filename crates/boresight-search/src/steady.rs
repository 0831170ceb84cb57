//! The asynchronous loop: each worker that is free gets the next proposal, each verdict is told at once.

use crate::pool::{Bench, Desk, Done, Job};
use crate::search::{Clerk, same_proposal, store_error};
use crate::stop::{Stop, expired, reached};
use crate::{Error, Event, Failure, Header, Origin, Record, Report, Search, SearchEvent};
use boresight_core::{Evaluator, Genotype, Observer, Proposal, SearchSpace, Store, Strategy, Trial, TrialId};
use std::collections::VecDeque;

impl<S, T, E, K> Search<'_, S, T, E, K>
where
    S: SearchSpace,
    T: Strategy<Genotype = S::Genotype>,
    E: Evaluator<S::Phenotype>,
    E::Error: Into<Failure>,
    K: Store<Record<S::Genotype>>,
    K::Error: Into<Failure>,
{
    /// Runs without batches, for evaluations that differ in length: a free worker gets the next proposal, and the strategy
    /// is told each verdict as soon as it is there. It ends as [`run_until`](Search::run_until) does.
    ///
    /// What is found depends on which evaluation ends first. So the store holds each ask in its place among the verdicts,
    /// and a run that is resumed replays them in that order, evaluates what was running, and goes on. The batch of the
    /// settings does not count.
    ///
    /// # Errors
    /// As [`run`](Search::run) has them.
    pub fn run_asynchronously(
        self,
        stops: &mut [Stop<'_, S::Genotype>],
        observer: &mut dyn for<'event> Observer<SearchEvent<'event, S::Genotype>>,
    ) -> Result<Report<S::Genotype>, Error> {
        let Self { space, strategy, evaluator, store, settings } = self;
        let bench = Bench { space: &space, evaluator: &evaluator, seed: settings.seed };
        let objectives = evaluator.objectives().len();
        let records = records(store, &settings.header(true))?;
        let mut desk = SteadyDesk {
            strategy,
            clerk: Clerk::new(store, observer, objectives),
            stops,
            report: Report::default(),
            asked: 0,
            waiting: VecDeque::new(),
            ended: false,
            recorded: false,
        };
        desk.replay(records)?;
        bench.serve(settings.workers.get(), &mut desk)?;
        desk.close()
    }
}

/// The records behind the header, which is checked, or written into an empty store.
fn records<G, K>(store: &mut K, header: &Header) -> Result<Vec<Record<G>>, Error>
where
    G: Genotype,
    K: Store<Record<G>, Error: Into<Failure>>,
{
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
    Ok(records.collect())
}

/// Everything of an asynchronous run that changes.
struct SteadyDesk<'run, 'desk, 'stop, T, G, K> {
    strategy: T,
    clerk: Clerk<'run, G, K>,
    stops: &'desk mut [Stop<'stop, G>],
    report: Report<G>,
    asked: u64,
    /// What was asked for in an earlier run and has no verdict.
    waiting: VecDeque<Job<G>>,
    /// Whether the strategy had nothing more while nothing was running.
    ended: bool,
    /// Whether the store says already that the search has finished.
    recorded: bool,
}

impl<T, G, K> SteadyDesk<'_, '_, '_, T, G, K>
where
    T: Strategy<Genotype = G>,
    G: Genotype,
    K: Store<Record<G>, Error: Into<Failure>>,
{
    /// Asks and tells what an earlier run did, in its order.
    fn replay(&mut self, records: Vec<Record<G>>) -> Result<(), Error> {
        for record in records {
            match record {
                Record::Header(_) => return Err(Error::NoHeader),
                Record::Event(event) => self.recorded |= event == Event::Finished,
                Record::Asked { id, proposal } => {
                    let Some((trial, proposed)) = self.ask() else {
                        return Err(Error::Surplus {
                            trial: id,
                            asked: usize::try_from(self.asked).unwrap_or(usize::MAX),
                        });
                    };
                    if trial != id {
                        return Err(Error::NotAsked(id));
                    }
                    same_proposal(id, &proposal, &proposed)?;
                    self.waiting.push_back((id, proposed));
                }
                Record::Trial { trial, wall_s } => {
                    let place = self.waiting.iter().position(|(id, _)| *id == trial.id);
                    let Some((id, asked)) = place.and_then(|place| self.waiting.remove(place)) else {
                        return Err(Error::NotAsked(trial.id));
                    };
                    same_proposal(id, &trial.proposal, &asked)?;
                    self.report.replayed += 1;
                    let origin = Origin::Replayed;
                    self.clerk.announce(&SearchEvent::Finished { trial: &trial, origin, wall_s });
                    self.tell(trial)?;
                }
            }
        }
        Ok(())
    }

    /// The strategy's next proposal with its number.
    fn ask(&mut self) -> Option<Job<G>> {
        let proposal = self.strategy.ask(1).pop()?;
        self.asked += 1;
        Some((TrialId(self.asked - 1), proposal))
    }

    /// Asks, and stores the ask before anything can depend on it.
    fn ask_anew(&mut self) -> Option<Job<G>> {
        let (id, proposal) = self.ask()?;
        match self.clerk.append(&Record::Asked { id, proposal: proposal.clone() }) {
            Ok(()) => Some((id, proposal)),
            Err(error) => {
                self.clerk.fail(id, error);
                None
            }
        }
    }

    fn tell(&mut self, trial: Trial<G>) -> Result<(), Error> {
        self.strategy.tell(trial.clone())?;
        self.report.trials.push(trial);
        let rule = reached(self.stops, &self.report.trials);
        self.clerk.stopped = self.clerk.stopped.take().or(rule);
        Ok(())
    }

    fn close(mut self) -> Result<Report<G>, Error> {
        self.clerk.take_error()?;
        self.report.trials.sort_by_key(|trial| trial.id);
        if self.ended {
            if !self.recorded {
                self.clerk.append(&Record::Event(Event::Finished))?;
            }
            self.report.finished = true;
        } else {
            self.report.stopped = self.clerk.end()?;
        }
        Ok(self.report)
    }
}

impl<T, G, K> Desk<Job<G>> for SteadyDesk<'_, '_, '_, T, G, K>
where
    T: Strategy<Genotype = G>,
    G: Genotype,
    K: Store<Record<G>, Error: Into<Failure>>,
{
    fn next(&mut self) -> Option<Job<G>> {
        self.ended = false;
        self.clerk.stopped = self.clerk.stopped.take().or_else(|| expired(self.stops));
        if self.clerk.flow.is_break() || self.clerk.stopped.is_some() {
            return None;
        }
        let job = self.waiting.pop_front().or_else(|| self.ask_anew());
        // Asked again when a verdict is there: the last time, when nothing runs any more.
        self.ended = job.is_none() && self.clerk.failed.is_none();
        let (trial, proposal) = job.as_ref()?;
        let batch = usize::try_from(trial.0).unwrap_or(usize::MAX).saturating_add(1);
        let one: [(TrialId, Proposal<G>); 1] = [(*trial, proposal.clone())];
        self.clerk.announce(&SearchEvent::Asked { batch, proposals: &one });
        self.clerk.announce(&SearchEvent::Started { trial: *trial, proposal });
        job
    }

    fn done(&mut self, Done { job: (id, proposal), verdict, wall_s }: Done<Job<G>>) {
        let Some(trial) = self.clerk.keep(id, proposal, verdict, wall_s) else { return };
        if let Err(error) = self.tell(trial) {
            self.clerk.fail(id, error);
            return;
        }
        let batch = self.report.trials.len();
        self.clerk.announce(&SearchEvent::Told { batch, trials: &self.report.trials });
    }
}
