//! Non-dominated sorting.
//!
//! Points are visited in lexicographic order, so that none is dominated by a later one, and each finds its layer by
//! bisection over the layers: who is not dominated by a layer is not dominated by any behind it. What a layer must
//! remember shrinks with the number of objectives: its last point for two, a staircase for three, all points for more.

use super::dominates_minimised;
use boresight_core::Direction;
use std::cmp::Ordering;

/// The indices of `points` in layers: the first holds those that nothing dominates, the second those that only the
/// first dominates, and so on; each layer in ascending order.
///
/// For n points: O(n log n) with two objectives, O(n log² n) with three (plus what moving the steps of a staircase
/// costs), O(m n²) with m of four or more.
///
/// # Source
/// Deb et al., *A fast and elitist multiobjective genetic algorithm: NSGA-II*, 2002, section III-A, for the layers;
/// Zhang et al., *An efficient approach to nondominated sorting for evolutionary multiobjective optimization*, 2015,
/// for the bisection.
pub fn non_dominated_sort<P: AsRef<[f64]>>(points: &[P], directions: &[Direction]) -> Vec<Vec<usize>> {
    let numbers = layer_numbers(points, directions);
    let mut layers = vec![Vec::new(); numbers.iter().max().map_or(0, |last| last + 1)];
    for (at, number) in numbers.into_iter().enumerate() {
        layers[number].push(at);
    }
    layers
}

/// The layer of each point, counted from 0: see [`non_dominated_sort`].
pub fn layer_numbers<P: AsRef<[f64]>>(points: &[P], directions: &[Direction]) -> Vec<usize> {
    let objectives = directions.len();
    let minimised: Vec<f64> = points.iter().flat_map(|point| turned(point.as_ref(), directions)).collect();
    let rows: Vec<&[f64]> = minimised.chunks_exact(objectives.max(1)).collect();
    match objectives {
        0 => vec![0; points.len()],
        1 | 2 => layered(&rows, LastPoint::default),
        3 => layered(&rows, Staircase::default),
        _ => layered(&rows, Members::default),
    }
}

/// The values of a point so that less is better; minus zero becomes zero, which it equals.
fn turned(point: &[f64], directions: &[Direction]) -> impl Iterator<Item = f64> {
    point.iter().zip(directions).map(|(&value, direction)| direction.minimised(value) + 0.0)
}

/// What one layer remembers of its points, which come in lexicographic order.
trait Layer<'point> {
    /// Whether a point of this layer dominates `point`, which comes behind all of them and equals none.
    fn dominates(&self, point: &[f64]) -> bool;
    fn add(&mut self, point: &'point [f64]);
}

fn layered<'point, L: Layer<'point>>(rows: &[&'point [f64]], fresh: impl Fn() -> L) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_unstable_by(|&left, &right| lexicographic(rows[left], rows[right]).then(left.cmp(&right)));
    let mut layers: Vec<L> = Vec::new();
    let mut numbers = vec![0; rows.len()];
    let mut earlier: Option<usize> = None;
    for at in order {
        let twin = earlier.filter(|&twin| lexicographic(rows[twin], rows[at]).is_eq());
        numbers[at] = twin.map_or_else(
            || {
                let number = layers.partition_point(|layer| layer.dominates(rows[at]));
                if number == layers.len() {
                    layers.push(fresh());
                }
                layers[number].add(rows[at]);
                number
            },
            |twin| numbers[twin],
        );
        earlier = Some(at);
    }
    numbers
}

fn lexicographic(left: &[f64], right: &[f64]) -> Ordering {
    let compared = left.iter().zip(right).map(|(left, right)| left.total_cmp(right));
    compared.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// One or two objectives: the second one only falls along a layer, so the last point has the least.
#[derive(Default)]
struct LastPoint<'point>(Option<&'point [f64]>);

impl<'point> Layer<'point> for LastPoint<'point> {
    fn dominates(&self, point: &[f64]) -> bool {
        self.0.is_some_and(|last| last.get(1).zip(point.get(1)).is_none_or(|(last, point)| last <= point))
    }

    fn add(&mut self, point: &'point [f64]) {
        self.0 = Some(point);
    }
}

/// Three objectives: those pairs of the second and third that no other pair beats, by ascending second and therefore
/// descending third.
#[derive(Default)]
struct Staircase(Vec<[f64; 2]>);

impl<'point> Layer<'point> for Staircase {
    fn dominates(&self, point: &[f64]) -> bool {
        let end = self.0.partition_point(|step| step[0] <= point[1]);
        end > 0 && self.0[end - 1][1] <= point[2]
    }

    fn add(&mut self, point: &'point [f64]) {
        let start = self.0.partition_point(|step| step[0] < point[1]);
        let beaten = self.0[start..].iter().take_while(|step| step[1] >= point[2]).count();
        self.0.splice(start..start + beaten, [[point[1], point[2]]]);
    }
}

/// Any number of objectives; the latest points are the likeliest to dominate.
#[derive(Default)]
struct Members<'point>(Vec<&'point [f64]>);

impl<'point> Layer<'point> for Members<'point> {
    fn dominates(&self, point: &[f64]) -> bool {
        self.0.iter().rev().any(|member| dominates_minimised(member, point))
    }

    fn add(&mut self, point: &'point [f64]) {
        self.0.push(point);
    }
}
