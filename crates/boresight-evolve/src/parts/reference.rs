//! Survival by niches around reference directions: the heart of NSGA-III.

use super::{Survival, Survivor};
use crate::pareto::non_dominated_sort;
use crate::{Candidate, Error, Ranking, Standing};
use boresight_core::{Direction, Seed, Stream};

/// Below this, a range of an objective counts as nothing.
const NOTHING: f64 = 1e-6;

/// Points of the unit simplex on a regular lattice: all with coordinates that are multiples of one over `divisions`.
/// For 3 objectives and 12 divisions, 91 of them.
///
/// # Source
/// Das and Dennis, *Normal-boundary intersection*, 1998.
pub fn lattice_directions(objectives: usize, divisions: usize) -> Vec<Vec<f64>> {
    let mut directions = Vec::new();
    if objectives > 0 && divisions > 0 {
        fill(&mut directions, &mut Vec::new(), objectives, divisions, divisions);
    }
    directions
}

/// The finest lattice of no more directions than a population has members; the coarsest where none is that small.
pub fn largest_lattice(objectives: usize, population: usize) -> Vec<Vec<f64>> {
    let finer = (1..=population).map(|divisions| lattice_directions(objectives, divisions));
    let fitting = finer.take_while(|directions| directions.len() <= population && objectives > 1);
    fitting.last().unwrap_or_else(|| lattice_directions(objectives, 1))
}

fn fill(
    directions: &mut Vec<Vec<f64>>,
    start: &mut Vec<f64>,
    objectives: usize,
    divisions: usize,
    left: usize,
) {
    let share = |count: usize| count as f64 / divisions as f64;
    if objectives == 1 {
        directions.push(start.iter().copied().chain([share(left)]).collect());
        return;
    }
    for count in 0..=left {
        start.push(share(count));
        fill(directions, start, objectives - 1, divisions, left - count);
        start.pop();
    }
}

/// Whole layers live on while there is room; of the layer that does not fit, those in the emptiest niches do. A niche
/// belongs to a reference direction. Objectives are scaled by the best values seen so far and by the hyperplane through
/// the extreme points.
///
/// # Source
/// Deb and Jain, NSGA-III, part I, 2014, algorithms 1 to 4. Where the hyperplane does not exist or lies outside what was
/// seen, the worst of the front takes its place, as the authors advise.
#[derive(Clone, Debug)]
pub struct NicheSurvival {
    directions: Vec<Vec<f64>>,
    scale: Scale,
}

impl NicheSurvival {
    /// Niches around these directions, each with one value of at least 0 for each objective.
    ///
    /// # Errors
    /// When there are none, or one is all zeros, not finite, negative, or of another length than the first.
    pub fn new(directions: Vec<Vec<f64>>) -> Result<Self, Error> {
        let length = directions.first().map_or(0, Vec::len);
        let usable = |direction: &Vec<f64>| {
            direction.len() == length
                && direction.iter().all(|value| value.is_finite() && *value >= 0.0)
                && direction.iter().any(|value| *value > 0.0)
        };
        if directions.is_empty() || !directions.iter().all(usable) {
            return Err(Error::ReferenceDirections { count: directions.len() });
        }
        let unit = |direction: Vec<f64>| {
            let norm = direction.iter().map(|value| value * value).sum::<f64>().sqrt();
            direction.into_iter().map(|value| value / norm).collect()
        };
        Ok(Self { directions: directions.into_iter().map(unit).collect(), scale: Scale::new(length) })
    }

    /// The nearest direction of a scaled point and the distance to it.
    fn niche(&self, point: &[f64]) -> (usize, f64) {
        let square: f64 = point.iter().map(|value| value * value).sum();
        let mut nearest = (0, f64::NEG_INFINITY);
        for (at, direction) in self.directions.iter().enumerate() {
            let along: f64 = point.iter().zip(direction).map(|(value, share)| value * share).sum();
            if along > nearest.1 {
                nearest = (at, along);
            }
        }
        (nearest.0, (square - nearest.1 * nearest.1).max(0.0).sqrt())
    }

    /// Chooses `room` of `last` so that niches fill evenly; `counts` holds how many of each are taken already.
    fn fill_niches(
        &self,
        last: &[(usize, usize, f64)],
        counts: &mut [usize],
        room: usize,
        stream: &mut Stream,
    ) -> Vec<usize> {
        let mut niches: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.directions.len()];
        for &(at, niche, distance) in last {
            niches[niche].push((at, distance));
        }
        let mut chosen = Vec::with_capacity(room);
        while chosen.len() < room {
            let open = (0..niches.len()).filter(|&niche| !niches[niche].is_empty());
            let Some(least) = open.clone().map(|niche| counts[niche]).min() else { break };
            let mut emptiest: Vec<usize> = open.filter(|&niche| counts[niche] == least).collect();
            stream.shuffle(&mut emptiest);
            emptiest.truncate(room - chosen.len());
            for niche in emptiest {
                let members = &mut niches[niche];
                let nearest = (0..members.len()).min_by(|&a, &b| members[a].1.total_cmp(&members[b].1));
                let place = match nearest {
                    Some(nearest) if least == 0 => nearest,
                    _ => stream.below(members.len()),
                };
                chosen.push(members.swap_remove(place).0);
                counts[niche] += 1;
            }
        }
        chosen
    }

    /// Those of the measured candidates that live on, layer by layer.
    fn choose(&mut self, points: &[Vec<f64>], size: usize, seed: Seed) -> Vec<(usize, usize)> {
        let minimise = vec![Direction::Minimise; self.scale.ideal.len()];
        let layers = non_dominated_sort(points, &minimise);
        let Some(front) = layers.first() else { return Vec::new() };
        self.scale.update(points, front);
        let mut chosen: Vec<(usize, usize)> = Vec::with_capacity(size.min(points.len()));
        for (number, layer) in layers.iter().enumerate() {
            let room = size - chosen.len();
            if layer.len() <= room {
                chosen.extend(layer.iter().map(|&at| (at, number)));
                continue;
            }
            let mut counts = vec![0; self.directions.len()];
            for &(at, _) in &chosen {
                counts[self.niche(&self.scale.apply(&points[at])).0] += 1;
            }
            let last: Vec<(usize, usize, f64)> = layer
                .iter()
                .map(|&at| {
                    let (niche, distance) = self.niche(&self.scale.apply(&points[at]));
                    (at, niche, distance)
                })
                .collect();
            let some = self.fill_niches(&last, &mut counts, room, &mut seed.stream());
            chosen.extend(some.into_iter().map(|at| (at, number)));
            break;
        }
        chosen
    }
}

impl Survival for NicheSurvival {
    fn survive(
        &mut self,
        ranking: &Ranking,
        candidates: &[Candidate<'_>],
        size: usize,
        seed: Seed,
    ) -> Vec<Survivor> {
        let Ranking::Pareto { directions } = ranking else { return Vec::new() };
        let standings = ranking.standings(candidates);
        let mut order: Vec<usize> = (0..candidates.len()).collect();
        order.sort_unstable_by_key(|&at| (standings[at].tier, standings[at].layer, candidates[at].id));
        let (measured, rest): (Vec<usize>, Vec<usize>) =
            order.into_iter().partition(|&at| ranking.competes(candidates[at].verdict));
        let turned = |at: usize| -> Vec<f64> {
            let values = candidates[at].verdict.objectives().unwrap_or_default();
            values.iter().zip(directions).map(|(&value, way)| way.minimised(value)).collect()
        };
        let points: Vec<Vec<f64>> = measured.iter().map(|&at| turned(at)).collect();
        let chosen = self.choose(&points, size, seed);
        let chosen = chosen.into_iter().map(|(at, layer)| Survivor {
            index: measured[at],
            standing: Standing { layer, ..standings[measured[at]] },
        });
        let rest = rest.into_iter().map(|at| Survivor { index: at, standing: standings[at] });
        chosen.chain(rest).take(size).collect()
    }

    fn check(&self, ranking: &Ranking) -> Result<(), Error> {
        ranking.check()?;
        let found = self.scale.ideal.len();
        match ranking {
            Ranking::Pareto { directions } if directions.len() == found => Ok(()),
            Ranking::Pareto { directions } => {
                Err(Error::DirectionLength { expected: directions.len(), found })
            }
            Ranking::Fitness { .. } => Err(Error::NeedsPareto),
        }
    }
}

/// The range of the front as far as it is known.
#[derive(Clone, Debug)]
struct Scale {
    ideal: Vec<f64>,
    worst: Vec<f64>,
    nadir: Vec<f64>,
    extremes: Vec<Vec<f64>>,
}

impl Scale {
    fn new(objectives: usize) -> Self {
        Self {
            ideal: vec![f64::INFINITY; objectives],
            worst: vec![f64::NEG_INFINITY; objectives],
            nadir: vec![1.0; objectives],
            extremes: Vec::new(),
        }
    }

    fn apply(&self, point: &[f64]) -> Vec<f64> {
        let range = self.ideal.iter().zip(&self.nadir);
        let scaled = point.iter().zip(range).map(|(value, (ideal, nadir))| {
            let width = nadir - ideal;
            (value - ideal) / if width > 0.0 { width } else { NOTHING }
        });
        scaled.collect()
    }

    fn update(&mut self, points: &[Vec<f64>], front: &[usize]) {
        let front: Vec<&[f64]> = front.iter().map(|&at| points[at].as_slice()).collect();
        for point in points {
            for (axis, &value) in point.iter().enumerate() {
                self.ideal[axis] = self.ideal[axis].min(value);
                self.worst[axis] = self.worst[axis].max(value);
            }
        }
        self.find_extremes(&front);
        let most = |points: &mut dyn Iterator<Item = &[f64]>, axis: usize| {
            points.map(|point| point[axis]).fold(f64::NEG_INFINITY, f64::max)
        };
        let intercepts = self.intercepts();
        for axis in 0..self.ideal.len() {
            let mut nadir = intercepts.as_ref().map_or_else(
                || most(&mut front.iter().copied(), axis),
                |lengths| (self.ideal[axis] + lengths[axis]).min(self.worst[axis]),
            );
            if nadir - self.ideal[axis] <= NOTHING {
                nadir = most(&mut points.iter().map(Vec::as_slice), axis);
            }
            self.nadir[axis] = nadir;
        }
    }

    /// For each objective the point that is nearest to its axis, among the front and the extreme points so far.
    fn find_extremes(&mut self, front: &[&[f64]]) {
        let known: Vec<Vec<f64>> =
            self.extremes.iter().cloned().chain(front.iter().map(|point| point.to_vec())).collect();
        let achievement = |point: &[f64], axis: usize| {
            let shares = point.iter().zip(&self.ideal).enumerate().map(|(at, (value, ideal))| {
                let lift = value - ideal;
                // What is as good as ideal shall not count, however steep the weight.
                let lift = if lift < 1e-3 { 0.0 } else { lift };
                if at == axis { lift } else { 1e6 * lift }
            });
            shares.fold(f64::NEG_INFINITY, f64::max)
        };
        let nearest = |axis: usize| {
            known
                .iter()
                .min_by(|left, right| achievement(left, axis).total_cmp(&achievement(right, axis)))
                .cloned()
        };
        self.extremes = (0..self.ideal.len()).filter_map(nearest).collect();
    }

    /// Where the hyperplane through the extreme points cuts the axes, as lengths from the ideal point.
    fn intercepts(&self) -> Option<Vec<f64>> {
        let rows = self.extremes.iter().map(|point| {
            let lifted = point.iter().zip(&self.ideal).map(|(value, ideal)| value - ideal);
            lifted.chain([1.0]).collect::<Vec<f64>>()
        });
        let plane = solve(rows.collect())?;
        let lengths: Vec<f64> = plane.into_iter().map(f64::recip).collect();
        lengths.iter().all(|length| length.is_finite() && *length > NOTHING).then_some(lengths)
    }
}

/// The solution of a square system, each row with its right side last; `None` where it is singular.
fn solve(mut rows: Vec<Vec<f64>>) -> Option<Vec<f64>> {
    let size = rows.len();
    for column in 0..size {
        let pivot =
            (column..size).max_by(|&a, &b| rows[a][column].abs().total_cmp(&rows[b][column].abs()))?;
        rows.swap(column, pivot);
        let (done, below) = rows.split_at_mut(column + 1);
        let pivot = &done[column];
        // Relative to what stands in the row, so that the unit of an objective does not matter.
        let size = pivot.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        if pivot[column].abs() <= 1e-12 * size {
            return None;
        }
        for row in below {
            let factor = row[column] / pivot[column];
            for (value, upper) in row.iter_mut().zip(pivot) {
                *value -= factor * upper;
            }
        }
    }
    let mut solution = vec![0.0; size];
    for at in (0..size).rev() {
        let known: f64 = (at + 1..size).map(|column| rows[at][column] * solution[column]).sum();
        solution[at] = (rows[at][size] - known) / rows[at][at];
    }
    Some(solution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lattice_of_three_objectives_and_twelve_divisions_has_91_points() {
        let directions = lattice_directions(3, 12);
        assert_eq!(directions.len(), 91);
        assert!(directions.iter().all(|point| (point.iter().sum::<f64>() - 1.0).abs() < 1e-12));
        assert_eq!(lattice_directions(2, 2), [[0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]);
        assert!(lattice_directions(0, 3).is_empty() && lattice_directions(3, 0).is_empty());
        let counts = [(3, 92), (3, 91), (3, 90), (3, 2), (2, 10), (1, 7)];
        let counts = counts.map(|(objectives, population)| largest_lattice(objectives, population).len());
        assert_eq!(counts, [91, 91, 78, 3, 10, 1]);
    }

    #[test]
    fn the_hyperplane_through_the_extremes_gives_the_scale() {
        let mut scale = Scale::new(2);
        let points = [vec![1.0, 11.0], vec![5.0, 1.0], vec![2.0, 5.0]];
        scale.update(&points, &[0, 1, 2]);
        let scaled = scale.apply(&[3.0, 6.0]);
        assert!((scaled[0] - 0.5).abs() < 1e-12 && (scaled[1] - 0.5).abs() < 1e-12, "{scaled:?}");
    }

    #[test]
    fn a_singular_system_has_no_solution() {
        assert_eq!(solve(vec![vec![1.0, 2.0, 1.0], vec![2.0, 4.0, 1.0]]), None);
        assert_eq!(solve(vec![vec![0.0, 2.0, 4.0], vec![4.0, 0.0, 2.0]]), Some(vec![0.5, 2.0]));
    }

    #[test]
    fn directions_that_break_a_rule_are_refused() {
        for directions in
            [vec![], vec![vec![0.0, 0.0]], vec![vec![1.0, 0.0], vec![1.0]], vec![vec![-1.0, 2.0]]]
        {
            assert!(NicheSurvival::new(directions).is_err());
        }
    }
}
