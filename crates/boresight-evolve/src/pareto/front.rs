//! What a search hands over: its winners, and a front that others can read.

use super::front;
use boresight_core::{Objective, Trial};

/// The winners of a search, labelled by whether they may be used at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Winners<'trials, G> {
    /// The non-dominated trials among those that break no constraint.
    Feasible(Vec<&'trials Trial<G>>),
    /// No trial keeps every constraint: these were measured or judged to break them least.
    LeastViolating(Vec<&'trials Trial<G>>),
    /// Every trial diverged, or there is none.
    Nothing,
}

/// Writes the front of `trials` as CSV: a header of `trial` and the objectives' names, then a line for each trial in
/// their order, with values that read back bit for bit. Such a file is a reference front for IGD+ and epsilon.
///
/// # Errors
/// When `out` refuses.
pub fn write_front<G>(
    trials: &[Trial<G>],
    objectives: &[Objective],
    out: &mut impl std::io::Write,
) -> std::io::Result<()> {
    let directions: Vec<_> = objectives.iter().map(|objective| objective.direction).collect();
    let names: Vec<&str> = objectives.iter().map(|objective| objective.name.as_str()).collect();
    writeln!(out, "trial,{}", names.join(","))?;
    for trial in front(trials, &directions) {
        let values = trial.verdict.objectives().unwrap_or_default();
        let values: Vec<String> = values.iter().map(f64::to_string).collect();
        writeln!(out, "{},{}", trial.id.0, values.join(","))?;
    }
    Ok(())
}
