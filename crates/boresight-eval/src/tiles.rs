//! Training tiles from scenes.

use crate::Error;
use boresight_core::Seed;
use boresight_data::{Sampler, SamplerOptions, Scene};
use boresight_train::Examples;

/// Training tiles drawn from scenes.
#[derive(Clone, Debug)]
pub struct SceneTiles<'scenes> {
    sampler: Sampler<'scenes>,
    count: usize,
}

impl<'scenes> SceneTiles<'scenes> {
    /// `count` tiles of `tile` x `tile` pixels an epoch.
    ///
    /// # Errors
    /// When tiles do not fit the scenes or an option lies outside its range.
    pub fn new(
        scenes: &'scenes [Scene],
        tile: usize,
        count: usize,
        options: &SamplerOptions,
    ) -> Result<Self, Error> {
        Ok(Self { sampler: Sampler::new(scenes, tile, options)?, count })
    }
}

impl Examples for SceneTiles<'_> {
    fn count(&self) -> usize {
        self.count
    }

    fn fill(&self, epoch: Seed, index: usize, counts: &mut [f32], labels: &mut [u8]) {
        let tile = self.sampler.sample(epoch, index as u64);
        for (value, count) in counts.iter_mut().zip(tile.counts) {
            *value = count.into();
        }
        labels.copy_from_slice(&tile.mask);
    }
}
