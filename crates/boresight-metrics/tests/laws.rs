//! Laws of counting and scoring, on random label maps and random counts.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, its helpers too")]

use boresight_core::{Accumulate, Metric};
use boresight_metrics::{AbsentClasses, ClassIou, Confusion, Dice, LabelPair, Mcc, MeanIou};
use boresight_testkit::{accumulate_laws, metric_laws, refusal_laws};
use proptest::prelude::*;

const CLASSES: u8 = 4;
const IGNORED: u8 = 255;

type Map = Vec<(u8, u8, bool)>;

/// Pixels as (label, prediction, whether the mask keeps it).
fn map() -> impl Strategy<Value = Map> {
    let label = prop_oneof![9 => 0..CLASSES, 1 => Just(IGNORED)];
    proptest::collection::vec((label, 0..CLASSES, any::<bool>()), 0..60)
}

fn counts() -> impl Strategy<Value = Confusion> {
    (2_usize..7).prop_flat_map(|classes| {
        let count = prop_oneof![3 => Just(0), 3 => 0_u64..50, 1 => 0..(1_u64 << 57)];
        proptest::collection::vec(count, classes * classes)
            .prop_map(move |counts| Confusion::from_counts(classes, &counts).unwrap())
    })
}

fn empty() -> Confusion {
    Confusion::new(CLASSES.into()).unwrap().ignoring(IGNORED)
}

fn near(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        // Sums of at most seven scores, and roots of exact sums: some units in the last place.
        (Some(left), Some(right)) => (left - right).abs() <= 1e-14,
        (left, right) => left.is_none() && right.is_none(),
    }
}

/// The same counts with class `k` renamed to `names[k]`.
fn renamed(counts: &Confusion, names: &[u8]) -> Confusion {
    let classes = names.len();
    let mut cells = vec![0; classes * classes];
    for (label, &new_label) in (0_u8..).zip(names) {
        for (prediction, &new_prediction) in (0_u8..).zip(names) {
            let cell = usize::from(new_label) * classes + usize::from(new_prediction);
            cells[cell] = counts.count(label, prediction);
        }
    }
    Confusion::from_counts(classes, &cells).unwrap()
}

proptest! {
    #[test]
    fn merging_shards_equals_the_whole(maps in proptest::collection::vec(map(), 0..6)) {
        let planes: Vec<(Vec<u8>, Vec<u8>, Vec<bool>)> = maps.iter().map(|map| map.iter().copied().collect()).collect();
        let pairs: Vec<LabelPair<'_>> = planes
            .iter()
            .map(|(labels, predictions, mask)| LabelPair::new(labels, predictions).masked(mask))
            .collect();
        accumulate_laws(&empty(), &pairs);
    }

    #[test]
    fn every_kept_pixel_is_counted_once(map in map()) {
        let (labels, predictions, mask): (Vec<u8>, Vec<u8>, Vec<bool>) = map.iter().copied().collect();
        let mut counted = empty();
        counted.update(&LabelPair::new(&labels, &predictions).masked(&mask)).unwrap();
        for label in 0..CLASSES {
            for prediction in 0..CLASSES {
                let expected = map.iter().filter(|pixel| **pixel == (label, prediction, true)).count() as u64;
                prop_assert_eq!(counted.count(label, prediction), expected);
            }
        }
    }

    #[test]
    fn nothing_of_a_refused_map_is_counted(map in map(), at: prop::sample::Index, bad in CLASSES..255) {
        prop_assume!(!map.is_empty());
        let (mut labels, mut predictions): (Vec<u8>, Vec<u8>) =
            map.iter().map(|&(label, prediction, _)| (label % CLASSES, prediction)).collect();
        let mut before = empty();
        before.update(&LabelPair::new(&labels, &predictions)).unwrap();
        let at = at.index(labels.len());
        let good = std::mem::replace(&mut labels[at], bad);
        refusal_laws(&before, &LabelPair::new(&labels, &predictions));
        (labels[at], predictions[at]) = (good, bad);
        refusal_laws(&before, &LabelPair::new(&labels, &predictions));
    }

    #[test]
    fn scores_are_lawful(counts in counts()) {
        metric_laws(&MeanIou::default(), [&counts]);
        metric_laws(&ClassIou(1), [&counts]);
        metric_laws(&Dice(1), [&counts]);
        metric_laws(&Mcc, [&counts]);
    }

    #[test]
    fn scores_stay_within_their_bounds(counts in counts()) {
        let unit = 0.0..=1.0;
        for class in 0..7 {
            let scores = [counts.iou(class), counts.dice(class), counts.precision(class), counts.recall(class)];
            prop_assert!(scores.into_iter().flatten().all(|score| unit.contains(&score)));
        }
        for absent in [AbsentClasses::Skip, AbsentClasses::CountAsOne, AbsentClasses::CountAsZero] {
            prop_assert!(counts.mean_iou(absent).is_none_or(|score| unit.contains(&score)));
        }
        prop_assert!(counts.pixel_accuracy().is_none_or(|score| unit.contains(&score)));
        prop_assert!(counts.mcc().is_none_or(|score| (-1.0..=1.0).contains(&score)));
    }

    #[test]
    fn names_of_classes_do_not_matter(counts in counts(), shift in 0_usize..7) {
        let mut names: Vec<u8> = (0_u8..).take(counts.classes()).collect();
        names.rotate_left(shift % counts.classes());
        let other = renamed(&counts, &names);
        prop_assert!(near(counts.mean_iou(AbsentClasses::Skip), other.mean_iou(AbsentClasses::Skip)));
        prop_assert_eq!(counts.mcc().map(f64::to_bits), other.mcc().map(f64::to_bits));
        for (class, &name) in (0_u8..).zip(&names) {
            prop_assert_eq!(counts.iou(class), other.iou(name));
            prop_assert_eq!(counts.dice(class), other.dice(name));
        }
    }

    #[test]
    fn dice_follows_from_iou(counts in counts()) {
        for class in 0..7 {
            let expected = counts.iou(class).map(|iou| 2.0 * iou / (1.0 + iou));
            prop_assert!(near(counts.dice(class), expected));
        }
    }

    #[test]
    fn dice_is_the_harmonic_mean_of_precision_and_recall(counts in counts()) {
        for class in 0..7 {
            if let (Some(precision), Some(recall)) = (counts.precision(class), counts.recall(class))
                && precision + recall > 0.0
            {
                let mean = 2.0 * precision * recall / (precision + recall);
                prop_assert!(near(counts.dice(class), Some(mean)));
            }
        }
    }

    #[test]
    fn correlation_of_two_classes_is_the_classical_one(cells in proptest::array::uniform4(0_u32..1000)) {
        let counts = Confusion::from_counts(2, &cells.map(u64::from)).unwrap();
        let [tn, fp, fal, tp] = cells.map(f64::from);
        let scale = (tp + fp) * (tp + fal) * (tn + fp) * (tn + fal);
        let expected = (scale > 0.0).then(|| (tp * tn - fp * fal) / scale.sqrt());
        prop_assert!(near(counts.mcc(), expected));
    }

    #[test]
    fn swapping_label_and_prediction_swaps_precision_and_recall(counts in counts()) {
        let names = counts.classes();
        let cells = (0..names * names).map(|cell| {
            let (label, prediction) = (cell / names, cell % names);
            counts.count(u8::try_from(prediction).unwrap(), u8::try_from(label).unwrap())
        });
        let swapped = Confusion::from_counts(names, &cells.collect::<Vec<u64>>()).unwrap();
        for class in 0..7 {
            prop_assert_eq!(counts.precision(class), swapped.recall(class));
            prop_assert_eq!(counts.iou(class), swapped.iou(class));
        }
        prop_assert!(near(counts.mcc(), swapped.mcc()));
    }
}

#[test]
fn metrics_are_objects_with_names() {
    let metrics: [&dyn Metric<Confusion>; 4] = [&MeanIou::default(), &ClassIou(2), &Dice(0), &Mcc];
    let names: Vec<String> = metrics.iter().map(|metric| metric.objective().name).collect();
    assert_eq!(names, ["miou", "iou_2", "dice_0", "mcc"]);
}
