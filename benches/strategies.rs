//! Times strategies and Pareto tools: what a search spends besides evaluations.
//!
//! `cargo bench -p boresight-bench --bench strategies`; `benches/peers/moo.py cost` prints pymoo's times for the same.

use boresight::core::{Context, Direction, Evaluator, Seed, Strategy, Trial, TrialId};
use boresight::evolve::benchmarks::Problem;
use boresight::evolve::pareto::{hypervolume, non_dominated_sort};
use boresight::evolve::{Evolution, EvolutionSettings, Parts, Polynomial, Ranking, SimulatedBinary};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

const POPULATION: usize = 100;
const GENERATIONS: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let mut criterion = Criterion::default().configure_from_args();
    nsga2(&mut criterion)?;
    pareto_tools(&mut criterion);
    criterion.final_summary();
    Ok(())
}

/// NSGA-II on ZDT1 with 30 variables, with and without the problem's own time; throughput is in evaluations.
fn nsga2(criterion: &mut Criterion) -> Result<(), Box<dyn Error>> {
    let problem = Problem::named("zdt1")?;
    let trials = POPULATION * GENERATIONS;
    let mut group = criterion.benchmark_group("zdt1, population 100");
    group.throughput(Throughput::Elements(trials as u64));
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group.bench_function("nsga2 with evaluations", |bencher| {
        bencher.iter_batched(
            || strategy(&problem),
            |mut nsga2| run(&mut nsga2, &problem),
            BatchSize::LargeInput,
        );
    });
    let vectors: Vec<_> = {
        let mut nsga2 = strategy(&problem);
        nsga2.ask(POPULATION).into_iter().map(|proposal| proposal.genotype).collect()
    };
    group.bench_function("evaluations alone", |bencher| {
        bencher.iter(|| {
            for at in 0..trials {
                let context = Context::new(Seed::new(1));
                assert!(black_box(problem.evaluate(&vectors[at % POPULATION], &context)).is_ok());
            }
        });
    });
    group.finish();
    Ok(())
}

fn strategy(problem: &Problem) -> Evolution<&boresight::evolve::RealSpace> {
    let parts = Parts {
        crossover: Some(Box::new(SimulatedBinary::default())),
        mutation: Box::new(Polynomial::default()),
        ..Parts::nsga2(Ranking::Pareto { directions: vec![Direction::Minimise; 2] })
    };
    let settings = EvolutionSettings::generations(POPULATION, POPULATION * GENERATIONS);
    #[expect(clippy::expect_used, reason = "the settings above keep every rule")]
    Evolution::new(problem.space(), parts, settings, Seed::new(1)).expect("settings that keep every rule")
}

fn run(nsga2: &mut Evolution<&boresight::evolve::RealSpace>, problem: &Problem) -> u64 {
    let mut told = 0;
    loop {
        let asked = nsga2.ask(POPULATION);
        if asked.is_empty() {
            return told;
        }
        for proposal in asked {
            let Ok(verdict) = problem.evaluate(&proposal.genotype, &Context::new(Seed::new(1)));
            let refused = nsga2.tell(Trial { id: TrialId(told), proposal, verdict });
            debug_assert!(refused.is_ok(), "{refused:?}");
            told += 1;
        }
    }
}

fn pareto_tools(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pareto");
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    for objectives in [2, 3, 5] {
        let (points, directions) = (cloud(10_000, objectives), vec![Direction::Minimise; objectives]);
        let name = format!("10,000 uniform points in {objectives} objectives");
        group.bench_function(BenchmarkId::new("non-dominated sort", name), |bencher| {
            bencher.iter(|| non_dominated_sort(&points, &directions));
        });
    }
    let (sphere, directions) = (sphere(10_000), vec![Direction::Minimise; 3]);
    group.bench_function(BenchmarkId::new("non-dominated sort", "10,000 points of one front"), |bencher| {
        bencher.iter(|| non_dominated_sort(&sphere, &directions));
    });
    for objectives in 2..=5 {
        let (points, directions) = (cloud(100, objectives), vec![Direction::Minimise; objectives]);
        let name = format!("100 uniform points in {objectives} objectives");
        group.bench_function(BenchmarkId::new("hypervolume", name), |bencher| {
            bencher.iter(|| hypervolume(&points, &vec![1.0; objectives], &directions));
        });
    }
    group.finish();
}

fn cloud(count: usize, objectives: usize) -> Vec<Vec<f64>> {
    let mut stream = Seed::new(1).derive("cloud", objectives as u64).stream();
    (0..count).map(|_| (0..objectives).map(|_| stream.unit()).collect()).collect()
}

/// Points of a sphere, of which none dominates another.
fn sphere(count: usize) -> Vec<Vec<f64>> {
    let mut points = cloud(count, 3);
    for point in &mut points {
        let norm = point.iter().map(|value| value * value).sum::<f64>().sqrt();
        for value in point.iter_mut() {
            *value /= norm;
        }
    }
    points
}
