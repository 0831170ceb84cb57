//! The choices of which a numeric profile is made.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Who converts constants (weights, biases, scales and shifts) to the device's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Constants {
    /// The tool chain, by the profile's rule: it is given a binary32 file.
    Plugin,
    /// Who wrote the file, as IEEE 754 rounds: the file has them in the device's format, and they enter bit by bit.
    Preconverted,
}

/// How a tool chain rounds constants that it is given in binary32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Rule {
    /// To nearest, ties to even; the ends of the range as the profile says.
    #[default]
    Ieee,
    /// As the OpenVINO MYRIAD plugin does, to binary16: see [`myriad_constant`](crate::myriad_constant).
    MyriadPlugin,
}

/// Powers of two by which a tool chain multiplies the constants of a convolution, to divide its results again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Scaling {
    /// None.
    #[default]
    None,
    /// Those of the OpenVINO MYRIAD plugin: see [`MyriadScaling`](crate::MyriadScaling).
    MyriadX,
}

/// How the products of a convolution are summed. Where a product or a sum is 'rounded', it is to binary16, nearest
/// even, with the profile's ends of range for accumulators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Accumulator {
    /// A chain of binary32 fused multiply-adds.
    F32,
    /// Each product is rounded, then its sum with those before.
    F16Product,
    /// The sum is rounded after each fused multiply-add.
    F16Fused,
    /// The sum is rounded after each block of this many fused multiply-adds, and at the end.
    F16Block(NonZeroU32),
    /// The products of the input channels of one part are a binary32 chain; its sum is rounded, and so is the sum of
    /// the parts after each addition. Networks have one part unless they are told otherwise.
    F16Splits,
}

/// How pooling windows are summed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PoolingSum {
    /// In binary32, and in binary64 where a whole map is one window.
    #[default]
    Wide,
    /// In binary16: the sum is rounded after each value, row by row.
    F16,
}

/// What becomes of batch normalisations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchNorm {
    /// They are folded into convolutions where that is possible.
    #[default]
    Folded,
    /// Each becomes a scale and shift of its own, with constants of its own.
    Separate,
}

/// How sigmoid, GELU and the exponential of softmax are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Functions {
    /// By polynomials that are right to the last digits of binary32.
    #[default]
    Exact,
    /// Sigmoid and GELU by a table; the exponential as it is.
    Table(Table),
}

/// A table of a function at evenly spaced places, between which it is interpolated linearly.
///
/// Beyond the reach a sigmoid is 0 or 1, and a GELU 0 or its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Intervals between `-reach` and `reach`.
    pub intervals: NonZeroU32,
    /// The largest argument in the table.
    pub reach: NonZeroU32,
}

impl Table {
    /// Most intervals of a table.
    const MOST: u32 = 1 << 20;

    /// Checks that the table is one that a machine can hold.
    pub(crate) fn check(self) -> Result<(), Error> {
        if self.intervals.get() <= Self::MOST && self.reach.get() <= Self::MOST {
            return Ok(());
        }
        let rule = "a table has at most 2^20 intervals and reaches at most 2^20";
        Err(Error::Syntax { report: format!("functions: {rule}") })
    }

    /// The width of an interval.
    pub fn step(self) -> f64 {
        2.0 * f64::from(self.reach.get()) / f64::from(self.intervals.get())
    }

    /// How far a sigmoid of the table is from the true one, at most.
    ///
    /// # Source
    /// The remainder of linear interpolation is `step^2 / 8` times the largest second derivative, here
    /// `1 / (6 sqrt 3)`; beyond the reach it is what is left of the tail, and in both cases the roundings of binary32.
    pub fn sigmoid_error(self) -> f64 {
        let tail = (-f64::from(self.reach.get())).exp();
        (self.step().powi(2) / 8.0 * 0.096_225_1).max(tail) + 4.0 * f64::from(f32::EPSILON)
    }

    /// How far a GELU of the table is from the true one, at most.
    ///
    /// # Source
    /// As [`Table::sigmoid_error`]; the largest second derivative is `2 / sqrt(2 pi)`, at zero, and the tail beyond reach
    /// `r` is below `exp(-r^2 / 2)`.
    pub fn gelu_error(self) -> f64 {
        let reach = f64::from(self.reach.get());
        let rounding = 4.0 * f64::from(f32::EPSILON) * reach;
        (self.step().powi(2) / 8.0 * 0.797_884_6).max((-reach * reach / 2.0).exp()) + rounding
    }
}

/// A choice for each kind of value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Places<T> {
    /// Constants.
    pub weights: T,
    /// The image as it comes in, and stored feature maps.
    pub activations: T,
    /// Sums and products that are rounded to binary16.
    pub accumulator: T,
}
