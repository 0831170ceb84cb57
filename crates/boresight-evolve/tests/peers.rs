//! Held against moors, another implementation of the same algorithms.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]
#![expect(missing_docs, reason = "the macro of moors makes a public type")]

use boresight_core::{Context, Direction, Evaluator, Seed, Strategy, Trial, TrialId};
use boresight_evolve::benchmarks::Problem;
use boresight_evolve::pareto::{hypervolume, non_dominated_sort};
use boresight_evolve::parts::{Crossover, Mutation, Sometimes};
use boresight_evolve::{Bounded, Evolution, EvolutionSettings, Parts, Ranking, RealVector};
use moors::non_dominated_sorting::fast_non_dominated_sorting;
use moors::{
    ExactDuplicatesCleaner, GaussianMutation, Nsga2Builder, RandomSamplingFloat, SimulatedBinaryCrossover,
    impl_constraints_fn,
};
use ndarray::{Array2, Axis, stack};

const VARIABLES: usize = 30;
const POPULATION: usize = 100;
const GENERATIONS: usize = 150;
const MINIMISE: [Direction; 2] = [Direction::Minimise; 2];

#[test]
fn layers_are_those_of_moors() {
    for (seed, objectives) in (0..30).zip([2, 3, 4, 5].into_iter().cycle()) {
        let mut stream = Seed::new(seed).stream();
        // A coarse grid, so that equal values and equal points occur.
        let points: Vec<Vec<f64>> =
            (0..80).map(|_| (0..objectives).map(|_| stream.below(9) as f64).collect()).collect();
        let matrix = Array2::from_shape_fn((points.len(), objectives), |(row, column)| points[row][column]);
        let mut theirs = fast_non_dominated_sorting(&matrix, points.len());
        for layer in &mut theirs {
            layer.sort_unstable();
        }
        let ours = non_dominated_sort(&points, &vec![Direction::Minimise; objectives]);
        assert_eq!(ours, theirs, "seed {seed}, {objectives} objectives");
    }
}

fn zdt1(genes: &Array2<f64>) -> Array2<f64> {
    let first = genes.column(0).to_owned();
    let g = (genes.sum_axis(Axis(1)) - &first) * (9.0 / (VARIABLES as f64 - 1.0)) + 1.0;
    let second = &g * (1.0 - (&first / &g).mapv(f64::sqrt));
    stack(Axis(1), &[first.view(), second.view()]).unwrap()
}

impl_constraints_fn!(Unit, lower_bound = 0.0, upper_bound = 1.0);

fn theirs(seed: u64) -> f64 {
    let mut algorithm = Nsga2Builder::default()
        .sampler(RandomSamplingFloat::new(0.0, 1.0))
        .crossover(SimulatedBinaryCrossover::new(15.0))
        .mutation(GaussianMutation::new(1.0 / VARIABLES as f64, 0.1))
        .duplicates_cleaner(ExactDuplicatesCleaner::new())
        .fitness_fn(zdt1)
        .constraints_fn(Unit)
        .num_vars(VARIABLES)
        .population_size(POPULATION)
        .num_offsprings(POPULATION)
        .num_iterations(GENERATIONS)
        .mutation_rate(0.9)
        .crossover_rate(0.9)
        .keep_infeasible(false)
        .verbose(false)
        .seed(seed)
        .build()
        .unwrap();
    algorithm.run().unwrap();
    let population = algorithm.population.unwrap();
    let values: Vec<Vec<f64>> = population.fitness.outer_iter().map(|row| row.to_vec()).collect();
    hypervolume(&values, &[1.1, 1.1], &MINIMISE)
}

/// The crossover and the mutation of moors: bounds only cut off what lies outside.
#[derive(Debug)]
struct Cut;

fn inside(value: f64) -> f64 {
    value.clamp(0.0, 1.0)
}

impl<S: Bounded> Crossover<S> for Cut {
    fn cross(&self, _: &S, [first, second]: [&RealVector; 2], seed: Seed) -> [RealVector; 2] {
        let mut stream = seed.stream();
        let pairs = first.0.iter().zip(&second.0).map(|(&first, &second)| {
            let draw = stream.unit();
            let factor = if draw <= 0.5 { 2.0 * draw } else { 1.0 / (2.0 * (1.0 - draw)) }.powf(1.0 / 16.0);
            let (middle, half) = (f64::midpoint(first, second), 0.5 * factor * (first - second).abs());
            (inside(middle - half), inside(middle + half))
        });
        let (low, high) = pairs.unzip();
        [RealVector(low), RealVector(high)]
    }
}

impl<S: Bounded> Mutation<S> for Cut {
    fn mutate(&self, _: &S, genotype: &RealVector, seed: Seed) -> RealVector {
        let mut stream = seed.stream();
        let mutated = genotype.0.iter().map(|&value| {
            let moved = stream.chance(1.0 / VARIABLES as f64);
            if moved { inside(value + 0.1 * stream.normal()) } else { value }
        });
        RealVector(mutated.collect())
    }
}

fn ours(seed: u64) -> f64 {
    let problem = Problem::named("zdt1").unwrap();
    let parts = Parts {
        crossover: Some(Box::new(Sometimes { part: Cut, probability: 0.9 })),
        mutation: Box::new(Sometimes { part: Cut, probability: 0.9 }),
        ..Parts::nsga2(Ranking::Pareto { directions: MINIMISE.to_vec() })
    };
    let settings = EvolutionSettings::generations(POPULATION, POPULATION * (GENERATIONS + 1));
    let mut nsga2 = Evolution::new(problem.space(), parts, settings, Seed::new(seed)).unwrap();
    let mut told = 0;
    loop {
        let asked = nsga2.ask(POPULATION);
        if asked.is_empty() {
            break;
        }
        for proposal in asked {
            let verdict = problem.evaluate(&proposal.genotype, &Context::new(Seed::new(1))).unwrap();
            nsga2.tell(Trial { id: TrialId(told), proposal, verdict }).unwrap();
            told += 1;
        }
    }
    let values: Vec<&[f64]> = nsga2.population().filter_map(|trial| trial.verdict.objectives()).collect();
    hypervolume(&values, &[1.1, 1.1], &MINIMISE)
}

#[test]
fn nsga2_covers_as_much_as_that_of_moors() {
    let mean = |run: fn(u64) -> f64| (1..=5).map(run).sum::<f64>() / 5.0;
    let (ours, theirs) = (mean(ours), mean(theirs));
    // The front itself covers 0.8766; runs of either differ by less than 0.001.
    assert!(ours > theirs - 0.001 && ours > 0.86, "{ours} {theirs}");
}
