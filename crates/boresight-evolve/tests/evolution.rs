//! What the engine of evolutionary strategies does, and that it keeps the laws.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use boresight_core::{Direction, Outcome, Seed, TrialId};
use boresight_evolve::parts::{
    FromSpace, OldestDies, Sometimes, Survival, Uniform, WarmStart, lattice_directions,
};
use boresight_evolve::{Candidate, Error, Evolution, EvolutionSettings, Pace, Parts, Ranking};
use boresight_testkit::{asynchronous_law, generation_laws, novelty_law, resume_law, strategy_laws};
use std::collections::BTreeSet;
use toy::{Bits, bits, measure, mixed, pareto, run};

fn all_failed(_: &Vec<bool>) -> Outcome {
    Outcome::Diverged { reason: "overflow".into() }
}

fn fitness() -> Ranking {
    Ranking::Fitness { form: boresight_evolve::FitnessForm::default(), miou: 0, fps: 1, target_fps: 8.0 }
}

fn sets(ranking: &Ranking) -> Vec<Parts<Bits>> {
    let mut sets = vec![Parts::nsga2(ranking.clone()), Parts::aging(ranking.clone(), 3)];
    if matches!(ranking, Ranking::Pareto { .. }) {
        sets.push(Parts::nsga3(ranking.clone(), lattice_directions(2, 5)).unwrap());
    }
    sets
}

const VERDICTS: [fn(&Vec<bool>) -> Outcome; 3] = [|bits| measure(bits), |bits| mixed(bits), all_failed];

#[test]
fn evolution_in_generations_keeps_the_laws() {
    for (length, population, offspring) in [(30, 12, 12), (30, 5, 8), (4, 10, 10)] {
        let settings = EvolutionSettings { population, offspring, trials: 43, pace: Pace::Generations };
        for (ranking, set) in [(pareto(), 0), (pareto(), 1), (pareto(), 2), (fitness(), 0)] {
            let make = |seed| {
                Evolution::new(bits(length), sets(&ranking).swap_remove(set), settings.clone(), seed).unwrap()
            };
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
fn evolution_in_a_steady_state_keeps_the_laws() {
    for (length, waiting) in [(30, 1), (30, 4), (4, 4)] {
        let settings = EvolutionSettings::steady_state(10, 43, waiting);
        for (ranking, set) in [(pareto(), 0), (pareto(), 1), (pareto(), 2), (fitness(), 1)] {
            let make = |seed| {
                Evolution::new(bits(length), sets(&ranking).swap_remove(set), settings.clone(), seed).unwrap()
            };
            for evaluate in VERDICTS {
                strategy_laws(make, evaluate, 50);
                novelty_law(make, evaluate, 50);
                resume_law(make, evaluate, 50);
                asynchronous_law(make, evaluate, 50);
            }
        }
    }
}

#[test]
fn the_budget_is_spent_to_the_last_trial() {
    for pace in [Pace::Generations, Pace::SteadyState { waiting: 3 }] {
        let settings = EvolutionSettings { population: 10, offspring: 7, trials: 43, pace };
        let mut strategy = Evolution::new(bits(40), Parts::nsga2(pareto()), settings, Seed::new(1)).unwrap();
        assert_eq!(run(&mut strategy, 100, |bits| measure(bits)).len(), 43);
        assert_eq!(strategy.population().count(), 10);
    }
}

#[test]
fn all_of_a_small_space_is_found() {
    let settings = EvolutionSettings::generations(6, 1000);
    let mut strategy = Evolution::new(bits(5), Parts::nsga2(pareto()), settings, Seed::new(1)).unwrap();
    let found = run(&mut strategy, 100, |bits| measure(bits)).len();
    // Whoever has tried 100 draws of 32 for the last one missed it with a probability of 4 %.
    assert!((31..=32).contains(&found), "{found}");
}

#[test]
fn given_genotypes_come_first_and_once() {
    let given = vec![vec![true; 30], vec![false; 30], vec![true; 30]];
    let sampling = WarmStart { first: given.clone(), rest: FromSpace };
    let parts = Parts { sampling: Box::new(sampling), ..Parts::nsga2(pareto()) };
    let settings = EvolutionSettings::generations(4, 4);
    let mut strategy = Evolution::new(bits(30), parts, settings, Seed::new(1)).unwrap();
    let trials = run(&mut strategy, 4, |bits| measure(bits));
    assert_eq!([&trials[0].proposal.genotype, &trials[1].proposal.genotype], [&given[0], &given[1]]);
    assert!(trials.len() == 4 && trials[2].proposal.genotype != given[0]);
}

#[test]
fn a_part_can_be_replaced_alone() {
    let idle = Sometimes { part: FromSpace, probability: 0.0 };
    let parts = Parts { mutation: Box::new(idle), crossover: None, ..Parts::nsga2(pareto()) };
    let settings = EvolutionSettings::generations(4, 30);
    let mut strategy = Evolution::new(bits(30), parts, settings, Seed::new(1)).unwrap();
    // Copies are never new, so every member is a fresh one.
    assert!(
        run(&mut strategy, 9, |bits| measure(bits)).iter().all(|trial| trial.proposal.parents.is_empty())
    );
}

#[test]
fn the_oldest_dies_however_good_it_is() {
    let verdicts = [9.0, 1.0, 5.0].map(|value| Outcome::measured(vec![value, 0.0]));
    let candidates: Vec<Candidate<'_>> =
        verdicts.iter().zip(0..).map(|(verdict, id)| Candidate { id: TrialId(id), verdict }).collect();
    let survivors = OldestDies.survive(&pareto(), &candidates, 2, Seed::new(1));
    let kept: BTreeSet<usize> = survivors.iter().map(|survivor| survivor.index).collect();
    assert_eq!(kept, [1, 2].into());
}

#[test]
fn evolution_finds_what_random_search_does_not() {
    let settings = EvolutionSettings::generations(10, 300);
    for set in 0..3 {
        let parts = sets(&pareto()).swap_remove(set);
        let mut strategy = Evolution::new(bits(40), parts, settings.clone(), Seed::new(1)).unwrap();
        let trials = run(&mut strategy, 10, |bits| measure(bits));
        let ones = |trial: &boresight_core::Trial<Vec<bool>>| trial.verdict.objectives().unwrap()[0];
        let most = trials.iter().map(ones).fold(0.0, f64::max);
        // 40 fair bits have 20 ones, give or take 3.2: 33 is four deviations up, expected once in 30,000 draws.
        assert!(most >= 33.0, "{most}");
    }
}

#[test]
fn settings_that_break_a_rule_are_refused() {
    let cases = [
        (EvolutionSettings::generations(1, 5), Error::Population { population: 1 }),
        (EvolutionSettings::generations(4, 0), Error::NoBudget),
        (EvolutionSettings { offspring: 0, ..EvolutionSettings::default() }, Error::NoOffspring),
        (EvolutionSettings::steady_state(4, 9, 0), Error::NothingWaits),
    ];
    for (settings, error) in cases {
        let refused = Evolution::new(bits(9), Parts::nsga2(pareto()), settings, Seed::new(1)).unwrap_err();
        assert_eq!(refused, error);
    }
    let settings = EvolutionSettings::default();
    let niches = |ranking| Parts::nsga3(ranking, lattice_directions(3, 4)).unwrap();
    let refused = Evolution::new(bits(9), niches(pareto()), settings.clone(), Seed::new(1)).unwrap_err();
    assert_eq!(refused, Error::DirectionLength { expected: 2, found: 3 });
    let refused = Evolution::new(bits(9), niches(fitness()), settings, Seed::new(1)).unwrap_err();
    assert_eq!(refused, Error::NeedsPareto);
    let none = Ranking::Pareto { directions: Vec::<Direction>::new() };
    let refused = Evolution::new(
        bits(9),
        Parts { selection: Box::new(Uniform), ..Parts::nsga2(none) },
        EvolutionSettings::default(),
        Seed::new(1),
    );
    assert_eq!(refused.unwrap_err(), Error::NoObjectives);
}
