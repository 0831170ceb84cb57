//! Where training tiles come from.

use boresight_core::Seed;
use boresight_ir::{Network, Weights};

/// Training tiles: sensor counts with a label for each pixel.
pub trait Examples: Send + Sync {
    /// Tiles of one epoch.
    fn count(&self) -> usize;

    /// Writes tile `index` of the epoch that `epoch` seeds: counts `[bands, height, width]` and labels
    /// `[height, width]`. What is written depends on nothing but the two.
    fn fill(&self, epoch: Seed, index: usize, counts: &mut [f32], labels: &mut [u8]);
}

/// Scores a network between epochs, for early stopping and for keeping the best epoch.
pub trait Validation: Send + Sync {
    /// The score of `network` with master values `weights`; more is better, `None` is worse than any number.
    fn score(&self, network: &Network, weights: &Weights) -> Option<f64>;
}
