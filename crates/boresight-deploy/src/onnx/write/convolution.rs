//! Convolutions, transposed ones, and zero stuffing.

use super::graph::{integer, ints};
use super::{Writer, graph};
use crate::onnx::Error;
use boresight_ir::{Conv2d, Filling, Network, Node, NodeId, Op, Role, Window};

/// A convolution that is written as a transposed one, together with the zero stuffing and the padding before it.
pub(super) struct Transposed {
    source: NodeId,
    stride: [usize; 2],
    /// Rows and columns taken away before, and after.
    pads: [[usize; 2]; 2],
    output_padding: [usize; 2],
}

impl Writer<'_> {
    /// Finds nodes that others take in: zero stuffing and padding before a convolution, padding before a maximum.
    ///
    /// The device refuses padding with the lowest number by itself. Other padding is written as it stands: its compiler
    /// makes the same of it.
    pub(super) fn absorb(&mut self) {
        let readers = reader_counts(self.network);
        let network = self.network;
        for (id, node) in network.iter() {
            match node.op {
                Op::Conv2d(conv) => {
                    if let Some((transposed, absorbed)) = transposed(network, &readers, node, conv) {
                        self.transposed.insert(id, transposed);
                        for id in absorbed {
                            self.absorbed[id.index()] = true;
                        }
                    }
                }
                Op::MaxPool(window) => {
                    let source = node.inputs[0];
                    let fits = lowest_padding(network.node(source)).is_some_and(|pads| fits(pads, window));
                    self.absorbed[source.index()] |= fits && readers[source.index()] == 1;
                }
                _ => {}
            }
        }
    }

    pub(super) fn convolution(&mut self, id: NodeId, node: &Node, conv: Conv2d) -> Result<(), Error> {
        if let Some(transposed) = self.transposed.remove(&id) {
            return self.transposed(id, node, conv, &transposed);
        }
        let [top, left] = conv.padding;
        let attributes = vec![
            ints("dilations", &[1, 1]),
            graph::int("group", integer(conv.groups)),
            ints("kernel_shape", &conv.kernel),
            ints("pads", &[top, left, top, left]),
            ints("strides", &conv.stride),
        ];
        let weight = self.tensor(id, Role::Weight);
        let channels = self.network.node(node.inputs[0]).shape.channels / conv.groups;
        let dims = [conv.out_channels, channels, conv.kernel[0], conv.kernel[1]];
        let shifted = self.reads_shifted(conv, node.inputs[0]);
        let read = if shifted { self.shifted_input()? } else { self.read(node.inputs[0])? };
        let name = self.graph.weight(&format!("{}.weight", node.name), &dims, weight)?;
        let mut inputs = vec![read, name];
        let bias = self.tensor(id, Role::Bias);
        if shifted {
            let held = self.graph.held(weight);
            let bias = self.corrected_bias(conv, &held, bias);
            inputs.push(self.graph.weight(&format!("{}.bias", node.name), &[bias.len()], &bias)?);
        } else if conv.bias {
            inputs.push(self.graph.weight(&format!("{}.bias", node.name), &[bias.len()], bias)?);
        }
        let output = self.names[id.index()].clone();
        self.call("Conv", node, inputs, attributes, output);
        Ok(())
    }

    fn transposed(&mut self, id: NodeId, node: &Node, conv: Conv2d, how: &Transposed) -> Result<(), Error> {
        let [[top, left], [bottom, right]] = how.pads;
        let attributes = vec![
            ints("dilations", &[1, 1]),
            graph::int("group", integer(conv.groups)),
            ints("kernel_shape", &conv.kernel),
            ints("output_padding", &how.output_padding),
            ints("pads", &[top, left, bottom, right]),
            ints("strides", &how.stride),
        ];
        let channels = self.network.node(how.source).shape.channels;
        let weight = turned(self.tensor(id, Role::Weight), conv, channels);
        let dims = [channels, conv.out_channels / conv.groups, conv.kernel[0], conv.kernel[1]];
        let read = self.read(how.source)?;
        let mut inputs = vec![read, self.graph.weight(&format!("{}.weight", node.name), &dims, &weight)?];
        if conv.bias {
            let bias = self.tensor(id, Role::Bias);
            inputs.push(self.graph.weight(&format!("{}.bias", node.name), &[bias.len()], bias)?);
        }
        let output = self.names[id.index()].clone();
        self.call("ConvTranspose", node, inputs, attributes, output);
        Ok(())
    }

    /// A depthwise transposed convolution with one tap of one: nothing else in ONNX puts zeros between pixels.
    pub(super) fn zero_stuff(&mut self, id: NodeId, node: &Node, stride: [usize; 2]) -> Result<(), Error> {
        let channels = node.shape.channels;
        let ones = vec![1.0; channels];
        let read = self.read(node.inputs[0])?;
        let ones = self.graph.constant(&format!("{}.ones", node.name), &[channels, 1, 1, 1], &ones)?;
        let attributes = vec![
            graph::int("group", integer(channels)),
            ints("kernel_shape", &[1, 1]),
            ints("strides", &stride),
        ];
        let output = self.names[id.index()].clone();
        self.call("ConvTranspose", node, vec![read, ones], attributes, output);
        Ok(())
    }
}

/// How often each node is read; being the output counts as once.
fn reader_counts(network: &Network) -> Vec<usize> {
    let mut counts = vec![0; network.nodes().len()];
    for input in network.nodes().iter().flat_map(|node| &node.inputs).chain([&network.output()]) {
        counts[input.index()] += 1;
    }
    counts
}

/// Rows and columns before and after of a padding with the lowest number that adds any.
pub(super) fn lowest_padding(node: &Node) -> Option<[[usize; 2]; 2]> {
    match node.op {
        Op::Pad { rows, columns, filling: Filling::Lowest } if (rows, columns) != ([0; 2], [0; 2]) => {
            Some([[rows[0], columns[0]], [rows[1], columns[1]]])
        }
        _ => None,
    }
}

/// Whether a pooling may have these pads: none as wide as its window.
fn fits(pads: [[usize; 2]; 2], window: Window) -> bool {
    pads.iter().all(|pads| pads.iter().zip(window.kernel).all(|(&pad, kernel)| pad < kernel))
}

/// The transposed convolution that ends in `node`, and the nodes that it takes in.
fn transposed(
    network: &Network,
    readers: &[usize],
    node: &Node,
    conv: Conv2d,
) -> Option<(Transposed, Vec<NodeId>)> {
    let is_sole = |id: NodeId| readers[id.index()] == 1;
    let mut absorbed = vec![node.inputs[0]];
    let mut stuffed = network.node(node.inputs[0]);
    let mut padding = [conv.padding; 2];
    if let Op::Pad { rows, columns, filling: Filling::Zero } = stuffed.op
        // Padding that is alike on both sides is read as part of the convolution.
        && (rows[0] != rows[1] || columns[0] != columns[1])
        && conv.padding == [0, 0]
    {
        padding = [[rows[0], columns[0]], [rows[1], columns[1]]];
        absorbed.push(stuffed.inputs[0]);
        stuffed = network.node(stuffed.inputs[0]);
    }
    let Op::ZeroStuff { stride } = stuffed.op else { return None };
    if conv.stride != [1, 1] || stride == [1, 1] || !absorbed.iter().all(|&id| is_sole(id)) {
        return None;
    }
    let axis = |at: usize| taken_away(conv.kernel[at], stride[at], padding[0][at], padding[1][at]);
    let ([top, bottom, below], [left, right, beside]) = (axis(0)?, axis(1)?);
    let pads = [[top, left], [bottom, right]];
    let transposed = Transposed { source: stuffed.inputs[0], stride, pads, output_padding: [below, beside] };
    Some((transposed, absorbed))
}

/// Pads before and after, and output padding, for which a transposed convolution pads its zero-stuffed image by `before`
/// and `after`. Equal pads are preferred, as in the files of others.
fn taken_away(kernel: usize, stride: usize, before: usize, after: usize) -> Option<[usize; 3]> {
    let begin = (kernel - 1).checked_sub(before)?;
    match after.checked_sub(before) {
        Some(more) if more < stride => Some([begin, begin, more]),
        _ => Some([begin, (kernel - 1).checked_sub(after)?, 0]),
    }
}

/// Weights `[out, in / groups, rows, columns]` as a transposed convolution has them: `[in, out / groups, rows, columns]`,
/// with the kernel turned by half a turn.
fn turned(weight: &[f32], conv: Conv2d, channels: usize) -> Vec<f32> {
    let taps = conv.kernel[0] * conv.kernel[1];
    let (group_channels, group_outputs) = (channels / conv.groups, conv.out_channels / conv.groups);
    let mut turned = Vec::with_capacity(weight.len());
    for channel in 0..channels {
        for output in 0..group_outputs {
            let output = channel / group_channels * group_outputs + output;
            let start = (output * group_channels + channel % group_channels) * taps;
            turned.extend(weight[start..start + taps].iter().rev());
        }
    }
    turned
}
