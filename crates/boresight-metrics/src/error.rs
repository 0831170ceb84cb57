//! Why something cannot be counted.

/// Why something cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Confusion is counted between 2 to 255 classes.
    #[error("{classes} classes cannot be confused, 2 to 255 can")]
    ClassCount {
        /// How many were asked for.
        classes: usize,
    },
    /// A matrix has another number of cells than its classes need.
    #[error("{classes} classes have {} counts, not {found}", .classes * .classes)]
    CellCount {
        /// How many classes there are.
        classes: usize,
        /// How many counts were given.
        found: usize,
    },
    /// Prediction and label cover different numbers of pixels.
    #[error("the prediction has {predicted} pixels, the label {labelled}")]
    PixelCount {
        /// Pixels of the label map.
        labelled: usize,
        /// Pixels of the prediction.
        predicted: usize,
    },
    /// The mask covers another number of pixels than the labels.
    #[error("the mask has {masked} pixels, the label {labelled}")]
    MaskCount {
        /// Pixels of the label map.
        labelled: usize,
        /// Pixels of the mask.
        masked: usize,
    },
    /// A label is no class and not the value to ignore.
    #[error("the label {label} at pixel {pixel} is outside 0..{classes}")]
    UnknownLabel {
        /// Where it stands, from 0.
        pixel: usize,
        /// What stands there.
        label: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// A prediction is no class.
    #[error("the prediction {prediction} at pixel {pixel} is outside 0..{classes}")]
    UnknownPrediction {
        /// Where it stands, from 0.
        pixel: usize,
        /// What stands there.
        prediction: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// Two counts cannot be merged, because they have different numbers of classes.
    #[error("counts of {other} classes cannot be merged into counts of {own}")]
    DifferentClasses {
        /// Classes of the counts that were to grow.
        own: usize,
        /// Classes of the other counts.
        other: usize,
    },
    /// Two counts cannot be merged, because they ignore different labels.
    #[error("counts that ignore {other:?} cannot be merged into counts that ignore {own:?}")]
    DifferentIgnored {
        /// What the counts that were to grow ignore.
        own: Option<u8>,
        /// What the other counts ignore.
        other: Option<u8>,
    },
    /// More than 2^63 - 1 pixels.
    #[error("more than 2^63 - 1 pixels cannot be counted")]
    TooManyPixels,
}
