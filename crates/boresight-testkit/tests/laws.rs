//! The laws accept what is lawful and name the law that a liar breaks.

use boresight_core::{
    Accumulate, Context, Cost, CostModel, Direction, Evaluator, Evolvable, Fit, Memory, Metric, Objective,
    Observer, Outcome, SearchSpace, Seconds, Seed, Store, TrainEvent, Trainer,
};
use boresight_testkit::{
    accumulate_laws, cost_model_laws, decode_laws, durable_store_laws, evaluator_laws, evolvable_laws,
    metric_laws, refusal_laws, space_laws, store_laws, trainer_laws,
};
use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a toy does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    Nothing,
    Remembers,
    Escapes,
    Idles,
    LosesNumbers,
    IsDeaf,
}

/// Every role at once, over numbers below 100; `calls` is the hidden state of the liar that remembers.
struct Toy {
    lie: Lie,
    calls: AtomicU64,
    objectives: Vec<Objective>,
}

impl Toy {
    fn new(lie: Lie) -> Self {
        let objectives = vec![Objective::new("size", "1", Direction::Maximise)];
        Self { lie, calls: AtomicU64::new(0), objectives }
    }

    /// `value`, or a value that depends on the number of calls.
    fn perhaps_moved(&self, value: u64) -> u64 {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.lie == Lie::Remembers { (value + call) % 100 } else { value }
    }
}

impl SearchSpace for Toy {
    type Genotype = u64;
    type Phenotype = u64;
    type Error = std::fmt::Error;

    fn sample(&self, seed: Seed) -> u64 {
        self.perhaps_moved(seed.stream().bits() % 100)
    }

    fn decode(&self, genotype: &u64) -> Result<u64, Self::Error> {
        if *genotype < 100 { Ok(self.perhaps_moved(*genotype)) } else { Err(std::fmt::Error) }
    }
}

impl Evolvable for Toy {
    fn mutate(&self, genotype: &u64, seed: Seed) -> u64 {
        match self.lie {
            Lie::Escapes => genotype + 50,
            Lie::Idles => *genotype,
            _ => (genotype + seed.stream().bits() % 10) % 100,
        }
    }

    fn crossover(&self, first: &u64, second: &u64, _: Seed) -> u64 {
        first.midpoint(*second)
    }
}

impl Evaluator<u64> for Toy {
    type Error = Infallible;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, phenotype: &u64, _: &Context) -> Result<Outcome, Infallible> {
        let value = self.perhaps_moved(*phenotype) as f64;
        Ok(match self.lie {
            Lie::Escapes => Outcome::measured(vec![value, value]),
            Lie::LosesNumbers => Outcome::measured(vec![f64::NAN]),
            Lie::Idles => Outcome::Infeasible { violations: vec![], reason: String::new() },
            _ => Outcome::measured(vec![value]),
        })
    }
}

impl CostModel<u64> for Toy {
    type Error = Infallible;

    fn device(&self) -> &'static str {
        "toy"
    }

    fn estimate(&self, network: &u64) -> Result<Cost, Infallible> {
        let latency = if self.lie == Lie::LosesNumbers { f64::INFINITY } else { 1.0 + *network as f64 };
        Ok(Cost {
            latency: Seconds(latency),
            fps: 1.0 + self.perhaps_moved(0) as f64,
            streams: 1,
            energy: None,
            peak_memory: 0,
            memory_traffic: None,
            utilisation: Some(if self.lie == Lie::Escapes { 2.0 } else { 0.5 }),
        })
    }
}

impl Trainer<u64> for Toy {
    type Model = u64;
    type Error = Infallible;

    fn train(
        &self,
        network: &u64,
        _: &Context,
        observer: &mut dyn Observer<TrainEvent>,
    ) -> Result<Fit<u64>, Infallible> {
        for step in 1..=3 {
            let step = if self.lie == Lie::Escapes { step + 1 } else { step };
            let flow = observer.observe(&TrainEvent::Step { step, steps: 3 });
            if flow == ControlFlow::Break(()) && self.lie != Lie::IsDeaf {
                return Ok(Fit::Interrupted);
            }
        }
        Ok(Fit::Trained(self.perhaps_moved(*network)))
    }
}

/// A sum of even numbers; the liar merges by keeping the larger sum.
#[derive(Clone, Debug, PartialEq)]
struct EvenSum {
    lie: Lie,
    sum: u64,
}

impl Accumulate<u64> for EvenSum {
    type Error = u64;

    fn update(&mut self, sample: &u64) -> Result<(), u64> {
        let even = sample.is_multiple_of(2);
        if even || self.lie == Lie::Escapes {
            self.sum += sample;
        }
        if even { Ok(()) } else { Err(*sample) }
    }

    fn merge(&mut self, other: &Self) -> Result<(), u64> {
        self.sum = if self.lie == Lie::LosesNumbers { self.sum.max(other.sum) } else { self.sum + other.sum };
        Ok(())
    }
}

/// One over a number; the liar divides by zero.
struct Reciprocal(Lie);

impl Metric<u64> for Reciprocal {
    fn objective(&self) -> Objective {
        Objective::new("reciprocal", "1", Direction::Maximise)
    }

    fn score(&self, counts: &u64) -> Option<f64> {
        (*counts > 0 || self.0 == Lie::LosesNumbers).then(|| 1.0 / *counts as f64)
    }
}

/// A store whose replay empties it.
struct Leaky(Vec<u8>);

impl Store<u8> for Leaky {
    type Error = Infallible;

    fn append(&mut self, record: &u8) -> Result<(), Infallible> {
        self.0.push(*record);
        Ok(())
    }

    fn replay(&mut self) -> Result<Vec<u8>, Infallible> {
        Ok(std::mem::take(&mut self.0))
    }
}

fn seeds() -> impl Iterator<Item = Seed> {
    (0..20).map(Seed::new)
}

fn contexts() -> impl Iterator<Item = Context> {
    seeds().map(Context::new)
}

#[test]
fn lawful_implementations_pass() {
    let toy = Toy::new(Lie::Nothing);
    space_laws(&toy, seeds());
    decode_laws(&toy, seeds());
    evolvable_laws(&toy, seeds());
    evaluator_laws(&toy, &7, contexts());
    cost_model_laws(&toy, &7);
    trainer_laws(&toy, &7, &Context::new(Seed::new(1)));
    accumulate_laws(&EvenSum { lie: Lie::Nothing, sum: 0 }, &[2, 4, 40]);
    refusal_laws(&EvenSum { lie: Lie::Nothing, sum: 6 }, &3);
    metric_laws(&Reciprocal(Lie::Nothing), &[0, 1, 3]);
    store_laws(&mut Memory::new(), &[1, 2, 2]);
}

#[test]
fn the_laws_take_trait_objects() {
    let toy = Toy::new(Lie::Nothing);
    let evaluator: &dyn Evaluator<u64, Error = Infallible> = &toy;
    evaluator_laws(evaluator, &7, contexts());
    let model: &dyn CostModel<u64, Error = Infallible> = &toy;
    cost_model_laws(model, &7);
}

#[test]
#[should_panic(expected = "equal seeds give equal members")]
fn a_space_with_a_memory_is_found() {
    space_laws(&Toy::new(Lie::Remembers), seeds());
}

#[test]
#[should_panic(expected = "mutation is closed")]
fn a_mutation_that_leaves_the_space_is_found() {
    evolvable_laws(&Toy::new(Lie::Escapes), seeds());
}

#[test]
#[should_panic(expected = "mutation mutates")]
fn a_mutation_that_does_nothing_is_found() {
    evolvable_laws(&Toy::new(Lie::Idles), seeds());
}

#[test]
#[should_panic(expected = "equal genotypes give equal phenotypes")]
fn a_decoder_with_a_memory_is_found() {
    decode_laws(&Toy::new(Lie::Remembers), seeds());
}

#[test]
#[should_panic(expected = "equal contexts give equal verdicts")]
fn an_evaluator_with_a_memory_is_found() {
    evaluator_laws(&Toy::new(Lie::Remembers), &7, contexts());
}

#[test]
#[should_panic(expected = "one value for each objective")]
fn a_surplus_objective_value_is_found() {
    evaluator_laws(&Toy::new(Lie::Escapes), &7, contexts());
}

#[test]
#[should_panic(expected = "objective values are finite")]
fn a_value_that_is_no_number_is_found() {
    evaluator_laws(&Toy::new(Lie::LosesNumbers), &7, contexts());
}

#[test]
#[should_panic(expected = "an infeasible verdict gives a reason")]
fn a_verdict_without_a_reason_is_found() {
    evaluator_laws(&Toy::new(Lie::Idles), &7, contexts());
}

#[test]
#[should_panic(expected = "equal networks give equal costs")]
fn a_cost_model_with_a_memory_is_found() {
    cost_model_laws(&Toy::new(Lie::Remembers), &7);
}

#[test]
#[should_panic(expected = "latency is finite")]
fn an_endless_latency_is_found() {
    cost_model_laws(&Toy::new(Lie::LosesNumbers), &7);
}

#[test]
#[should_panic(expected = "utilisation lies between 0 and 1")]
fn a_device_that_does_more_than_it_can_is_found() {
    cost_model_laws(&Toy::new(Lie::Escapes), &7);
}

#[test]
#[should_panic(expected = "equal contexts give equal fits")]
fn a_trainer_with_a_memory_is_found() {
    trainer_laws(&Toy::new(Lie::Remembers), &7, &Context::new(Seed::new(1)));
}

#[test]
#[should_panic(expected = "counted upwards from 1")]
fn a_trainer_that_miscounts_is_found() {
    trainer_laws(&Toy::new(Lie::Escapes), &7, &Context::new(Seed::new(1)));
}

#[test]
#[should_panic(expected = "an observer that breaks off is obeyed")]
fn a_deaf_trainer_is_found() {
    trainer_laws(&Toy::new(Lie::IsDeaf), &7, &Context::new(Seed::new(1)));
}

#[test]
#[should_panic(expected = "merging shards equals the whole")]
fn a_lossy_merge_is_found() {
    accumulate_laws(&EvenSum { lie: Lie::LosesNumbers, sum: 0 }, &[2, 4]);
}

#[test]
#[should_panic(expected = "after an error nothing of the sample is counted")]
fn a_half_counted_sample_is_found() {
    refusal_laws(&EvenSum { lie: Lie::Escapes, sum: 0 }, &3);
}

#[test]
#[should_panic(expected = "a score is none or finite")]
fn an_infinite_score_is_found() {
    metric_laws(&Reciprocal(Lie::LosesNumbers), &[1, 0]);
}

#[test]
#[should_panic(expected = "replaying does not consume records")]
fn a_leaking_store_is_found() {
    store_laws(&mut Leaky(vec![]), &[1]);
}

#[test]
#[should_panic(expected = "records survive reopening")]
fn a_store_that_forgets_is_found() {
    durable_store_laws(Memory::new, &[1]);
}
