//! What strategies run on, and one run.

use crate::cli::Cli;
use crate::contestants::build;
use boresight::core::{Context, Evaluator, Evolvable, Seed, Trial, TrialId};
use boresight::evolve::benchmarks::{Categorical, CategoricalSpace, OneGene, Problem, Table};
use boresight::evolve::parts::{Mutants, Neighbourhood};
use boresight::evolve::{Features, Parts, Polynomial, RealSpace, RealVector, SimulatedBinary};
use std::error::Error;
use std::time::{Duration, Instant};

/// What one run leaves.
pub(crate) struct Run {
    /// The values of each trial that keeps every constraint, in order; `None` for the others.
    pub(crate) values: Vec<Option<Vec<f64>>>,
    /// The values of the last population, where the strategy has one.
    pub(crate) population: Option<Vec<Vec<f64>>>,
    /// Time spent in the strategy.
    pub(crate) own: Duration,
}

/// A space with its evaluator, and the parts that suit it.
pub(crate) trait Bench: Sized {
    type Space: Evolvable<Genotype = Self::Genotype, Phenotype = Self::Genotype>;
    type Genotype: boresight::core::Genotype;
    type Judge: Evaluator<Self::Genotype, Error = std::convert::Infallible>;

    fn space(&self) -> &Self::Space;
    fn evaluator(&self) -> &Self::Judge;
    /// Puts the variation of this space into the parts.
    fn tune<'space>(&self, parts: Parts<&'space Self::Space>, index: Variation)
    -> Parts<&'space Self::Space>;
    fn neighbourhood<'space>(&self) -> Box<dyn Neighbourhood<&'space Self::Space>>;
    fn features(&self) -> Box<dyn Features<Self::Genotype>>;

    /// One run.
    fn run(&self, cli: &Cli, seed: Seed) -> Result<Run, Box<dyn Error>> {
        let mut contestant = build(self, cli, seed)?;
        let limit = contestant.batch();
        let (mut own, mut values, mut asked) = (Duration::ZERO, Vec::new(), 0_u64);
        while values.len() < cli.evaluations {
            let proposals = timed(&mut own, || contestant.ask(limit.min(cli.evaluations - values.len())));
            if proposals.is_empty() {
                break;
            }
            let judged = proposals.into_iter().map(|proposal| {
                let context = Context { fidelity: proposal.fidelity, ..Context::new(seed) };
                let Ok(verdict) = self.evaluator().evaluate(&proposal.genotype, &context);
                asked += 1;
                Trial { id: TrialId(asked - 1), proposal, verdict }
            });
            let judged: Vec<_> = judged.collect();
            values.extend(judged.iter().map(|trial| trial.verdict.objectives().map(<[f64]>::to_vec)));
            timed(&mut own, || judged.into_iter().try_for_each(|trial| contestant.tell(trial)))?;
        }
        Ok(Run { values, population: contestant.population(), own })
    }
}

/// Which parameters of variation a strategy has in the literature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variation {
    Nsga2,
    Nsga3,
}

#[expect(
    clippy::disallowed_methods,
    reason = "the strategy's own time is what is measured; it reaches no result"
)]
fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *total += start.elapsed();
    result
}

/// A problem of real vectors.
pub(crate) struct RealBench<'run> {
    pub(crate) space: &'run RealSpace,
    pub(crate) problem: &'run Problem,
}

impl Bench for RealBench<'_> {
    type Space = RealSpace;
    type Genotype = RealVector;
    type Judge = Problem;

    fn space(&self) -> &RealSpace {
        self.space
    }

    fn evaluator(&self) -> &Problem {
        self.problem
    }

    fn tune<'space>(&self, parts: Parts<&'space RealSpace>, index: Variation) -> Parts<&'space RealSpace> {
        let crossover = match index {
            Variation::Nsga2 => SimulatedBinary::default(),
            Variation::Nsga3 => {
                SimulatedBinary { probability: 1.0, index: 30.0, ..SimulatedBinary::default() }
            }
        };
        let crossed = parts.crossover.is_some();
        let mut parts = Parts { mutation: Box::new(Polynomial::default()), ..parts };
        if crossed {
            parts.crossover = Some(Box::new(crossover));
        }
        parts
    }

    fn neighbourhood<'space>(&self) -> Box<dyn Neighbourhood<&'space RealSpace>> {
        Box::new(Mutants { count: 20 })
    }

    fn features(&self) -> Box<dyn Features<RealVector>> {
        Box::new(|vector: &RealVector| vector.0.clone())
    }
}

/// A table.
pub(crate) struct TableBench<'run> {
    pub(crate) space: &'run CategoricalSpace,
    pub(crate) table: &'run Table,
}

impl Bench for TableBench<'_> {
    type Space = CategoricalSpace;
    type Genotype = Categorical;
    type Judge = Table;

    fn space(&self) -> &CategoricalSpace {
        self.space
    }

    fn evaluator(&self) -> &Table {
        self.table
    }

    fn tune<'space>(
        &self,
        parts: Parts<&'space CategoricalSpace>,
        _: Variation,
    ) -> Parts<&'space CategoricalSpace> {
        parts
    }

    fn neighbourhood<'space>(&self) -> Box<dyn Neighbourhood<&'space CategoricalSpace>> {
        Box::new(OneGene)
    }

    fn features(&self) -> Box<dyn Features<Categorical>> {
        let space = self.space.clone();
        Box::new(move |genotype: &Categorical| space.one_hot(genotype))
    }
}
