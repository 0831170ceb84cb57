//! A network as a device holds it.

use crate::Error;
use boresight_ir::{InputForm, Network, Role, Weights, fold_batch_norm, separate_batch_norm};
use boresight_kernels::Planes;
use boresight_numerics::{BatchNorm, ConversionCount, NumericProfile};
use boresight_plan::{Mapping, Projection};
use std::ops::Range;

/// Statistics of one band's counts over the training split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// Mean, in counts.
    pub mean: f32,
    /// Standard deviation, in counts, above 0.
    pub deviation: f32,
}

/// `network` as `profile` has its batch normalisations: folded, or as scales and shifts; with its weights.
///
/// # Errors
/// When `weights` are not of this network.
pub fn without_batch_norm(
    network: &Network,
    weights: &Weights,
    profile: &NumericProfile,
) -> Result<(Network, Weights), Error> {
    Ok(match profile.batch_norm {
        BatchNorm::Folded => fold_batch_norm(network, weights)?,
        BatchNorm::Separate => separate_batch_norm(network, weights)?,
    })
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
        let (folded, weights) = without_batch_norm(network, weights, profile)?;
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
        self.projection.profile().input_rounding().tensor(border);
        self.pads_with_mean = true;
        self
    }

    /// The same network where a tool chain has decided about single convolutions.
    #[must_use]
    pub fn mapped(mut self, mapping: &Mapping) -> Self {
        self.projection = self.projection.mapped(&self.network, mapping);
        let border = self.constants[self.border.clone()].to_vec();
        self.lost = self.projection.constants(self.master.values(), &mut self.constants);
        self.constants[self.border.clone()].copy_from_slice(&border);
        self
    }

    /// The same network, reading the same images, where nothing is rounded: what conversion is compared with.
    #[must_use]
    pub fn exact(&self) -> Self {
        let constants = self.unconverted().values().to_vec();
        Self {
            projection: self.projection.exact(),
            constants,
            lost: ConversionCount::default(),
            ..self.clone()
        }
    }

    /// The same network with constants that were converted otherwise.
    pub(crate) fn holding(&self, constants: &[f32]) -> Self {
        Self { constants: constants.to_vec(), ..self.clone() }
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
