//! How trials are ordered.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use boresight_core::{Direction, Outcome, Proposal, Trial, TrialId, Violation};
use boresight_evolve::pareto::Winners;
use boresight_evolve::{Error, FitnessForm, Ranking};
use proptest::prelude::*;
use std::collections::BTreeMap;

const FORMS: [&str; 5] = ["weighted-exponential", "multiplicative", "logarithmic", "sigmoid", "stepwise"];

fn fitness(form: FitnessForm) -> Ranking {
    Ranking::Fitness { form, miou: 1, fps: 0, target_fps: 120.0 }
}

fn form(name: &str) -> FitnessForm {
    name.parse().unwrap()
}

fn pareto() -> Ranking {
    Ranking::Pareto { directions: vec![Direction::Maximise, Direction::Minimise] }
}

fn trial(id: u64, verdict: Outcome) -> Trial<u8> {
    Trial { id: TrialId(id), proposal: Proposal::new(0), verdict }
}

fn broken(constraint: &str, amount: f64) -> Violation {
    Violation { constraint: constraint.into(), amount }
}

fn infeasible(violations: Vec<Violation>) -> Outcome {
    Outcome::Infeasible { violations, reason: "too large".into() }
}

fn violating(amount: f64) -> Outcome {
    let violations = vec![broken("parameters", amount)];
    Outcome::Measured { objectives: vec![120.0, 0.9], violations, attributes: BTreeMap::new() }
}

fn diverged() -> Outcome {
    Outcome::Diverged { reason: "overflow".into() }
}

fn numbers(ranking: &Ranking, verdicts: Vec<Outcome>) -> Vec<u64> {
    let trials: Vec<_> = verdicts.into_iter().zip(0..).map(|(verdict, id)| trial(id, verdict)).collect();
    ranking.order(&trials).into_iter().map(|at| trials[at].id.0).collect()
}

#[test]
fn the_five_forms_have_their_hand_computed_values() {
    // f = 60 / 120, m = 0.8: 0.5 + 0.8 e^0.8, 0.5 x 0.9, 0.5 ln 1.81, 0.5 / (1 + e^-4), 0.5 x 1.8.
    let expected = [2.280_432_742_793_974, 0.45, 0.296_663_422_638_867_2, 0.491_006_895_018_954_2, 0.9];
    for (name, expected) in FORMS.into_iter().zip(expected) {
        let found = fitness(form(name)).fitness(&Outcome::measured(vec![60.0, 0.8])).unwrap();
        assert!((found - expected).abs() < 1e-12, "{name}: {found}");
    }
}

#[test]
fn the_five_forms_keep_their_value_below_zero() {
    // f = 0.5, m = -0.2: 0.5 - 0.2 e^-0.2, 0, 0.5 ln 1, 0.5 / (1 + e), 0.05.
    let expected = [0.336_253_849_384_403_6, 0.0, 0.0, 0.134_470_710_684_997_54, 0.05];
    for (name, expected) in FORMS.into_iter().zip(expected) {
        let found = form(name).value(0.5, -0.2);
        assert!((found - expected).abs() < 1e-12, "{name}: {found}");
    }
}

#[test]
fn frames_beyond_the_target_are_worth_nothing() {
    for name in FORMS {
        let at = |fps| fitness(form(name)).fitness(&Outcome::measured(vec![fps, 0.7])).unwrap();
        assert_eq!(at(120.0).to_bits(), at(1000.0).to_bits(), "{name}");
        assert!(at(119.0) < at(120.0), "{name}");
    }
}

#[test]
fn a_pareto_ranking_has_no_fitness() {
    assert_eq!(pareto().fitness(&Outcome::measured(vec![1.0, 1.0])), None);
    assert_eq!(fitness(FitnessForm::default()).fitness(&violating(1.0)), None);
}

#[test]
fn fitness_orders_trials_and_equal_ones_by_number() {
    let measured = |fps, miou| Outcome::measured(vec![fps, miou]);
    let verdicts = vec![measured(10.0, 0.5), measured(10.0, 0.8), measured(10.0, 0.5), measured(90.0, 0.5)];
    // 0.75 + 0.5 e^0.5 = 1.574; 0.083 + 0.8 e^0.8 = 1.864.
    assert_eq!(numbers(&fitness(FitnessForm::default()), verdicts), [1, 3, 0, 2]);
}

#[test]
fn pareto_orders_by_layer_then_by_crowding() {
    let points = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [4.0, 4.0], [0.0, 1.0], [3.9, 4.0]];
    let verdicts = points.iter().map(|point| Outcome::measured(point.to_vec())).collect();
    // Layer one is 0 to 3: ends first, then 2 with 3/4 + 3/4, then 1 with 2/4 + 2/4.
    assert_eq!(numbers(&pareto(), verdicts), [0, 3, 2, 1, 4, 5]);
}

#[test]
fn failures_stand_below_every_measured_trial() {
    let verdicts = vec![
        diverged(),
        infeasible(vec![broken("parameters", 9.0)]),
        violating(50.0),
        infeasible(vec![broken("parameters", 3.0)]),
        violating(2.0),
        diverged(),
        Outcome::measured(vec![0.0, 0.0]),
    ];
    for ranking in [pareto(), fitness(FitnessForm::default())] {
        assert_eq!(numbers(&ranking, verdicts.clone()), [6, 4, 2, 3, 1, 0, 5]);
    }
}

#[test]
fn an_amount_that_nobody_states_does_not_pass_for_none() {
    let verdicts = vec![infeasible(vec![]), infeasible(vec![broken("parameters", 3.0)]), diverged()];
    assert_eq!(numbers(&pareto(), verdicts.clone()), [1, 0, 2]);
    let trials: Vec<_> = verdicts.into_iter().zip(0..).map(|(verdict, id)| trial(id, verdict)).collect();
    assert_eq!(pareto().winners(&trials), Winners::LeastViolating(vec![&trials[1]]));
    assert_eq!(pareto().winners(&trials[..1]), Winners::Nothing);
}

#[test]
fn amounts_count_relative_to_the_largest_of_their_constraint() {
    // Shares of (1000 parameters, 0.2 s): 1 + 0.1, 0.5 + 0.5, 0 + 1.
    let verdicts = vec![
        infeasible(vec![broken("parameters", 1000.0), broken("latency", 0.02)]),
        infeasible(vec![broken("parameters", 600.0), broken("latency", 0.1)]),
        infeasible(vec![broken("latency", 0.2)]),
    ];
    assert_eq!(numbers(&pareto(), verdicts), [2, 0, 1]);
}

#[test]
fn values_that_do_not_fit_rank_as_failures() {
    let verdicts = vec![
        Outcome::measured(vec![f64::NAN, 1.0]),
        Outcome::measured(vec![1.0]),
        Outcome::measured(vec![0.1, 9.0]),
    ];
    assert_eq!(numbers(&pareto(), verdicts), [2, 0, 1]);
}

#[test]
fn the_best_trial_was_measured() {
    let trials = [trial(0, diverged()), trial(1, Outcome::measured(vec![1.0, 0.5]))];
    let ranking = fitness(FitnessForm::default());
    assert_eq!(ranking.best(&trials).map(|best| best.id), Some(TrialId(1)));
    assert_eq!(ranking.best(&trials[..1]), None);
    assert_eq!(ranking.best::<u8>(&[]), None);
}

#[test]
fn rankings_that_break_a_rule_are_refused() {
    let target = |target_fps| Ranking::Fitness { form: FitnessForm::Sigmoid, miou: 0, fps: 1, target_fps };
    assert_eq!(target(0.0).check(), Err(Error::TargetFps { target_fps: 0.0 }));
    assert!(target(f64::NAN).check().is_err() && target(f64::INFINITY).check().is_err());
    let same = Ranking::Fitness { form: FitnessForm::Sigmoid, miou: 2, fps: 2, target_fps: 1.0 };
    assert_eq!(same.check(), Err(Error::SameObjective { index: 2 }));
    let weights = FitnessForm::WeightedExponential { alpha: 1.0, beta: f64::INFINITY, gamma: 1.0 };
    assert_eq!(fitness(weights).check(), Err(Error::Weight { weight: "beta", value: f64::INFINITY }));
    assert_eq!(Ranking::Pareto { directions: vec![] }.check(), Err(Error::NoObjectives));
    assert_eq!("best".parse::<FitnessForm>(), Err(Error::UnknownForm { name: "best".into() }));
    assert_eq!((pareto().check(), target(120.0).check()), (Ok(()), Ok(())));
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let value = |grid: u8| f64::from(grid) / 4.0;
    prop_oneof![
        4 => [0_u8..5, 0..5].prop_map(move |point| Outcome::measured(point.map(value).to_vec())),
        1 => (1_u8..5).prop_map(move |amount| violating(value(amount))),
        1 => (1_u8..5).prop_map(move |amount| infeasible(vec![broken("latency", value(amount))])),
        1 => Just(diverged()),
    ]
}

proptest! {
    #[test]
    fn the_order_of_the_list_does_not_matter(
        verdicts in prop::collection::vec(outcome(), 0..20),
        seed: u64,
    ) {
        let sorted: Vec<_> = verdicts.into_iter().zip(0..).map(|(verdict, id)| trial(id, verdict)).collect();
        let mut shuffled = sorted.clone();
        boresight_core::Seed::new(seed).stream().shuffle(&mut shuffled);
        for ranking in [pareto(), fitness(FitnessForm::default())] {
            let ids = |trials: &[Trial<u8>]| -> Vec<TrialId> {
                ranking.order(trials).into_iter().map(|at| trials[at].id).collect()
            };
            prop_assert_eq!(ids(&sorted), ids(&shuffled));
        }
    }

    #[test]
    fn a_better_network_never_has_less_fitness(
        slow in 0.0..200.0_f64, faster in 0.0..50.0_f64, miou in 0.0..0.9_f64, better in 0.0..0.1_f64,
    ) {
        for name in FORMS {
            let at = |fps, miou| fitness(form(name)).fitness(&Outcome::measured(vec![fps, miou])).unwrap();
            prop_assert!(at(slow, miou) <= at(slow + faster, miou), "{}", name);
            prop_assert!(at(slow, miou) <= at(slow, miou + better), "{}", name);
        }
    }
}
