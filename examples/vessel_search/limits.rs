//! Limits on what a network costs, asked before it is trained.

use boresight::core::Direction;
use boresight::eval::{CostEvaluator, Measure};
use boresight::ir::Network;
use boresight::search::{Bound, Limit, Limited};
use boresight::vpu::Vpu;
use std::error::Error;

/// What refuses a candidate before it is trained.
pub(crate) type Cheap = Limited<CostEvaluator<Vpu>>;

/// Checks `NAME=VALUE` and returns it.
pub(crate) fn checked(text: &str) -> Result<String, String> {
    parse(text).map(|_| text.to_owned())
}

/// The evaluator of costs that holds candidates to `limits`.
pub(crate) fn cheap(limits: &[String], vpu: Vpu) -> Result<Cheap, Box<dyn Error>> {
    let limits = limits.iter().map(|text| parse(text)).collect::<Result<Vec<_>, _>>()?;
    // A cost model need not know more than it is asked for.
    let asked = |measure: &Measure| limits.iter().any(|limit| limit.objective == measure.name());
    let measures: Vec<Measure> = Measure::ALL.into_iter().filter(asked).collect();
    Ok(Limited::new::<Network>(CostEvaluator::new(vpu, &measures)?, limits)?)
}

/// What is better when it is less may be at most so much, the rest must be at least so much.
fn parse(text: &str) -> Result<Limit, String> {
    let (name, value) = text.split_once('=').ok_or("it must be NAME=VALUE")?;
    let measure: Measure = name.parse().map_err(|error: boresight::eval::Error| error.to_string())?;
    if measure.needs_training() {
        return Err(format!("{name} is known only after training"));
    }
    let value: f64 = value.parse().map_err(|_| "the value must be a number".to_owned())?;
    if !(value > 0.0 && value.is_finite()) {
        return Err("the value must be above 0".to_owned());
    }
    let bound = match measure.objective().direction {
        Direction::Minimise => Bound::AtMost(value),
        Direction::Maximise => Bound::AtLeast(value),
    };
    Ok(Limit { objective: name.to_owned(), bound })
}
