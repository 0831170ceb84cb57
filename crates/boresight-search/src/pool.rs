//! The worker threads of one batch. One thread of the pool evaluates one candidate at a time; everything that has an
//! order (storing, observing, stopping) happens on the thread that owns the batch.

use crate::{Error, Failure};
use boresight_core::{Context, Evaluator, Outcome, Proposal, SearchSpace, Seed, TrialId};
use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Instant;

/// A trial to be evaluated.
pub(crate) type Job<'batch, G> = &'batch (TrialId, Proposal<G>);

/// The end of an evaluation.
pub(crate) struct Done<'batch, G> {
    pub(crate) job: Job<'batch, G>,
    pub(crate) verdict: Result<Outcome, Error>,
    pub(crate) wall_s: f64,
}

/// Sees a batch through; `Break` means that no further trial starts.
pub(crate) trait Watch<G> {
    fn flow(&self) -> ControlFlow<()>;
    fn started(&mut self, job: Job<'_, G>);
    fn done(&mut self, done: Done<'_, G>);
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
    /// Evaluates `jobs` in their order on up to `workers` threads and returns when every started one has ended.
    pub(crate) fn evaluate_all(
        &self,
        jobs: &[Job<'_, S::Genotype>],
        workers: usize,
        watch: &mut impl Watch<S::Genotype>,
    ) -> Result<(), Error> {
        let workers = workers.min(jobs.len());
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
            coordinate(jobs, workers, &hand_out, &done, watch);
            Ok(())
        })
    }

    fn work<'batch>(
        &self,
        taken: &Mutex<Receiver<Job<'batch, S::Genotype>>>,
        hand_in: &Sender<Done<'batch, S::Genotype>>,
    ) {
        loop {
            let job = taken.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(job) = job else { return };
            let start = now();
            let verdict = catch_unwind(AssertUnwindSafe(|| self.evaluate(job)))
                .unwrap_or_else(|payload| Err(Error::Panicked { trial: job.0, message: message(&*payload) }));
            let wall_s = start.elapsed().as_secs_f64();
            if hand_in.send(Done { job, verdict, wall_s }).is_err() {
                return;
            }
        }
    }

    fn evaluate(&self, (trial, proposal): Job<'_, S::Genotype>) -> Result<Outcome, Error> {
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

/// Keeps `workers` jobs running until none is left or `watch` breaks, and waits for those that run.
fn coordinate<'batch, G>(
    jobs: &[Job<'batch, G>],
    workers: usize,
    hand_out: &Sender<Job<'batch, G>>,
    done: &Receiver<Done<'batch, G>>,
    watch: &mut impl Watch<G>,
) {
    let mut waiting = jobs.iter();
    let mut running = 0;
    loop {
        while running < workers && watch.flow().is_continue() {
            let Some(job) = waiting.next() else { break };
            watch.started(job);
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
        watch.done(ended);
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the time goes into wall_s of the journal, which nothing reads back"
)]
fn now() -> Instant {
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
