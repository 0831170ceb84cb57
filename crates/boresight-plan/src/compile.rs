//! From a network to steps and buffers.

use crate::backward::chunk;
use crate::place::Purpose;
use crate::step::{Kind, Norm, Step, Tensor, TensorId};
use crate::{Arithmetic, Error, Store};
use boresight_ir::{Conv2d, Layout, Network, Node, NodeId, Op, Role, Shape};
use boresight_kernels::{Activation, ConvShape, Planes};
use std::ops::Range;
use std::sync::Arc;

/// A network compiled for batches of one size.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) layout: Arc<Layout>,
    pub(crate) steps: Vec<Step>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) output: TensorId,
    pub(crate) arithmetic: Arithmetic,
    /// Values of each slot, and of the workspace's other buffers.
    pub(crate) slot_sizes: Vec<usize>,
    pub(crate) partial: usize,
    pub(crate) statistics: usize,
    pub(crate) masks: usize,
    pub(crate) scratch: usize,
}

impl Plan {
    /// A plan with backward, for batches of `batch` images.
    ///
    /// # Errors
    /// When the network cannot be run, see [`Error`].
    pub fn training(network: &Network, batch: usize, arithmetic: Arithmetic) -> Result<Self, Error> {
        let mut plan = Self::steps_of(network, batch, arithmetic)?;
        plan.place(Purpose::Training);
        plan.partial = plan
            .convolutions()
            .map(|(shape, size)| (batch.div_ceil(chunk(shape)) - 1) * size)
            .max()
            .unwrap_or(0);
        Ok(plan)
    }

    /// A plan that only runs forward in [`Mode::Evaluate`](crate::Mode::Evaluate); buffers are shared by tensors that do not live together.
    ///
    /// # Errors
    /// When the network cannot be run, see [`Error`].
    pub fn inference(network: &Network, batch: usize, arithmetic: Arithmetic) -> Result<Self, Error> {
        let mut plan = Self::steps_of(network, batch, arithmetic)?;
        plan.masks = 0;
        plan.place(Purpose::Inference);
        Ok(plan)
    }

    /// Shape of the images `[batch, channels, height, width]`.
    pub fn input_planes(&self) -> Planes {
        self.tensors[0].planes
    }

    /// Shape of the logits.
    pub fn output_planes(&self) -> Planes {
        self.tensors[self.output].planes
    }

    /// Where each parameter stands.
    pub const fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    fn steps_of(network: &Network, batch: usize, arithmetic: Arithmetic) -> Result<Self, Error> {
        if batch == 0 {
            return Err(Error::EmptyBatch);
        }
        if network.nodes().len() < 2 {
            return Err(Error::Empty);
        }
        let mut compiler = Compiler {
            network,
            batch,
            store: arithmetic.store(),
            steps: Vec::new(),
            statistics: 0,
            masks: 0,
        };
        for (id, node) in network.iter().skip(1) {
            compiler.add(id, node)?;
        }
        let tensors = network
            .nodes()
            .iter()
            .map(|node| Tensor { planes: planes(batch, node.shape), slot: 0, gradient: None })
            .collect();
        let mut plan = Self {
            layout: Arc::clone(network.layout()),
            tensors,
            output: network.output().index(),
            arithmetic,
            slot_sizes: Vec::new(),
            partial: 0,
            statistics: compiler.statistics,
            masks: compiler.masks,
            scratch: 0,
            steps: compiler.steps,
        };
        plan.scratch = plan.convolutions().map(|(shape, _)| shape.scratch_len()).max().unwrap_or(0);
        Ok(plan)
    }

    /// The convolutions with the number of their parameters.
    fn convolutions(&self) -> impl Iterator<Item = (&ConvShape, usize)> {
        self.steps.iter().filter_map(|step| match &step.kind {
            Kind::Convolve { shape, weight, bias, .. } => Some((shape, weight.len() + bias.len())),
            _ => None,
        })
    }
}

pub(crate) const fn planes(batch: usize, shape: Shape) -> Planes {
    Planes { batch, channels: shape.channels, height: shape.height, width: shape.width }
}

struct Compiler<'network> {
    network: &'network Network,
    batch: usize,
    store: Store,
    steps: Vec<Step>,
    statistics: usize,
    masks: usize,
}

impl Compiler<'_> {
    fn add(&mut self, id: NodeId, node: &Node) -> Result<(), Error> {
        let mut output = id.index();
        let kind = match node.op {
            Op::Conv2d(conv) => self.convolve(id, node, conv),
            Op::BatchNorm { epsilon } => {
                if self.store == Store::F16 {
                    return Err(Error::NotFolded { node: node.name.clone() });
                }
                let fused = self.fused_activation(id);
                output = fused.map_or(output, |(reader, _)| reader.index());
                self.normalise(
                    id,
                    node,
                    epsilon,
                    fused.map_or(Activation::Identity, |(_, activation)| activation),
                )
            }
            Op::ScaleShift => {
                Kind::ScaleShift { scale: self.range(id, Role::Scale), shift: self.range(id, Role::Shift) }
            }
            Op::MaxPool(window) => Kind::MaxPool(window),
            Op::AvgPool(window) => Kind::AvgPool(window),
            Op::GlobalAvgPool => Kind::GlobalAvgPool,
            Op::Upsample { resize, .. } => Kind::Upsample(resize),
            Op::Concat => Kind::Concat,
            Op::Add => Kind::Add,
            Op::ChannelScale if node.inputs[0] == node.inputs[1] => {
                return Err(Error::SelfScale { node: node.name.clone() });
            }
            Op::ChannelScale => Kind::ChannelScale,
            Op::Slice { start, .. } => Kind::Slice { start },
            Op::Dropout { rate } => self.dropout(node, rate),
            op => match activation(&op) {
                Some(_) if self.is_fused(node) => return Ok(()),
                Some(activation) => Kind::Activate(activation),
                None => return Err(Error::Unsupported { node: node.name.clone(), op: op.name() }),
            },
        };
        let inputs = node.inputs.iter().map(|input| input.index()).collect();
        self.steps.push(Step { kind, inputs, output });
        Ok(())
    }

    fn convolve(&mut self, id: NodeId, node: &Node, conv: Conv2d) -> Kind {
        let source = node.inputs[0];
        let shape = ConvShape {
            input: planes(self.batch, self.network.node(source).shape),
            out_channels: conv.out_channels,
            kernel: conv.kernel,
            stride: conv.stride,
            padding: conv.padding,
            groups: conv.groups,
        };
        let reads_image = source == self.network.input();
        let border = if reads_image { self.range(source, Role::Border) } else { 0..0 };
        Kind::Convolve {
            shape,
            weight: self.range(id, Role::Weight),
            bias: self.range(id, Role::Bias),
            border,
        }
    }

    fn normalise(&mut self, id: NodeId, node: &Node, epsilon: f32, activation: Activation) -> Kind {
        let statistics = self.statistics;
        self.statistics += 2 * node.shape.channels;
        let [scale, shift, mean, variance] =
            [Role::Scale, Role::Shift, Role::Mean, Role::Variance].map(|role| self.range(id, role));
        Kind::Normalise(Norm { scale, shift, mean, variance, epsilon, activation, statistics })
    }

    fn dropout(&mut self, node: &Node, rate: f32) -> Kind {
        let start = self.masks;
        self.masks += self.batch * node.shape.len();
        Kind::Dropout { rate, name: node.name.clone(), mask: start..self.masks }
    }

    fn range(&self, id: NodeId, role: Role) -> Range<usize> {
        self.network.layout().range(id, role).unwrap_or(0..0)
    }

    /// The activation that is the only reader of batch normalisation `id`.
    fn fused_activation(&self, id: NodeId) -> Option<(NodeId, Activation)> {
        let mut readers = self.network.consumers(id);
        let reader = readers.next().filter(|_| readers.next().is_none())?;
        Some((reader, activation(&self.network.node(reader).op)?))
    }

    /// Whether the batch normalisation before this activation has taken it in.
    fn is_fused(&self, node: &Node) -> bool {
        let source = node.inputs[0];
        matches!(self.network.node(source).op, Op::BatchNorm { .. })
            && self.fused_activation(source).is_some()
    }
}

const fn activation(op: &Op) -> Option<Activation> {
    match op {
        Op::Relu => Some(Activation::Relu),
        Op::Relu6 => Some(Activation::Relu6),
        Op::Gelu => Some(Activation::Gelu),
        Op::Sigmoid => Some(Activation::Sigmoid),
        _ => None,
    }
}
