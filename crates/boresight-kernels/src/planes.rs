//! The vocabulary of every kernel: the shape of a feature map, and how a result is written and stored.

use boresight_numerics::{Accumulator, Functions, PoolingSum, Rounding, round_f16};

/// Shape of a feature map `[batch, channels, height, width]`, row-major and without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planes {
    /// Images.
    pub batch: usize,
    /// Planes per image.
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

impl Planes {
    /// Values of the whole feature map.
    #[inline]
    pub const fn len(self) -> usize {
        self.batch * self.channels * self.plane()
    }

    /// Whether the feature map holds no value.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Values of one plane.
    #[inline]
    pub const fn plane(self) -> usize {
        self.height * self.width
    }
}

/// Whether a gradient overwrites what stands in its slice or is added to it.
///
/// A value that several operators read collects the gradients of all of them: the first writes with `Set`,
/// the others with `Add`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Write {
    /// Overwrites.
    Set,
    /// Adds.
    Add,
}

impl Write {
    /// The value to store for the gradient `value` where `old` stands.
    #[inline(always)]
    pub(crate) fn apply(self, old: f32, value: f32) -> f32 {
        match self {
            Self::Set => value,
            Self::Add => old + value,
        }
    }
}

/// What a computation is free to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// Binary32 in whichever order is fastest: that of training in FP32.
    Fast,
    /// The device's one order of operations; each result is stored in this format.
    Device(Store),
    /// The same order on a device that is narrower somewhere; kernels leave its rounding of results to their caller.
    Narrow(Machine),
}

/// A device that rounds elsewhere or otherwise than when it stores binary16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Machine {
    /// How each result is stored.
    pub stores: Rounding,
    /// How convolutions are summed.
    pub accumulator: Accumulator,
    /// How products and sums are rounded where they are binary16.
    pub sums: Rounding,
    /// How pooling windows are summed.
    pub pooling: PoolingSum,
    /// How whole maps are summed.
    pub squeeze: PoolingSum,
    /// How activation functions are computed.
    pub functions: Functions,
}

impl Arithmetic {
    /// How kernels store results.
    #[inline]
    pub const fn store(self) -> Store {
        match self {
            Self::Fast | Self::Narrow(_) => Store::F32,
            Self::Device(store) => store,
        }
    }
}

/// The number format in which an operator's results are stored; they stay `f32` in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// Results are kept as computed.
    F32,
    /// Results are rounded to the nearest binary16 value, ties to even; from 65520 up they become infinite.
    F16,
}

impl Store {
    /// `value` as it is stored.
    #[inline(always)]
    pub(crate) fn apply(self, value: f32) -> f32 {
        match self {
            Self::F32 => value,
            Self::F16 => round_f16(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_binary16_store_rounds() {
        assert_eq!(Store::F32.apply(2049.0).to_bits(), 2049f32.to_bits());
        assert_eq!(Store::F16.apply(2049.0).to_bits(), 2048f32.to_bits());
        assert_eq!(Store::F16.apply(-65_520.0).to_bits(), f32::NEG_INFINITY.to_bits());
    }

    #[test]
    fn adding_keeps_what_stood_there() {
        assert_eq!(Write::Add.apply(2.0, 3.0).to_bits(), 5f32.to_bits());
        assert_eq!(Write::Set.apply(2.0, 3.0).to_bits(), 3f32.to_bits());
    }
}
