//! Scoring whole scenes, each pixel once.

use crate::Error;
use boresight_core::Accumulate;
use boresight_data::{Dataset, Scene, TileAt, Tiling};
use boresight_deploy::Simulator;
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
///
/// # Errors
/// When the network's tile does not fit the scene or it reads another number of bands.
pub fn predict(simulator: &Simulator, scene: &Scene) -> Result<Vec<u8>, Error> {
    let planes = simulator.input_planes();
    let (pixels, counts) = (scene.pixels(), scene.counts.len());
    if planes.channels * pixels != counts {
        return Err(Error::SceneBands { counts, pixels, bands: planes.channels });
    }
    let tiling = Tiling::disjoint(scene.height, scene.width, planes.height)?;
    let mut memory = simulator.memory();
    let mut counts = vec![0.0; planes.len()];
    let mut labels = vec![0; planes.batch * planes.plane()];
    let mut map = vec![0; scene.height * scene.width];
    for group in tiling.tiles.chunks(planes.batch) {
        for (at, counts) in group.iter().zip(counts.chunks_exact_mut(planes.channels * planes.plane())) {
            load(scene, at, planes.height, counts);
        }
        simulator.labels(&counts, &mut memory, &mut labels);
        for (at, labels) in group.iter().zip(labels.chunks_exact(planes.plane())) {
            let [rows, columns] = at.open.clone();
            for row in rows {
                let target = row * scene.width;
                let source = (row - at.y) * planes.width;
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
/// When the network's tile does not fit a scene or its classes are not those of the data.
pub fn confusion(simulator: &Simulator, dataset: &Dataset, scenes: &[Scene]) -> Result<Confusion, Error> {
    let mut counts = Confusion::new(dataset.classes)?;
    if let Some(ignore) = dataset.ignore {
        counts = counts.ignoring(ignore);
    }
    for scene in scenes {
        let map = predict(simulator, scene)?;
        counts.update(&LabelPair::new(&scene.mask, &map))?;
    }
    Ok(counts)
}
