//! The worker threads. One thread of the pool evaluates one candidate at a time; everything that has an order (asking,
//! storing, observing, stopping) happens on the thread that owns the search.

use crate::{Error, Failure};
use boresight_core::{Context, Evaluator, Outcome, Proposal, SearchSpace, Seed, TrialId};
use std::any::Any;
use std::borrow::Borrow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Instant;

/// A trial to be evaluated.
pub(crate) type Job<G> = (TrialId, Proposal<G>);

/// The end of an evaluation.
pub(crate) struct Done<J> {
    pub(crate) job: J,
    pub(crate) verdict: Result<Outcome, Error>,
    pub(crate) wall_s: f64,
}

/// Hands out jobs and takes verdicts. A job is a [`Job`], owned or borrowed.
pub(crate) trait Desk<J> {
    /// The next job to start; `None` when none may start before another has ended, whereupon it is asked again.
    fn next(&mut self) -> Option<J>;
    fn done(&mut self, done: Done<J>);
}

/// What every evaluation needs.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'run, S, E> {
    pub(crate) space: &'run S,
    pub(crate) evaluator: &'run E,
    pub(crate) seed: Seed,
}

impl<S, E> Bench<'_, S, E>
where
    S: SearchSpace,
    E: Evaluator<S::Phenotype>,
    E::Error: Into<Failure>,
{
    /// Evaluates what `desk` hands out on `workers` threads and returns when it hands out no more and all have ended.
    pub(crate) fn serve<J>(&self, workers: usize, desk: &mut impl Desk<J>) -> Result<(), Error>
    where
        J: Borrow<Job<S::Genotype>> + Send,
    {
        let (hand_out, taken) = channel();
        let (hand_in, done) = channel();
        let taken = Mutex::new(taken);
        std::thread::scope(|scope| {
            // Dropped at the end of this closure, on every way out of it: the workers then end.
            let hand_out = hand_out;
            for worker in 0..workers {
                let (taken, hand_in) = (&taken, hand_in.clone());
                let named = Builder::new().name(format!("worker {worker}"));
                let spawned = named.spawn_scoped(scope, move || self.work(taken, &hand_in));
                spawned.map_err(|source| Error::Thread { source })?;
            }
            coordinate(workers, &hand_out, &done, desk);
            Ok(())
        })
    }

    fn work<J: Borrow<Job<S::Genotype>>>(&self, taken: &Mutex<Receiver<J>>, hand_in: &Sender<Done<J>>) {
        loop {
            let job = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let start = now();
            let verdict =
                catch_unwind(AssertUnwindSafe(|| self.evaluate(job.borrow()))).unwrap_or_else(|payload| {
                    Err(Error::Panicked { trial: job.borrow().0, message: message(&*payload) })
                });
            let wall_s = start.elapsed().as_secs_f64();
            if hand_in.send(Done { job, verdict, wall_s }).is_err() {
                return;
            }
        }
    }

    fn evaluate(&self, (trial, proposal): &Job<S::Genotype>) -> Result<Outcome, Error> {
        let phenotype = match self.space.decode(&proposal.genotype) {
            Ok(phenotype) => phenotype,
            Err(error) => {
                return Ok(Outcome::Infeasible { violations: Vec::new(), reason: error.to_string() });
            }
        };
        let seed = self.seed.derive("trial", trial.0);
        let context = Context { seed, fidelity: proposal.fidelity, trial: *trial };
        let verdict = self.evaluator.evaluate(&phenotype, &context);
        verdict.map_err(|error| Error::Evaluator { trial: *trial, source: error.into() })
    }
}

/// Keeps `workers` jobs running as long as there are any, and waits for those that run.
fn coordinate<J>(workers: usize, hand_out: &Sender<J>, done: &Receiver<Done<J>>, desk: &mut impl Desk<J>) {
    let mut running = 0;
    loop {
        while running < workers {
            let Some(job) = desk.next() else { break };
            if hand_out.send(job).is_err() {
                return;
            }
            running += 1;
        }
        if running == 0 {
            return;
        }
        let Ok(ended) = done.recv() else { return };
        running -= 1;
        desk.done(ended);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time goes into wall_s of the journal, which nothing reads back, and into the rule that stops by it"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// What a panic said.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}
