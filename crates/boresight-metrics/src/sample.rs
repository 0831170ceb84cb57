//! What is counted.

use std::ops::Range;

/// A label map, a prediction of it, and perhaps a mask; all in the same pixel order.
#[derive(Clone, Copy, Debug)]
pub struct LabelPair<'data> {
    /// The true class of each pixel, or the value to ignore.
    pub labels: &'data [u8],
    /// The predicted class of each pixel.
    pub predictions: &'data [u8],
    /// Which pixels to count, such as the inner part of an overlapping tile; `None` counts all.
    pub mask: Option<&'data [bool]>,
}

impl<'data> LabelPair<'data> {
    /// Every pixel of a label map and of its prediction.
    pub const fn new(labels: &'data [u8], predictions: &'data [u8]) -> Self {
        Self { labels, predictions, mask: None }
    }

    /// The pixels where `mask` is true.
    #[must_use]
    pub const fn masked(self, mask: &'data [bool]) -> Self {
        Self { mask: Some(mask), ..self }
    }

    /// These pixels of the pair, which must lie in every map.
    pub(crate) fn within(&self, pixels: Range<usize>) -> Self {
        Self {
            labels: &self.labels[pixels.clone()],
            predictions: &self.predictions[pixels.clone()],
            mask: self.mask.map(|mask| &mask[pixels]),
        }
    }
}
