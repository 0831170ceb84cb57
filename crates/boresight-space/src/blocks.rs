//! The nine blocks as operators.

use crate::{Activation, Block, ChannelRule, Stage};
use boresight_ir::{Builder, Conv2d, Error, NodeId, Op};

/// Added to variances by every batch normalisation.
const EPSILON: f32 = 1e-5;
/// Channels for each hidden channel of a squeeze-and-excitation.
const SQUEEZE: usize = 16;
/// The fewest hidden channels of a squeeze-and-excitation.
const LEAST_HIDDEN: usize = 4;

/// A network in the making.
pub(crate) struct Graph {
    pub(crate) builder: Builder,
    pub(crate) kernel: usize,
}

/// What half of the channels of a cross-stage partial block goes through.
#[derive(Clone, Copy)]
struct Chain {
    depth: u8,
    /// The expansion of inverted residuals; plain convolutions have none.
    expansion: Option<u8>,
}

impl Graph {
    pub(crate) fn add(&mut self, name: String, op: Op, input: NodeId) -> Result<NodeId, Error> {
        self.builder.add(name, op, &[input])
    }

    pub(crate) fn channels(&self, node: NodeId) -> usize {
        self.builder.shape(node).channels
    }

    fn act(&mut self, name: String, activation: Activation, input: NodeId) -> Result<NodeId, Error> {
        let op = match activation {
            Activation::Relu => Op::Relu,
            Activation::Gelu => Op::Gelu,
        };
        self.add(name, op, input)
    }

    /// Convolution without bias and batch normalisation.
    fn conv_norm(&mut self, name: &str, conv: Conv2d, input: NodeId) -> Result<NodeId, Error> {
        let conv = self.add(format!("{name}.conv"), Op::Conv2d(conv.without_bias()), input)?;
        self.add(format!("{name}.norm"), Op::BatchNorm { epsilon: EPSILON }, conv)
    }

    /// Convolution without bias, batch normalisation, activation.
    pub(crate) fn conv_norm_act(
        &mut self,
        name: &str,
        conv: Conv2d,
        activation: Activation,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let norm = self.conv_norm(name, conv, input)?;
        self.act(format!("{name}.act"), activation, norm)
    }

    /// The block of `stage`, with what it needs in front of it.
    pub(crate) fn block(
        &mut self,
        name: &str,
        rule: ChannelRule,
        stage: &Stage,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let size = stage.size.map_or(1, usize::from);
        let entry = self.entry(name, rule, stage, input)?;
        let channels = self.channels(entry);
        let multiplies = stage.block.kind().multiplies();
        let width = match rule {
            ChannelRule::Width => size,
            ChannelRule::Multiply if multiplies => channels.saturating_mul(size),
            ChannelRule::Multiply => channels,
        };
        let conv = Conv2d::same(width, self.kernel);
        let activation = stage.activation;
        match stage.block {
            Block::ConvAct => {
                let conv = self.add(format!("{name}.conv"), Op::Conv2d(conv), entry)?;
                self.act(format!("{name}.act"), activation, conv)
            }
            Block::ConvBnAct => self.conv_norm_act(name, conv, activation, entry),
            Block::ConvSe => {
                let map = self.conv_norm_act(name, conv, activation, entry)?;
                self.squeeze_and_excite(name, map)
            }
            Block::MbConv { expansion } => {
                let hidden = channels.saturating_mul(expansion.into());
                self.inverted(name, [hidden, width], activation, entry)
            }
            Block::MbConvResidual { expansion } => self.inverted_residual(name, expansion, activation, entry),
            Block::DenseNet => {
                let growth = match rule {
                    ChannelRule::Width => width - channels,
                    ChannelRule::Multiply => width,
                };
                self.dense(name, growth, activation, entry)
            }
            Block::ResNet { reduction } => self.bottleneck(name, reduction, activation, entry),
            Block::CspConv { depth } => {
                self.cross_stage(name, Chain { depth, expansion: None }, activation, entry)
            }
            Block::CspMbConv { depth, expansion } => {
                self.cross_stage(name, Chain { depth, expansion: Some(expansion) }, activation, entry)
            }
        }
    }

    /// What the block reads: `input`, or a 1x1 convolution of it where the block needs other channels or reuses the
    /// network's input, which only convolutions may read.
    fn entry(
        &mut self,
        name: &str,
        rule: ChannelRule,
        stage: &Stage,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let first = input == self.builder.input();
        let channels = self.channels(input);
        if !stage.block.kind().reuses_input() {
            return Ok(input);
        }
        match rule {
            ChannelRule::Width => {
                let width = stage.size.map_or(1, usize::from);
                let entry = if stage.block == Block::DenseNet { width / 2 } else { width };
                if entry == channels && !first {
                    return Ok(input);
                }
                let name = format!("{name}.transition");
                self.conv_norm_act(&name, Conv2d::same(entry, 1), stage.activation, input)
            }
            ChannelRule::Multiply if first => {
                self.add(format!("{name}.stem"), Op::Conv2d(Conv2d::same(channels, 1)), input)
            }
            ChannelRule::Multiply => Ok(input),
        }
    }

    fn squeeze_and_excite(&mut self, name: &str, map: NodeId) -> Result<NodeId, Error> {
        let channels = self.channels(map);
        let hidden = (channels / SQUEEZE).max(LEAST_HIDDEN);
        let mean = self.add(format!("{name}.squeeze"), Op::GlobalAvgPool, map)?;
        let reduce = self.add(format!("{name}.reduce"), Op::Conv2d(Conv2d::same(hidden, 1)), mean)?;
        let act = self.add(format!("{name}.reduce.act"), Op::Relu, reduce)?;
        let excite = self.add(format!("{name}.excite"), Op::Conv2d(Conv2d::same(channels, 1)), act)?;
        let gate = self.add(format!("{name}.gate"), Op::Sigmoid, excite)?;
        self.builder.add(format!("{name}.scale"), Op::ChannelScale, &[map, gate])
    }

    /// 1x1 expansion to `hidden`, depthwise convolution, 1x1 projection to `width` channels.
    fn inverted(
        &mut self,
        name: &str,
        [hidden, width]: [usize; 2],
        activation: Activation,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let depthwise = Conv2d::same(hidden, self.kernel).depthwise();
        let map =
            self.conv_norm_act(&format!("{name}.expand"), Conv2d::same(hidden, 1), activation, input)?;
        let map = self.conv_norm_act(&format!("{name}.depthwise"), depthwise, activation, map)?;
        self.conv_norm(&format!("{name}.project"), Conv2d::same(width, 1), map)
    }

    fn inverted_residual(
        &mut self,
        name: &str,
        expansion: u8,
        activation: Activation,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let channels = self.channels(input);
        let hidden = channels.saturating_mul(expansion.into());
        let map = self.inverted(name, [hidden, channels], activation, input)?;
        self.builder.add(format!("{name}.add"), Op::Add, &[map, input])
    }

    fn dense(
        &mut self,
        name: &str,
        growth: usize,
        activation: Activation,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let norm = self.add(format!("{name}.norm"), Op::BatchNorm { epsilon: EPSILON }, input)?;
        let act = self.act(format!("{name}.act"), activation, norm)?;
        let conv = self.add(format!("{name}.conv"), Op::Conv2d(Conv2d::same(growth, self.kernel)), act)?;
        self.builder.add(format!("{name}.concat"), Op::Concat, &[input, conv])
    }

    fn bottleneck(
        &mut self,
        name: &str,
        reduction: u8,
        activation: Activation,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let channels = self.channels(input);
        let hidden = (channels / usize::from(reduction)).max(1);
        let conv = Conv2d::same(hidden, self.kernel);
        let map =
            self.conv_norm_act(&format!("{name}.reduce"), Conv2d::same(hidden, 1), activation, input)?;
        let map = self.conv_norm_act(&format!("{name}.middle"), conv, activation, map)?;
        let map = self.conv_norm(&format!("{name}.restore"), Conv2d::same(channels, 1), map)?;
        let sum = self.builder.add(format!("{name}.add"), Op::Add, &[map, input])?;
        self.act(format!("{name}.act"), activation, sum)
    }

    /// Cross-stage partial: the first half of the channels passes by. A single channel does not pass by.
    fn cross_stage(
        &mut self,
        name: &str,
        chain: Chain,
        activation: Activation,
        input: NodeId,
    ) -> Result<NodeId, Error> {
        let channels = self.channels(input);
        let passing = channels / 2;
        let mut parts = Vec::new();
        if passing > 0 {
            let slice = Op::Slice { start: 0, channels: passing };
            parts.push(self.add(format!("{name}.pass"), slice, input)?);
        }
        let working = channels - passing;
        let slice = Op::Slice { start: passing, channels: working };
        let mut map = self.add(format!("{name}.work"), slice, input)?;
        for link in 0..chain.depth {
            let name = format!("{name}.link{link}");
            map = if let Some(expansion) = chain.expansion {
                self.inverted_residual(&name, expansion, activation, map)?
            } else {
                self.conv_norm_act(&name, Conv2d::same(working, self.kernel), activation, map)?
            };
        }
        parts.push(map);
        let concat = self.builder.add(format!("{name}.concat"), Op::Concat, &parts)?;
        self.conv_norm_act(&format!("{name}.merge"), Conv2d::same(channels, 1), activation, concat)
    }
}
