//! What the genetic algorithm does, seen from outside.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use boresight_core::{Outcome, Proposal, Seed, Strategy, TellError, Trial, TrialId};
use boresight_evolve::{Error, FitnessForm, GeneticAlgorithm, GeneticSettings, RandomSearch, Ranking};
use std::collections::HashSet;
use toy::{Bits, bits, measure, mixed, pareto, run};

fn settings() -> GeneticSettings {
    GeneticSettings { population: 10, generations: 6, elites: 2, ..GeneticSettings::default() }
}

fn genetic(space: Bits, settings: GeneticSettings, seed: u64) -> GeneticAlgorithm<Bits> {
    GeneticAlgorithm::new(space, settings, pareto(), Seed::new(seed)).unwrap()
}

/// The trials of each generation, given that no place stayed empty.
fn generations(trials: &[Trial<Vec<bool>>]) -> Vec<&[Trial<Vec<bool>>]> {
    std::iter::once(&trials[..10]).chain(trials[10..].chunks(8)).collect()
}

fn best_ones(trials: &[Trial<Vec<bool>>]) -> usize {
    trials.iter().map(|trial| trial.proposal.genotype.iter().filter(|&&bit| bit).count()).max().unwrap()
}

#[test]
fn it_beats_random_search_on_ones_at_every_seed() {
    let settings =
        GeneticSettings { population: 20, generations: 12, elites: 1, ..GeneticSettings::default() };
    let ones = |bits: &Vec<bool>| Outcome::measured(vec![measure(bits).objectives().unwrap()[0]]);
    let ranking = Ranking::Pareto { directions: vec![boresight_core::Direction::Maximise] };
    for seed in (0..10).map(Seed::new) {
        let mut genetic = GeneticAlgorithm::new(bits(48), settings.clone(), ranking.clone(), seed).unwrap();
        let mut random = RandomSearch::new(bits(48), settings.planned_trials(), seed).unwrap();
        let (evolved, sampled) = (run(&mut genetic, 20, ones), run(&mut random, 20, ones));
        assert_eq!(evolved.len(), sampled.len());
        assert!(best_ones(&evolved) > best_ones(&sampled), "seed {}", seed.number());
    }
}

#[test]
fn the_first_population_is_generation_one() {
    let mut strategy = genetic(bits(30), GeneticSettings { generations: 1, ..settings() }, 1);
    let trials = run(&mut strategy, 3, |bits| measure(bits));
    assert_eq!((trials.len(), strategy.generation()), (10, 1));
    assert!(trials.iter().all(|trial| trial.proposal.parents.is_empty()));
}

#[test]
fn the_settings_imply_the_number_of_trials() {
    for (elites, planned) in [(0, 60), (2, 50), (9, 15)] {
        let settings = GeneticSettings { elites, ..settings() };
        assert_eq!(settings.planned_trials(), planned);
        assert_eq!(run(&mut genetic(bits(30), settings, 1), 4, |bits| measure(bits)).len(), planned);
    }
}

#[test]
fn the_papers_settings_imply_their_trials() {
    assert_eq!(GeneticSettings::default().planned_trials(), 50 + 14 * 48);
}

#[test]
fn immigrants_are_the_stated_share_of_each_later_generation() {
    for (immigrants, expected) in [(0.0, 0), (0.2, 2), (0.25, 3), (1.0, 8)] {
        let mut strategy = genetic(bits(40), GeneticSettings { immigrants, ..settings() }, 5);
        let trials = run(&mut strategy, 10, |bits| measure(bits));
        for generation in &generations(&trials)[1..] {
            let sampled = generation.iter().filter(|trial| trial.proposal.parents.is_empty()).count();
            assert_eq!(sampled, expected, "share {immigrants}");
        }
    }
}

#[test]
fn elites_stay_parents_and_are_never_asked_again() {
    // A lone winner of the first generation stays an elite and so, in a pool of two, a parent of every generation.
    let settings = GeneticSettings { elites: 1, mating_pool: 0.2, immigrants: 0.0, ..settings() };
    let mut strategy = genetic(bits(40), settings.clone(), 2);
    let winner = genetic(bits(40), settings.clone(), 2).ask(1).remove(0).genotype;
    let evaluate = |bits: &Vec<bool>| {
        if *bits == winner { Outcome::measured(vec![99.0, 0.0]) } else { Outcome::measured(vec![1.0, 1.0]) }
    };
    let trials = run(&mut strategy, 10, evaluate);
    assert_eq!(trials.iter().filter(|trial| trial.proposal.genotype == winner).count(), 1);
    for generation in trials[10..].chunks(9) {
        assert!(generation.iter().any(|trial| trial.proposal.parents.contains(&TrialId(0))));
    }
}

#[test]
fn parents_come_from_the_best_half() {
    let mut strategy = genetic(bits(40), GeneticSettings { generations: 2, ..settings() }, 3);
    let trials = run(&mut strategy, 10, |bits| measure(bits));
    let best: HashSet<TrialId> =
        pareto().order(&trials[..10]).into_iter().take(5).map(|at| trials[at].id).collect();
    let mut parents = trials[10..].iter().flat_map(|trial| &trial.proposal.parents);
    assert!(parents.all(|parent| best.contains(parent)));
}

#[test]
fn failed_trials_are_no_parents_while_two_were_measured() {
    for seed in 0..20 {
        let mut strategy = genetic(bits(40), GeneticSettings { mating_pool: 1.0, ..settings() }, seed);
        let trials = run(&mut strategy, 10, |bits| mixed(bits));
        for parent in trials.iter().flat_map(|trial| &trial.proposal.parents) {
            let at = usize::try_from(parent.0).unwrap();
            assert!(trials[at].verdict.objectives().is_some(), "seed {seed}, trial {at}");
        }
    }
}

#[test]
fn a_generation_of_failures_still_has_children() {
    let mut strategy = genetic(bits(40), settings(), 1);
    let trials = run(&mut strategy, 10, |_| Outcome::Diverged { reason: "overflow".into() });
    assert_eq!(trials.len(), 50);
    assert!(trials[10..].iter().any(|trial| trial.proposal.parents.len() == 2));
}

#[test]
fn a_space_that_runs_out_ends_the_search() {
    let mut strategy = genetic(bits(3), settings(), 1);
    let trials = run(&mut strategy, 10, |bits| measure(bits));
    assert_eq!(trials.len(), 8);
    assert!(strategy.ask(10).is_empty());
}

#[test]
fn random_search_finds_all_of_a_small_space_and_keeps_its_budget() {
    let count = |budget| {
        let mut strategy = RandomSearch::new(bits(4), budget, Seed::new(1)).unwrap();
        run(&mut strategy, 5, |bits| measure(bits)).len()
    };
    assert_eq!((count(100), count(7)), (16, 7));
}

#[test]
fn without_crossover_a_child_has_one_parent() {
    let mut strategy = genetic(bits(40), GeneticSettings { crossover: 0.0, ..settings() }, 1);
    let trials = run(&mut strategy, 10, |bits| measure(bits));
    assert!(trials.iter().all(|trial| trial.proposal.parents.len() < 2));
    assert!(trials[10..].iter().any(|trial| trial.proposal.parents.len() == 1));
}

#[test]
fn a_verdict_with_too_few_objectives_is_refused() {
    let fitness = Ranking::Fitness { form: FitnessForm::default(), miou: 0, fps: 2, target_fps: 120.0 };
    for (ranking, expected) in [(pareto(), 2), (fitness, 3)] {
        let mut strategy = GeneticAlgorithm::new(bits(9), settings(), ranking, Seed::new(1)).unwrap();
        let proposal: Proposal<Vec<bool>> = strategy.ask(1).remove(0);
        let trial = Trial { id: TrialId(0), proposal, verdict: Outcome::measured(vec![1.0]) };
        let refused = Err(TellError::ObjectiveCount { trial: TrialId(0), expected, found: 1 });
        assert_eq!(strategy.tell(trial.clone()), refused);
        let full = Outcome::measured(vec![1.0; expected]);
        assert_eq!(strategy.tell(Trial { verdict: full, ..trial }), Ok(()));
    }
}

#[test]
fn settings_that_break_a_rule_are_refused_in_one_sentence() {
    let cases = [
        (GeneticSettings { population: 1, ..settings() }, "a population needs at least 2 members, not 1"),
        (GeneticSettings { generations: 0, ..settings() }, "a search needs at least 1 generation, not 0"),
        (
            GeneticSettings { elites: 10, ..settings() },
            "10 elites leave no room for new trials in a population of 10",
        ),
        (GeneticSettings { immigrants: 1.5, ..settings() }, "immigrants must be between 0 and 1, 1.5 is not"),
        (
            GeneticSettings { mutation: f64::NAN, ..settings() },
            "mutation must be between 0 and 1, NaN is not",
        ),
        (
            GeneticSettings { mating_pool: 0.0, ..settings() },
            "mating_pool must be above 0: without parents there are no children",
        ),
    ];
    for (settings, sentence) in cases {
        let refused = GeneticAlgorithm::new(bits(9), settings, pareto(), Seed::new(1)).unwrap_err();
        assert_eq!(refused.to_string(), sentence);
    }
    assert_eq!(RandomSearch::new(bits(9), 0, Seed::new(1)).unwrap_err(), Error::NoBudget);
}
