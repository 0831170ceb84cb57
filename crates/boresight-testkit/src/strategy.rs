//! Laws of a search strategy.

use boresight_core::{Fidelity, Outcome, Proposal, Seed, Strategy, TellError, Trial, TrialId};
use std::collections::HashMap;
use std::ops::Range;

/// Proposals that are asked for before the first of them is told; no divisor of a common population.
const ROUND: usize = 7;
/// Whole rounds, told in the order in which they were asked for.
const PLAIN: Pace = Pace { round: ROUND, part: ROUND, order: Order::Asked };

/// Checks what every [`Strategy`] must keep, on a run of at most `limit` trials from `make(seed)`.
///
/// - Equal seeds give equal runs.
/// - Asking in parts gives what asking at once gives, as long as nothing is told in between; asking for nothing
///   changes nothing.
/// - A strategy that has ended stays ended.
/// - A verdict on a trial that was not asked for or was told before is refused, and so is one with a value that is
///   not finite; the strategy is then unchanged.
/// - Replaying what was asked and told restores a strategy.
///
/// `evaluate` gives equal genotypes equal verdicts; let it measure most, and fail some.
///
/// # Panics
/// When a law is broken; the message names it.
pub fn strategy_laws<S: Strategy>(
    make: impl Fn(Seed) -> S,
    evaluate: impl Fn(&S::Genotype) -> Outcome,
    limit: usize,
) {
    for number in [1, 2] {
        let make = || make(Seed::new(number));
        let run = drive(&mut make(), &evaluate, PLAIN, 0..limit);
        assert!(!run.is_empty(), "a fresh strategy proposes something");
        assert_eq!(run, drive(&mut make(), &evaluate, PLAIN, 0..limit), "equal seeds give equal runs");
        for part in [1, 3] {
            let parts = drive(&mut make(), &evaluate, Pace { part, ..PLAIN }, 0..limit);
            assert_eq!(run, parts, "asking in parts gives what asking at once gives");
        }
        check_end(&mut make(), &evaluate, limit);
        check_refusals(&mut make(), &run);
        check_replay(&mut make(), &evaluate, &run, limit);
    }
}

/// Checks that nothing but the seed and the verdicts decides what a strategy proposes: neither how many proposals are
/// asked for at once nor the order in which a round is told. Strategies that work in generations keep this, as does
/// random search; strategies that learn from each verdict at once do not.
///
/// # Panics
/// When the law is broken; the message names it.
pub fn generation_laws<S: Strategy>(
    make: impl Fn(Seed) -> S,
    evaluate: impl Fn(&S::Genotype) -> Outcome,
    limit: usize,
) {
    let make = || make(Seed::new(3));
    let run = drive(&mut make(), &evaluate, PLAIN, 0..limit).concat();
    for round in [1, 2, ROUND, limit] {
        for order in [Order::Asked, Order::Reversed, Order::Shuffled] {
            let pace = Pace { round, part: round, order };
            let other = drive(&mut make(), &evaluate, pace, 0..limit).concat();
            assert_eq!(run, other, "rounds of {round}, told {order:?}, give the same run");
        }
    }
}

/// Checks that no genotype is proposed twice at one fidelity.
///
/// # Panics
/// When one is; the message names both trials.
pub fn novelty_law<S: Strategy>(
    make: impl Fn(Seed) -> S,
    evaluate: impl Fn(&S::Genotype) -> Outcome,
    limit: usize,
) {
    for number in [1, 2, 3] {
        let mut proposed: HashMap<S::Genotype, Vec<(Fidelity, TrialId)>> = HashMap::new();
        for trial in drive(&mut make(Seed::new(number)), &evaluate, PLAIN, 0..limit).concat() {
            let Proposal { genotype, fidelity, .. } = trial.proposal;
            let earlier = proposed.entry(genotype).or_default();
            let twin = earlier.iter().find(|(share, _)| *share == fidelity);
            assert_eq!(twin, None, "trial {} proposes nothing that was proposed before", trial.id.0);
            earlier.push((fidelity, trial.id));
        }
    }
}

/// How a strategy is driven.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Proposals that are asked for before any of them is told.
    round: usize,
    /// Proposals that one ask may return.
    part: usize,
    /// The order in which a round is told.
    order: Order,
}

#[derive(Clone, Copy, Debug)]
enum Order {
    Asked,
    Reversed,
    Shuffled,
}

/// The rounds of a run over the trials of these numbers; it ends early when the strategy does.
fn drive<S: Strategy>(
    strategy: &mut S,
    evaluate: &impl Fn(&S::Genotype) -> Outcome,
    pace: Pace,
    mut numbers: Range<usize>,
) -> Vec<Vec<Trial<S::Genotype>>> {
    let mut rounds = Vec::new();
    while !numbers.is_empty() {
        let asked = ask_round(strategy, Pace { round: pace.round.min(numbers.len()), ..pace });
        if asked.is_empty() {
            break;
        }
        let judged = asked.into_iter().zip(numbers.by_ref()).map(|(proposal, number)| {
            let verdict = evaluate(&proposal.genotype);
            Trial { id: TrialId(number as u64), proposal, verdict }
        });
        let round: Vec<_> = judged.collect();
        let mut told: Vec<&Trial<S::Genotype>> = round.iter().collect();
        match pace.order {
            Order::Asked => {}
            Order::Reversed => told.reverse(),
            Order::Shuffled => Seed::new(0).derive("order", round[0].id.0).stream().shuffle(&mut told),
        }
        for trial in told {
            assert_eq!(strategy.tell(trial.clone()), Ok(()), "a verdict on a pending trial is taken");
        }
        rounds.push(round);
    }
    rounds
}

/// Proposals of one round; fewer only when the strategy has no more for now.
fn ask_round<S: Strategy>(strategy: &mut S, pace: Pace) -> Vec<Proposal<S::Genotype>> {
    let mut round = Vec::new();
    while round.len() < pace.round {
        let limit = pace.part.min(pace.round - round.len());
        assert!(strategy.ask(0).is_empty(), "asking for nothing gives nothing");
        let asked = strategy.ask(limit);
        assert!(asked.len() <= limit, "no more is proposed than was asked for");
        if asked.is_empty() {
            break;
        }
        round.extend(asked);
    }
    round
}

fn check_end<S: Strategy>(strategy: &mut S, evaluate: &impl Fn(&S::Genotype) -> Outcome, limit: usize) {
    let count: usize = drive(strategy, evaluate, PLAIN, 0..limit).iter().map(Vec::len).sum();
    if count < limit {
        for _ in 0..3 {
            assert!(strategy.ask(ROUND).is_empty(), "a strategy that has ended stays ended");
        }
    }
}

/// Follows `run` with wrong verdicts in between.
fn check_refusals<S: Strategy>(strategy: &mut S, run: &[Vec<Trial<S::Genotype>>]) {
    for round in run {
        follow(strategy, round);
        let last = &round[round.len() - 1];
        refuse(strategy, Trial { id: TrialId(last.id.0 + 1), ..last.clone() });
        for trial in round {
            if let Outcome::Measured { objectives, .. } = &trial.verdict {
                let verdict = Outcome::measured(vec![f64::NAN; objectives.len()]);
                let refused = strategy.tell(Trial { verdict, ..trial.clone() });
                assert!(
                    matches!(refused, Err(TellError::NotFinite { .. })),
                    "NaN is refused, not {refused:?}"
                );
            }
            assert_eq!(strategy.tell(trial.clone()), Ok(()), "a refused trial still waits for its verdict");
            refuse(strategy, trial.clone());
        }
    }
}

fn refuse<S: Strategy>(strategy: &mut S, trial: Trial<S::Genotype>) {
    let expected = Err(TellError::NotPending(trial.id));
    assert_eq!(strategy.tell(trial), expected, "a verdict that nobody waits for is refused");
}

/// Restores a strategy from the first half of `run` and lets it go on alone.
fn check_replay<S: Strategy>(
    strategy: &mut S,
    evaluate: &impl Fn(&S::Genotype) -> Outcome,
    run: &[Vec<Trial<S::Genotype>>],
    limit: usize,
) {
    let (replayed, rest) = run.split_at(run.len() / 2);
    for round in replayed {
        follow(strategy, round);
        for trial in round {
            assert_eq!(strategy.tell(trial.clone()), Ok(()), "a replayed verdict is taken");
        }
    }
    let start = replayed.iter().map(Vec::len).sum();
    assert_eq!(rest, drive(strategy, evaluate, PLAIN, start..limit), "a replayed strategy goes on as before");
}

/// Asks for a round that an equal strategy has proposed before.
fn follow<S: Strategy>(strategy: &mut S, round: &[Trial<S::Genotype>]) {
    let asked = ask_round(strategy, Pace { round: round.len(), ..PLAIN });
    let expected: Vec<_> = round.iter().map(|trial| trial.proposal.clone()).collect();
    assert_eq!(asked, expected, "a strategy is a function of its seed and of what it was told");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// What is wrong with a strategy.
    #[derive(Clone, Copy, PartialEq)]
    enum Flaw {
        None,
        TakesAnything,
        TakesNan,
        Repeats,
        CountsAsks,
        NeverEnds,
        ReadsVerdictsAtOnce,
    }

    /// Proposes 0, 1, 2 ... 29.
    struct Counter {
        flaw: Flaw,
        next: u64,
        proposal: u64,
        waiting: BTreeSet<u64>,
    }

    impl Counter {
        fn new(flaw: Flaw) -> Self {
            Self { flaw, next: 0, proposal: 0, waiting: BTreeSet::new() }
        }
    }

    impl Strategy for Counter {
        type Genotype = u64;

        fn ask(&mut self, limit: usize) -> Vec<Proposal<u64>> {
            if self.flaw == Flaw::CountsAsks {
                self.proposal += 100;
            }
            let end = if self.flaw == Flaw::NeverEnds && self.next == 30 { u64::MAX } else { 30 };
            let asked: Vec<u64> = (self.next..end).take(limit).collect();
            self.next += asked.len() as u64;
            self.waiting.extend(&asked);
            let repeat = if self.flaw == Flaw::Repeats { 20 } else { u64::MAX };
            asked.into_iter().map(|number| Proposal::new((number + self.proposal) % repeat)).collect()
        }

        fn tell(&mut self, trial: Trial<u64>) -> Result<(), TellError> {
            let waits = self.waiting.contains(&trial.id.0);
            if !waits && self.flaw != Flaw::TakesAnything {
                return Err(TellError::NotPending(trial.id));
            }
            let nan =
                trial.verdict.objectives().is_some_and(|values| values.iter().any(|value| value.is_nan()));
            if nan && self.flaw != Flaw::TakesNan {
                return Err(TellError::NotFinite { trial: trial.id, index: 0, value: "NaN".into() });
            }
            self.waiting.remove(&trial.id.0);
            if self.flaw == Flaw::ReadsVerdictsAtOnce {
                self.proposal = 100 * (trial.id.0 + 1);
            }
            Ok(())
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "laws evaluate genotypes by reference")]
    fn evaluate(number: &u64) -> Outcome {
        Outcome::measured(vec![*number as f64])
    }

    fn keeps(law: impl FnOnce() + std::panic::UnwindSafe) -> bool {
        std::panic::catch_unwind(law).is_ok()
    }

    #[test]
    fn a_sound_strategy_keeps_the_laws() {
        strategy_laws(|_| Counter::new(Flaw::None), evaluate, 50);
        generation_laws(|_| Counter::new(Flaw::None), evaluate, 50);
        novelty_law(|_| Counter::new(Flaw::None), evaluate, 50);
    }

    #[test]
    fn each_flaw_breaks_a_law() {
        for flaw in [Flaw::TakesAnything, Flaw::TakesNan, Flaw::CountsAsks, Flaw::NeverEnds] {
            assert!(!keeps(move || strategy_laws(|_| Counter::new(flaw), evaluate, 50)));
        }
    }

    #[test]
    fn learning_at_once_breaks_the_law_of_generations_alone() {
        let make = |_| Counter::new(Flaw::ReadsVerdictsAtOnce);
        strategy_laws(make, evaluate, 50);
        assert!(!keeps(move || generation_laws(make, evaluate, 50)));
    }

    #[test]
    fn repeating_breaks_the_law_of_novelty_alone() {
        let make = |_| Counter::new(Flaw::Repeats);
        strategy_laws(make, evaluate, 50);
        assert!(!keeps(move || novelty_law(make, evaluate, 50)));
    }
}
