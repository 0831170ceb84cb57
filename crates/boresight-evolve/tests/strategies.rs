//! Local search, halving and guided search: what they do, and that they keep the laws.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use boresight_core::{Fidelity, Outcome, Seed};
use boresight_evolve::parts::Mutants;
use boresight_evolve::{
    Error, GuidedParts, GuidedSearch, GuidedSettings, Halving, HalvingParts, HalvingSettings, LocalParts,
    LocalSearch, LocalSettings, LowerBound, Pace, Ranking,
};
use boresight_testkit::{asynchronous_law, generation_laws, novelty_law, resume_law, strategy_laws};
use toy::{Bits, bits, measure, mixed, pareto, run};

const VERDICTS: [fn(&Vec<bool>) -> Outcome; 3] = [|bits| measure(bits), |bits| mixed(bits), all_failed];

fn all_failed(_: &Vec<bool>) -> Outcome {
    Outcome::Diverged { reason: "overflow".into() }
}

fn fitness() -> Ranking {
    Ranking::Fitness { form: boresight_evolve::FitnessForm::default(), miou: 0, fps: 1, target_fps: 8.0 }
}

fn local(length: usize, settings: &LocalSettings, ranking: Ranking, seed: Seed) -> LocalSearch<Bits> {
    let parts = LocalParts { neighbourhood: Box::new(Mutants { count: 8 }), ..LocalParts::new(ranking) };
    LocalSearch::new(bits(length), parts, settings.clone(), seed).unwrap()
}

fn guided(length: usize, settings: &GuidedSettings, ranking: Ranking, seed: Seed) -> GuidedSearch<Bits> {
    let numbers = |bits: &Vec<bool>| bits.iter().map(|&bit| f64::from(u8::from(bit))).collect::<Vec<f64>>();
    GuidedSearch::new(bits(length), GuidedParts::new(ranking, numbers), settings.clone(), seed).unwrap()
}

fn halving(length: usize, settings: &HalvingSettings, ranking: Ranking, seed: Seed) -> Halving<Bits> {
    Halving::new(bits(length), HalvingParts::new(ranking), settings.clone(), seed).unwrap()
}

#[test]
fn local_search_keeps_the_laws() {
    for (length, starts, round) in [(30, 4, 1), (30, 1, 5), (4, 3, 4)] {
        let settings = LocalSettings { trials: 43, starts, round };
        for ranking in [pareto(), fitness()] {
            let make = |seed| local(length, &settings, ranking.clone(), seed);
            for evaluate in VERDICTS {
                strategy_laws(make, evaluate, 50);
                generation_laws(make, evaluate, 50);
                novelty_law(make, evaluate, 50);
                resume_law(make, evaluate, 50);
                asynchronous_law(make, evaluate, 50);
            }
        }
    }
}

#[test]
fn guided_search_keeps_the_laws() {
    for (length, initial, round, memory) in [(30, 6, 1, 300), (30, 5, 4, 10), (4, 3, 4, 300)] {
        let settings = GuidedSettings { trials: 30, initial, round, pool: 12, memory };
        for ranking in [pareto(), fitness()] {
            let make = |seed| guided(length, &settings, ranking.clone(), seed);
            for evaluate in VERDICTS {
                strategy_laws(make, evaluate, 40);
                generation_laws(make, evaluate, 40);
                novelty_law(make, evaluate, 40);
                resume_law(make, evaluate, 40);
                asynchronous_law(make, evaluate, 40);
            }
        }
    }
}

#[test]
fn halving_keeps_the_laws() {
    for (length, pace) in [
        (30, Pace::Generations),
        (4, Pace::Generations),
        (30, Pace::SteadyState { waiting: 3 }),
        (4, Pace::SteadyState { waiting: 5 }),
    ] {
        let settings = HalvingSettings { trials: 43, rungs: 3, reduction: 2, cohort: 9, pace };
        for ranking in [pareto(), fitness()] {
            let make = |seed| halving(length, &settings, ranking.clone(), seed);
            for evaluate in VERDICTS {
                strategy_laws(make, evaluate, 50);
                novelty_law(make, evaluate, 50);
                resume_law(make, evaluate, 50);
                asynchronous_law(make, evaluate, 50);
                if pace == Pace::Generations {
                    generation_laws(make, evaluate, 50);
                }
            }
        }
    }
}

#[test]
fn a_cohort_is_halved_rung_by_rung() {
    let settings =
        HalvingSettings { trials: 26, rungs: 3, reduction: 3, cohort: 18, pace: Pace::Generations };
    let mut strategy = halving(30, &settings, fitness(), Seed::new(1));
    let trials = run(&mut strategy, 18, |bits| measure(bits));
    let mut rungs = [0; 3];
    for trial in &trials {
        let rung = (0..3).find(|&rung| settings.fidelity(rung) == trial.proposal.fidelity).unwrap();
        rungs[rung as usize] += 1;
    }
    assert_eq!(rungs, [18, 6, 2]);
    let best = fitness().order(&trials[..18])[..6].to_vec();
    assert!(trials[18..24].iter().zip(best).all(|(next, at)| next.proposal.parents == [trials[at].id]));
    assert!(trials[24..].iter().all(|trial| trial.proposal.fidelity == Fidelity::FULL));
}

#[test]
fn asha_promotes_the_non_dominated_of_a_rung() {
    let settings = HalvingSettings {
        trials: 200,
        rungs: 2,
        reduction: 4,
        pace: Pace::SteadyState { waiting: 1 },
        ..HalvingSettings::default()
    };
    let trials = run(&mut halving(30, &settings, pareto(), Seed::new(1)), 1, |bits| measure(bits));
    let promoted: Vec<_> = trials.iter().filter(|trial| !trial.proposal.parents.is_empty()).collect();
    // A quarter of the lower rung, and those that were in the best quarter only for a time.
    assert!((39..80).contains(&promoted.len()), "{}", promoted.len());
    // Each was in the best quarter of its rung when it passed.
    for next in promoted {
        let seen: Vec<_> = trials
            .iter()
            .filter(|trial| trial.id < next.id && trial.proposal.parents.is_empty())
            .cloned()
            .collect();
        let best = &pareto().order(&seen)[..seen.len() / 4];
        assert!(best.iter().any(|&at| next.proposal.parents == [seen[at].id]));
    }
}

#[test]
fn nothing_that_failed_is_promoted() {
    for pace in [Pace::Generations, Pace::SteadyState { waiting: 2 }] {
        let settings = HalvingSettings { trials: 60, cohort: 9, pace, ..HalvingSettings::default() };
        let trials = run(&mut halving(30, &settings, pareto(), Seed::new(1)), 9, all_failed);
        assert!(trials.len() == 60 && trials.iter().all(|trial| trial.proposal.parents.is_empty()));
    }
}

#[test]
fn local_search_climbs_to_the_top() {
    let ones = |bits: &Vec<bool>| {
        let ones = bits.iter().filter(|&&bit| bit).count() as f64;
        Outcome::measured(vec![ones, 9.0])
    };
    let settings = LocalSettings { trials: 400, ..LocalSettings::default() };
    let trials = run(&mut local(30, &settings, pareto(), Seed::new(1)), 1, ones);
    let most = trials
        .iter()
        .filter_map(|trial| trial.verdict.objectives())
        .map(|values| values[0])
        .fold(0.0, f64::max);
    // The best of 400 random strings has 24 on average.
    assert!(most >= 28.0, "{most}");
}

#[test]
fn guided_search_learns_what_counts() {
    // Only six of twenty bits count, and in pairs.
    let worth = |bits: &Vec<bool>| {
        let pairs = bits[..6].chunks(2).filter(|pair| pair[0] && !pair[1]).count();
        Outcome::measured(vec![pairs as f64, 1.0])
    };
    let settings = GuidedSettings { trials: 45, initial: 15, pool: 60, ..GuidedSettings::default() };
    let found = (1..=10).filter(|&seed| {
        let trials = run(&mut guided(20, &settings, fitness(), Seed::new(seed)), 1, worth);
        trials.iter().any(|trial| trial.verdict.objectives().is_some_and(|values| values[0] > 2.5))
    });
    // One string in 64 has all three, so 45 random ones hold it in half of the runs.
    assert!(found.count() >= 9);
}

#[test]
fn settings_that_break_a_rule_are_refused() {
    let space = || bits(9);
    let zero = LocalSettings { starts: 0, ..LocalSettings::default() };
    assert_eq!(
        LocalSearch::new(space(), LocalParts::new(pareto()), zero, Seed::new(1)).unwrap_err(),
        Error::Zero { setting: "starts" }
    );
    let plain = HalvingSettings::default();
    assert_eq!(
        HalvingSettings { reduction: 1, ..plain.clone() }.check(),
        Err(Error::Reduction { reduction: 1 })
    );
    assert_eq!(
        HalvingSettings { rungs: u32::MAX, ..plain.clone() }.check(),
        Err(Error::Rungs { rungs: u32::MAX })
    );
    assert_eq!(HalvingSettings { rungs: 0, ..plain.clone() }.check(), Err(Error::Zero { setting: "rungs" }));
    let still = HalvingSettings { pace: Pace::SteadyState { waiting: 0 }, ..plain };
    assert_eq!(still.check(), Err(Error::NothingWaits));
    let one = GuidedSettings { initial: 1, ..GuidedSettings::default() };
    assert_eq!(one.check(), Err(Error::BelowTwo { setting: "initial" }));
    assert_eq!(
        GuidedSettings { pool: 0, ..GuidedSettings::default() }.check(),
        Err(Error::Zero { setting: "pool" })
    );
    assert_eq!(format!("{:?}", LowerBound { deviations: 1.0 }), "LowerBound { deviations: 1.0 }");
}
