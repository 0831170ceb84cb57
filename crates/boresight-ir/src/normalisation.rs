//! Folding the input's normalisation into the first convolutions.

use crate::{Error, Network, Op, Role};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// What a deployed network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputForm {
    /// Raw sensor counts: the normalisation is folded into the first convolutions.
    Counts,
    /// Values that were normalised before they reach the device.
    Normalised,
}

/// Whether `mean` and `deviation` are statistics of the bands that `network` reads.
///
/// # Errors
/// When the number of bands differs, or a standard deviation is not positive and finite.
pub fn check_statistics(network: &Network, mean: &[f32], deviation: &[f32]) -> Result<(), Error> {
    let expected = network.input_shape().channels;
    if let Some(found) = [mean.len(), deviation.len()].into_iter().find(|&found| found != expected) {
        return Err(Error::BandCount { expected, found });
    }
    match deviation.iter().position(|&value| !(value > 0.0 && value.is_finite())) {
        Some(band) => Err(Error::Deviation { band, value: deviation[band].to_string() }),
        None => Ok(()),
    }
}

/// The linear map that folds `(count - mean) / std` into the convolutions that read the input.
///
/// Master values belong to a network that reads normalised images, device values to the same network reading raw
/// counts; both have one layout. The fold is exact at borders: the device network's border is count zero, whose
/// normalised value is the master network's border.
#[derive(Clone, Debug, PartialEq)]
pub struct NormalisationFold {
    convolutions: Vec<FirstConvolution>,
    border: Range<usize>,
    mean: Vec<f32>,
    deviation: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq)]
struct FirstConvolution {
    weight: Range<usize>,
    bias: Range<usize>,
    /// Input channels that one output channel sees.
    group_channels: usize,
    /// Output channels of one group.
    group_outputs: usize,
    taps: usize,
}

impl NormalisationFold {
    /// The fold for `network` and statistics of `[bands]` in counts.
    ///
    /// # Errors
    /// When the number of bands differs, a standard deviation is not positive and finite, or something other than a
    /// convolution with a bias reads the input.
    pub fn new(network: &Network, mean: &[f32], deviation: &[f32]) -> Result<Self, Error> {
        check_statistics(network, mean, deviation)?;
        let bands = network.input_shape().channels;
        let layout = network.layout();
        let convolutions = network
            .consumers(network.input())
            .map(|id| {
                let node = network.node(id);
                let fold = || {
                    let Op::Conv2d(conv) = node.op else { return None };
                    Some(FirstConvolution {
                        weight: layout.range(id, Role::Weight)?,
                        bias: layout.range(id, Role::Bias)?,
                        group_channels: bands / conv.groups,
                        group_outputs: conv.out_channels / conv.groups,
                        taps: conv.kernel[0] * conv.kernel[1],
                    })
                };
                fold().ok_or_else(|| Error::CannotFoldNormalisation {
                    node: node.name.clone(),
                    op: node.op.name(),
                })
            })
            .collect::<Result<_, _>>()?;
        let border = layout.range(network.input(), Role::Border).unwrap_or(0..0);
        Ok(Self { convolutions, border, mean: mean.to_vec(), deviation: deviation.to_vec() })
    }

    /// The border of the master network: the normalised value of count zero, for each band.
    pub fn border(&self) -> Vec<f32> {
        self.mean.iter().zip(&self.deviation).map(|(mean, deviation)| -mean / deviation).collect()
    }

    /// Writes into `device` what `master` becomes when raw counts come in.
    ///
    /// # Panics
    /// When a slice is shorter than the network's layout.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "constants are stored in f32: this is the one rounding"
    )]
    pub fn apply(&self, master: &[f32], device: &mut [f32]) {
        device.copy_from_slice(master);
        device[self.border.clone()].fill(0.0);
        for conv in &self.convolutions {
            for (output, taps) in
                master[conv.weight.clone()].chunks_exact(conv.weights_per_output()).enumerate()
            {
                let mut bias = f64::from(master[conv.bias.start + output]);
                for (channel, taps) in taps.chunks_exact(conv.taps).enumerate() {
                    let (mean, deviation) = self.statistics(conv, output, channel);
                    let start = conv.weight.start + output * conv.weights_per_output() + channel * conv.taps;
                    for (at, &tap) in taps.iter().enumerate() {
                        let scaled = f64::from(tap) / deviation;
                        device[start + at] = scaled as f32;
                        bias -= scaled * mean;
                    }
                }
                device[conv.bias.start + output] = bias as f32;
            }
        }
    }

    /// Turns the gradient of device values in place into the gradient of master values: the adjoint of
    /// [`NormalisationFold::apply`].
    ///
    /// # Panics
    /// When `gradient` is shorter than the parameters of the network.
    #[expect(clippy::cast_possible_truncation, reason = "gradients are stored in f32")]
    pub fn adjoint(&self, gradient: &mut [f32]) {
        for conv in &self.convolutions {
            for output in 0..conv.bias.len() {
                let bias = f64::from(gradient[conv.bias.start + output]);
                for channel in 0..conv.group_channels {
                    let (mean, deviation) = self.statistics(conv, output, channel);
                    let start = conv.weight.start + output * conv.weights_per_output() + channel * conv.taps;
                    for value in &mut gradient[start..start + conv.taps] {
                        *value = (bias.mul_add(-mean, f64::from(*value)) / deviation) as f32;
                    }
                }
            }
        }
    }

    fn statistics(&self, conv: &FirstConvolution, output: usize, channel: usize) -> (f64, f64) {
        let band = output / conv.group_outputs * conv.group_channels + channel;
        (self.mean[band].into(), self.deviation[band].into())
    }
}

impl FirstConvolution {
    /// Weights of one output channel.
    const fn weights_per_output(&self) -> usize {
        self.group_channels * self.taps
    }
}
