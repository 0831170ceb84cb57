//! What is said of the runs.

use crate::bench::Run;
use boresight::core::{Direction, Objective};
use boresight::evolve::pareto::{hypervolume, igd_plus};
use serde_json::{Value, json};
use std::fmt::{self, Display, Formatter};

/// What one objective shall reach, and when it is looked at.
pub(crate) struct Target {
    pub(crate) value: f64,
    pub(crate) at: Vec<usize>,
}

/// Named values, one for each run.
pub(crate) struct Measured {
    rows: Vec<Row>,
    /// Evaluations that a run needed to reach the target; `None` for those that did not.
    reached: Option<Vec<Option<usize>>>,
}

struct Row {
    name: String,
    values: Vec<f64>,
}

impl Measured {
    pub(crate) fn of(
        runs: &[Run],
        objectives: &[Objective],
        reference: Option<&[f64]>,
        front: Option<&[Vec<f64>]>,
        target: Option<&Target>,
    ) -> Self {
        let directions: Vec<Direction> = objectives.iter().map(|objective| objective.direction).collect();
        let mut measured = Self { rows: Vec::new(), reached: None };
        if let Some(reference) = reference {
            let volume = |run: &Run| hypervolume(&points(run), reference, &directions);
            measured.add("hypervolume", runs.iter().map(volume));
        }
        if let Some(front) = front {
            let distance = |run: &Run| igd_plus(&points(run), front, &directions).unwrap_or(f64::INFINITY);
            measured.add("igd_plus", runs.iter().map(distance));
        }
        if let Some(Target { value, at }) = target {
            for &count in at {
                let best = |run: &Run| best(run, directions[0], count);
                measured.add(&format!("best_at_{count}"), runs.iter().map(best));
            }
            let reaches = |found: f64| !directions[0].prefers(*value, found);
            let first = |run: &Run| {
                let found =
                    run.values.iter().position(|found| found.as_ref().is_some_and(|found| reaches(found[0])));
                found.map(|position| position + 1)
            };
            measured.reached = Some(runs.iter().map(first).collect());
        }
        if objectives.len() == 1 {
            measured.add("best", runs.iter().map(|run| best(run, directions[0], usize::MAX)));
        }
        let cost = |run: &Run| 1e6 * run.own.as_secs_f64() / run.values.len().max(1) as f64;
        measured.add("own_us_per_evaluation", runs.iter().map(cost));
        measured
    }

    fn add(&mut self, name: &str, values: impl Iterator<Item = f64>) {
        self.rows.push(Row { name: name.to_owned(), values: values.collect() });
    }

    /// The same as JSON, behind what it is about; what is not finite becomes null.
    pub(crate) fn json(&self, mut about: Value) -> Value {
        for Row { name, values } in &self.rows {
            let (mean, deviation) = moments(values);
            about[name] =
                json!({ "mean": mean, "std": deviation, "median": median(values), "values": values });
        }
        if let Some(reached) = &self.reached {
            about["evaluations_to_target"] = json!({ "median": median_reached(reached), "values": reached });
        }
        about
    }
}

impl Display for Measured {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:24}{:>16}{:>14}{:>16}", "", "mean", "std", "median")?;
        for Row { name, values } in &self.rows {
            let (mean, deviation) = moments(values);
            write!(formatter, "\n{name:24}{mean:>16.6}{deviation:>14.6}{:>16.6}", median(values))?;
        }
        if let Some(reached) = &self.reached {
            let count = reached.iter().flatten().count();
            write!(formatter, "\ntarget reached by {count} of {} runs", reached.len())?;
            if let Some(median) = median_reached(reached) {
                write!(formatter, ", in the median after {median} evaluations")?;
            }
        }
        Ok(())
    }
}

/// The points of a run that count: the last population, or every trial where there is none.
fn points(run: &Run) -> Vec<Vec<f64>> {
    run.population.clone().unwrap_or_else(|| run.values.iter().flatten().cloned().collect())
}

/// The best value among the first `count` evaluations; the worst there is where none was measured.
fn best(run: &Run, direction: Direction, count: usize) -> f64 {
    let values = run.values.iter().take(count).flatten().map(|values| values[0]);
    let worst = if direction == Direction::Maximise { f64::NEG_INFINITY } else { f64::INFINITY };
    values.fold(worst, |best, value| if direction.prefers(value, best) { value } else { best })
}

/// Mean and standard deviation, with n - 1 below the sum of squares.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, if values.len() > 1 { (squares / (count - 1.0)).sqrt() } else { 0.0 })
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// The upper median, so that it is only there when more than half of the runs reached the target.
fn median_reached(reached: &[Option<usize>]) -> Option<usize> {
    let mut sorted: Vec<usize> = reached.iter().map(|count| count.unwrap_or(usize::MAX)).collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().filter(|count| *count < usize::MAX)
}
