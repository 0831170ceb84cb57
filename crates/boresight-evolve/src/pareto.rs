//! Comparing candidates by several objectives at once, in their natural sign.
//!
//! A point is one value per objective, in the order of the directions that are passed along; the values are finite.

use boresight_core::{Direction, Trial};

/// Whether `left` is nowhere worse than `right` and somewhere better.
///
/// The three slices have one length; what one has more than the others is not compared.
pub fn dominates(left: &[f64], right: &[f64], directions: &[Direction]) -> bool {
    let mut better = false;
    for ((&left, &right), direction) in left.iter().zip(right).zip(directions) {
        if direction.prefers(right, left) {
            return false;
        }
        better |= direction.prefers(left, right);
    }
    better
}

/// The indices of `points` in layers: the first holds those that nothing dominates, the second those that only the
/// first dominates, and so on; each layer in ascending order. O(m n²) for n points and m objectives.
///
/// # Source
/// Deb et al., *A fast and elitist multiobjective genetic algorithm: NSGA-II*, 2002, section III-A.
pub fn non_dominated_sort<P: AsRef<[f64]>>(points: &[P], directions: &[Direction]) -> Vec<Vec<usize>> {
    let mut dominated = vec![Vec::new(); points.len()];
    let mut dominators = vec![0_usize; points.len()];
    for (at, point) in points.iter().enumerate() {
        for (other, rival) in points.iter().enumerate() {
            if dominates(point.as_ref(), rival.as_ref(), directions) {
                dominated[at].push(other);
                dominators[other] += 1;
            }
        }
    }
    let mut layers = Vec::new();
    let mut layer: Vec<usize> = (0..points.len()).filter(|&at| dominators[at] == 0).collect();
    while !layer.is_empty() {
        let mut next = Vec::new();
        for &at in layer.iter().flat_map(|&winner| &dominated[winner]) {
            dominators[at] -= 1;
            if dominators[at] == 0 {
                next.push(at);
            }
        }
        next.sort_unstable();
        layers.push(std::mem::replace(&mut layer, next));
    }
    layers
}

/// The crowding distance of each point of one front: larger means lonelier.
///
/// Both ends of an objective get infinity; an objective whose values are all equal adds nothing, so the result is
/// never NaN. Among equal values the order of `front` decides. O(m n log n) for n points and m objectives.
///
/// # Source
/// Deb et al., *A fast and elitist multiobjective genetic algorithm: NSGA-II*, 2002, section III-B.
pub fn crowding_distance<P: AsRef<[f64]>>(front: &[P]) -> Vec<f64> {
    let mut distance = vec![0.0; front.len()];
    let mut order: Vec<usize> = (0..front.len()).collect();
    for objective in 0..front.first().map_or(0, |point| point.as_ref().len()) {
        let value = |at: usize| front[at].as_ref()[objective];
        order.sort_by(|&left, &right| value(left).total_cmp(&value(right)).then(left.cmp(&right)));
        let (low, high) = (order[0], order[order.len() - 1]);
        let range = value(high) - value(low);
        if range > 0.0 {
            for neighbours in order.windows(3) {
                distance[neighbours[1]] += (value(neighbours[2]) - value(neighbours[0])) / range;
            }
            distance[low] = f64::INFINITY;
            distance[high] = f64::INFINITY;
        }
    }
    distance
}

/// The trials that no other of `trials` dominates, in their order; only those that were measured and break no
/// constraint take part. Of equal values all stay.
pub fn front<'trials, G>(trials: &'trials [Trial<G>], directions: &[Direction]) -> Vec<&'trials Trial<G>> {
    let measured: Vec<(&Trial<G>, &[f64])> =
        trials.iter().filter_map(|trial| Some((trial, trial.verdict.objectives()?))).collect();
    let beaten = |point| measured.iter().any(|(_, rival)| dominates(rival, point, directions));
    measured.iter().filter(|(_, point)| !beaten(point)).map(|(trial, _)| *trial).collect()
}

/// The area that `points` dominate up to `reference`, exactly; points that are not better than the reference in both
/// objectives add nothing. O(n log n).
///
/// # Source
/// Zitzler and Thiele, *Multiobjective optimization using evolutionary algorithms*, 1998, section 4.
pub fn hypervolume_2d(points: &[[f64; 2]], reference: [f64; 2], directions: [Direction; 2]) -> f64 {
    let turned = |point: [f64; 2]| [directions[0].minimised(point[0]), directions[1].minimised(point[1])];
    let [right, mut top] = turned(reference);
    let mut inside: Vec<[f64; 2]> =
        points.iter().map(|&point| turned(point)).filter(|&[x, y]| x < right && y < top).collect();
    inside.sort_by(|left, right| left[0].total_cmp(&right[0]).then(left[1].total_cmp(&right[1])));
    let mut area = 0.0;
    for [x, y] in inside {
        if y < top {
            area += (right - x) * (top - y);
            top = y;
        }
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::Direction::{Maximise, Minimise};
    use boresight_core::{Outcome, Proposal, TrialId, Violation};
    use proptest::prelude::*;

    fn trial(id: u64, verdict: Outcome) -> Trial<u8> {
        Trial { id: TrialId(id), proposal: Proposal::new(0), verdict }
    }

    #[test]
    fn dominance_follows_each_direction() {
        let directions = [Maximise, Minimise];
        assert!(dominates(&[0.8, 10.0], &[0.7, 10.0], &directions));
        assert!(dominates(&[0.8, 9.0], &[0.8, 10.0], &directions));
        assert!(!dominates(&[0.8, 10.0], &[0.8, 10.0], &directions));
        assert!(!dominates(&[0.9, 11.0], &[0.8, 10.0], &directions));
    }

    #[test]
    fn layers_of_a_hand_made_set() {
        let points = [[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [3.0, 3.0], [4.0, 4.0], [2.0, 2.0]];
        let layers = non_dominated_sort(&points, &[Minimise, Minimise]);
        assert_eq!(layers, [vec![0, 1, 2, 5], vec![3], vec![4]]);
    }

    #[test]
    fn crowding_of_a_hand_made_front() {
        // The ranges are 10 and 6; the first point has (10 - 1) / 10 + (3 - 0) / 6, the others end an objective.
        let distance = crowding_distance(&[[4.0, 1.0], [0.0, 3.0], [10.0, 0.0], [1.0, 6.0]]);
        assert!((distance[0] - (0.9 + 0.5)).abs() < 1e-12, "{distance:?}");
        assert!(distance[1].is_infinite() && distance[2].is_infinite() && distance[3].is_infinite());
    }

    #[test]
    fn equal_points_are_crowded_and_never_nan() {
        assert!(crowding_distance(&[[1.0, 2.0]; 3]).iter().all(|distance| distance.to_bits() == 0));
        assert!(crowding_distance::<[f64; 2]>(&[]).is_empty());
    }

    #[test]
    fn a_front_holds_only_feasible_measurements() {
        let violated = Outcome::Measured {
            objectives: vec![1.0, 1.0],
            violations: vec![Violation { constraint: "parameters".into(), amount: 1.0 }],
            attributes: std::collections::BTreeMap::new(),
        };
        let trials = [
            trial(0, violated),
            trial(1, Outcome::measured(vec![0.5, 0.5])),
            trial(2, Outcome::measured(vec![0.4, 0.5])),
            trial(3, Outcome::Diverged { reason: "overflow".into() }),
            trial(4, Outcome::measured(vec![0.1, 0.9])),
        ];
        let ids: Vec<u64> = front(&trials, &[Maximise, Maximise]).iter().map(|trial| trial.id.0).collect();
        assert_eq!(ids, [1, 4]);
    }

    #[test]
    fn hypervolume_of_a_hand_made_front() {
        // Maximise the first, minimise the second, reference (0, 10): 2 x 8 + 2 x 5 + 1 x 3.
        let points = [[2.0, 2.0], [4.0, 5.0], [5.0, 7.0], [1.0, 3.0], [6.0, 10.0], [-1.0, 0.0]];
        let area = hypervolume_2d(&points, [0.0, 10.0], [Maximise, Minimise]);
        assert!((area - 29.0).abs() < 1e-12, "{area}");
        assert!(hypervolume_2d(&[], [1.0, 1.0], [Minimise; 2]).abs() < f64::EPSILON);
    }

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![Just(Minimise), Just(Maximise)]
    }

    proptest! {
        #[test]
        fn layers_are_what_peeling_the_front_gives(
            points in prop::collection::vec([0_u8..6, 0..6, 0..6], 0..24),
            directions in [direction(), direction(), direction()],
        ) {
            let points: Vec<[f64; 3]> = points.iter().map(|point| point.map(f64::from)).collect();
            let mut left: Vec<usize> = (0..points.len()).collect();
            let mut peeled = Vec::new();
            while !left.is_empty() {
                let beaten = |at: &usize| {
                    left.iter().any(|&rival| dominates(&points[rival], &points[*at], &directions))
                };
                let (rest, layer): (Vec<usize>, Vec<usize>) = left.iter().copied().partition(beaten);
                peeled.push(layer);
                left = rest;
            }
            prop_assert_eq!(non_dominated_sort(&points, &directions), peeled);
        }

        #[test]
        fn dominance_is_a_strict_order(
            points in [[0_u8..4, 0..4], [0_u8..4, 0..4], [0_u8..4, 0..4]],
            directions in [direction(), direction()],
        ) {
            let [a, b, c] = points.map(|point| point.map(f64::from));
            prop_assert!(!dominates(&a, &a, &directions));
            prop_assert!(!(dominates(&a, &b, &directions) && dominates(&b, &a, &directions)));
            if dominates(&a, &b, &directions) && dominates(&b, &c, &directions) {
                prop_assert!(dominates(&a, &c, &directions));
            }
        }

        #[test]
        fn hypervolume_is_the_number_of_dominated_cells(
            points in prop::collection::vec([0_u8..9, 0..9], 0..12),
            directions in [direction(), direction()],
        ) {
            let points: Vec<[f64; 2]> = points.iter().map(|point| point.map(f64::from)).collect();
            let reference = directions.map(|direction| if direction == Minimise { 8.0 } else { 0.0 });
            let covered = (0..64_u8).filter(|cell| {
                let middle = [f64::from(cell % 8) + 0.5, f64::from(cell / 8) + 0.5];
                points.iter().any(|point| dominates(point, &middle, &directions))
            });
            // Whole numbers up to 64 are exact in binary64.
            prop_assert!((hypervolume_2d(&points, reference, directions) - covered.count() as f64).abs() < 1e-9);
        }
    }
}
