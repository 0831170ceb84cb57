//! From a network to steps and buffers.

use crate::backward::chunk;
use crate::narrow::{Narrow, with_extras};
use crate::place::Purpose;
use crate::step::{After, Kind, Norm, Step, Tensor, TensorId};
use crate::{Arithmetic, Error, Store, TrainingExtras};
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
    pub(crate) narrow: Narrow,
    /// Values of each slot, and of the workspace's other buffers.
    pub(crate) slot_sizes: Vec<usize>,
    pub(crate) partial: usize,
    /// Weights and biases of the largest convolution that a batch normalisation is folded into.
    pub(crate) folded: usize,
    pub(crate) statistics: usize,
    pub(crate) masks: usize,
    pub(crate) scratch: usize,
    pub(crate) room: usize,
}

impl Plan {
    /// A plan with backward, for batches of `batch` images.
    ///
    /// # Errors
    /// When the network cannot be run, see [`Error`].
    pub fn training(network: &Network, batch: usize, arithmetic: Arithmetic) -> Result<Self, Error> {
        Self::training_with(network, batch, arithmetic, TrainingExtras::default())
    }

    /// A plan with backward that does more on its way.
    ///
    /// # Errors
    /// As [`Plan::training`].
    pub fn training_with(
        network: &Network,
        batch: usize,
        arithmetic: Arithmetic,
        extras: TrainingExtras,
    ) -> Result<Self, Error> {
        let arithmetic = with_extras(arithmetic, extras);
        let mut plan = Self::steps_of(network, batch, arithmetic, Purpose::Training, extras)?;
        plan.place(Purpose::Training);
        plan.partial = plan
            .convolutions()
            .map(|(shape, size)| (batch.div_ceil(chunk(shape)) - 1) * size)
            .max()
            .unwrap_or(0);
        Ok(plan)
    }

    /// A plan that only runs forward in [`Mode::Evaluate`](crate::Mode::Evaluate): buffers are shared by tensors that do not
    /// live together, activations follow convolutions in the cache, and with [`Arithmetic::Fast`] batch normalisations are
    /// folded into them.
    ///
    /// # Errors
    /// When the network cannot be run, see [`Error`].
    pub fn inference(network: &Network, batch: usize, arithmetic: Arithmetic) -> Result<Self, Error> {
        let mut plan =
            Self::steps_of(network, batch, arithmetic, Purpose::Inference, TrainingExtras::default())?;
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

    fn steps_of(
        network: &Network,
        batch: usize,
        arithmetic: Arithmetic,
        purpose: Purpose,
        extras: TrainingExtras,
    ) -> Result<Self, Error> {
        if batch == 0 {
            return Err(Error::EmptyBatch);
        }
        if network.nodes().len() < 2 {
            return Err(Error::Empty);
        }
        let mut compiler = Compiler {
            network,
            batch,
            arithmetic,
            purpose,
            simulates_folding: extras.simulates_folding,
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
            .map(|node| Tensor {
                planes: planes(batch, node.shape),
                slot: 0,
                remade: None,
                deferred: false,
                gradient: None,
            })
            .collect();
        let mut plan = Self {
            layout: Arc::clone(network.layout()),
            tensors,
            output: network.output().index(),
            arithmetic,
            narrow: Narrow::new(arithmetic, &compiler.steps, network.nodes().len(), extras),
            slot_sizes: Vec::new(),
            partial: 0,
            folded: 0,
            statistics: compiler.statistics,
            masks: compiler.masks,
            scratch: 0,
            room: 0,
            steps: compiler.steps,
        };
        plan.folded = plan.folded_len();
        plan.scratch = plan.convolutions().map(|(shape, _)| shape.scratch_len()).max().unwrap_or(0);
        Ok(plan)
    }

    fn folded_len(&self) -> usize {
        let lengths = self.steps.iter().map(|step| match &step.kind {
            Kind::Convolve { shape, weight, after: After { norm: Some(_), .. }, .. } => {
                weight.len() + shape.out_channels
            }
            _ => 0,
        });
        lengths.max().unwrap_or(0)
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
    arithmetic: Arithmetic,
    purpose: Purpose,
    simulates_folding: bool,
    steps: Vec<Step>,
    statistics: usize,
    masks: usize,
}

impl Compiler<'_> {
    fn add(&mut self, id: NodeId, node: &Node) -> Result<(), Error> {
        let mut output = id.index();
        let kind = match node.op {
            Op::Conv2d(conv) => self.convolve(id, node, conv, &mut output),
            Op::BatchNorm { .. }
            | Op::Relu
            | Op::Relu6
            | Op::Gelu
            | Op::Sigmoid
            | Op::LeakyRelu { .. }
            | Op::Clip { .. }
                if self.is_taken_in(node) =>
            {
                return Ok(());
            }
            Op::BatchNorm { epsilon } => {
                if self.stores_narrowly() && !self.simulates_folding {
                    return Err(Error::NotFolded { node: node.name.clone() });
                }
                Kind::Normalise(self.normalise(id, node, epsilon, &mut output))
            }
            Op::ScaleShift => {
                Kind::ScaleShift { scale: self.range(id, Role::Scale), shift: self.range(id, Role::Shift) }
            }
            Op::Softmax => Kind::Softmax,
            Op::MaxPool(window) => Kind::MaxPool(window),
            Op::AvgPool(window) => Kind::AvgPool(window),
            Op::GlobalAvgPool => Kind::GlobalAvgPool,
            Op::Upsample { resize, .. } => Kind::Upsample(resize),
            Op::Concat => Kind::Concat,
            Op::Add => Kind::Add(self.activated(id, &mut output)),
            Op::Mul => Kind::Mul,
            Op::ChannelScale if node.inputs[0] == node.inputs[1] => {
                return Err(Error::SelfScale { node: node.name.clone() });
            }
            Op::ChannelScale => Kind::ChannelScale,
            Op::Slice { start, .. } => Kind::Slice { start },
            Op::Pad { rows, columns, filling } => {
                Kind::Pad { rows, columns, filling, border: self.border(node.inputs[0]) }
            }
            Op::ZeroStuff { stride } => Kind::ZeroStuff { stride },
            Op::Dropout { rate } => self.dropout(node, rate),
            op => match activation(&op) {
                Some(activation) => Kind::Activate(activation),
                None => return Err(Error::Unsupported { node: node.name.clone(), op: op.name() }),
            },
        };
        let inputs = node.inputs.iter().map(|input| input.index()).collect();
        self.steps.push(Step { kind, inputs, output });
        Ok(())
    }

    /// Whether anything but binary32 is stored.
    const fn stores_narrowly(&self) -> bool {
        matches!(self.arithmetic, Arithmetic::Device(Store::F16) | Arithmetic::Narrow(_))
    }

    /// A convolution with what it takes in; `output` becomes the tensor that the last of these makes.
    fn convolve(&mut self, id: NodeId, node: &Node, conv: Conv2d, output: &mut TensorId) -> Kind {
        let source = node.inputs[0];
        let shape = ConvShape {
            input: planes(self.batch, self.network.node(source).shape),
            out_channels: conv.out_channels,
            kernel: conv.kernel,
            stride: conv.stride,
            padding: conv.padding,
            groups: conv.groups,
        };
        Kind::Convolve {
            shape,
            weight: self.range(id, Role::Weight),
            bias: self.range(id, Role::Bias),
            border: self.border(source),
            after: self.after(id, output),
        }
    }

    /// What lies beyond the edge of `source`, for each channel: empty, which is zero, but for the image.
    fn border(&self, source: NodeId) -> Range<usize> {
        if source == self.network.input() { self.range(source, Role::Border) } else { 0..0 }
    }

    fn after(&mut self, id: NodeId, output: &mut TensorId) -> After {
        let network = self.network;
        match self.only_reader(id).map(|reader| (reader, network.node(reader))) {
            Some((reader, node)) if self.is_taken_in(node) => {
                *output = reader.index();
                if let Op::BatchNorm { epsilon } = node.op {
                    let norm = self.normalise(reader, node, epsilon, output);
                    return After { activation: norm.activation, norm: Some(norm) };
                }
                After { norm: None, activation: activation(&node.op).unwrap_or(Activation::Identity) }
            }
            _ => After::NOTHING,
        }
    }

    /// A batch normalisation with the activation that alone reads it; `output` becomes the tensor that the last makes.
    fn normalise(&mut self, id: NodeId, node: &Node, epsilon: f32, output: &mut TensorId) -> Norm {
        let fused = self.fused_activation(id);
        *output = fused.map_or(id.index(), |(reader, _)| reader.index());
        let activation = fused.map_or(Activation::Identity, |(_, activation)| activation);
        let statistics = self.statistics;
        self.statistics += 2 * node.shape.channels;
        let [scale, shift, mean, variance] =
            [Role::Scale, Role::Shift, Role::Mean, Role::Variance].map(|role| self.range(id, role));
        Norm { scale, shift, mean, variance, epsilon, activation, statistics }
    }

    /// The activation that sum `id` takes in; `output` becomes the tensor that it makes.
    fn activated(&self, id: NodeId, output: &mut TensorId) -> Activation {
        let reader = self.only_reader(id).filter(|&reader| self.is_taken_in(self.network.node(reader)));
        let Some(reader) = reader else { return Activation::Identity };
        *output = reader.index();
        activation(&self.network.node(reader).op).unwrap_or(Activation::Identity)
    }

    fn dropout(&mut self, node: &Node, rate: f32) -> Kind {
        let start = self.masks;
        self.masks += self.batch * node.shape.len();
        Kind::Dropout { rate, name: node.name.clone(), mask: start..self.masks }
    }

    fn range(&self, id: NodeId, role: Role) -> Range<usize> {
        self.network.layout().range(id, role).unwrap_or(0..0)
    }

    /// The only reader of what `id` makes.
    fn only_reader(&self, id: NodeId) -> Option<NodeId> {
        let mut readers = self.network.consumers(id);
        readers.next().filter(|_| readers.next().is_none())
    }

    /// The activation that is the only reader of batch normalisation `id`.
    fn fused_activation(&self, id: NodeId) -> Option<(NodeId, Activation)> {
        if matches!(self.arithmetic, Arithmetic::Narrow(_)) {
            return None;
        }
        let reader = self.only_reader(id)?;
        Some((reader, activation(&self.network.node(reader).op)?))
    }

    /// Whether the step of the only operand takes in this batch normalisation or activation.
    fn is_taken_in(&self, node: &Node) -> bool {
        let source = node.inputs[0];
        // A narrow device rounds what each node makes, so each has a step of its own.
        if matches!(self.arithmetic, Arithmetic::Narrow(_)) || self.only_reader(source).is_none() {
            return false;
        }
        let folds = self.purpose == Purpose::Inference && self.arithmetic == Arithmetic::Fast;
        match (&self.network.node(source).op, &node.op) {
            (Op::Conv2d(_), Op::BatchNorm { .. }) => folds,
            (Op::Conv2d(_) | Op::Add, op) => self.purpose == Purpose::Inference && activation(op).is_some(),
            (Op::BatchNorm { .. }, op) => activation(op).is_some(),
            _ => false,
        }
    }
}

const fn activation(op: &Op) -> Option<Activation> {
    match op {
        Op::Relu => Some(Activation::Relu),
        Op::Relu6 => Some(Activation::Relu6),
        Op::Gelu => Some(Activation::Gelu),
        Op::Sigmoid => Some(Activation::Sigmoid),
        Op::LeakyRelu { slope } => Some(Activation::LeakyRelu(*slope)),
        Op::Clip { low, high } => Some(Activation::Clip(*low, *high)),
        _ => None,
    }
}
