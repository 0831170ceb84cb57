//! A network as a device holds it.

use crate::Error;
use boresight_ir::{InputForm, Network, Role, Weights, fold_batch_norm};
use boresight_kernels::Planes;
use boresight_numerics::{ConversionCount, NumericProfile};
use boresight_plan::Projection;
use std::ops::Range;

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
    master: Weights,
    constants: Vec<f32>,
    /// Place of the border among the constants.
    border: Range<usize>,
    pads_with_mean: bool,
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

    /// The same network padding its input with the mean of each band instead of count zero: what padding a normalised
    /// image with zero means. Networks that were trained elsewhere do so.
    #[must_use]
    pub fn padding_with_mean(mut self) -> Self {
        let border = &mut self.constants[self.border.clone()];
        border.copy_from_slice(&self.projection.mean_border());
        self.projection.profile().round_input(border);
        self.pads_with_mean = true;
        self
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
        let border = network.layout().range(network.input(), Role::Border).unwrap_or(0..0);
        Ok(Self { network, master, constants, border, pads_with_mean: false, projection, lost })
    }

    /// The network that the device runs.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The constants that the device holds, in the layout of [`Deployment::network`].
    pub fn constants(&self) -> &[f32] {
        &self.constants
    }

    /// The constants before the profile converts them, normalisation folded in where counts come in: what the file
    /// for a tool chain holds.
    pub fn unconverted(&self) -> Weights {
        let mut weights = self.master.clone();
        self.projection.fold_into(self.master.values(), weights.values_mut());
        if self.pads_with_mean {
            weights.values_mut()[self.border.clone()].copy_from_slice(&self.projection.mean_border());
        }
        weights
    }

    /// Turns counts `[tiles, bands, height, width]` in place into what a network with [`Deployment::unconverted`] constants
    /// reads, before the device rounds it.
    pub fn normalise(&self, counts: &mut [f32]) {
        let boresight_ir::Shape { channels, height, width } = self.network.input_shape();
        let batch = counts.len() / (channels * height * width);
        self.projection.normalise(Planes { batch, channels, height, width }, counts);
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
