//! Laws of evaluators.

use crate::json::survives_json;
use boresight_core::{Context, Evaluator, Outcome, Violation};
use std::fmt::Debug;

/// Laws of an evaluator, checked for one phenotype under each of `contexts`.
///
/// It has at least one objective and no two of the same name; equal contexts give equal verdicts; a measured verdict
/// has one finite value for each objective; attributes are finite; amounts of violations are above 0; a verdict that
/// is no measurement gives a reason; a verdict survives JSON.
///
/// # Panics
/// With the name of the first law that is broken, or when the evaluator returns an error.
#[track_caller]
pub fn evaluator_laws<P: ?Sized, E>(evaluator: &E, phenotype: &P, contexts: impl IntoIterator<Item = Context>)
where
    E: Evaluator<P> + ?Sized,
    E::Error: Debug,
{
    let objectives = evaluator.objectives().to_vec();
    assert!(!objectives.is_empty(), "an evaluator has an objective: broken, there is none");
    for (at, objective) in objectives.iter().enumerate() {
        let twin = objectives[..at].iter().any(|other| other.name == objective.name);
        assert!(!twin, "objectives have different names: broken for {:?}", objective.name);
    }
    for context in contexts {
        let verdict = verdict(evaluator, phenotype, &context);
        check(&verdict, objectives.len());
        survives_json("a verdict", &verdict);
        let again = self::verdict(evaluator, phenotype, &context);
        assert_eq!(again, verdict, "equal contexts give equal verdicts: broken in {context:?}");
        assert_eq!(evaluator.objectives(), objectives, "objectives never change: broken after {context:?}");
    }
}

#[track_caller]
fn verdict<P: ?Sized, E>(evaluator: &E, phenotype: &P, context: &Context) -> Outcome
where
    E: Evaluator<P> + ?Sized,
    E::Error: Debug,
{
    match evaluator.evaluate(phenotype, context) {
        Ok(verdict) => verdict,
        Err(error) => panic!("the evaluator gives a verdict: broken in {context:?}: {error:?}"),
    }
}

#[track_caller]
fn check(verdict: &Outcome, objectives: usize) {
    match verdict {
        Outcome::Measured { objectives: values, violations, attributes } => {
            assert_eq!(
                values.len(),
                objectives,
                "there is one value for each objective: broken by {values:?}"
            );
            let finite = values.iter().all(|value| value.is_finite());
            assert!(finite, "objective values are finite: broken by {values:?}");
            for (name, value) in attributes {
                assert!(value.is_finite(), "attributes are finite: broken, {name:?} is {value}");
            }
            check_violations(violations);
        }
        Outcome::Infeasible { violations, reason } => {
            check_violations(violations);
            assert!(!reason.is_empty(), "an infeasible verdict gives a reason: broken, it is empty");
        }
        Outcome::Diverged { reason } => {
            assert!(!reason.is_empty(), "a diverged verdict gives a reason: broken, it is empty");
        }
    }
}

#[track_caller]
fn check_violations(violations: &[Violation]) {
    for violation in violations {
        let holds = violation.amount > 0.0 && violation.amount.is_finite();
        assert!(holds, "a violation has a finite amount above 0: broken by {violation:?}");
    }
}
