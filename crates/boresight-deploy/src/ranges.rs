//! The magnitudes that a network's layers hold and make, before and after conversion.

use crate::{Deployment, Error, reference};
use boresight_ir::{NodeId, Role};
use std::fmt;

/// The least normal binary16 number; below it digits are lost.
const LEAST_NORMAL: f32 = 1.0 / 16_384.0;
/// The largest binary16 number.
const LARGEST: f32 = 65_504.0;

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
    /// Finite values above 65,504, the largest binary16 number.
    pub beyond: usize,
    /// Values that are infinite or NaN.
    pub not_finite: usize,
}

impl Range {
    pub(crate) const EMPTY: Self =
        Self { count: 0, smallest: f32::INFINITY, largest: 0.0, subnormal: 0, beyond: 0, not_finite: 0 };

    /// The range of `values`.
    pub fn of(values: &[f32]) -> Self {
        let mut range = Self::EMPTY;
        range.extend(values);
        range
    }

    /// The share of values, from 0 to 1, that binary16 holds with fewer digits or not at all, being too small.
    pub fn underflow(&self) -> f64 {
        share(self.subnormal, self.count)
    }

    /// The share of values, from 0 to 1, that are too large for binary16.
    pub fn overflow(&self) -> f64 {
        share(self.beyond + self.not_finite, self.count)
    }

    pub(crate) fn extend(&mut self, values: &[f32]) {
        self.count += values.len();
        for magnitude in values.iter().map(|value| value.abs()) {
            if !magnitude.is_finite() {
                self.not_finite += 1;
            } else if magnitude > 0.0 {
                self.smallest = self.smallest.min(magnitude);
                self.largest = self.largest.max(magnitude);
                self.subnormal += usize::from(magnitude < LEAST_NORMAL);
                self.beyond += usize::from(magnitude > LARGEST);
            }
        }
    }
}

fn share(some: usize, all: usize) -> f64 {
    if all == 0 { 0.0 } else { some as f64 / all as f64 }
}

/// Signal to quantisation noise: the sum of squares of exact values to that of what device values are away from them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio {
    signal: f64,
    noise: f64,
}

impl Ratio {
    /// The ratio of some values.
    pub fn of(exact: &[f32], found: &[f32]) -> Self {
        let mut ratio = Self::default();
        ratio.extend(exact, found);
        ratio
    }

    /// Takes in further values.
    pub(crate) fn extend(&mut self, exact: &[f32], found: &[f32]) {
        for (&exact, &found) in exact.iter().zip(found) {
            let (exact, error) = (f64::from(exact), f64::from(found) - f64::from(exact));
            self.signal += exact * exact;
            // What is infinite or NaN drowns everything.
            self.noise += if error.is_finite() { error * error } else { f64::INFINITY };
        }
    }

    /// In decibels: infinite without noise, negatively so where the noise is infinite or there is no signal.
    pub fn decibels(self) -> f64 {
        let Self { signal, noise } = self;
        if noise > 0.0 { 10.0 * (signal / noise).log10() } else { f64::INFINITY }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decibels = self.decibels();
        if decibels == f64::INFINITY {
            f.pad("exact")
        } else if decibels == f64::NEG_INFINITY {
            f.pad("lost")
        } else {
            f.pad(&format!("{decibels:.1}"))
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
    /// Its constants after the conversion.
    pub converted: Option<Range>,
    /// Constants that were not zero and became zero in the conversion.
    pub flushed: usize,
    /// Constants to what the conversion added to them.
    pub constants_ratio: Ratio,
    /// What it makes over all tiles where nothing is rounded.
    pub exact: Range,
    /// What it stores over all tiles.
    pub activations: Range,
    /// What it makes to what the device has added to it, here and before.
    pub activations_ratio: Ratio,
    /// The same where only this layer is the device's: what it adds by itself.
    pub own_ratio: Ratio,
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
    let exact = deployment.exact();
    let mut rows: Vec<LayerRange> =
        deployment.network().iter().skip(1).map(|(id, _)| row(deployment, &exact, id)).collect();
    for tile in tiles {
        let expected = reference::feature_maps(&exact, tile)?;
        let found = reference::feature_maps(deployment, tile)?;
        let alone = reference::node_by_node(deployment, tile, &expected)?;
        for (at, row) in (1..).zip(&mut rows) {
            row.exact.extend(&expected[at]);
            row.activations.extend(&found[at]);
            row.activations_ratio.extend(&expected[at], &found[at]);
            row.own_ratio.extend(&expected[at], &alone[at]);
        }
    }
    Ok(rows)
}

/// What is known of a node without an image.
fn row(deployment: &Deployment, exact: &Deployment, id: NodeId) -> LayerRange {
    let node = deployment.network().node(id);
    let [before, after] = [exact, deployment].map(|deployment| constants_of(deployment, id));
    let lost = before.iter().zip(&after).filter(|(old, new)| old.abs() > 0.0 && new.abs() == 0.0);
    LayerRange {
        node: node.name.clone(),
        op: node.op.name(),
        constants: (!before.is_empty()).then(|| Range::of(&before)),
        converted: (!after.is_empty()).then(|| Range::of(&after)),
        flushed: lost.count(),
        constants_ratio: Ratio::of(&before, &after),
        exact: Range::EMPTY,
        activations: Range::EMPTY,
        activations_ratio: Ratio::default(),
        own_ratio: Ratio::default(),
    }
}

/// Weights, biases, scales and shifts of a node.
fn constants_of(deployment: &Deployment, id: NodeId) -> Vec<f32> {
    let roles = [Role::Weight, Role::Bias, Role::Scale, Role::Shift];
    let ranges = roles.into_iter().filter_map(|role| deployment.network().layout().range(id, role));
    ranges.flat_map(|range| deployment.constants()[range].to_vec()).collect()
}
