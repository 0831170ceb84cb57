//! Scores over data that arrives in parts.

use crate::Objective;

/// Counts that grow sample by sample and merge without loss.
pub trait Accumulate<S: ?Sized> {
    /// Why a sample cannot be counted.
    type Error;

    /// Counts one sample; after an error nothing of it is counted.
    ///
    /// # Errors
    /// When the sample breaks a rule of the counts, such as a label that is no class.
    fn update(&mut self, sample: &S) -> Result<(), Self::Error>;

    /// Adds the counts of `other`: merging shards equals counting the whole.
    ///
    /// # Errors
    /// When the two count different things, such as another number of classes.
    fn merge(&mut self, other: &Self) -> Result<(), Self::Error>;
}

/// A score of finished counts.
pub trait Metric<S: ?Sized> {
    /// What is scored, its unit and its direction.
    fn objective(&self) -> Objective;

    /// The score; `None` where it is not defined, never NaN.
    fn score(&self, counts: &S) -> Option<f64>;
}
