//! Scores of confusion counts; `None` where a score is not defined, never NaN.

use crate::Confusion;

/// What a mean over classes does with a class that is neither labelled nor predicted anywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AbsentClasses {
    /// The mean is taken over the other classes.
    #[default]
    Skip,
    /// It scores 1: nothing was missed.
    CountAsOne,
    /// It scores 0: nothing was found.
    CountAsZero,
}

/// `part / whole`; `None` when the whole is nothing.
fn share(part: u128, whole: u128) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Confusion {
    /// Pixels that are both labelled and predicted as `class`, either, and both added.
    fn hit_union_sum(&self, class: u8) -> (u128, u128, u128) {
        let hit = u128::from(self.count(class, class));
        let sum = u128::from(self.labelled(class)) + u128::from(self.predicted(class));
        (hit, sum - hit, sum)
    }

    /// Intersection over union of `class`, in 0..=1; `None` where it is neither labelled nor predicted, or no class.
    pub fn iou(&self, class: u8) -> Option<f64> {
        let (hit, union, _) = self.hit_union_sum(class);
        share(hit, union)
    }

    /// Dice coefficient of `class`, also called F1, in 0..=1; `None` where it is neither labelled nor predicted, or
    /// no class.
    #[doc(alias = "f1")]
    pub fn dice(&self, class: u8) -> Option<f64> {
        let (hit, _, sum) = self.hit_union_sum(class);
        share(2 * hit, sum)
    }

    /// Share of the pixels predicted as `class` that are labelled so, in 0..=1; `None` where nothing is predicted so.
    pub fn precision(&self, class: u8) -> Option<f64> {
        share(self.count(class, class).into(), self.predicted(class).into())
    }

    /// Share of the pixels labelled as `class` that are predicted so, in 0..=1; `None` where nothing is labelled so.
    pub fn recall(&self, class: u8) -> Option<f64> {
        share(self.count(class, class).into(), self.labelled(class).into())
    }

    /// Share of the pixels that are predicted as labelled, in 0..=1; `None` where there are no pixels.
    pub fn pixel_accuracy(&self) -> Option<f64> {
        share(self.hits(), self.pixels().into())
    }

    /// Mean of [`Self::iou`] over the classes, in 0..=1; `None` where there are no pixels.
    ///
    /// # Examples
    /// ```
    /// use boresight_metrics::{AbsentClasses, Confusion};
    /// let confusion = Confusion::from_counts(3, &[2, 0, 0, 1, 1, 0, 0, 0, 0])?;
    /// // IoU 2/3 and 1/2; the third class does not occur.
    /// assert_eq!(confusion.mean_iou(AbsentClasses::Skip), Some((2.0 / 3.0 + 0.5) / 2.0));
    /// assert_eq!(confusion.mean_iou(AbsentClasses::CountAsZero), Some((2.0 / 3.0 + 0.5) / 3.0));
    /// # Ok::<(), boresight_metrics::Error>(())
    /// ```
    pub fn mean_iou(&self, absent: AbsentClasses) -> Option<f64> {
        if self.pixels() == 0 {
            return None;
        }
        let stand_in = match absent {
            AbsentClasses::Skip => None,
            AbsentClasses::CountAsOne => Some(1.0),
            AbsentClasses::CountAsZero => Some(0.0),
        };
        let scores = self.class_range().filter_map(|class| self.iou(class).or(stand_in));
        let (sum, count) = scores.fold((0.0, 0_u32), |(sum, count), score| (sum + score, count + 1));
        Some(sum / f64::from(count))
    }

    /// Matthews correlation coefficient, in -1..=1; for more than two classes Gorodkin's `R_K`, which is the same for
    /// two. `None` where every pixel has the same label or the same prediction, or there are none.
    ///
    /// Sums are exact in 128 bits; rounding begins with the root.
    ///
    /// # Source
    /// Gorodkin, *Comparing two K-category assignments by a K-category correlation coefficient*, Computational
    /// Biology and Chemistry 28, 2004.
    pub fn mcc(&self) -> Option<f64> {
        let pixels = u128::from(self.pixels());
        let (mut together, mut labels, mut predictions) = (0, 0, 0);
        for class in self.class_range() {
            let (label, prediction) = (u128::from(self.labelled(class)), u128::from(self.predicted(class)));
            together += label * prediction;
            labels += label * label;
            predictions += prediction * prediction;
        }
        let (labels, predictions) = (pixels * pixels - labels, pixels * pixels - predictions);
        if labels == 0 || predictions == 0 {
            return None;
        }
        let right = self.hits() * pixels;
        let size = right.abs_diff(together) as f64 / ((labels as f64).sqrt() * (predictions as f64).sqrt());
        let size = size.min(1.0);
        Some(if right < together { -size } else { size })
    }

    /// Pixels on the diagonal.
    fn hits(&self) -> u128 {
        self.class_range().map(|class| u128::from(self.count(class, class))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_near(found: Option<f64>, expected: f64) {
        let found = found.unwrap();
        // A handful of roundings of numbers up to 1.
        assert!((found - expected).abs() <= 4.0 * f64::EPSILON, "{found} is not {expected}");
    }

    #[test]
    fn a_hand_computed_binary_case_scores_as_computed() {
        // 90 true negatives, 2 false positives, 3 false negatives, 5 true positives.
        let counts = Confusion::from_counts(2, &[90, 2, 3, 5]).unwrap();
        assert_near(counts.iou(1), 5.0 / 10.0);
        assert_near(counts.iou(0), 90.0 / 95.0);
        assert_near(counts.dice(1), 10.0 / 15.0);
        assert_near(counts.precision(1), 5.0 / 7.0);
        assert_near(counts.recall(1), 5.0 / 8.0);
        assert_near(counts.pixel_accuracy(), 0.95);
        assert_near(counts.mean_iou(AbsentClasses::Skip), f64::midpoint(0.5, 90.0 / 95.0));
        // (TP TN - FP FN) / sqrt((TP + FP)(TP + FN)(TN + FP)(TN + FN)) = 444 / sqrt(7 * 8 * 92 * 93).
        assert_near(counts.mcc(), 444.0 / 479_136.0_f64.sqrt());
    }

    #[test]
    fn a_hand_computed_case_of_three_classes_scores_as_computed() {
        let counts = Confusion::from_counts(3, &[4, 1, 0, 2, 3, 0, 0, 1, 9]).unwrap();
        assert_near(counts.iou(0), 4.0 / 7.0);
        assert_near(counts.iou(1), 3.0 / 7.0);
        assert_near(counts.iou(2), 9.0 / 10.0);
        assert_near(counts.mean_iou(AbsentClasses::Skip), (4.0 / 7.0 + 3.0 / 7.0 + 0.9) / 3.0);
        // s = 20, c = 16, t = (5, 5, 10), p = (6, 5, 9): (16 * 20 - 145) / sqrt((400 - 150) (400 - 142)).
        assert_near(counts.mcc(), 175.0 / (250.0 * 258.0_f64).sqrt());
    }

    #[test]
    fn each_policy_treats_an_absent_class_as_it_says() {
        let counts = Confusion::from_counts(3, &[1, 0, 0, 1, 0, 0, 0, 0, 0]).unwrap();
        // IoU 1/2, 0 and none.
        assert_eq!(counts.iou(2), None);
        assert_near(counts.mean_iou(AbsentClasses::default()), 0.25);
        assert_near(counts.mean_iou(AbsentClasses::CountAsOne), 0.5);
        assert_near(counts.mean_iou(AbsentClasses::CountAsZero), 0.5 / 3.0);
    }

    #[test]
    fn nothing_counted_has_no_score() {
        let counts = Confusion::new(2).unwrap();
        for absent in [AbsentClasses::Skip, AbsentClasses::CountAsOne, AbsentClasses::CountAsZero] {
            assert_eq!(counts.mean_iou(absent), None);
        }
        assert_eq!((counts.pixel_accuracy(), counts.mcc(), counts.recall(0)), (None, None, None));
    }

    #[test]
    fn correlation_needs_two_labels_and_two_predictions() {
        for counts in [[5, 0, 5, 0], [5, 5, 0, 0]] {
            assert_eq!(Confusion::from_counts(2, &counts).unwrap().mcc(), None);
        }
        assert_near(Confusion::from_counts(2, &[3, 0, 0, 4]).unwrap().mcc(), 1.0);
        assert_near(Confusion::from_counts(2, &[0, 3, 4, 0]).unwrap().mcc(), -1.0);
    }

    #[test]
    fn the_largest_counts_do_not_overflow() {
        let quarter = u64::MAX / 8;
        let counts = Confusion::from_counts(2, &[quarter; 4]).unwrap();
        assert_near(counts.mcc(), 0.0);
        assert_near(counts.iou(0), 1.0 / 3.0);
        assert_near(counts.dice(1), 0.5);
    }

    #[test]
    fn what_is_no_class_has_no_score() {
        let counts = Confusion::from_counts(2, &[1; 4]).unwrap();
        assert_eq!(
            (counts.iou(2), counts.dice(255), counts.precision(9), counts.recall(2)),
            (None, None, None, None)
        );
    }
}
