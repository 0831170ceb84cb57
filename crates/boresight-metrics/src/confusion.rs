//! Pixel counts by label and prediction.

use crate::{Error, LabelPair};
use boresight_core::Accumulate;
use serde::{Deserialize, Serialize};

/// The most pixels that are counted; products of two counts then fit into 126 bits.
const MOST: u64 = i64::MAX as u64;
/// Tables counted side by side, so that equal neighbours do not wait for each other's increment.
const LANES: usize = 4;
/// Pixels whose cells are found at a time.
const BLOCK: usize = 1024;

/// Pixel counts by (label, prediction), for 2 to 255 classes.
///
/// Counts of tiles, scenes and workers merge without loss; scores are taken once, at the end. Pixels whose label is
/// the value to ignore are not counted, whatever is predicted there. Holds at most 2^63 - 1 pixels.
///
/// # Examples
/// ```
/// use boresight_core::Accumulate;
/// use boresight_metrics::{Confusion, LabelPair};
/// let mut confusion = Confusion::new(2)?.ignoring(255);
/// confusion.update(&LabelPair::new(&[0, 1, 1, 255], &[0, 1, 0, 1]))?;
/// assert_eq!(confusion.iou(1), Some(0.5));
/// # Ok::<(), boresight_metrics::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Confusion {
    classes: usize,
    ignored: Option<u8>,
    /// Row by row: a row is a label, a column a prediction.
    counts: Vec<u64>,
}

/// What is stored, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    classes: usize,
    ignored: Option<u8>,
    counts: Vec<u64>,
}

impl TryFrom<Raw> for Confusion {
    type Error = Error;

    fn try_from(raw: Raw) -> Result<Self, Error> {
        Ok(Self { ignored: raw.ignored, ..Self::from_counts(raw.classes, &raw.counts)? })
    }
}

impl Confusion {
    /// No pixels yet of this many classes.
    ///
    /// # Errors
    /// [`Error::ClassCount`] outside 2 to 255.
    pub fn new(classes: usize) -> Result<Self, Error> {
        if !(2..=255).contains(&classes) {
            return Err(Error::ClassCount { classes });
        }
        Ok(Self { classes, ignored: None, counts: vec![0; classes * classes] })
    }

    /// These counts, row by row: a row is a label, a column a prediction.
    ///
    /// # Errors
    /// [`Error::ClassCount`] outside 2 to 255, [`Error::CellCount`] when there are not classes² counts,
    /// [`Error::TooManyPixels`].
    pub fn from_counts(classes: usize, counts: &[u64]) -> Result<Self, Error> {
        let mut confusion = Self::new(classes)?;
        if counts.len() != confusion.counts.len() {
            return Err(Error::CellCount { classes, found: counts.len() });
        }
        confusion.add(counts)?;
        Ok(confusion)
    }

    /// The same counts, which from now on do not count pixels with this label.
    #[must_use]
    pub fn ignoring(mut self, label: u8) -> Self {
        self.ignored = Some(label);
        self
    }

    /// How many classes there are.
    pub const fn classes(&self) -> usize {
        self.classes
    }

    /// The label whose pixels are not counted.
    pub const fn ignored(&self) -> Option<u8> {
        self.ignored
    }

    /// Pixels with this label and this prediction; 0 where either is no class.
    pub fn count(&self, label: u8, prediction: u8) -> u64 {
        let (label, prediction) = (usize::from(label), usize::from(prediction));
        if label.max(prediction) < self.classes { self.counts[label * self.classes + prediction] } else { 0 }
    }

    /// All pixels that were counted.
    pub fn pixels(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Pixels with this label; 0 where it is no class.
    pub fn labelled(&self, class: u8) -> u64 {
        self.class_range().map(|prediction| self.count(class, prediction)).sum()
    }

    /// Pixels with this prediction; 0 where it is no class.
    pub fn predicted(&self, class: u8) -> u64 {
        self.class_range().map(|label| self.count(label, class)).sum()
    }

    /// Every class.
    pub(crate) fn class_range(&self) -> impl Iterator<Item = u8> + use<> {
        let classes = self.classes;
        (0..=u8::MAX).take(classes)
    }

    /// Adds counts of equal shape, or nothing when there would be too many pixels.
    fn add(&mut self, counts: &[u64]) -> Result<(), Error> {
        let pixels = counts.iter().try_fold(self.pixels(), |sum, &count| sum.checked_add(count));
        if pixels.is_none_or(|pixels| pixels > MOST) {
            return Err(Error::TooManyPixels);
        }
        for (own, more) in self.counts.iter_mut().zip(counts) {
            *own += more;
        }
        Ok(())
    }

    /// The first rule that `pair` breaks.
    fn check(&self, pair: &LabelPair<'_>) -> Result<(), Error> {
        let labelled = pair.labels.len();
        if pair.predictions.len() != labelled {
            return Err(Error::PixelCount { labelled, predicted: pair.predictions.len() });
        }
        if let Some(mask) = pair.mask.filter(|mask| mask.len() != labelled) {
            return Err(Error::MaskCount { labelled, masked: mask.len() });
        }
        // A pass that vectorises finds out whether there is anything to look for; most often there is not.
        let last = u8::try_from(self.classes - 1).unwrap_or(u8::MAX);
        let ignored = self.ignored.unwrap_or(last);
        let pixels = pair.labels.iter().zip(pair.predictions);
        let suspect = pixels.fold(0, |found, (&label, &prediction)| {
            let label = u8::from(label > last) & u8::from(label != ignored);
            found | label | u8::from(prediction > last)
        });
        if suspect > 0 { self.find_unknown(pair) } else { Ok(()) }
    }

    fn find_unknown(&self, pair: &LabelPair<'_>) -> Result<(), Error> {
        let classes = self.classes;
        for (pixel, (&label, &prediction)) in pair.labels.iter().zip(pair.predictions).enumerate() {
            if self.ignored == Some(label) || pair.mask.is_some_and(|mask| !mask[pixel]) {
                continue;
            }
            if self.is_unknown(label) {
                return Err(Error::UnknownLabel { pixel, label, classes });
            }
            if self.is_unknown(prediction) {
                return Err(Error::UnknownPrediction { pixel, prediction, classes });
            }
        }
        Ok(())
    }

    fn is_unknown(&self, class: u8) -> bool {
        usize::from(class) >= self.classes
    }

    /// Counts of a pair that [`Self::check`] passed.
    fn tally(&self, pair: &LabelPair<'_>) -> Vec<u64> {
        let cells = self.counts.len();
        // What is not counted goes to one more cell behind the matrix.
        let mut lanes = vec![[0_u64; LANES]; cells + 1];
        let mut block = [0_u16; BLOCK];
        for start in (0..pair.labels.len()).step_by(BLOCK) {
            let pixels = start..pair.labels.len().min(start + BLOCK);
            let block = &mut block[..pixels.len()];
            self.find_cells(&pair.within(pixels), block);
            let (quads, rest) = block.as_chunks::<LANES>();
            for quad in quads {
                for (lane, &cell) in quad.iter().enumerate() {
                    lanes[usize::from(cell)][lane] += 1;
                }
            }
            for &cell in rest {
                lanes[usize::from(cell)][0] += 1;
            }
        }
        lanes.iter().take(cells).map(|lanes| lanes.iter().sum()).collect()
    }

    /// The cell of each pixel, or the one behind the last for a pixel that is not counted.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "classes are at most 255 and cells at most 255 * 255"
    )]
    fn find_cells(&self, pair: &LabelPair<'_>, cells: &mut [u16]) {
        let (classes, nowhere) = (self.classes as u16, self.counts.len() as u16);
        // 256 is no label.
        let ignored = self.ignored.map_or(256, u16::from);
        for ((cell, &label), &prediction) in cells.iter_mut().zip(pair.labels).zip(pair.predictions) {
            // At most 255 * 255 + 255, also where an ignored pixel holds what is no class.
            let label = u16::from(label);
            *cell = if label == ignored { nowhere } else { label * classes + u16::from(prediction) };
        }
        for (cell, &counted) in cells.iter_mut().zip(pair.mask.unwrap_or_default()) {
            *cell = if counted { *cell } else { nowhere };
        }
    }
}

impl Accumulate<LabelPair<'_>> for Confusion {
    type Error = Error;

    fn update(&mut self, pair: &LabelPair<'_>) -> Result<(), Error> {
        self.check(pair)?;
        let counts = self.tally(pair);
        self.add(&counts)
    }

    fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.classes != other.classes {
            return Err(Error::DifferentClasses { own: self.classes, other: other.classes });
        }
        if self.ignored != other.ignored {
            return Err(Error::DifferentIgnored { own: self.ignored, other: other.ignored });
        }
        self.add(&other.counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(confusion: &Confusion, pair: LabelPair<'_>) -> Result<Confusion, Error> {
        let mut counts = confusion.clone();
        let result = counts.update(&pair);
        if result.is_err() {
            assert_eq!(&counts, confusion, "nothing may be counted after an error");
        }
        result.map(|()| counts)
    }

    #[test]
    fn pixels_fall_into_their_cells() {
        let counts =
            counted(&Confusion::new(3).unwrap(), LabelPair::new(&[0, 1, 2, 2, 2], &[0, 0, 2, 1, 2])).unwrap();
        assert_eq!(counts, Confusion::from_counts(3, &[1, 0, 0, 1, 0, 0, 0, 1, 2]).unwrap());
        assert_eq!(
            (counts.pixels(), counts.labelled(2), counts.predicted(0), counts.count(2, 1)),
            (5, 3, 2, 1)
        );
    }

    #[test]
    fn only_the_masked_pixels_are_counted() {
        let pair = LabelPair::new(&[0, 1, 7], &[1, 1, 9]).masked(&[true, true, false]);
        let counts = counted(&Confusion::new(2).unwrap(), pair).unwrap();
        assert_eq!(counts, Confusion::from_counts(2, &[0, 1, 0, 1]).unwrap());
    }

    #[test]
    fn maps_longer_than_a_block_are_counted_whole() {
        let pixels = 2 * BLOCK + LANES + 1;
        let map = |period: usize| {
            (0..pixels).map(|pixel| u8::from(pixel.is_multiple_of(period))).collect::<Vec<u8>>()
        };
        let (labels, predictions) = (map(3), map(5));
        let mask: Vec<bool> = (0..pixels).map(|pixel| pixel % 7 != 0).collect();
        let counts =
            counted(&Confusion::new(2).unwrap(), LabelPair::new(&labels, &predictions).masked(&mask))
                .unwrap();
        let cells = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|cell| {
            let here = |&pixel: &usize| mask[pixel] && (labels[pixel], predictions[pixel]) == cell;
            (0..pixels).filter(here).count() as u64
        });
        assert_eq!(counts, Confusion::from_counts(2, &cells).unwrap());
    }

    #[test]
    fn the_largest_number_of_classes_fits_its_cells() {
        let mut counts = Confusion::new(255).unwrap().ignoring(255);
        counts.update(&LabelPair::new(&[254, 255, 255], &[254, 255, 0])).unwrap();
        assert_eq!((counts.pixels(), counts.count(254, 254)), (1, 1));
        let bad = LabelPair::new(&[255, 0], &[255, 255]).masked(&[true, false]);
        counts.update(&bad).unwrap();
        assert_eq!(counts.pixels(), 1);
    }

    #[test]
    fn a_prediction_where_the_label_is_ignored_is_not_looked_at() {
        let counts =
            counted(&Confusion::new(2).unwrap().ignoring(255), LabelPair::new(&[255, 1], &[9, 1])).unwrap();
        assert_eq!((counts.pixels(), counts.count(1, 1)), (1, 1));
    }

    #[test]
    fn a_bad_sample_is_refused_with_its_evidence() {
        let two = || Confusion::new(2).unwrap().ignoring(255);
        let cases = [
            (LabelPair::new(&[0, 1], &[0]), Error::PixelCount { labelled: 2, predicted: 1 }),
            (LabelPair::new(&[0], &[0]).masked(&[]), Error::MaskCount { labelled: 1, masked: 0 }),
            (LabelPair::new(&[0, 2], &[0, 0]), Error::UnknownLabel { pixel: 1, label: 2, classes: 2 }),
            (
                LabelPair::new(&[255, 0], &[2, 3]),
                Error::UnknownPrediction { pixel: 1, prediction: 3, classes: 2 },
            ),
        ];
        for (pair, error) in cases {
            assert_eq!(counted(&two(), pair).unwrap_err(), error);
        }
    }

    #[test]
    fn unlike_counts_do_not_merge() {
        let mut two = Confusion::new(2).unwrap();
        let before = two.clone();
        assert_eq!(
            two.merge(&Confusion::new(3).unwrap()).unwrap_err(),
            Error::DifferentClasses { own: 2, other: 3 }
        );
        let ignoring = Confusion::new(2).unwrap().ignoring(255);
        assert_eq!(
            two.merge(&ignoring).unwrap_err(),
            Error::DifferentIgnored { own: None, other: Some(255) }
        );
        assert_eq!(two, before);
    }

    #[test]
    fn counts_never_wrap() {
        let mut full = Confusion::from_counts(2, &[MOST, 0, 0, 0]).unwrap();
        let before = full.clone();
        assert_eq!(full.update(&LabelPair::new(&[1], &[1])), Err(Error::TooManyPixels));
        assert_eq!(full.merge(&before), Err(Error::TooManyPixels));
        assert_eq!(full, before);
        assert_eq!(Confusion::from_counts(2, &[u64::MAX; 4]), Err(Error::TooManyPixels));
    }

    #[test]
    fn the_number_of_classes_has_bounds() {
        for classes in [0, 1, 256] {
            assert_eq!(Confusion::new(classes), Err(Error::ClassCount { classes }));
        }
        assert!(Confusion::new(2).is_ok() && Confusion::new(255).is_ok());
        assert_eq!(Confusion::from_counts(2, &[1; 3]), Err(Error::CellCount { classes: 2, found: 3 }));
    }

    #[test]
    fn stored_counts_are_checked_when_they_are_read() {
        let counts = Confusion::from_counts(2, &[1, 2, 3, 4]).unwrap().ignoring(9);
        let text = serde_json::to_string(&counts).unwrap();
        assert_eq!(serde_json::from_str::<Confusion>(&text).unwrap(), counts);
        let error = serde_json::from_str::<Confusion>(&text.replace("[1,", "[")).unwrap_err();
        assert!(error.to_string().contains("2 classes have 4 counts, not 3"), "{error}");
    }
}
