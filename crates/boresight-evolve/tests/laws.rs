//! Every strategy of this crate keeps the laws of strategies.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use boresight_core::{Direction, Outcome, Seed};
use boresight_evolve::{FitnessForm, GeneticAlgorithm, GeneticSettings, RandomSearch, Ranking};
use boresight_testkit::{asynchronous_law, generation_laws, novelty_law, resume_law, strategy_laws};
use toy::{Bits, bits, measure, mixed, pareto};

fn settings(population: usize, elites: usize) -> GeneticSettings {
    GeneticSettings { population, generations: 4, elites, ..GeneticSettings::default() }
}

fn fitness(form: FitnessForm) -> Ranking {
    Ranking::Fitness { form, miou: 0, fps: 1, target_fps: 8.0 }
}

fn all_failed(_: &Vec<bool>) -> Outcome {
    Outcome::Diverged { reason: "overflow".into() }
}

fn check_genetic(length: usize, settings: &GeneticSettings, ranking: &Ranking) {
    let make = |seed| GeneticAlgorithm::new(bits(length), settings.clone(), ranking.clone(), seed).unwrap();
    let limit = settings.planned_trials() + 1;
    let verdicts: [fn(&Vec<bool>) -> Outcome; 3] = [|bits| measure(bits), |bits| mixed(bits), all_failed];
    for evaluate in verdicts {
        strategy_laws(make, evaluate, limit);
        generation_laws(make, evaluate, limit);
        novelty_law(make, evaluate, limit);
        resume_law(make, evaluate, limit);
        asynchronous_law(make, evaluate, limit);
    }
}

#[test]
fn the_genetic_algorithm_keeps_the_laws() {
    for ranking in [pareto(), fitness(FitnessForm::default()), fitness(FitnessForm::Stepwise)] {
        check_genetic(30, &settings(12, 2), &ranking);
        check_genetic(30, &settings(5, 0), &ranking);
        check_genetic(30, &settings(2, 1), &ranking);
    }
}

#[test]
fn the_genetic_algorithm_keeps_the_laws_in_a_space_that_runs_out() {
    check_genetic(4, &settings(12, 2), &pareto());
    check_genetic(3, &settings(12, 11), &pareto());
}

#[test]
fn the_genetic_algorithm_keeps_the_laws_without_variation() {
    let idle = GeneticSettings { crossover: 0.0, mutation: 0.0, ..settings(8, 1) };
    check_genetic(12, &idle, &pareto());
}

#[test]
fn random_search_keeps_the_laws() {
    for (length, budget) in [(30, 40), (4, 40), (2, 1)] {
        let make = |seed| RandomSearch::new(bits(length), budget, seed).unwrap();
        let evaluate = |bits: &Vec<bool>| if bits.len() > 2 { mixed(bits) } else { measure(bits) };
        strategy_laws(make, evaluate, budget + 1);
        generation_laws(make, evaluate, budget + 1);
        novelty_law(make, evaluate, budget + 1);
        resume_law(make, evaluate, budget + 1);
        asynchronous_law(make, evaluate, budget + 1);
    }
}

#[test]
fn strategies_work_on_a_borrowed_space_and_behind_a_box() {
    let space = Bits { length: 20, redraw: 0.1 };
    let ranking = Ranking::Pareto { directions: vec![Direction::Maximise, Direction::Minimise] };
    let make = |seed: Seed| -> Box<dyn boresight_core::Strategy<Genotype = Vec<bool>> + '_> {
        Box::new(GeneticAlgorithm::new(&space, settings(6, 1), ranking.clone(), seed).unwrap())
    };
    strategy_laws(make, |bits| measure(bits), 100);
}
