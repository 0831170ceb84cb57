//! What a search hands over: its winners, and a front that others can read.

use super::front;
use crate::Error;
use crate::benchmarks::{Csv, unmarked};
use boresight_core::{Objective, Trial};

/// The winners of a search, labelled by whether they may be used at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Winners<'trials, G> {
    /// The non-dominated trials among those that break no constraint.
    Feasible(Vec<&'trials Trial<G>>),
    /// No trial keeps every constraint: these were measured or judged to break them least.
    LeastViolating(Vec<&'trials Trial<G>>),
    /// Every trial diverged or is infeasible without an amount, or there is none.
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

/// The points of a reference front in CSV: under a header, the columns of the objectives' names, as [`write_front`]
/// leaves them; without one, the first columns.
///
/// # Errors
/// When a column is missing, or a value is no finite number.
pub fn read_front(text: &str, objectives: &[Objective]) -> Result<Vec<Vec<f64>>, Error> {
    let text = unmarked(text);
    let first = text.lines().next().unwrap_or_default();
    let is_header = first.split(',').any(|field| field.trim().parse::<f64>().is_err());
    let csv = if is_header { Csv::parse(text)? } else { Csv::parse_headless(text)? };
    let column = |(index, objective): (usize, &Objective)| {
        if is_header { csv.column(&objective.name) } else { csv.column(&(index + 1).to_string()) }
    };
    let columns = objectives.iter().enumerate().map(column).collect::<Result<Vec<_>, _>>()?;
    let point = |row| columns.iter().map(|&column| csv.number(row, column)).collect();
    (0..csv.rows().len()).map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::{Direction, Outcome, Proposal, TrialId};

    fn objectives() -> [Objective; 2] {
        ["miou", "ms"].map(|name| Objective::new(name, "1", Direction::Minimise))
    }

    #[test]
    fn a_front_reads_back_bit_for_bit() {
        let points = [[0.1 + 0.2, 3.0], [1.0, 1e-300], [2.0, 5.0]];
        let trials: Vec<Trial<u8>> = points
            .iter()
            .zip(0..)
            .map(|(point, id)| Trial {
                id: TrialId(id),
                proposal: Proposal::new(0),
                verdict: Outcome::measured(point.to_vec()),
            })
            .collect();
        let mut text = Vec::new();
        write_front(&trials, &objectives(), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("trial,miou,ms\n0,"), "{text}");
        assert_eq!(read_front(&text, &objectives()).unwrap(), &points[..2]);
    }

    #[test]
    fn a_front_may_have_no_header() {
        for text in ["0,1\n1,0.5\n", "\u{feff}0,1\n1,0.5\n"] {
            assert_eq!(read_front(text, &objectives()).unwrap(), [[0.0, 1.0], [1.0, 0.5]]);
        }
        assert!(
            read_front("0\n", &objectives()).is_err() && read_front("miou,x\n1,2\n", &objectives()).is_err()
        );
        assert_eq!(
            read_front("0,1\n1,x\n", &objectives()).unwrap_err().to_string(),
            "line 2, column `2`: `x` is no finite number"
        );
    }
}
