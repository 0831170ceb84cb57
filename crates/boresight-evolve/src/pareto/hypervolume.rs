//! Exact hypervolume in any number of dimensions; practical up to five for a few hundred points.

use super::{dominates_minimised, layer_numbers};
use boresight_core::Direction;

/// The area that `points` dominate up to `reference`, exactly; points that are not better than the reference in both
/// objectives add nothing. O(n log n).
///
/// # Source
/// Zitzler and Thiele, *Multiobjective optimization using evolutionary algorithms*, 1998, section 4.
pub fn hypervolume_2d(points: &[[f64; 2]], reference: [f64; 2], directions: [Direction; 2]) -> f64 {
    hypervolume(points, &reference, &directions)
}

/// The volume that `points` dominate up to `reference`, exactly, in as many dimensions as there are directions; points
/// that are not better than the reference in every objective add nothing.
///
/// Points and reference have one value for each direction. O(n log n) in two dimensions, O(n² log n) in three; above that
/// each point's share is a volume of one dimension less, so the time grows fast with dimension and size: some
/// milliseconds for 100 points in five.
///
/// # Examples
/// ```
/// use boresight_core::Direction::Minimise;
/// use boresight_evolve::pareto::hypervolume;
/// let volume = hypervolume(&[[0.0, 0.5, 0.5], [0.5, 0.0, 0.0]], &[1.0; 3], &[Minimise; 3]);
/// assert!((volume - 0.625).abs() < 1e-12);
/// ```
///
/// # Source
/// While et al., *A fast way of calculating exact hypervolumes*, 2012: exclusive volumes of limited sets, with the last
/// objective taken in slices.
pub fn hypervolume<P: AsRef<[f64]>>(points: &[P], reference: &[f64], directions: &[Direction]) -> f64 {
    let turned = |point: &[f64]| -> Vec<f64> {
        point.iter().zip(directions).map(|(&value, direction)| direction.minimised(value)).collect()
    };
    let reference = turned(reference);
    let inside: Vec<Vec<f64>> = points
        .iter()
        .map(|point| turned(point.as_ref()))
        .filter(|point| point.iter().zip(&reference).all(|(value, limit)| value < limit))
        .collect();
    let layers = layer_numbers(&inside, &vec![Direction::Minimise; directions.len()]);
    let front = inside.into_iter().zip(layers).filter(|(_, layer)| *layer == 0).map(|(point, _)| point);
    volume(front.collect(), &reference)
}

/// The volume of points that lie inside the reference.
fn volume(mut points: Vec<Vec<f64>>, reference: &[f64]) -> f64 {
    let Some((&limit, lower)) = reference.split_last() else { return 0.0 };
    if lower.is_empty() {
        return points.iter().map(|point| limit - point[0]).fold(0.0, f64::max);
    }
    let last = lower.len();
    points.sort_unstable_by(|left, right| right[last].total_cmp(&left[last]));
    if last == 1 {
        return area(&points, reference);
    }
    // From the worst in the last objective on: there, what a point covers alone is a slab as deep as the point itself.
    let slab = |at: usize| {
        let (point, rest) = (&points[at], &points[at + 1..]);
        (limit - point[last]) * alone(&point[..last], rest, lower)
    };
    (0..points.len()).map(slab).sum()
}

/// The area of points in descending order of the second objective.
fn area(points: &[Vec<f64>], reference: &[f64]) -> f64 {
    let (mut right, mut covered) = (reference[0], 0.0);
    for point in points.iter().rev() {
        if point[0] < right {
            covered += (right - point[0]) * (reference[1] - point[1]);
            right = point[0];
        }
    }
    covered
}

/// What `point` covers and no one of `others` does, in the dimensions of `point`.
fn alone(point: &[f64], others: &[Vec<f64>], reference: &[f64]) -> f64 {
    let whole: f64 = point.iter().zip(reference).map(|(value, limit)| limit - value).product();
    let mut limited: Vec<Vec<f64>> = Vec::with_capacity(others.len());
    for other in others {
        let corner: Vec<f64> = point.iter().zip(other).map(|(value, other)| value.max(*other)).collect();
        // In the plane, what is beaten costs less to carry along than to find.
        if point.len() > 2 {
            if limited.iter().any(|kept| covers(kept, &corner)) {
                continue;
            }
            limited.retain(|kept| !dominates_minimised(&corner, kept));
        }
        limited.push(corner);
    }
    whole - volume(limited, reference)
}

fn covers(left: &[f64], right: &[f64]) -> bool {
    left.iter().zip(right).all(|(left, right)| left <= right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::Direction::{Maximise, Minimise};
    use proptest::prelude::*;

    #[test]
    fn hypervolume_of_a_hand_made_front() {
        // Maximise the first, minimise the second, reference (0, 10): 2 x 8 + 2 x 5 + 1 x 3.
        let points = [[2.0, 2.0], [4.0, 5.0], [5.0, 7.0], [1.0, 3.0], [6.0, 10.0], [-1.0, 0.0]];
        let area = hypervolume_2d(&points, [0.0, 10.0], [Maximise, Minimise]);
        assert!((area - 29.0).abs() < 1e-12, "{area}");
        assert!(hypervolume_2d(&[], [1.0, 1.0], [Minimise; 2]).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_is_covered_without_points_or_objectives() {
        assert!(hypervolume::<[f64; 3]>(&[], &[1.0; 3], &[Minimise; 3]).abs() < f64::EPSILON);
        assert!(hypervolume(&[[0.0; 0]], &[], &[]).abs() < f64::EPSILON);
        assert!((hypervolume(&[[0.5], [0.2]], &[1.0], &[Minimise]) - 0.8).abs() < 1e-12);
    }

    /// How many unit cells of `0..4` in each dimension some point dominates.
    fn cells(points: &[Vec<f64>], directions: &[Direction]) -> usize {
        let dimensions = u32::try_from(directions.len()).unwrap();
        let middle = |cell: usize| -> Vec<f64> {
            (0..dimensions).map(|axis| (cell / 4_usize.pow(axis) % 4) as f64 + 0.5).collect()
        };
        let covered = |cell: &usize| {
            let middle = middle(*cell);
            points.iter().any(|point| super::super::dominates(point, &middle, directions))
        };
        (0..4_usize.pow(dimensions)).filter(covered).count()
    }

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![Just(Minimise), Just(Maximise)]
    }

    proptest! {
        #[test]
        fn hypervolume_is_the_number_of_dominated_cells(
            points in prop::collection::vec(prop::collection::vec(0_u8..5, 5), 0..12),
            directions in prop::collection::vec(direction(), 1..6),
        ) {
            let dimensions = directions.len();
            let points: Vec<Vec<f64>> =
                points.iter().map(|point| point[..dimensions].iter().map(|&x| f64::from(x)).collect()).collect();
            let reference: Vec<f64> =
                directions.iter().map(|&way| if way == Minimise { 4.0 } else { 0.0 }).collect();
            // Whole numbers up to 1024 are exact in binary64.
            let found = hypervolume(&points, &reference, &directions);
            prop_assert!((found - cells(&points, &directions) as f64).abs() < 1e-9, "{}", found);
        }

        #[test]
        fn the_order_of_points_does_not_matter(
            points in prop::collection::vec([0.0..1.0_f64, 0.0..1.0, 0.0..1.0, 0.0..1.0], 1..20),
        ) {
            let mut turned = points.clone();
            turned.reverse();
            let volume = |points: &[[f64; 4]]| hypervolume(points, &[1.0; 4], &[Minimise; 4]);
            prop_assert!((volume(&points) - volume(&turned)).abs() < 1e-12);
        }
    }
}
