//! The magnitudes that a network's layers hold and make.

use crate::{Deployment, Error, reference};
use boresight_ir::{NodeId, Role};

/// The least normal binary16 number; below it digits are lost.
const LEAST_NORMAL: f32 = 1.0 / 16_384.0;

/// Magnitudes of some values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// How many values there are.
    pub count: usize,
    /// The smallest magnitude that is not zero; infinite where all are zero.
    pub smallest: f32,
    /// The largest finite magnitude.
    pub largest: f32,
    /// Values other than zero below 2^-14, the least normal binary16 number.
    pub subnormal: usize,
    /// Values that are infinite or NaN.
    pub not_finite: usize,
}

impl Range {
    const EMPTY: Self = Self { count: 0, smallest: f32::INFINITY, largest: 0.0, subnormal: 0, not_finite: 0 };

    /// The range of `values`.
    pub fn of(values: &[f32]) -> Self {
        let mut range = Self::EMPTY;
        range.extend(values);
        range
    }

    fn extend(&mut self, values: &[f32]) {
        self.count += values.len();
        for magnitude in values.iter().map(|value| value.abs()) {
            if !magnitude.is_finite() {
                self.not_finite += 1;
            } else if magnitude > 0.0 {
                self.smallest = self.smallest.min(magnitude);
                self.largest = self.largest.max(magnitude);
                self.subnormal += usize::from(magnitude < LEAST_NORMAL);
            }
        }
    }
}

/// What one node of a deployed network holds and makes.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRange {
    /// The node.
    pub node: String,
    /// Its operator.
    pub op: &'static str,
    /// Its constants before the conversion; `None` where it has none.
    pub constants: Option<Range>,
    /// Constants that were not zero and became zero in the conversion.
    pub flushed: usize,
    /// What it stores, over all tiles.
    pub activations: Range,
}

/// Ranges of every node but the input, on tiles of raw sensor counts `[bands, height, width]` each; the plain reference
/// runs them, so a few tiles take seconds.
///
/// # Errors
/// When the network has an operator that the reference does not know.
///
/// # Panics
/// When a tile has another length than the network's input.
pub fn layer_ranges(deployment: &Deployment, tiles: &[Vec<f32>]) -> Result<Vec<LayerRange>, Error> {
    let network = deployment.network();
    let mut activations = vec![Range::EMPTY; network.nodes().len()];
    for tile in tiles {
        for (range, map) in activations.iter_mut().zip(reference::feature_maps(deployment, tile)?) {
            range.extend(&map);
        }
    }
    let unconverted = deployment.unconverted();
    let rows = network.iter().skip(1).map(|(id, node)| {
        let before = constants_of(deployment, id, unconverted.values());
        let after = constants_of(deployment, id, deployment.constants());
        LayerRange {
            node: node.name.clone(),
            op: node.op.name(),
            constants: (!before.is_empty()).then(|| Range::of(&before)),
            flushed: before
                .iter()
                .zip(&after)
                .filter(|(old, new)| old.abs() > 0.0 && new.abs() == 0.0)
                .count(),
            activations: activations[id.index()],
        }
    });
    Ok(rows.collect())
}

/// Weights, biases, scales and shifts of a node.
fn constants_of(deployment: &Deployment, id: NodeId, values: &[f32]) -> Vec<f32> {
    let roles = [Role::Weight, Role::Bias, Role::Scale, Role::Shift];
    let ranges = roles.into_iter().filter_map(|role| deployment.network().layout().range(id, role));
    ranges.flat_map(|range| values[range].to_vec()).collect()
}
