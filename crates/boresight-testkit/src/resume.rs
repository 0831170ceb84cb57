//! Laws of a strategy whose search is killed and taken up again.

use boresight_core::{Outcome, Proposal, Seed, Strategy, Trial, TrialId};
use std::collections::BTreeMap;

/// Workers of an asynchronous run.
const WORKERS: usize = 3;

/// Checks that a run that is killed at any trial and resumed equals the unbroken run, for searches that ask for batches
/// and tell them in the order of their trials: in small batches and in one of `limit`.
///
/// The journal of the killed run holds the verdicts that were there, which within a batch come in any order; the resumed
/// run proposes the same trials, takes the verdicts that it has and evaluates the others. Every strategy keeps this that
/// is a function of its seed and of what it was told. Time grows with the square of `limit`.
///
/// # Panics
/// When the law is broken; the message names the trial.
pub fn resume_law<S: Strategy>(
    make: impl Fn(Seed) -> S,
    evaluate: impl Fn(&S::Genotype) -> Outcome,
    limit: usize,
) {
    let make = || make(Seed::new(5));
    for batch in [4, limit] {
        let whole = in_batches(&mut make(), batch, limit, &mut |_, proposal| evaluate(&proposal.genotype));
        for killed_at in 0..whole.len() {
            let journal = killed(&whole, batch, killed_at);
            let resumed = in_batches(&mut make(), batch, limit, &mut |id, proposal| match journal.get(&id) {
                Some(recorded) => {
                    assert_eq!(recorded.proposal, *proposal, "a resumed run proposes what it did before");
                    recorded.verdict.clone()
                }
                None => evaluate(&proposal.genotype),
            });
            let at = resumed.iter().zip(&whole).position(|(resumed, whole)| resumed != whole);
            assert!(
                at.is_none() && resumed.len() == whole.len(),
                "a run killed after {killed_at} verdicts and resumed equals the unbroken one: they differ at {at:?} \
                 in batches of {batch}"
            );
        }
    }
}

/// What a run leaves that is killed after so many verdicts: whole batches, and some trials of the running one.
fn killed<G: Clone>(whole: &[Trial<G>], batch: usize, verdicts: usize) -> BTreeMap<TrialId, &Trial<G>> {
    let done = verdicts - verdicts % batch;
    let mut running: Vec<&Trial<G>> = whole[done..].iter().take(batch).collect();
    Seed::new(verdicts as u64).stream().shuffle(&mut running);
    whole[..done]
        .iter()
        .chain(running.into_iter().take(verdicts - done))
        .map(|trial| (trial.id, trial))
        .collect()
}

fn in_batches<S: Strategy>(
    strategy: &mut S,
    batch: usize,
    limit: usize,
    verdict: &mut dyn FnMut(TrialId, &Proposal<S::Genotype>) -> Outcome,
) -> Vec<Trial<S::Genotype>> {
    let mut trials = Vec::new();
    while trials.len() < limit {
        let first = trials.len();
        let mut asked = Vec::new();
        while asked.len() < batch.min(limit - first) {
            let more = strategy.ask(batch.min(limit - first) - asked.len());
            if more.is_empty() {
                break;
            }
            asked.extend(more);
        }
        if asked.is_empty() {
            break;
        }
        trials.extend((first as u64..).map(TrialId).zip(asked).map(|(id, proposal)| {
            let verdict = verdict(id, &proposal);
            Trial { id, proposal, verdict }
        }));
        for trial in &trials[first..] {
            assert_eq!(strategy.tell(trial.clone()), Ok(()), "a verdict on a pending trial is taken");
        }
    }
    trials
}

/// What happens in an asynchronous run, in order.
#[derive(Clone, Debug, PartialEq)]
enum Step<G> {
    Asked(TrialId, Proposal<G>),
    Told(Trial<G>),
}

/// Checks that an asynchronous run, which tells each verdict as soon as it is there, is reproduced by replaying its log
/// of asks and verdicts, and that a run that is killed at any step and resumed from its log can itself be replayed.
///
/// Three workers take turns as the lengths of their evaluations have it, which are drawn. Time grows with the square of
/// `limit`.
///
/// # Panics
/// When the law is broken; the message names the step.
pub fn asynchronous_law<S: Strategy>(
    make: impl Fn(Seed) -> S,
    evaluate: impl Fn(&S::Genotype) -> Outcome,
    limit: usize,
) {
    let make = || make(Seed::new(6));
    let mut whole = Vec::new();
    go_on(&mut make(), &mut whole, &evaluate, limit);
    replay(&mut make(), &whole);
    for killed_at in 0..whole.len() {
        let mut resumed = make();
        let mut log = whole[..killed_at].to_vec();
        replay(&mut resumed, &log);
        go_on(&mut resumed, &mut log, &evaluate, limit);
        replay(&mut make(), &log);
        let count =
            |log: &[Step<S::Genotype>]| log.iter().filter(|step| matches!(step, Step::Told(_))).count();
        // Asks that a kill cuts off may come later, when more is known, so only the budget must be the same.
        assert!(count(&log) <= limit && count(&log) >= count(&whole[..killed_at]), "no verdict is lost");
    }
}

/// Runs on from the end of `log` until the strategy ends or `limit` trials are told.
fn go_on<S: Strategy>(
    strategy: &mut S,
    log: &mut Vec<Step<S::Genotype>>,
    evaluate: &impl Fn(&S::Genotype) -> Outcome,
    limit: usize,
) {
    let mut running: BTreeMap<(u64, TrialId), Proposal<S::Genotype>> = BTreeMap::new();
    let (mut asked, mut clock) = (0, 0);
    let ends = |clock: u64, id: TrialId| clock + 1 + Seed::new(8).derive("length", id.0).stream().bits() % 9;
    for step in log.iter() {
        match step {
            Step::Asked(id, proposal) => {
                asked += 1;
                running.insert((ends(clock, *id), *id), proposal.clone());
            }
            Step::Told(trial) => running.retain(|(_, id), _| *id != trial.id),
        }
    }
    loop {
        while running.len() < WORKERS && asked < limit {
            let Some(proposal) = strategy.ask(1).pop() else { break };
            let id = TrialId(asked as u64);
            asked += 1;
            log.push(Step::Asked(id, proposal.clone()));
            running.insert((ends(clock, id), id), proposal);
        }
        let Some(((end, id), proposal)) = running.pop_first() else { return };
        clock = end;
        let verdict = evaluate(&proposal.genotype);
        let trial = Trial { id, proposal, verdict };
        assert_eq!(strategy.tell(trial.clone()), Ok(()), "a verdict on a pending trial is taken");
        log.push(Step::Told(trial));
    }
}

fn replay<S: Strategy>(strategy: &mut S, log: &[Step<S::Genotype>]) {
    for (at, step) in log.iter().enumerate() {
        match step {
            Step::Asked(_, proposal) => {
                assert_eq!(
                    strategy.ask(1).pop().as_ref(),
                    Some(proposal),
                    "a log of asks and verdicts is replayed: broken at step {at}"
                );
            }
            Step::Told(trial) => {
                assert_eq!(strategy.tell(trial.clone()), Ok(()), "a replayed verdict is taken");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::TellError;
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// Proposes twenty numbers that depend on the verdicts before, and on how it was made.
    struct Counter {
        made: u64,
        next: u64,
        sum: u64,
    }

    impl Strategy for Counter {
        type Genotype = u64;

        fn ask(&mut self, limit: usize) -> Vec<Proposal<u64>> {
            let numbers = (self.next..20).take(limit);
            let asked: Vec<_> =
                numbers.map(|number| Proposal::new(1000 * self.sum + number + self.made)).collect();
            self.next += asked.len() as u64;
            asked
        }

        fn tell(&mut self, trial: Trial<u64>) -> Result<(), TellError> {
            self.sum += trial.proposal.genotype % 7;
            Ok(())
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "laws evaluate genotypes by reference")]
    fn evaluate(number: &u64) -> Outcome {
        Outcome::measured(vec![*number as f64])
    }

    #[test]
    fn a_sound_strategy_is_resumed() {
        let make = |_| Counter { made: 0, next: 0, sum: 0 };
        resume_law(make, evaluate, 30);
        asynchronous_law(make, evaluate, 30);
    }

    #[test]
    fn a_strategy_that_starts_otherwise_is_not() {
        let made = Cell::new(0);
        let make = |_| {
            made.set(made.get() + 1);
            Counter { made: made.get(), next: 0, sum: 0 }
        };
        assert!(catch_unwind(AssertUnwindSafe(|| resume_law(make, evaluate, 30))).is_err());
        assert!(catch_unwind(AssertUnwindSafe(|| asynchronous_law(make, evaluate, 30))).is_err());
    }
}
