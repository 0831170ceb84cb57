/// Why a loss cannot be computed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A label is neither a class nor the ignore value.
    #[error("pixel {pixel} is labelled {label}, but classes are 0..{classes}")]
    UnknownLabel {
        /// Position of the pixel in the slice of labels.
        pixel: usize,
        /// What stands there.
        label: u8,
        /// Channels of the logits.
        classes: usize,
    },
    /// A loss needs 2 to 256 classes.
    #[error("logits of {classes} classes: a loss needs 2 to 256")]
    Classes {
        /// Channels of the logits.
        classes: usize,
    },
    /// Class weights are given, but not one for each class.
    #[error("{weights} class weights for {classes} classes")]
    ClassWeights {
        /// Weights given.
        weights: usize,
        /// Channels of the logits.
        classes: usize,
    },
    /// A class weight is negative or not finite.
    #[error("class {class} has weight {weight}")]
    ClassWeight {
        /// The class.
        class: usize,
        /// Its weight.
        weight: f32,
    },
}
