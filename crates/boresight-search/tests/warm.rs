//! No evaluation is wasted: neither within a run, nor on what an earlier run measured.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use boresight_core::{
    Context, Direction, Evaluator, Ignore, Memory, Objective, Outcome, SearchSpace, Seed, Strategy, Trial,
};
use boresight_evolve::benchmarks::{Categorical, CategoricalSpace};
use boresight_evolve::parts::{FromSpace, WarmStart};
use boresight_evolve::{
    Evolution, EvolutionSettings, GeneticAlgorithm, GeneticSettings, Novelty, Parts, RandomSearch, Ranking,
    Stagnation,
};
use boresight_search::{Cached, Journal, Search, Settings, Shared, Stop};
use std::collections::HashSet;
use std::convert::Infallible;
use std::sync::Mutex;
use tempfile::tempdir;

/// Counts ones and twos, and remembers whom it measured. The last gene counts for nothing.
struct Ones {
    objectives: [Objective; 2],
    measured: Mutex<Vec<Vec<u16>>>,
}

fn ones() -> Ones {
    let objectives = ["ones", "twos"].map(|name| Objective::new(name, "1", Direction::Maximise));
    Ones { objectives, measured: Mutex::default() }
}

impl Ones {
    fn measured(&self) -> Vec<Vec<u16>> {
        self.measured.lock().unwrap().clone()
    }
}

impl Evaluator<Categorical> for Ones {
    type Error = Infallible;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, genotype: &Categorical, _: &Context) -> Result<Outcome, Infallible> {
        let genes = active(genotype);
        self.measured.lock().unwrap().push(genes.clone());
        let count = |choice| genes.iter().filter(|&&gene| gene == choice).count() as f64;
        Ok(if genes[0] == 2 {
            Outcome::Diverged { reason: "it begins with 2".into() }
        } else {
            Outcome::measured(vec![count(1), count(2)])
        })
    }
}

fn active(genotype: &Categorical) -> Vec<u16> {
    genotype.0[..7].to_vec()
}

fn key(genotype: &Categorical) -> [u8; 32] {
    std::array::from_fn(|at| genotype.0[..7].get(at).map_or(0, |&gene| gene.to_le_bytes()[0]))
}

fn space() -> CategoricalSpace {
    CategoricalSpace::new(vec![3; 8]).unwrap()
}

fn ranking() -> Ranking {
    Ranking::Pareto { directions: vec![Direction::Maximise; 2] }
}

fn run<
    T: Strategy<Genotype = Categorical>,
    E: Evaluator<Categorical, Error: Into<boresight_search::Failure>>,
>(
    strategy: T,
    evaluator: E,
    workers: usize,
) -> Vec<Trial<Categorical>> {
    let settings = Settings { workers: workers.try_into().unwrap(), ..Settings::new(Seed::new(4)) };
    let (store, space) = (&mut Memory::new(), &space());
    Search { space, strategy, evaluator, store, settings: &settings }.run(&mut Ignore).unwrap().trials
}

fn random() -> RandomSearch<CategoricalSpace> {
    RandomSearch::new(space(), 60, Seed::new(3)).unwrap()
}

fn genetic(first: Vec<Categorical>) -> GeneticAlgorithm<CategoricalSpace> {
    let settings = GeneticSettings { population: 12, generations: 8, ..GeneticSettings::default() };
    let parts = Parts {
        sampling: Box::new(WarmStart { first, rest: FromSpace }),
        novelty: Novelty::by(key),
        ..Parts::genetic(ranking())
    };
    GeneticAlgorithm::with_parts(space(), parts, settings, Seed::new(5)).unwrap()
}

#[test]
fn a_run_never_measures_equal_candidates_and_elites_twice() {
    for workers in [1, 4] {
        let evaluator = ones();
        let trials = run(genetic(Vec::new()), &evaluator, workers);
        let measured = evaluator.measured();
        let different: HashSet<&Vec<u16>> = measured.iter().collect();
        assert!(trials.len() > 60 && measured.len() == trials.len() && different.len() == measured.len());
    }
}

#[test]
fn a_warm_start_takes_over_what_an_earlier_run_measured() {
    let first = ones();
    let earlier = run(random(), &first, 2);
    let best = ranking().order(&earlier).into_iter().take(10).map(|at| earlier[at].proposal.genotype.clone());
    let best: Vec<Categorical> = best.collect();
    let known: HashSet<Vec<u16>> = first.measured().into_iter().collect();
    let plain = run(genetic(best.clone()), ones(), 1);
    for workers in [1, 4] {
        let second = ones();
        let cached = Cached::new(&second, key).knowing(&space(), earlier.iter().cloned());
        let trials = run(genetic(best.clone()), cached, workers);
        // The same search, but for what was measured before.
        assert_eq!(trials, plain);
        let fresh = trials.iter().filter(|trial| !known.contains(&active(&trial.proposal.genotype)));
        let measured = second.measured();
        assert_eq!(measured.len(), fresh.count());
        assert!(measured.len() <= trials.len() - 10 && measured.iter().all(|genes| !known.contains(genes)));
    }
}

#[test]
fn runs_that_share_a_file_measure_a_candidate_once() {
    let place = tempdir().unwrap();
    let evaluator = ones();
    let shared = || {
        Shared::open(
            place.path().join("cache"),
            &serde_json::json!(1),
            &evaluator,
            |genotype: &Categorical| active(genotype),
        )
        .unwrap()
    };
    let first = run(random(), shared(), 1);
    let second = run(genetic(Vec::new()), shared(), 1);
    let trials = first.iter().chain(&second);
    let different: HashSet<Vec<u16>> = trials.map(|trial| active(&trial.proposal.genotype)).collect();
    assert_eq!(evaluator.measured().len(), different.len());
    assert!(different.len() < first.len() + second.len());
}

#[test]
fn a_stagnating_search_ends_as_a_prefix_of_the_longer_one() {
    let place = tempdir().unwrap();
    let search = |name: &str, stops: &mut [Stop<'_, Categorical>]| {
        let path = place.path().join(name);
        let mut store = if path.exists() { Journal::open(path) } else { Journal::create(path) }.unwrap();
        let settings = EvolutionSettings::generations(6, 120);
        let strategy = Evolution::new(space(), Parts::nsga2(ranking()), settings, Seed::new(2)).unwrap();
        let settings = &Settings::new(Seed::new(4));
        Search { space: &space(), strategy, evaluator: ones(), store: &mut store, settings }
            .run_until(stops, &mut Ignore)
            .unwrap()
    };
    let whole = search("whole", &mut []);
    let mut rule = Stagnation::new(vec![Direction::Maximise; 2], vec![-1.0; 2], 24, 0.0).unwrap();
    let stop = Stop::when("24 trials without a gain", |trials: &[_]| rule.stagnates(trials));
    let stopped = search("stopped", &mut [stop]);
    assert_eq!(stopped.stopped.as_deref(), Some("24 trials without a gain"));
    assert!(stopped.trials.len() < whole.trials.len() && whole.trials.starts_with(&stopped.trials));
    assert_eq!(search("stopped", &mut []).trials, whole.trials);
    let read = Journal::<Categorical>::read(place.path().join("stopped")).unwrap();
    assert_eq!(read.trials(), whole.trials);
}

#[test]
fn what_the_space_cannot_decode_is_not_known() {
    struct Narrow(CategoricalSpace);

    impl SearchSpace for Narrow {
        type Genotype = Categorical;
        type Phenotype = Categorical;
        type Error = std::fmt::Error;

        fn sample(&self, seed: Seed) -> Categorical {
            self.0.sample(seed)
        }

        fn decode(&self, genotype: &Categorical) -> Result<Categorical, Self::Error> {
            if genotype.0.len() == 8 { Ok(genotype.clone()) } else { Err(std::fmt::Error) }
        }
    }

    let trial = |genes: Vec<u16>, values| Trial {
        id: boresight_core::TrialId(0),
        proposal: boresight_core::Proposal::new(Categorical(genes)),
        verdict: Outcome::measured(values),
    };
    let evaluator = ones();
    let trials = [
        trial(vec![1; 3], vec![9.0, 9.0]),
        trial(vec![1; 8], vec![9.0]),
        trial(vec![0; 8], vec![9.0, 9.0]),
        trial(vec![0; 8], vec![8.0, 8.0]),
    ];
    let cached = Cached::new(&evaluator, key).knowing(&Narrow(space()), trials);
    let verdict = |genes| cached.evaluate(&Categorical(genes), &Context::new(Seed::new(1))).unwrap();
    assert_eq!(verdict(vec![0; 8]), Outcome::measured(vec![9.0, 9.0]));
    assert_eq!(verdict(vec![1; 8]), Outcome::measured(vec![7.0, 0.0]));
    assert_eq!(evaluator.measured().len(), 1);
}
