//! Scoring whole scenes, each pixel once.

use crate::{DeviceRunner, Error};
use boresight_core::{Accumulate, Seconds};
use boresight_data::{Dataset, Scene, TileAt, Tiling};
use boresight_metrics::{AbsentClasses, Confusion, LabelPair};
use serde::{Deserialize, Serialize};

/// The two scores that every table shows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean IoU over the classes that occur.
    pub miou: f64,
    /// IoU of class 1.
    pub vessel_iou: f64,
}

impl Score {
    /// The scores of `counts`. A class that is neither labelled nor predicted is left out of the mean; where the
    /// vessel class is such a class there is nothing to be found and nothing was found, which counts as 1.
    pub fn of(counts: &Confusion) -> Self {
        Self {
            miou: counts.mean_iou(AbsentClasses::Skip).unwrap_or(1.0),
            vessel_iou: counts.iou(1).unwrap_or(1.0),
        }
    }
}

/// Label map `[height, width]` of a whole scene: disjoint tiles of the network's size, the last row and column
/// clamped to the edge and only filling what is still open. Memory does not depend on the scene's size but for the map.
/// Appends to `times` what the device measured.
///
/// # Errors
/// When the network's tile does not fit the scene, it reads another number of bands, or the device fails.
pub fn predict(
    runner: &mut dyn DeviceRunner,
    scene: &Scene,
    times: &mut Vec<Seconds>,
) -> Result<Vec<u8>, Error> {
    let (tile, pixels, counts) = (runner.tile(), scene.pixels(), scene.counts.len());
    if tile.channels * pixels != counts {
        return Err(Error::SceneBands { counts, pixels, bands: tile.channels });
    }
    if tile.height != tile.width {
        return Err(Error::NotSquare { height: tile.height, width: tile.width });
    }
    let tiling = Tiling::disjoint(scene.height, scene.width, tile.height)?;
    let batch = runner.batch().min(tiling.tiles.len());
    let mut counts = vec![0.0; batch * tile.len()];
    let mut labels = vec![0; batch * tile.plane()];
    let mut map = vec![0; pixels];
    for group in tiling.tiles.chunks(batch) {
        for (at, counts) in group.iter().zip(counts.chunks_exact_mut(tile.len())) {
            load(scene, at, tile.height, counts);
        }
        let labels = &mut labels[..group.len() * tile.plane()];
        times.extend(runner.labels(&counts[..group.len() * tile.len()], labels)?);
        for (at, labels) in group.iter().zip(labels.chunks_exact(tile.plane())) {
            let [rows, columns] = at.open.clone();
            for row in rows {
                let target = row * scene.width;
                let source = (row - at.y) * tile.width;
                map[target + columns.start..target + columns.end]
                    .copy_from_slice(&labels[source + columns.start - at.x..source + columns.end - at.x]);
            }
        }
    }
    Ok(map)
}

/// Copies the counts of one tile.
fn load(scene: &Scene, at: &TileAt, tile: usize, counts: &mut [f32]) {
    let planes = scene.counts.chunks_exact(scene.pixels());
    for (source, target) in planes.zip(counts.chunks_exact_mut(tile * tile)) {
        for (row, target) in target.chunks_exact_mut(tile).enumerate() {
            let start = (at.y + row) * scene.width + at.x;
            for (value, &count) in target.iter_mut().zip(&source[start..start + tile]) {
                *value = count.into();
            }
        }
    }
}

/// Counts over whole scenes of one split.
///
/// # Errors
/// When the network's tile does not fit a scene, its classes are not those of the data, or the device fails.
pub fn confusion(
    runner: &mut dyn DeviceRunner,
    dataset: &Dataset,
    scenes: &[Scene],
) -> Result<Confusion, Error> {
    let mut counts = Confusion::new(dataset.classes)?;
    if let Some(ignore) = dataset.ignore {
        counts = counts.ignoring(ignore);
    }
    for scene in scenes {
        let map = predict(runner, scene, &mut Vec::new())?;
        counts.update(&LabelPair::new(&scene.mask, &map))?;
    }
    Ok(counts)
}
