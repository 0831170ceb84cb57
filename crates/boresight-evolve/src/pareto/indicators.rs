//! How near a front comes to a reference front, and which of its points bend.

use boresight_core::Direction;

/// The mean over `reference` of the distance to the nearest point of `points`, where only what a point lacks counts;
/// 0 for a front that covers the reference, `None` without points or without a reference.
///
/// # Source
/// Ishibuchi et al., *Modified distance calculation in generational distance and inverted generational distance*, 2015,
/// equation 18.
pub fn igd_plus<P: AsRef<[f64]>, R: AsRef<[f64]>>(
    points: &[P],
    reference: &[R],
    directions: &[Direction],
) -> Option<f64> {
    let lack = |point: &[f64], wanted: &[f64]| -> f64 {
        let squares = shortfalls(point, wanted, directions).map(|short| short.max(0.0).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let nearest = |wanted: &R| {
        let wanted = wanted.as_ref();
        points.iter().map(|point| lack(point.as_ref(), wanted)).min_by(f64::total_cmp)
    };
    let total = reference.iter().map(nearest).sum::<Option<f64>>()?;
    (!reference.is_empty()).then(|| total / reference.len() as f64)
}

/// The least amount by which `points` must be improved in every objective to be nowhere worse than `reference`; `None`
/// without points or without a reference.
///
/// # Source
/// Zitzler et al., *Performance assessment of multiobjective optimizers*, 2003, section III: the additive epsilon
/// indicator.
pub fn additive_epsilon<P: AsRef<[f64]>, R: AsRef<[f64]>>(
    points: &[P],
    reference: &[R],
    directions: &[Direction],
) -> Option<f64> {
    let most = |point: &[f64], wanted: &[f64]| shortfalls(point, wanted, directions).max_by(f64::total_cmp);
    let nearest = |wanted: &R| {
        points.iter().filter_map(|point| most(point.as_ref(), wanted.as_ref())).min_by(f64::total_cmp)
    };
    let needed: Option<Vec<f64>> = reference.iter().map(nearest).collect();
    needed?.into_iter().max_by(f64::total_cmp)
}

/// By how much `point` is worse than `wanted` in each objective; negative where it is better.
fn shortfalls(point: &[f64], wanted: &[f64], directions: &[Direction]) -> impl Iterator<Item = f64> {
    let pairs = point.iter().zip(wanted).zip(directions);
    pairs.map(|((&point, &wanted), direction)| direction.minimised(point) - direction.minimised(wanted))
}

/// The indices of those points of a front where giving up some of one objective gains least in the others: each has a
/// larger trade-off than its `neighbours` nearest points, in ascending order. Fewer than three points have no knee, and
/// points that equal each other are no neighbours.
///
/// Objectives are scaled to the range of the front. The trade-off of a point against another is what it is better by,
/// summed over the objectives, over what it is worse by; a point's own is its least against its neighbours.
///
/// # Source
/// Rachmawati and Srinivasan, *Multiobjective evolutionary algorithm with controllable focus on the knees of the Pareto
/// front*, 2009, section III, for trade-offs in a neighbourhood.
pub fn knee_points<P: AsRef<[f64]>>(front: &[P], directions: &[Direction], neighbours: usize) -> Vec<usize> {
    if front.len() < 3 || neighbours == 0 {
        return Vec::new();
    }
    let scaled = scaled(front, directions);
    let near: Vec<Vec<usize>> = (0..front.len()).map(|at| nearest(&scaled, at, neighbours)).collect();
    let trade: Vec<f64> = (0..front.len()).map(|at| worst_trade(&scaled, at, &near[at])).collect();
    let bends = |at: &usize| {
        !near[*at].is_empty() && trade[*at] > 1.0 && near[*at].iter().all(|&other| trade[*at] >= trade[other])
    };
    (0..front.len()).filter(bends).collect()
}

/// The front turned so that less is better, each objective in 0..=1; one that does not vary becomes 0.
fn scaled<P: AsRef<[f64]>>(front: &[P], directions: &[Direction]) -> Vec<Vec<f64>> {
    let column = |axis: usize| -> Vec<f64> {
        let values: Vec<f64> =
            front.iter().map(|point| directions[axis].minimised(point.as_ref()[axis])).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let range = values.iter().copied().fold(f64::NEG_INFINITY, f64::max) - low;
        values.iter().map(|value| if range > 0.0 { (value - low) / range } else { 0.0 }).collect()
    };
    let columns: Vec<Vec<f64>> = (0..directions.len()).map(column).collect();
    (0..front.len()).map(|at| columns.iter().map(|column| column[at]).collect()).collect()
}

fn nearest(points: &[Vec<f64>], at: usize, count: usize) -> Vec<usize> {
    let distance = |other: usize| -> f64 {
        points[at].iter().zip(&points[other]).map(|(left, right)| (left - right).powi(2)).sum()
    };
    let mut others: Vec<usize> = (0..points.len()).filter(|&other| distance(other) > 0.0).collect();
    others.sort_by(|&left, &right| distance(left).total_cmp(&distance(right)).then(left.cmp(&right)));
    others.truncate(count);
    others
}

fn worst_trade(points: &[Vec<f64>], at: usize, others: &[usize]) -> f64 {
    let trade = |other: usize| {
        let differences = points[other].iter().zip(&points[at]).map(|(other, own)| other - own);
        let (gained, lost) = differences.fold((0.0, 0.0), |(gained, lost), difference: f64| {
            (gained + difference.max(0.0), lost + (-difference).max(0.0))
        });
        if lost > 0.0 { gained / lost } else { f64::INFINITY }
    };
    others.iter().map(|&other| trade(other)).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::Direction::{Maximise, Minimise};

    #[test]
    fn only_what_is_lacking_counts() {
        // Nearest to (0, 1) is (0, 2), which lacks 1; nearest to (1, 0) is (3, 0), which lacks 2.
        let found = igd_plus(&[[0.0, 2.0], [3.0, 0.0]], &[[0.0, 1.0], [1.0, 0.0]], &[Minimise; 2]).unwrap();
        assert!((found - 1.5).abs() < 1e-12, "{found}");
        assert!(igd_plus(&[[-1.0, -1.0]], &[[0.0, 1.0]], &[Minimise; 2]).unwrap().abs() < f64::EPSILON);
    }

    #[test]
    fn epsilon_is_the_largest_of_the_least_shifts() {
        let points = [[0.0, 2.0], [3.0, 0.0]];
        let found = additive_epsilon(&points, &[[0.0, 1.0], [1.0, 0.0]], &[Minimise; 2]).unwrap();
        // (0, 2) must move by 1 to reach (0, 1); (1, 0) is reached from (3, 0) or (0, 2) by 2.
        assert!((found - 2.0).abs() < 1e-12, "{found}");
        let turned = additive_epsilon(&[[1.0], [4.0]], &[[5.0]], &[Maximise]).unwrap();
        assert!((turned - 1.0).abs() < 1e-12, "{turned}");
    }

    #[test]
    fn nothing_is_near_nothing() {
        let (none, some): (&[[f64; 1]], &[[f64; 1]]) = (&[], &[[1.0]]);
        for (points, reference) in [(none, some), (some, none)] {
            assert_eq!(igd_plus(points, reference, &[Minimise]), None);
            assert_eq!(additive_epsilon(points, reference, &[Minimise]), None);
        }
    }

    #[test]
    fn a_bend_is_a_knee_and_a_line_has_none() {
        let bent = [[0.0, 1.0], [0.1, 0.6], [0.2, 0.2], [0.6, 0.1], [1.0, 0.0]];
        assert_eq!(knee_points(&bent, &[Minimise; 2], 2), [2]);
        let line = [[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]];
        assert!(knee_points(&line, &[Minimise; 2], 2).is_empty());
        assert!(knee_points(&bent[..2], &[Minimise; 2], 2).is_empty());
        assert!(knee_points(&[[1.0, 1.0]; 9], &[Minimise; 2], 2).is_empty());
        let ends = [[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.5, 0.5], [1.0, 0.0]];
        assert!(knee_points(&ends, &[Minimise; 2], 2).is_empty());
    }
}
