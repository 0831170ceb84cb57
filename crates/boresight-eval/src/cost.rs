//! What a network costs, as an evaluator: cheap, so it can be asked before training.

use crate::{Error, Measure};
use boresight_core::{Context, CostModel, Evaluator, Objective, Outcome, Violation};
use boresight_ir::Network;
use std::fmt;

/// Measures that need no training, from a cost model. What the device refuses is [`Outcome::Infeasible`].
///
/// With `Limited` around it and `Joint::screening` of boresight-search before a trainer, what is too large or too slow is
/// never trained.
#[derive(Clone, Debug)]
pub struct CostEvaluator<C> {
    cost: C,
    measures: Vec<Measure>,
    objectives: Vec<Objective>,
}

impl<C> CostEvaluator<C> {
    /// Measures `measures` by `cost`.
    ///
    /// # Errors
    /// [`Error::NeedsTraining`] when an accuracy is among them.
    pub fn new(cost: C, measures: &[Measure]) -> Result<Self, Error> {
        if let Some(measure) = measures.iter().find(|measure| measure.needs_training()) {
            let known = Measure::ALL.into_iter().filter(|measure| !measure.needs_training());
            let known: Vec<&str> = known.map(Measure::name).collect();
            return Err(Error::NeedsTraining { name: measure.name(), known: known.join(", ") });
        }
        let objectives = measures.iter().map(|measure| measure.objective()).collect();
        Ok(Self { cost, measures: measures.to_vec(), objectives })
    }
}

impl<C> Evaluator<Network> for CostEvaluator<C>
where
    C: CostModel<Network>,
    C::Error: fmt::Display,
{
    type Error = Error;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, network: &Network, _: &Context) -> Result<Outcome, Error> {
        let cost = match self.cost.estimate(network) {
            Ok(cost) => cost,
            Err(refusal) => {
                let violation = Violation { constraint: self.cost.device().to_owned(), amount: 1.0 };
                return Ok(Outcome::Infeasible { violations: vec![violation], reason: refusal.to_string() });
            }
        };
        // No accuracy is among the measures.
        let value = |measure: &Measure| {
            measure.of(network, &cost, [0.0; 2]).ok_or_else(|| Error::NotPredicted {
                name: measure.name(),
                device: self.cost.device().to_owned(),
            })
        };
        Ok(Outcome::measured(self.measures.iter().map(value).collect::<Result<_, _>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::{Cost, Seconds, Seed};
    use boresight_ir::{Builder, Conv2d, Op, Shape};
    use boresight_testkit::evaluator_laws;

    /// A device that refuses more than 100 parameters.
    #[derive(Clone, Copy, Debug)]
    struct Small;

    impl CostModel<Network> for Small {
        type Error = std::fmt::Error;

        fn device(&self) -> &'static str {
            "small"
        }

        fn estimate(&self, network: &Network) -> Result<Cost, Self::Error> {
            if network.parameter_count() > 100 {
                return Err(std::fmt::Error);
            }
            Ok(cost(network.macs() as f64 * 1e-6))
        }
    }

    fn cost(seconds: f64) -> Cost {
        Cost {
            latency: Seconds(seconds),
            fps: 1.0 / seconds,
            streams: 1,
            energy: None,
            peak_memory: 7,
            memory_traffic: None,
            utilisation: None,
        }
    }

    fn network(width: usize) -> Network {
        let mut builder = Builder::new(Shape::new(1, 4, 4)).unwrap();
        let last = builder.add("last", Op::Conv2d(Conv2d::same(width, 3)), &[builder.input()]).unwrap();
        builder.finish(last).unwrap()
    }

    #[test]
    fn what_is_measured_needs_no_training() {
        let evaluator = CostEvaluator::new(Small, &[Measure::Latency, Measure::Parameters]).unwrap();
        let verdict = evaluator.evaluate(&network(2), &Context::new(Seed::new(1))).unwrap();
        // Two 3x3 kernels with biases, at 16 pixels.
        assert_eq!(verdict, Outcome::measured(vec![2.0 * 9.0 * 16.0 * 1e-6, 20.0]));
        let refused = CostEvaluator::new(Small, &[Measure::Latency, Measure::Miou]).unwrap_err();
        assert!(refused.to_string().starts_with("'miou' is known only after training"), "{refused}");
    }

    #[test]
    fn what_the_device_refuses_is_infeasible_and_the_laws_are_kept() {
        let evaluator = CostEvaluator::new(Small, &[Measure::Macs, Measure::PeakMemory]).unwrap();
        for width in [2, 40] {
            evaluator_laws(&evaluator, &network(width), [Context::new(Seed::new(1))]);
        }
        let verdict = evaluator.evaluate(&network(40), &Context::new(Seed::new(1))).unwrap();
        assert!(matches!(verdict, Outcome::Infeasible { .. }));
    }
}
