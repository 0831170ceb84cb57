//! The genes of a U-Net.

use crate::Error;
use boresight_ir::Resize;
use serde::{Deserialize, Serialize};

/// How a stage's channels follow from its genes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelRule {
    /// Each stage has a width, a multiple of 8; every size can be reached.
    #[default]
    Width,
    /// Blocks multiply the channels that come in by a coefficient of 4 to 12, or keep them.
    ///
    /// # Source
    /// The search space of Scientific Reports, s41598-025-21467-8.
    Multiply,
}

/// A block without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockKind {
    /// See [`Block::ConvAct`].
    ConvAct,
    /// See [`Block::ConvBnAct`].
    ConvBnAct,
    /// See [`Block::ConvSe`].
    ConvSe,
    /// See [`Block::MbConv`].
    MbConv,
    /// See [`Block::MbConvResidual`].
    MbConvResidual,
    /// See [`Block::DenseNet`].
    DenseNet,
    /// See [`Block::ResNet`].
    ResNet,
    /// See [`Block::CspConv`].
    CspConv,
    /// See [`Block::CspMbConv`].
    CspMbConv,
}

impl BlockKind {
    /// All nine.
    pub const ALL: [Self; 9] = [
        Self::ConvAct,
        Self::ConvBnAct,
        Self::ConvSe,
        Self::MbConv,
        Self::MbConvResidual,
        Self::DenseNet,
        Self::ResNet,
        Self::CspConv,
        Self::CspMbConv,
    ];

    /// Whether it multiplies channels under [`ChannelRule::Multiply`]; the others keep them.
    pub const fn multiplies(self) -> bool {
        matches!(self, Self::ConvAct | Self::ConvBnAct | Self::ConvSe | Self::DenseNet)
    }

    /// Whether something besides a convolution reads what comes in: a sum, a concatenation or a normalisation.
    pub const fn reuses_input(self) -> bool {
        !matches!(self, Self::ConvAct | Self::ConvBnAct | Self::ConvSe | Self::MbConv)
    }
}

/// What a stage computes before its pooling. `conv` is a convolution with the space's kernel, stride 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Block {
    /// conv, activation.
    ConvAct,
    /// conv, batch normalisation, activation.
    ConvBnAct,
    /// conv, batch normalisation, activation, squeeze-and-excitation with reduction 16 but at least 4 hidden channels.
    ConvSe,
    /// 1x1 expansion, depthwise conv, 1x1 projection; no residual.
    MbConv {
        /// Channels inside for each channel that comes in, 3 to 6.
        expansion: u8,
    },
    /// The same, added to its input.
    MbConvResidual {
        /// Channels inside for each channel that comes in, 3 to 6.
        expansion: u8,
    },
    /// Batch normalisation, activation, conv, concatenated with its input.
    DenseNet,
    /// 1x1, conv, 1x1 with fewer channels inside, added to its input, activation.
    ResNet {
        /// Channels that come in for each channel inside, 2 to 4.
        reduction: u8,
    },
    /// Half of the channels passes by a chain of conv, batch normalisation, activation; a 1x1 convolution merges.
    CspConv {
        /// Length of the chain, 1 to 3.
        depth: u8,
    },
    /// Half of the channels passes by a chain of [`Block::MbConvResidual`]; a 1x1 convolution merges.
    CspMbConv {
        /// Length of the chain, 1 to 3.
        depth: u8,
        /// Expansion of each link, 3 to 6.
        expansion: u8,
    },
}

/// Range of [`Block::MbConv`]'s expansion.
pub(crate) const EXPANSION: [u8; 2] = [3, 6];
/// Range of [`Block::ResNet`]'s reduction.
pub(crate) const REDUCTION: [u8; 2] = [2, 4];
/// Range of [`Block::CspConv`]'s depth.
pub(crate) const DEPTH: [u8; 2] = [1, 3];
/// Range of the coefficient of [`ChannelRule::Multiply`].
pub(crate) const COEFFICIENT: [u16; 2] = [4, 12];
/// Widths are multiples of this; device and CPU work on channels in eights.
pub(crate) const WIDTH_STEP: u16 = 8;
/// The largest width.
pub(crate) const WIDTH_LIMIT: u16 = 1024;
/// Dropout rates are tenths up to this many.
pub(crate) const DROPOUT_LIMIT: u8 = 5;

impl Block {
    /// The block without its numbers.
    pub const fn kind(self) -> BlockKind {
        match self {
            Self::ConvAct => BlockKind::ConvAct,
            Self::ConvBnAct => BlockKind::ConvBnAct,
            Self::ConvSe => BlockKind::ConvSe,
            Self::MbConv { .. } => BlockKind::MbConv,
            Self::MbConvResidual { .. } => BlockKind::MbConvResidual,
            Self::DenseNet => BlockKind::DenseNet,
            Self::ResNet { .. } => BlockKind::ResNet,
            Self::CspConv { .. } => BlockKind::CspConv,
            Self::CspMbConv { .. } => BlockKind::CspMbConv,
        }
    }

    /// The block of this kind with the fewest parameters.
    pub(crate) const fn smallest(kind: BlockKind) -> Self {
        let (expansion, reduction, depth) = (EXPANSION[0], REDUCTION[1], DEPTH[0]);
        match kind {
            BlockKind::ConvAct => Self::ConvAct,
            BlockKind::ConvBnAct => Self::ConvBnAct,
            BlockKind::ConvSe => Self::ConvSe,
            BlockKind::MbConv => Self::MbConv { expansion },
            BlockKind::MbConvResidual => Self::MbConvResidual { expansion },
            BlockKind::DenseNet => Self::DenseNet,
            BlockKind::ResNet => Self::ResNet { reduction },
            BlockKind::CspConv => Self::CspConv { depth },
            BlockKind::CspMbConv => Self::CspMbConv { depth, expansion },
        }
    }

    /// The number of this block that lies outside its range, with its name.
    pub(crate) fn number_out_of_range(self) -> Option<(&'static str, u8)> {
        let expansion = |number| ("expansion", number, EXPANSION);
        let depth = |number| ("depth", number, DEPTH);
        let numbers = match self {
            Self::ConvAct | Self::ConvBnAct | Self::ConvSe | Self::DenseNet => [None, None],
            Self::MbConv { expansion: number } | Self::MbConvResidual { expansion: number } => {
                [Some(expansion(number)), None]
            }
            Self::ResNet { reduction } => [Some(("reduction", reduction, REDUCTION)), None],
            Self::CspConv { depth: number } => [Some(depth(number)), None],
            Self::CspMbConv { depth: links, expansion: number } => {
                [Some(depth(links)), Some(expansion(number))]
            }
        };
        let outside = |&(_, number, [least, most]): &(&str, u8, [u8; 2])| !(least..=most).contains(&number);
        numbers.into_iter().flatten().find(outside).map(|(name, number, _)| (name, number))
    }
}

/// The non-linearity of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// The erf form of GELU.
    Gelu,
}

/// How a stage halves its map: 2x2 windows, an odd last row or column is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pool {
    /// The largest value.
    Max,
    /// The mean.
    Average,
}

/// One stage of the encoder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Stage {
    /// What it computes; its result is also the skip connection.
    pub block: Block,
    /// Under [`ChannelRule::Width`] the channels that the block makes, a multiple of 8. Under
    /// [`ChannelRule::Multiply`] the coefficient, 4 to 12, of a block that multiplies, and none for one that keeps.
    pub size: Option<u16>,
    /// The activation inside the block.
    pub activation: Activation,
    /// Tenths of the values that training drops on the way to the next stage: 0 (none) to 5.
    pub dropout: u8,
    /// How the map is halved afterwards.
    pub pool: Pool,
}

/// A U-Net as genes; plain data, which any space of the same rule may or may not contain.
///
/// Its text is the code of the crate's documentation, and so is its JSON form: a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UnetGenotype {
    /// What the sizes of stages mean.
    pub rule: ChannelRule,
    /// The encoder from full resolution down.
    pub stages: Vec<Stage>,
    /// How the decoder enlarges maps.
    pub upsampling: Resize,
}

impl From<UnetGenotype> for String {
    fn from(genotype: UnetGenotype) -> Self {
        genotype.to_string()
    }
}

impl TryFrom<String> for UnetGenotype {
    type Error = Error;

    fn try_from(code: String) -> Result<Self, Error> {
        code.parse()
    }
}
