//! Evaluators made of others: cheap before dear, and limits on what was measured.

use crate::{Error, Failure};
use boresight_core::{Context, Evaluator, Objective, Outcome, Violation};
use std::collections::BTreeMap;

/// Two evaluators as one: the dear one is only asked for candidates that the cheap one finds nothing wrong with.
///
/// A candidate that breaks a constraint of the cheap one is [`Outcome::Infeasible`] with the amounts, so nothing is trained
/// for it, and strategies still learn by how much it fails. Objectives are those of the dear one, then those of the cheap
/// one, or the dear one's alone ([`Joint::screening`]); of attributes with one name, the dear one's stays.
#[derive(Debug)]
pub struct Joint<C, D> {
    cheap: C,
    dear: D,
    objectives: Vec<Objective>,
    /// Whether the cheap one only refuses.
    screens: bool,
}

impl<C, D> Joint<C, D> {
    /// Asks `cheap` first. `P` is what both evaluate.
    pub fn new<P: ?Sized>(cheap: C, dear: D) -> Self
    where
        C: Evaluator<P>,
        D: Evaluator<P>,
    {
        let objectives = [dear.objectives(), cheap.objectives()].concat();
        Self { cheap, dear, objectives, screens: false }
    }

    /// Asks `cheap` first, and only whether it finds anything wrong: its objectives are none of the whole. `P` is what both
    /// evaluate.
    pub fn screening<P: ?Sized>(cheap: C, dear: D) -> Self
    where
        C: Evaluator<P>,
        D: Evaluator<P>,
    {
        let objectives = dear.objectives().to_vec();
        Self { cheap, dear, objectives, screens: true }
    }
}

impl<P, C, D> Evaluator<P> for Joint<C, D>
where
    P: ?Sized,
    C: Evaluator<P>,
    D: Evaluator<P>,
    C::Error: Into<Failure>,
    D::Error: Into<Failure>,
{
    type Error = Failure;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, phenotype: &P, context: &Context) -> Result<Outcome, Failure> {
        let (extra, seen) = match self.cheap.evaluate(phenotype, context).map_err(Into::into)? {
            Outcome::Measured { objectives, violations, attributes } if violations.is_empty() => {
                (objectives, attributes)
            }
            Outcome::Measured { violations, .. } => {
                let broken: Vec<String> = violations.iter().map(sentence).collect();
                return Ok(Outcome::Infeasible { reason: broken.join(", "), violations });
            }
            refused => return Ok(refused),
        };
        let verdict = self.dear.evaluate(phenotype, context).map_err(Into::into)?;
        Ok(match verdict {
            Outcome::Measured { mut objectives, violations, attributes } => {
                objectives.extend(if self.screens { Vec::new() } else { extra });
                let attributes: BTreeMap<String, f64> = seen.into_iter().chain(attributes).collect();
                Outcome::Measured { objectives, violations, attributes }
            }
            other => other,
        })
    }
}

fn sentence(violation: &Violation) -> String {
    format!("{} is broken by {}", violation.constraint, violation.amount)
}

/// How far an objective may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// The objective's name.
    pub objective: String,
    /// What it may be.
    pub bound: Bound,
}

/// A bound of an objective, in its unit; the bound itself is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
}

/// An evaluator whose verdicts also say by how much limits on its objectives are broken.
#[derive(Debug)]
pub struct Limited<E> {
    evaluator: E,
    /// The index of the objective, and the limit.
    limits: Vec<(usize, Limit)>,
}

impl<E> Limited<E> {
    /// Puts limits on what `evaluator` measures. `P` is what it evaluates.
    ///
    /// # Errors
    /// [`Error::UnknownLimit`] when a limit names no objective of the evaluator.
    pub fn new<P: ?Sized>(evaluator: E, limits: Vec<Limit>) -> Result<Self, Error>
    where
        E: Evaluator<P>,
    {
        let placed = limits.into_iter().map(|limit| {
            let known = evaluator.objectives().iter().position(|objective| objective.name == limit.objective);
            known.map(|index| (index, limit.clone())).ok_or(Error::UnknownLimit { name: limit.objective })
        });
        let limits = placed.collect::<Result<_, _>>()?;
        Ok(Self { evaluator, limits })
    }

    fn broken<'limits>(
        &'limits self,
        objectives: &'limits [f64],
    ) -> impl Iterator<Item = Violation> + 'limits {
        self.limits.iter().filter_map(|(index, Limit { objective, bound })| {
            let found = *objectives.get(*index)?;
            let amount = match *bound {
                Bound::AtMost(most) => found - most,
                Bound::AtLeast(least) => least - found,
            };
            (amount > 0.0).then(|| Violation { constraint: objective.clone(), amount })
        })
    }
}

impl<P: ?Sized, E: Evaluator<P>> Evaluator<P> for Limited<E> {
    type Error = E::Error;

    fn objectives(&self) -> &[Objective] {
        self.evaluator.objectives()
    }

    fn evaluate(&self, phenotype: &P, context: &Context) -> Result<Outcome, E::Error> {
        let mut verdict = self.evaluator.evaluate(phenotype, context)?;
        if let Outcome::Measured { objectives, violations, .. } = &mut verdict {
            violations.extend(self.broken(objectives));
        }
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::{Direction, Seed};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Measures a number times a factor, and counts.
    #[derive(Debug)]
    struct Times {
        objectives: Vec<Objective>,
        factor: f64,
        calls: AtomicUsize,
    }

    impl Times {
        fn new(name: &str, factor: f64) -> Self {
            let objectives = vec![Objective::new(name, "1", Direction::Minimise)];
            Self { objectives, factor, calls: AtomicUsize::new(0) }
        }
    }

    impl Evaluator<f64> for Times {
        type Error = Failure;

        fn objectives(&self) -> &[Objective] {
            &self.objectives
        }

        fn evaluate(&self, number: &f64, _: &Context) -> Result<Outcome, Failure> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if *number < 0.0 {
                return Ok(Outcome::Diverged { reason: "negative".into() });
            }
            Ok(Outcome::measured(vec![number * self.factor]))
        }
    }

    fn limited(bound: Bound) -> Limited<Times> {
        let limit = Limit { objective: "parameters".into(), bound };
        Limited::new(Times::new("parameters", 10.0), vec![limit]).unwrap()
    }

    fn verdict(joint: &Joint<Limited<Times>, &Times>, number: f64) -> Outcome {
        joint.evaluate(&number, &Context::new(Seed::new(1))).unwrap()
    }

    #[test]
    fn the_dear_one_is_not_asked_for_what_is_refused() {
        let dear = Times::new("loss", 1.0);
        let joint = Joint::new::<f64>(limited(Bound::AtMost(50.0)), &dear);
        assert_eq!(
            joint.objectives().iter().map(|objective| objective.name.as_str()).collect::<Vec<_>>(),
            ["loss", "parameters"]
        );
        assert_eq!(verdict(&joint, 5.0), Outcome::measured(vec![5.0, 50.0]));
        let violations = vec![Violation { constraint: "parameters".into(), amount: 20.0 }];
        let reason = "parameters is broken by 20".to_owned();
        assert_eq!(verdict(&joint, 7.0), Outcome::Infeasible { violations, reason });
        assert!(matches!(verdict(&joint, -1.0), Outcome::Diverged { .. }));
        assert_eq!(dear.calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_only_screens_adds_no_objective() {
        let dear = Times::new("loss", 1.0);
        let joint = Joint::screening::<f64>(limited(Bound::AtMost(50.0)), &dear);
        assert_eq!(joint.objectives(), dear.objectives());
        assert_eq!(verdict(&joint, 5.0), Outcome::measured(vec![5.0]));
        assert!(matches!(verdict(&joint, 7.0), Outcome::Infeasible { .. }));
        assert_eq!(dear.calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn limits_say_by_how_much() {
        let least = limited(Bound::AtLeast(50.0));
        let verdict = least.evaluate(&3.0, &Context::new(Seed::new(1))).unwrap();
        let Outcome::Measured { violations, .. } = &verdict else { panic!("{verdict:?}") };
        assert_eq!(violations, &[Violation { constraint: "parameters".into(), amount: 20.0 }]);
        let unknown = Limit { objective: "latency".into(), bound: Bound::AtMost(1.0) };
        let refused = Limited::new::<f64>(Times::new("parameters", 1.0), vec![unknown]).unwrap_err();
        assert_eq!(refused.to_string(), "the limit on `latency` names no objective of the evaluator");
    }

    #[test]
    fn joint_and_limited_evaluators_keep_the_laws() {
        let joint = Joint::new::<f64>(limited(Bound::AtMost(50.0)), Times::new("loss", 1.0));
        let screening = Joint::screening::<f64>(limited(Bound::AtMost(50.0)), Times::new("loss", 1.0));
        for number in [1.0, 9.0, -1.0] {
            boresight_testkit::evaluator_laws(&screening, &number, [Context::new(Seed::new(1))]);
            boresight_testkit::evaluator_laws(&joint, &number, [Context::new(Seed::new(1))]);
            boresight_testkit::evaluator_laws(
                &limited(Bound::AtMost(50.0)),
                &number,
                [Context::new(Seed::new(1))],
            );
        }
    }
}
