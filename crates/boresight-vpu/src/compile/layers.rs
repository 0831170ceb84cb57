//! From a network's nodes to the layers that the compiler reads, and the order in which it reads them.
//!
//! Nodes that another layer takes in before the compiler proper sees them (normalisations after convolutions, dropout,
//! padding of a max pooling, zero stuffing before a convolution) are layers no more.

use super::graph::index;
use boresight_ir::{Filling, Network, Node, NodeId, Op, Resize, Window};
use smallvec::{SmallVec, smallvec};

/// What a layer does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Act {
    /// The convolution of this node, with rows and columns added before and after.
    Conv {
        conv: NodeId,
        pads: [[usize; 2]; 2],
    },
    /// The transposed convolution that ends in the convolution of this node.
    Transposed {
        conv: NodeId,
        stride: [usize; 2],
        pads: [[usize; 2]; 2],
    },
    /// Zeros between pixels, and nothing else.
    Stuff {
        stride: [usize; 2],
    },
    MaxPool {
        window: Window,
        pads: [[usize; 2]; 2],
    },
    AvgPool {
        window: Window,
    },
    /// One number in, one number out.
    Map(&'static str),
    /// A limit from zero, which an engine's stage may take in.
    Relu,
    /// The same with another slope below zero.
    Leaky {
        fuses: bool,
    },
    Clamp {
        from_zero: bool,
    },
    Pair(&'static str),
    Softmax,
    Resize(Resize),
    Concat,
    /// Ranges of the channels of one map, each a value of its own.
    Slices,
    Pad {
        rows: [usize; 2],
        columns: [usize; 2],
    },
}

/// Nodes whose values a layer reads, in place where they are few.
pub(crate) type Inputs = SmallVec<[NodeId; 2]>;

/// A layer.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) act: Act,
    /// The node whose value it makes, after which it is called.
    pub(crate) node: NodeId,
    /// Other nodes whose values it makes.
    pub(crate) more: SmallVec<[NodeId; 1]>,
    /// Nodes whose values it reads.
    pub(crate) inputs: Inputs,
}

/// The layers of a network.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    list: Vec<Layer>,
    /// Those of them that are reached, in the order in which the compiler reads them.
    order: Vec<u32>,
    seen: Vec<bool>,
    /// For each node, the node that has its value: itself, or what it hands on.
    value: Vec<NodeId>,
    /// For each node, how many read its value.
    counts: Vec<u32>,
    /// For each node, the layer that makes its value.
    maker: Vec<Option<usize>>,
    /// For each node, the layers that read its value.
    readers: Vec<SmallVec<[u32; 4]>>,
    /// Layers on the way to the one being read: the node of each, itself, and which of its readers comes next.
    path: Vec<(NodeId, Option<u32>, usize)>,
}

impl Layers {
    /// Reads another network.
    pub(crate) fn read(&mut self, network: &Network) {
        self.clear(network);
        let mut reading = Reading { network, lists: self };
        for (id, node) in network.iter().skip(1) {
            reading.node(id, node);
        }
        reading.finish();
    }

    /// The layers in the order in which the compiler reads them.
    pub(crate) fn ordered(&self) -> impl Iterator<Item = &Layer> {
        self.order.iter().map(|&at| &self.list[at as usize])
    }

    /// The layer that does the work of `node`; the input and what is left out have none.
    pub(crate) fn of(&self, node: NodeId) -> Option<&Layer> {
        let at = self.maker[node.index()]?;
        self.seen[at].then(|| &self.list[at])
    }

    fn clear(&mut self, network: &Network) {
        let count = network.nodes().len();
        self.list.clear();
        self.order.clear();
        self.value.clear();
        self.maker.clear();
        self.maker.resize(count, None);
        self.counts.clear();
        self.counts.resize(count, 0);
        for (id, node) in network.iter() {
            let passes = matches!(node.op, Op::Dropout { .. });
            self.value.push(if passes { self.value[node.inputs[0].index()] } else { id });
            if !passes {
                for input in &node.inputs {
                    self.counts[self.value[input.index()].index()] += 1;
                }
            }
        }
        self.counts[self.value[count - 1].index()] += 1;
    }
}

struct Reading<'a> {
    network: &'a Network,
    lists: &'a mut Layers,
}

impl Reading<'_> {
    fn source(&self, node: &Node, at: usize) -> NodeId {
        self.lists.value[node.inputs[at].index()]
    }

    fn is_sole(&self, id: NodeId) -> bool {
        self.lists.counts[id.index()] == 1
    }

    fn add(&mut self, act: Act, node: NodeId, inputs: Inputs) {
        self.lists.maker[node.index()] = Some(self.lists.list.len());
        self.lists.list.push(Layer { act, node, more: SmallVec::new(), inputs });
    }

    fn node(&mut self, id: NodeId, node: &Node) {
        let act = match node.op {
            Op::Input | Op::Dropout { .. } => return,
            Op::BatchNorm { .. } | Op::ScaleShift => return self.affine(id, node),
            Op::Conv2d(_) => return self.convolution(id, node),
            Op::MaxPool(window) => return self.max_pool(id, node, window),
            Op::AvgPool(window) => Act::AvgPool { window },
            Op::GlobalAvgPool => {
                let shape = self.network.node(self.source(node, 0)).shape;
                let window = Window { kernel: [shape.height, shape.width], stride: [1; 2] };
                Act::AvgPool { window }
            }
            Op::Relu => Act::Relu,
            Op::Relu6 => Act::Clamp { from_zero: true },
            Op::Clip { low, high } => {
                let from_zero = low.abs() < f32::EPSILON;
                if from_zero && high >= f32::MAX { Act::Relu } else { Act::Clamp { from_zero } }
            }
            Op::LeakyRelu { slope } => Act::Leaky { fuses: is_inverse_integer(slope) },
            Op::Gelu => Act::Map("Gelu"),
            Op::Sigmoid => Act::Map("Sigmoid"),
            Op::Softmax => Act::Softmax,
            Op::Upsample { resize, .. } => Act::Resize(resize),
            Op::Concat => Act::Concat,
            Op::Add => Act::Pair("Sum"),
            Op::Mul => return self.product(id, node),
            Op::ChannelScale => Act::Pair("Prod"),
            Op::Slice { .. } => return self.slice(id, node),
            Op::Pad { rows, columns, .. } => Act::Pad { rows, columns },
            Op::ZeroStuff { stride } => Act::Stuff { stride },
            _ => Act::Map("Unknown"),
        };
        let inputs = (0..node.inputs.len()).map(|at| self.source(node, at)).collect();
        self.add(act, id, inputs);
    }

    /// A factor and an addend for each channel: part of the convolution before it, if that has no other reader.
    fn affine(&mut self, id: NodeId, node: &Node) {
        let source = self.source(node, 0);
        if self.is_sole(source)
            && let Some(maker) = self.lists.maker[source.index()]
            && matches!(self.lists.list[maker].act, Act::Conv { .. } | Act::Transposed { .. })
        {
            self.lists.list[maker].node = id;
            self.lists.maker[id.index()] = Some(maker);
            return;
        }
        self.add(Act::Map("ScaleShift"), id, smallvec![source]);
    }

    /// All slices of one map are one layer.
    fn slice(&mut self, id: NodeId, node: &Node) {
        let source = self.source(node, 0);
        let same = |layer: &Layer| layer.act == Act::Slices && layer.inputs[0] == source;
        if let Some(at) = self.lists.list.iter().position(same) {
            self.lists.list[at].more.push(id);
            self.lists.maker[id.index()] = Some(at);
        } else {
            self.add(Act::Slices, id, smallvec![source]);
        }
    }

    /// The last layer, if `id` is its value and nothing else reads it; it is then taken out.
    fn take(&mut self, id: NodeId) -> Option<Layer> {
        let last = self.lists.list.last()?;
        let taken = last.node == id && self.is_sole(id);
        taken.then(|| self.lists.list.pop()).flatten()
    }

    fn convolution(&mut self, id: NodeId, node: &Node) {
        let source = self.source(node, 0);
        let Op::Conv2d(conv) = node.op else { return };
        // Padding with zeros becomes part of the convolution.
        let mut pads = [conv.padding; 2];
        let (mut from, mut padding) = (source, None);
        if let Op::Pad { rows, columns, filling: Filling::Zero } = self.network.node(source).op
            && source != self.network.input()
            && let Some(layer) = self.take(source)
        {
            from = layer.inputs[0];
            for (at, side) in pads.iter_mut().enumerate() {
                *side = [side[0] + rows[at], side[1] + columns[at]];
            }
            padding = Some(rows[0] != rows[1] || columns[0] != columns[1]);
        }
        // A writer of ONNX makes a transposed convolution of zeros, one padding and a convolution.
        let one_padding = padding.is_none_or(|uneven| uneven && conv.padding == [0; 2]);
        if let Op::ZeroStuff { stride } = self.network.node(from).op
            && conv.stride == [1; 2]
            && stride != [1; 2]
            && one_padding
            && let Some(layer) = self.take(from)
        {
            self.add(Act::Transposed { conv: id, stride, pads }, id, layer.inputs);
            self.lists.maker[from.index()] = self.lists.maker[id.index()];
        } else {
            self.add(Act::Conv { conv: id, pads }, id, smallvec![from]);
        }
        if from != source {
            self.lists.maker[source.index()] = self.lists.maker[id.index()];
        }
    }

    fn max_pool(&mut self, id: NodeId, node: &Node, window: Window) {
        let source = self.source(node, 0);
        if let Op::Pad { rows, columns, filling: Filling::Lowest } = self.network.node(source).op
            && let Some(layer) = self.take(source)
        {
            let pads = [[rows[0], columns[0]], [rows[1], columns[1]]];
            self.add(Act::MaxPool { window, pads }, id, layer.inputs);
            self.lists.maker[source.index()] = self.lists.maker[id.index()];
            return;
        }
        self.add(Act::MaxPool { window, pads: [[0; 2]; 2] }, id, smallvec![source]);
    }

    /// A product; that of a value and its own sigmoid is a stage of its own kind.
    fn product(&mut self, id: NodeId, node: &Node) {
        let (first, second) = (self.source(node, 0), self.source(node, 1));
        for (value, gate) in [(first, second), (second, first)] {
            let gate_node = self.network.node(gate);
            if matches!(gate_node.op, Op::Sigmoid)
                && self.source(gate_node, 0) == value
                && self.take(gate).is_some()
            {
                self.add(Act::Map("Swish"), id, smallvec![value]);
                self.lists.maker[gate.index()] = self.lists.maker[id.index()];
                return;
            }
        }
        self.add(Act::Pair("Prod"), id, smallvec![first, second]);
    }

    /// Brings the layers into the compiler's order: depth first from the input, readers in the reverse order of names.
    fn finish(self) {
        let Self { network, lists } = self;
        lists.list_readers();
        let last = lists.value[network.output().index()];
        let Layers { list: layers, order, seen, readers, path, .. } = lists;
        let name = |layer: &u32| {
            let node = layers[*layer as usize].node;
            if node == last { "logits" } else { network.node(node).name.as_str() }
        };
        for list in readers.iter_mut().filter(|list| list.len() > 1) {
            list.sort_by(|first, second| name(first).cmp(name(second)));
        }
        seen.clear();
        seen.resize(layers.len(), false);
        path.push((network.input(), None, 0));
        while let Some(last) = path.last_mut() {
            let (value, layer, next) = *last;
            if let Some(&reader) = readers[value.index()].get(next) {
                last.2 += 1;
                if !std::mem::replace(&mut seen[reader as usize], true) {
                    path.push((layers[reader as usize].node, Some(reader), 0));
                }
            } else {
                order.extend(layer);
                path.pop();
            }
        }
        order.reverse();
    }
}

impl Layers {
    /// Lists who reads the value of each node; readers of any of several results of a layer are readers of the first, by
    /// which the layer goes.
    fn list_readers(&mut self) {
        let Self { list: layers, readers, maker, .. } = self;
        readers.iter_mut().for_each(SmallVec::clear);
        readers.resize(maker.len(), SmallVec::new());
        for (at, layer) in layers.iter().enumerate() {
            for input in &layer.inputs {
                let at = index(at);
                if !readers[input.index()].contains(&at) {
                    readers[input.index()].push(at);
                }
            }
        }
        for layer in layers.iter().filter(|layer| !layer.more.is_empty()) {
            for more in &layer.more {
                let others = std::mem::take(&mut readers[more.index()]);
                for other in others {
                    if !readers[layer.node.index()].contains(&other) {
                        readers[layer.node.index()].push(other);
                    }
                }
            }
        }
    }
}

/// Whether a slope is one divided by an integer, or zero.
fn is_inverse_integer(slope: f32) -> bool {
    let inverse = 1.0 / slope;
    slope.abs() <= f32::EPSILON || (inverse.ceil() - inverse).abs() <= f32::EPSILON
}
