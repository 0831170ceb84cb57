//! Comparing candidates by several objectives at once, in their natural sign.
//!
//! A point is one value per objective, in the order of the directions that are passed along; the values are finite.
//!
//! # Examples
//! A front as a file, and how near another one comes to it:
//! ```
//! use boresight_core::{Direction::Minimise, Objective, Outcome, Proposal, Trial, TrialId};
//! use boresight_evolve::pareto::{additive_epsilon, igd_plus, knee_points, read_front, write_front};
//!
//! let objectives = ["error", "seconds"].map(|name| Objective::new(name, "1", Minimise));
//! let points = [[0.0, 1.0], [0.2, 0.2], [1.0, 0.0], [0.9, 0.9]];
//! let trials: Vec<Trial<u8>> = (0..).zip(points).map(|(id, point)| Trial {
//!     id: TrialId(id),
//!     proposal: Proposal::new(0),
//!     verdict: Outcome::measured(point.to_vec()),
//! }).collect();
//! let mut file = Vec::new();
//! write_front(&trials, &objectives, &mut file)?;
//! let reference = read_front(std::str::from_utf8(&file)?, &objectives)?;
//! assert_eq!(reference, &points[..3]);
//! assert_eq!(knee_points(&reference, &[Minimise; 2], 2), [1]);
//! let found = [[0.2, 0.3]];
//! assert!(igd_plus(&found, &reference, &[Minimise; 2]).is_some_and(|distance| distance < 0.2));
//! assert!(additive_epsilon(&found, &reference, &[Minimise; 2]).is_some_and(|shift| (shift - 0.3).abs() < 1e-9));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod front;
mod hypervolume;
mod indicators;
mod sort;

pub use front::{Winners, read_front, write_front};
pub use hypervolume::{hypervolume, hypervolume_2d};
pub use indicators::{additive_epsilon, igd_plus, knee_points};
pub use sort::{layer_numbers, non_dominated_sort};

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

/// [`dominates`] for values of which less is better.
pub(crate) fn dominates_minimised(left: &[f64], right: &[f64]) -> bool {
    let mut better = false;
    for (left, right) in left.iter().zip(right) {
        if left > right {
            return false;
        }
        better |= left < right;
    }
    better
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
        // Halves, so that no difference of finite values overflows; their ratio is the same.
        let value = |at: usize| 0.5 * front[at].as_ref()[objective];
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
        let wide = crowding_distance(&[[-f64::MAX], [0.0], [f64::MAX]]);
        assert!((wide[1] - 1.0).abs() < f64::EPSILON, "{wide:?}");
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

    fn direction() -> impl Strategy<Value = Direction> {
        prop_oneof![Just(Minimise), Just(Maximise)]
    }

    proptest! {
        #[test]
        fn layers_are_what_peeling_the_front_gives(
            points in prop::collection::vec(prop::collection::vec(0_u8..6, 5), 0..40),
            directions in prop::collection::vec(direction(), 1..6),
        ) {
            let values = |point: &Vec<u8>| -> Vec<f64> {
                point[..directions.len()].iter().map(|&value| f64::from(value)).collect()
            };
            let points: Vec<Vec<f64>> = points.iter().map(values).collect();
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
    }
}
