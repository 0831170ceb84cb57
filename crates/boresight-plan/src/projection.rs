//! What a device makes of constants and images.

use crate::{Arithmetic, Error, Store};
use boresight_ir::{InputForm, Network, NormalisationFold, Role, check_statistics};
use boresight_kernels::Planes;
use boresight_numerics::{ActivationFormat, ConstantRule, ConversionCount, NumericProfile};
use std::ops::Range;

/// The map from a network's master values to the constants that a device holds, and from sensor counts to what it
/// reads: normalisation folded or applied, then rounded as the profile says.
///
/// Training and the simulated device share it. The profile `f32` with normalised input is plain FP32.
#[derive(Clone, Debug)]
pub struct Projection {
    profile: NumericProfile,
    fold: Option<NormalisationFold>,
    mean: Vec<f32>,
    deviation: Vec<f32>,
    trainable: usize,
    border: Range<usize>,
}

impl Projection {
    /// The projection of `network` under `profile`; `mean` and `deviation` are those of counts, for each band.
    ///
    /// # Errors
    /// When the number of bands differs, a standard deviation is not positive and finite, or counts come in and the input is read by something other than
    /// convolutions with a bias.
    pub fn new(
        network: &Network,
        profile: &NumericProfile,
        input: InputForm,
        mean: &[f32],
        deviation: &[f32],
    ) -> Result<Self, Error> {
        check_statistics(network, mean, deviation)?;
        let fold = match input {
            InputForm::Counts => Some(NormalisationFold::new(network, mean, deviation)?),
            InputForm::Normalised => None,
        };
        Ok(Self {
            profile: profile.clone(),
            fold,
            mean: mean.to_vec(),
            deviation: deviation.to_vec(),
            trainable: network.parameter_count(),
            border: network.layout().range(network.input(), Role::Border).unwrap_or(0..0),
        })
    }

    /// The profile.
    pub const fn profile(&self) -> &NumericProfile {
        &self.profile
    }

    /// The device's arithmetic.
    pub fn device(&self) -> Arithmetic {
        Arithmetic::Device(match self.profile.activations {
            ActivationFormat::F16 => Store::F16,
            _ => Store::F32,
        })
    }

    /// The arithmetic to train in: the device's, unless the profile leaves everything binary32.
    pub fn training(&self) -> Arithmetic {
        if self.profile.keeps_f32() { Arithmetic::Fast } else { self.device() }
    }

    /// The border of the master network: the normalised value of count zero, for each band.
    pub fn border(&self) -> Vec<f32> {
        self.mean.iter().zip(&self.deviation).map(|(mean, deviation)| -mean / deviation).collect()
    }

    /// What comes in for the mean of each band, before it is rounded: the border of a network that was trained to pad
    /// normalised images with zero.
    pub fn mean_border(&self) -> Vec<f32> {
        if self.fold.is_some() { self.mean.clone() } else { vec![0.0; self.mean.len()] }
    }

    /// Writes the device's constants into `device`; returns what the conversion lost.
    ///
    /// # Panics
    /// When a slice has another length than the layout of the network.
    pub fn constants(&self, master: &[f32], device: &mut [f32]) -> ConversionCount {
        self.fold_into(master, device);
        // A border that is not zero comes in with the image, so it is rounded as the image is.
        self.profile.round_input(&mut device[self.border.clone()]);
        self.profile.convert_constants(&mut device[..self.trainable])
    }

    /// Writes the constants into `device` as they are before the profile converts them.
    ///
    /// # Panics
    /// When a slice has another length than the layout of the network.
    pub fn fold_into(&self, master: &[f32], device: &mut [f32]) {
        match &self.fold {
            Some(fold) => fold.apply(master, device),
            None => device.copy_from_slice(master),
        }
    }

    /// Turns the gradient of device constants in place into that of master values. Rounding is passed straight
    /// through, but nothing passes where a constant reached the largest value of its format or became infinite.
    pub fn adjoint(&self, device: &[f32], gradient: &mut [f32]) {
        if self.profile.constants != ConstantRule::F32 {
            for (value, constant) in gradient.iter_mut().zip(device) {
                if constant.abs() >= LARGEST {
                    *value = 0.0;
                }
            }
        }
        if let Some(fold) = &self.fold {
            fold.adjoint(gradient);
        }
    }

    /// Turns counts `[batch, bands, height, width]` in place into what the device reads.
    pub fn images(&self, planes: Planes, counts: &mut [f32]) {
        self.normalise(planes, counts);
        self.profile.round_input(counts);
    }

    /// As [`Projection::images`], before the device rounds what it reads.
    pub fn normalise(&self, planes: Planes, counts: &mut [f32]) {
        if self.fold.is_none() {
            for (at, plane) in counts.chunks_exact_mut(planes.plane()).enumerate() {
                let band = at % planes.channels;
                let (mean, deviation) = (self.mean[band], self.deviation[band]);
                for value in plane {
                    *value = (*value - mean) / deviation;
                }
            }
        }
    }
}

/// The largest finite binary16 value.
const LARGEST: f32 = 65_504.0;
