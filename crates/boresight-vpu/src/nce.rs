//! Cycles of a convolution on the Neural Compute Engine, in closed form.
//!
//! The engine has a fixed number of multipliers, which a mode divides into input blocks and output blocks. A stage
//! runs in the mode that costs the least among those whose coefficients and input lines fit.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How the engine's multipliers are divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mode {
    /// Input channels of a block.
    pub inputs: usize,
    /// Output channels that one descriptor makes at most.
    pub outputs: usize,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MODE_{}_{}", self.inputs, self.outputs)
    }
}

/// One row of the table of modes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeCost {
    /// Input channels of a block.
    pub inputs: usize,
    /// Cycles added for each output pixel and descriptor.
    pub overhead: u64,
}

/// A Neural Compute Engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nce {
    /// Multipliers: input block times output block in every mode.
    pub lanes: usize,
    /// Bytes of input lines that a convolution may hold.
    pub buffer_bytes: usize,
    /// Kernel taps times input blocks that a convolution may have.
    pub max_coefficients: usize,
    /// Largest kernel of convolution and pooling.
    pub max_kernel: usize,
    /// Largest stride of convolution and pooling.
    pub max_stride: usize,
    /// Width above which flat inputs are refused.
    pub wide_width: usize,
    /// Height from which such wide inputs are taken again.
    pub wide_height: usize,
    /// The modes, in the order in which equal costs are resolved.
    pub modes: Vec<ModeCost>,
}

/// A convolution as one stage sees it: its input tile with halo and without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvTile {
    /// Channels of the input tile.
    pub in_channels: usize,
    /// Channels that the stage makes.
    pub out_channels: usize,
    /// Rows of the input tile.
    pub height: usize,
    /// Columns of the input tile.
    pub width: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step in both directions.
    pub stride: usize,
}

/// What a convolution costs on the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NceCost {
    /// The mode in which it runs.
    pub mode: Mode,
    /// Passes over the input, each for some of the output channels.
    pub descriptors: usize,
    /// Cycles for each output pixel, all descriptors together.
    pub cost: u64,
    /// Input channels with those that fill the last block.
    pub padded_inputs: usize,
}

impl Nce {
    /// The cheapest valid mode of `tile`, and its cost; `None` where no mode is valid.
    ///
    /// # Source
    /// Read out of the OpenVINO 2021.4.2 MYRIAD compiler: README.md, 'How far to trust it'.
    pub fn cost(&self, tile: &ConvTile) -> Option<NceCost> {
        if tile.width > self.wide_width
            && (2..self.wide_height).contains(&tile.height)
            && tile.in_channels != 3
        {
            return None;
        }
        let taps = tile.kernel[0] * tile.kernel[1];
        let channel_bytes = held_bytes(tile);
        let mut best: Option<NceCost> = None;
        for row in &self.modes {
            let blocks = tile.in_channels.div_ceil(row.inputs);
            let padded_inputs = blocks * row.inputs;
            if blocks * taps > self.max_coefficients || padded_inputs * channel_bytes > self.buffer_bytes {
                continue;
            }
            let outputs = self.lanes / row.inputs;
            // At most as many in one descriptor as there are, in steps of eight.
            let descriptors =
                if outputs >= tile.out_channels { 1 } else { tile.out_channels.div_ceil(outputs) };
            let cost = descriptors as u64 * ((blocks * taps) as u64 + row.overhead);
            // The first of equal ones wins: the order of the table.
            if best.is_none_or(|best| (cost, descriptors) < (best.cost, best.descriptors)) {
                let mode = Mode { inputs: row.inputs, outputs };
                best = Some(NceCost { mode, descriptors, cost, padded_inputs });
            }
        }
        best
    }

    /// The fewest cycles for each output pixel that [`Nce::cost`] gives for these channels and any tile.
    pub(crate) fn least_cost(&self, in_channels: usize, out_channels: usize, taps: usize) -> u64 {
        let cost = |row: &ModeCost| {
            let blocks = in_channels.div_ceil(row.inputs);
            let descriptors = out_channels.div_ceil(self.lanes / row.inputs);
            descriptors as u64 * ((blocks * taps) as u64 + row.overhead)
        };
        self.modes.iter().map(cost).min().unwrap_or(0)
    }

    /// Whether pooling can hold the lines of this input tile.
    pub fn pools(&self, tile: &ConvTile) -> bool {
        let block = self.modes.iter().map(|row| row.inputs).max().unwrap_or(1);
        block * held_bytes(tile) <= self.buffer_bytes && tile.height >= tile.kernel[0]
    }
}

/// Bytes of the lines of one channel that a kernel works on.
fn held_bytes(tile: &ConvTile) -> usize {
    let narrow = usize::from(tile.width <= 8);
    let lines = (tile.kernel[0] + tile.stride + 2 + narrow).min(tile.height);
    lines * line_bytes(tile.width)
}

/// Bytes of one row of `width` binary16 values: rows start at multiples of 16 bytes.
pub const fn line_bytes(width: usize) -> usize {
    (2 * width).next_multiple_of(16)
}
