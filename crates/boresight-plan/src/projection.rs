//! What a device makes of constants and images.

use crate::{Arithmetic, Error, LayerSums, Machine, Store, Workspace};
use boresight_ir::{Conv2d, InputForm, Network, NodeId, NormalisationFold, Op, Role, Slot, check_statistics};
use boresight_kernels::Planes;
use boresight_numerics::{
    Accumulator, Constants, ConversionCount, Format, MyriadScaling, NumericProfile, Scaling, myriad_rescale,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What a tool chain decided about single convolutions, by the names of their nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Convolutions that are cut over their input channels, with the most channels of a part.
    pub parts: BTreeMap<String, usize>,
    /// Convolutions that do not run where constants are scaled.
    pub unscaled: BTreeSet<String>,
}

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
    convolutions: Vec<Convolution>,
    /// Factors, other than biases, that have a step of their own in formats with one for each tensor.
    tensors: Vec<Range<usize>>,
    /// Places of the scales that stand directly on the input.
    input_scales: Vec<Range<usize>>,
    /// Powers of two that constants are multiplied by before they are converted.
    powers: Vec<(Range<usize>, f32)>,
}

/// A convolution as a tool chain sees it.
#[derive(Clone, Debug)]
struct Convolution {
    node: usize,
    weight: Range<usize>,
    bias: Range<usize>,
    /// Input channels of one group.
    inputs: usize,
    scaled: bool,
    part: usize,
}

impl Convolution {
    fn new(network: &Network, id: NodeId, conv: Conv2d) -> Self {
        let range = |role| network.layout().range(id, role).unwrap_or(0..0);
        let node = network.node(id);
        Self {
            node: id.index(),
            weight: range(Role::Weight),
            bias: range(Role::Bias),
            inputs: network.node(node.inputs[0]).shape.channels / conv.groups,
            scaled: is_scaled(conv),
            part: 0,
        }
    }
}

/// The exponents that a tool chain chooses, convolution after convolution.
struct Shifts {
    /// `None`: it scales nothing.
    scaling: Option<MyriadScaling>,
    input_is_scaled: bool,
}

impl Shifts {
    /// The exponent for the next convolution with constants in `device`.
    fn next(&mut self, convolution: &Convolution, device: &[f32]) -> i32 {
        match &mut self.scaling {
            Some(scaling) if convolution.scaled => {
                let weights = &device[convolution.weight.clone()];
                scaling.shift(weights, convolution.inputs, self.input_is_scaled)
            }
            _ => 0,
        }
    }
}

/// Whether a convolution runs on the unit whose constants the MYRIAD plugin scales, as far as its own shape decides.
const fn is_scaled(conv: Conv2d) -> bool {
    let [rows, columns] = conv.stride;
    rows == columns && rows <= 8 && conv.kernel[0] <= 15 && conv.kernel[1] <= 15
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
        let convolutions = network.iter().filter_map(|(id, node)| match node.op {
            Op::Conv2d(conv) => Some(Convolution::new(network, id, conv)),
            _ => None,
        });
        let slots = || network.layout().slots().iter();
        let reads_input = |slot: &&Slot| network.node(slot.node).inputs.contains(&network.input());
        Ok(Self {
            profile: profile.clone(),
            fold,
            mean: mean.to_vec(),
            deviation: deviation.to_vec(),
            trainable: network.parameter_count(),
            border: network.layout().range(network.input(), Role::Border).unwrap_or(0..0),
            convolutions: convolutions.collect(),
            tensors: slots()
                .filter(|slot| matches!(slot.role, Role::Weight | Role::Scale))
                .map(|slot| slot.range.clone())
                .collect(),
            input_scales: slots()
                .filter(|slot| slot.role == Role::Scale)
                .filter(reads_input)
                .map(|slot| slot.range.clone())
                .collect(),
            powers: Vec::new(),
        })
    }

    /// The same projection where a tool chain has decided about convolutions of `network`.
    #[must_use]
    pub fn mapped(mut self, network: &Network, mapping: &Mapping) -> Self {
        for (convolution, (_, node)) in self
            .convolutions
            .iter_mut()
            .zip(network.iter().filter(|(_, node)| matches!(node.op, Op::Conv2d(_))))
        {
            convolution.part = mapping.parts.get(&node.name).copied().unwrap_or(0);
            convolution.scaled &= !mapping.unscaled.contains(&node.name);
        }
        self
    }

    /// The same projection with constants multiplied by powers of two before they are converted.
    #[must_use]
    pub fn with_powers(self, powers: Vec<(Range<usize>, f32)>) -> Self {
        Self { powers, ..self }
    }

    /// The same projection without a device: nothing is rounded.
    #[must_use]
    pub fn exact(&self) -> Self {
        Self { profile: NumericProfile::f32(), ..self.clone() }
    }

    /// Whether counts come in as they are, the normalisation being in the constants.
    pub const fn reads_counts(&self) -> bool {
        self.fold.is_some()
    }

    /// Counts two deviations above the mean of each band.
    pub(crate) fn bright_counts(&self) -> Vec<f32> {
        self.mean.iter().zip(&self.deviation).map(|(mean, deviation)| mean + 2.0 * deviation).collect()
    }

    /// The profile.
    pub const fn profile(&self) -> &NumericProfile {
        &self.profile
    }

    /// The device's arithmetic.
    pub fn device(&self) -> Arithmetic {
        let profile = &self.profile;
        if profile.computes_as(Format::F32) {
            return Arithmetic::Device(Store::F32);
        }
        if profile.computes_as(Format::F16) {
            return Arithmetic::Device(Store::F16);
        }
        Arithmetic::Narrow(Machine {
            stores: profile.activations_rounding(),
            accumulator: profile.accumulator,
            sums: profile.accumulator_rounding(),
            pooling: profile.pooling,
            squeeze: profile.squeeze,
            functions: profile.functions,
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
    /// Where the tool chain scales constants, they are what the scaled ones are worth: the quotient is exact.
    ///
    /// # Panics
    /// When a slice has another length than the layout of the network.
    pub fn constants(&self, master: &[f32], device: &mut [f32]) -> ConversionCount {
        self.fold_into(master, device);
        // A border that is not zero comes in with the image, so it is rounded as the image is.
        self.profile.input_rounding().tensor(&mut device[self.border.clone()]);
        let mut lost = ConversionCount::default();
        if self.profile.weights == Format::Int8 {
            // Integer devices keep addends in the wide format of their sums.
            for tensor in &self.tensors {
                lost.add(self.profile.convert_constants(&mut device[tensor.clone()]));
            }
        } else {
            lost = self.profile.convert_constants(&mut device[..self.trainable]);
        }
        self.rescale(device, &mut lost);
        lost
    }

    /// Rounds constants once more, as a tool chain does when it has multiplied them.
    fn rescale(&self, device: &mut [f32], lost: &mut ConversionCount) {
        let preconverted = self.profile.constants == Constants::Preconverted;
        let mut shifts = self.shifts(device);
        for convolution in &self.convolutions {
            let shift = shifts.next(convolution, device);
            if shift == 0 {
                continue;
            }
            let largest = Format::F16.largest() / 2.0_f32.powi(shift);
            let bias = &mut device[convolution.bias.clone()];
            lost.overflowed += bias.iter().filter(|bias| bias.abs() > largest).count();
            myriad_rescale(bias, shift);
            // What a plugin has converted loses nothing else; subnormal numbers of a file can be lost.
            if preconverted {
                let weights = &mut device[convolution.weight.clone()];
                let left = |weights: &[f32]| weights.iter().filter(|weight| weight.abs() > 0.0).count();
                let before = left(weights);
                myriad_rescale(weights, shift);
                lost.flushed += before - left(weights);
            }
        }
    }

    /// The exponents of the powers of two that the tool chain chooses, before the first convolution.
    fn shifts(&self, device: &[f32]) -> Shifts {
        let mut scales = self.input_scales.iter().flat_map(|range| &device[range.clone()]);
        Shifts {
            scaling: (self.profile.scaling == Scaling::MyriadX).then(MyriadScaling::new),
            input_is_scaled: scales.any(|scale| scale.abs() < 0.1),
        }
    }

    /// Tells a workspace how the device sums convolutions with these constants; needed where sums are narrow.
    ///
    /// # Panics
    /// When the workspace or the constants belong to another network.
    pub fn describe_sums(&self, device: &[f32], memory: &mut Workspace) {
        if memory.sums.is_empty() || self.profile.accumulator == Accumulator::F32 {
            return;
        }
        for (node, sums) in self.sums(device) {
            memory.sums[node] = sums;
        }
    }

    /// How the device sums each convolution, by the number of its node.
    pub fn sums(&self, device: &[f32]) -> Vec<(usize, LayerSums)> {
        let mut shifts = self.shifts(device);
        let sums = |convolution: &Convolution| {
            let scale = 2.0_f32.powi(shifts.next(convolution, device));
            (convolution.node, LayerSums { scale, part: convolution.part })
        };
        self.convolutions.iter().map(sums).collect()
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
        self.raise(device);
    }

    /// Multiplies by the powers of two.
    fn raise(&self, values: &mut [f32]) {
        for (range, power) in &self.powers {
            for value in &mut values[range.clone()] {
                *value *= power;
            }
        }
    }

    /// Turns the gradient of device constants in place into that of master values. Rounding is passed straight
    /// through, but nothing passes where a constant reached the largest value of its format or became infinite.
    pub fn adjoint(&self, device: &[f32], gradient: &mut [f32]) {
        let largest = self.profile.weights.largest();
        if largest < f32::MAX {
            for (value, constant) in gradient.iter_mut().zip(device) {
                if constant.abs() >= largest {
                    *value = 0.0;
                }
            }
            self.stop_where_cut(device, gradient);
        }
        self.raise(gradient);
        if let Some(fold) = &self.fold {
            fold.adjoint(gradient);
        }
    }

    /// Stops the gradients of biases that were cut when the tool chain multiplied them.
    fn stop_where_cut(&self, device: &[f32], gradient: &mut [f32]) {
        let mut shifts = self.shifts(device);
        for convolution in &self.convolutions {
            let shift = shifts.next(convolution, device);
            let largest = Format::F16.largest() / 2.0_f32.powi(shift);
            for at in convolution.bias.clone().filter(|_| shift > 0) {
                if device[at].abs() >= largest {
                    gradient[at] = 0.0;
                }
            }
        }
    }

    /// Turns counts `[batch, bands, height, width]` in place into what the device reads.
    pub fn images(&self, planes: Planes, counts: &mut [f32]) {
        self.normalise(planes, counts);
        let rounding = self.profile.input_rounding();
        for image in counts.chunks_exact_mut(planes.channels * planes.plane()) {
            rounding.tensor(image);
        }
    }

    /// As [`Projection::images`], before the device rounds what it reads.
    pub fn normalise(&self, planes: Planes, counts: &mut [f32]) {
        if self.fold.is_none() {
            self.normalise_always(planes, counts);
        }
    }

    /// What the device reads as a network that reads normalised values sees it: counts are normalised after they are
    /// rounded, where they come in as they are.
    pub(crate) fn master_images(&self, planes: Planes, counts: &mut [f32]) {
        self.images(planes, counts);
        if self.fold.is_some() {
            self.normalise_always(planes, counts);
        }
    }

    fn normalise_always(&self, planes: Planes, counts: &mut [f32]) {
        for (at, plane) in counts.chunks_exact_mut(planes.plane()).enumerate() {
            let band = at % planes.channels;
            let (mean, deviation) = (self.mean[band], self.deviation[band]);
            for value in plane {
                *value = (*value - mean) / deviation;
            }
        }
    }
}
