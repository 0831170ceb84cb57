//! All values of a network in one flat buffer.

use crate::{Error, Layout, Network, NodeId, Role, Slot};
use boresight_core::Seed;
use std::sync::Arc;

/// All values of a network: parameters first, then statistics, as its [`Layout`] says.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    layout: Arc<Layout>,
    values: Vec<f32>,
}

impl Weights {
    /// Untrained weights: He-normal convolutions (variance 2 / fan-in), zero biases and shifts, unit scales and
    /// variances, zero means and border.
    ///
    /// Each tensor is drawn from the stream of its own name, so no layer's values depend on another layer.
    ///
    /// # Source
    /// He et al., *Delving deep into rectifiers*, 2015, equation 10.
    pub fn initial(network: &Network, seed: Seed) -> Self {
        let layout = Arc::clone(network.layout());
        let mut values = vec![0.0; layout.len()];
        for slot in layout.slots() {
            fill(slot, seed, &mut values[slot.range.clone()]);
        }
        Self { layout, values }
    }

    /// These values in the layout of `network`.
    ///
    /// # Errors
    /// When their number is not that of the layout.
    pub fn from_values(network: &Network, values: Vec<f32>) -> Result<Self, Error> {
        let layout = Arc::clone(network.layout());
        if values.len() != layout.len() {
            return Err(Error::WeightCount { expected: layout.len(), found: values.len() });
        }
        Ok(Self { layout, values })
    }

    /// Where each tensor stands.
    pub const fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// All values.
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values
    }

    /// One tensor of a node; `None` where the node has no such tensor.
    pub fn get(&self, node: NodeId, role: Role) -> Option<&[f32]> {
        self.layout.range(node, role).map(|range| &self.values[range])
    }

    /// One tensor of a node, to be changed.
    pub fn get_mut(&mut self, node: NodeId, role: Role) -> Option<&mut [f32]> {
        self.layout.range(node, role).map(|range| &mut self.values[range])
    }

    /// Sets what convolutions of the input read beyond its edge: one value a band.
    ///
    /// # Errors
    /// When there are more or fewer values than bands.
    pub fn set_border(&mut self, border: &[f32]) -> Result<(), Error> {
        let values = self.get_mut(NodeId(0), Role::Border).unwrap_or_default();
        if values.len() != border.len() {
            return Err(Error::BandCount { expected: values.len(), found: border.len() });
        }
        values.copy_from_slice(border);
        Ok(())
    }
}

fn fill(slot: &Slot, seed: Seed, values: &mut [f32]) {
    match slot.role {
        Role::Weight => {
            let fan_in: usize = slot.shape[1..].iter().product();
            let deviation = (2.0 / fan_in as f64).sqrt();
            let mut stream = seed.derive(&slot.name, 0).stream();
            #[expect(clippy::cast_possible_truncation, reason = "a weight is stored in f32")]
            values.fill_with(|| (stream.normal() * deviation) as f32);
        }
        Role::Scale | Role::Variance => values.fill(1.0),
        Role::Bias | Role::Shift | Role::Mean | Role::Border => values.fill(0.0),
    }
}
