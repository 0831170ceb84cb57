//! Errors vessel by vessel, and intervals from drawing vessels again.

use boresight::core::Seed;
use boresight::data::Scene;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Pixels of one vessel: found, missed, and wrongly taken for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hits {
    pub(crate) found: u64,
    pub(crate) missed: u64,
    pub(crate) wrong: u64,
}

impl Hits {
    pub(crate) fn add(&mut self, other: Self) {
        self.found += other.found;
        self.missed += other.missed;
        self.wrong += other.wrong;
    }

    /// Vessel IoU and mIoU over `pixels` pixels of two classes; a class that is nowhere counts as 1.
    pub(crate) fn scores(self, pixels: u64) -> Scores {
        let iou = |same: u64, all: u64| if all == 0 { 1.0 } else { same as f64 / all as f64 };
        let vessel_iou = iou(self.found, self.found + self.missed + self.wrong);
        let water = pixels - self.found - self.missed - self.wrong;
        Scores { vessel_iou, miou: f64::midpoint(vessel_iou, iou(water, pixels - self.found)) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scores {
    pub(crate) miou: f64,
    pub(crate) vessel_iou: f64,
}

/// The vessel that each pixel of a scene is nearest to, from 0 on; a scene without vessels is as one.
pub(crate) struct Fleet {
    nearest: Vec<usize>,
    count: usize,
}

impl Fleet {
    pub(crate) fn new(scene: &Scene) -> Self {
        let mut fleet = Self { nearest: vec![usize::MAX; scene.pixels()], count: 0 };
        for pixel in 0..scene.pixels() {
            if scene.mask[pixel] == 1 && fleet.nearest[pixel] == usize::MAX {
                fleet.mark(scene, pixel);
                fleet.count += 1;
            }
        }
        fleet.spread(scene);
        fleet
    }

    /// Marks the vessel that touches `pixel`, over edges and corners.
    fn mark(&mut self, scene: &Scene, pixel: usize) {
        let mut open = vec![pixel];
        self.nearest[pixel] = self.count;
        while let Some(pixel) = open.pop() {
            for next in around(scene, pixel) {
                if scene.mask[next] == 1 && self.nearest[next] == usize::MAX {
                    self.nearest[next] = self.count;
                    open.push(next);
                }
            }
        }
    }

    /// Gives every other pixel to the vessel that is reached first, all of them spreading at once.
    fn spread(&mut self, scene: &Scene) {
        let marked = (0..scene.pixels()).filter(|&pixel| self.nearest[pixel] != usize::MAX);
        let mut open: VecDeque<usize> = marked.collect();
        if open.is_empty() {
            (self.nearest, self.count) = (vec![0; scene.pixels()], 1);
        }
        while let Some(pixel) = open.pop_front() {
            for next in around(scene, pixel) {
                if self.nearest[next] == usize::MAX {
                    self.nearest[next] = self.nearest[pixel];
                    open.push_back(next);
                }
            }
        }
    }

    /// What a label map of the scene found, vessel by vessel; and how many pixels count.
    pub(crate) fn hits(&self, scene: &Scene, map: &[u8], ignore: Option<u8>) -> (Vec<Hits>, u64) {
        let (mut hits, mut pixels) = (vec![Hits::default(); self.count], 0);
        for ((&label, &found), &vessel) in scene.mask.iter().zip(map).zip(&self.nearest) {
            if Some(label) == ignore {
                continue;
            }
            pixels += 1;
            match (label, found) {
                (1, 1) => hits[vessel].found += 1,
                (1, _) => hits[vessel].missed += 1,
                (_, 1) => hits[vessel].wrong += 1,
                _ => {}
            }
        }
        (hits, pixels)
    }
}

/// The up to eight pixels around one.
fn around(scene: &Scene, pixel: usize) -> impl Iterator<Item = usize> {
    let (height, width) = (scene.height, scene.width);
    let (row, column) = (pixel / width, pixel % width);
    let rows = row.saturating_sub(1)..(row + 2).min(height);
    rows.flat_map(move |row| {
        (column.saturating_sub(1)..(column + 2).min(width)).map(move |x| row * width + x)
    })
    .filter(move |&next| next != pixel)
}

/// Drawings from which an interval is taken.
const DRAWS: usize = 2000;

/// The values of `statistic` over vessels that are drawn again, with replacement, in order.
///
/// `clusters` has what several networks made of one vessel, which is drawn with all of them.
pub(crate) fn bootstrap(
    clusters: usize,
    seed: Seed,
    mut statistic: impl FnMut(&[usize]) -> f64,
) -> Option<[f64; 2]> {
    let mut stream = seed.derive("bootstrap", 0).stream();
    let mut values: Vec<f64> = (0..DRAWS)
        .map(|_| statistic(&(0..clusters).map(|_| stream.below(clusters)).collect::<Vec<_>>()))
        .filter(|value| value.is_finite())
        .collect();
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    Some([values[last * 25 / 1000], values[last * 975 / 1000]])
}
