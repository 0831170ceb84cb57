//! A network as a device holds it.

use crate::Error;
use boresight_ir::{InputForm, Network, Weights, fold_batch_norm};
use boresight_numerics::{ConversionCount, NumericProfile};
use boresight_plan::Projection;

/// Statistics of one band's counts over the training split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Mean, in counts.
    pub mean: f32,
    /// Standard deviation, in counts, above 0.
    pub deviation: f32,
}

/// A network with the constants that a device holds and the rules by which it reads images and stores activations.
#[derive(Clone, Debug)]
pub struct Deployment {
    network: Network,
    constants: Vec<f32>,
    projection: Projection,
    lost: ConversionCount,
}

impl Deployment {
    /// Post-training conversion: batch normalisations folded, normalisation folded into the first convolutions where
    /// counts come in, constants converted as `profile` says.
    ///
    /// # Errors
    /// When weights or bands do not fit the network, or the input is read by something other than convolutions.
    pub fn convert(
        network: &Network,
        weights: &Weights,
        bands: &[Band],
        input: InputForm,
        profile: &NumericProfile,
    ) -> Result<Self, Error> {
        let (folded, weights) = fold_batch_norm(network, weights)?;
        Self::new(folded, &weights, bands, input, profile)
    }

    /// The network as it was trained, in FP32 on normalised images: what is deployed where there is no device.
    ///
    /// # Errors
    /// When weights or bands do not fit the network.
    pub fn undeployed(network: &Network, weights: &Weights, bands: &[Band]) -> Result<Self, Error> {
        Self::new(network.clone(), weights, bands, InputForm::Normalised, &NumericProfile::f32())
    }

    fn new(
        network: Network,
        weights: &Weights,
        bands: &[Band],
        input: InputForm,
        profile: &NumericProfile,
    ) -> Result<Self, Error> {
        let mean: Vec<f32> = bands.iter().map(|band| band.mean).collect();
        let deviation: Vec<f32> = bands.iter().map(|band| band.deviation).collect();
        let projection = Projection::new(&network, profile, input, &mean, &deviation)?;
        let mut master = Weights::from_values(&network, weights.values().to_vec())?;
        master.set_border(&projection.border())?;
        let mut constants = vec![0.0; master.values().len()];
        let lost = projection.constants(master.values(), &mut constants);
        Ok(Self { network, constants, projection, lost })
    }

    /// The network that the device runs.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The constants that the device holds, in the layout of [`Deployment::network`].
    pub fn constants(&self) -> &[f32] {
        &self.constants
    }

    /// How images come in and activations are stored.
    pub const fn projection(&self) -> &Projection {
        &self.projection
    }

    /// What the conversion of constants lost.
    pub const fn lost(&self) -> ConversionCount {
        self.lost
    }
}
