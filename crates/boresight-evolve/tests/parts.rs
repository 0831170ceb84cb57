//! Parts are values: every strategy takes them, and each can be swapped alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod toy;

use boresight_core::{Outcome, Seed, Strategy};
use boresight_evolve::benchmarks::{Categorical, CategoricalSpace};
use boresight_evolve::parts::{FromSpace, Repair, Sampling, Sometimes, Tournament, WarmStart};
use boresight_evolve::{
    Error, Evolution, EvolutionSettings, GeneticAlgorithm, GeneticSettings, GuidedParts, GuidedSearch,
    GuidedSettings, Halving, HalvingParts, HalvingSettings, LocalParts, LocalSearch, LocalSettings, Novelty,
    Pace, Parts, RandomParts, RandomSearch,
};
use boresight_testkit::{generation_laws, novelty_law, resume_law, strategy_laws};
use std::collections::HashSet;
use toy::{Bits, bits, measure, mixed, pareto, run};

const LENGTH: usize = 12;

type Boxed = Box<dyn Strategy<Genotype = Vec<bool>>>;
type Maker = fn(Common, Seed) -> Boxed;

/// Sets the last bit.
#[derive(Clone, Copy, Debug)]
struct LastBit;

impl Repair<Bits> for LastBit {
    fn repair(&self, _: &Bits, mut bits: Vec<bool>, _: Seed) -> Vec<bool> {
        if let Some(last) = bits.last_mut() {
            *last = true;
        }
        bits
    }
}

/// The parts that every strategy has.
struct Common {
    sampling: Box<dyn Sampling<Bits>>,
    repair: Box<dyn Repair<Bits>>,
    novelty: Novelty<Vec<bool>>,
}

impl Common {
    fn into_parts(self, parts: Parts<Bits>) -> Parts<Bits> {
        let Self { sampling, repair, novelty } = self;
        Parts { sampling, repair, novelty, ..parts }
    }
}

fn common() -> Common {
    let RandomParts { sampling, repair, novelty } = RandomParts::default();
    Common { sampling, repair, novelty }
}

fn genetic(common: Common, seed: Seed) -> Boxed {
    let settings = GeneticSettings { population: 9, generations: 6, ..GeneticSettings::default() };
    let parts = common.into_parts(Parts::genetic(pareto()));
    Box::new(GeneticAlgorithm::with_parts(bits(LENGTH), parts, settings, seed).unwrap())
}

fn random(Common { sampling, repair, novelty }: Common, seed: Seed) -> Boxed {
    let parts = RandomParts { sampling, repair, novelty };
    Box::new(RandomSearch::with_parts(bits(LENGTH), parts, 40, seed).unwrap())
}

fn evolution(common: Common, seed: Seed) -> Boxed {
    let parts = common.into_parts(Parts::nsga2(pareto()));
    Box::new(Evolution::new(bits(LENGTH), parts, EvolutionSettings::generations(9, 40), seed).unwrap())
}

fn steady(common: Common, seed: Seed) -> Boxed {
    let parts = common.into_parts(Parts::aging(pareto(), 3));
    Box::new(Evolution::new(bits(LENGTH), parts, EvolutionSettings::steady_state(9, 40, 2), seed).unwrap())
}

fn local(Common { sampling, repair, novelty }: Common, seed: Seed) -> Boxed {
    let parts = LocalParts { sampling, repair, novelty, ..LocalParts::new(pareto()) };
    let settings = LocalSettings { trials: 40, starts: 9, round: 3 };
    Box::new(LocalSearch::new(bits(LENGTH), parts, settings, seed).unwrap())
}

fn guided(Common { sampling, repair, novelty }: Common, seed: Seed) -> Boxed {
    let numbers = |bits: &Vec<bool>| bits.iter().map(|&bit| f64::from(u8::from(bit))).collect::<Vec<f64>>();
    let parts = GuidedParts { sampling, repair, novelty, ..GuidedParts::new(pareto(), numbers) };
    let settings = GuidedSettings { trials: 30, initial: 9, pool: 20, round: 2, ..GuidedSettings::default() };
    Box::new(GuidedSearch::new(bits(LENGTH), parts, settings, seed).unwrap())
}

fn halving(Common { sampling, repair, novelty }: Common, seed: Seed) -> Boxed {
    let parts = HalvingParts { sampling, repair, novelty, ..HalvingParts::new(pareto()) };
    // No rung but one, so that nothing is proposed again at a larger fidelity.
    let settings = HalvingSettings { trials: 40, rungs: 1, cohort: 9, ..HalvingSettings::default() };
    Box::new(Halving::new(bits(LENGTH), parts, settings, seed).unwrap())
}

const MAKERS: [Maker; 7] = [genetic, random, evolution, steady, local, guided, halving];

#[test]
fn every_strategy_repairs_what_it_proposes() {
    for make in MAKERS {
        let mut strategy = make(Common { repair: Box::new(LastBit), ..common() }, Seed::new(1));
        let trials = run(&mut strategy, 9, |bits| measure(bits));
        assert!(trials.len() >= 30 && trials.iter().all(|trial| trial.proposal.genotype[LENGTH - 1]));
    }
}

#[test]
fn every_strategy_proposes_one_of_those_with_equal_keys() {
    for make in MAKERS {
        // Candidates that differ in the first two bits alone are one.
        let key = |bits: &Vec<bool>| -> [u8; 32] {
            std::array::from_fn(|at| u8::from(bits.get(at + 2).copied().unwrap_or(false)))
        };
        let mut strategy = make(Common { novelty: Novelty::by(key), ..common() }, Seed::new(1));
        let trials = run(&mut strategy, 9, |bits| measure(bits));
        let different: HashSet<&[bool]> = trials.iter().map(|trial| &trial.proposal.genotype[2..]).collect();
        assert!(trials.len() >= 30 && different.len() == trials.len());
    }
}

#[test]
fn every_strategy_starts_with_what_it_is_given() {
    let first: Vec<Vec<bool>> = [0, 5, 9].map(|ones| (0..LENGTH).map(|at| at < ones).collect()).to_vec();
    for make in MAKERS {
        let sampling = Box::new(WarmStart { first: first.clone(), rest: FromSpace });
        let mut strategy = make(Common { sampling, ..common() }, Seed::new(1));
        let trials = run(&mut strategy, 9, |bits| measure(bits));
        assert!(trials.iter().map(|trial| &trial.proposal.genotype).take(3).eq(&first));
    }
}

#[test]
fn a_warm_start_takes_members_alone() {
    let space = CategoricalSpace::new(vec![2, 2]).unwrap();
    let start = |genes| WarmStart::new(&space, vec![Categorical(genes)], FromSpace);
    assert!(start(vec![0, 1]).is_ok());
    assert_eq!(start(vec![0, 2]).unwrap_err(), Error::Outside { index: 1, value: "2".into() });
}

#[test]
fn a_genetic_algorithm_of_other_parts_keeps_the_laws() {
    let settings = GeneticSettings { population: 8, generations: 5, ..GeneticSettings::default() };
    let verdicts: [fn(&Vec<bool>) -> Outcome; 2] = [|bits| measure(bits), |bits| mixed(bits)];
    for which in 0..3 {
        let make = |seed| {
            let plain = Parts::genetic(pareto());
            let parts = match which {
                0 => Parts { selection: Box::new(Tournament { size: 2 }), ..plain },
                1 => Parts { crossover: None, survival: Parts::<Bits>::aging(pareto(), 2).survival, ..plain },
                _ => {
                    let rarely = Sometimes { part: FromSpace, probability: 0.3 };
                    Parts { mutation: Box::new(rarely), repair: Box::new(LastBit), ..plain }
                }
            };
            GeneticAlgorithm::with_parts(bits(20), parts, settings.clone(), seed).unwrap()
        };
        for evaluate in verdicts {
            strategy_laws(make, evaluate, 50);
            generation_laws(make, evaluate, 50);
            novelty_law(make, evaluate, 50);
            resume_law(make, evaluate, 50);
        }
    }
}

#[test]
fn a_budget_below_the_population_ends_the_search() {
    for pace in [Pace::Generations, Pace::SteadyState { waiting: 2 }] {
        let settings = EvolutionSettings { population: usize::MAX, offspring: usize::MAX, trials: 7, pace };
        let mut strategy = Evolution::new(bits(30), Parts::nsga2(pareto()), settings, Seed::new(1)).unwrap();
        assert_eq!(run(&mut strategy, 100, |bits| measure(bits)).len(), 7);
    }
}

#[test]
fn a_steady_state_breeds_where_sampling_has_no_more_first_members() {
    /// Draws two members alone.
    #[derive(Debug)]
    struct Few;

    impl Sampling<Bits> for Few {
        fn sample(&self, space: &Bits, index: u64, _: Seed) -> Vec<bool> {
            vec![index.is_multiple_of(2); space.length]
        }
    }

    let parts = Parts { sampling: Box::new(Few), ..Parts::nsga2(pareto()) };
    let settings = EvolutionSettings::steady_state(10, 40, 2);
    let mut strategy = Evolution::new(bits(30), parts, settings, Seed::new(1)).unwrap();
    assert_eq!(run(&mut strategy, 1, |bits| measure(bits)).len(), 40);
}
