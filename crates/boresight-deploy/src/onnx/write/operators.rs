//! Operators, one after the other.

use super::convolution::lowest_padding;
use super::graph::{Call, int, ints, number, word};
use super::{Writer, graph};
use crate::onnx::{Error, Opset};
use boresight_ir::{Filling, Node, NodeId, Op, Resize, Role, Window};

impl Writer<'_> {
    pub(super) fn operator(&mut self, id: NodeId, node: &Node) -> Result<(), Error> {
        match node.op {
            Op::Conv2d(conv) => self.convolution(id, node, conv),
            Op::BatchNorm { epsilon } => self.batch_norm(id, node, epsilon),
            Op::ScaleShift => self.scale_shift(id, node),
            Op::Relu6 => self.clip(id, node, 0.0, 6.0),
            Op::Clip { low, high } => self.clip(id, node, low, high),
            Op::Gelu => self.gelu(id, node),
            Op::Softmax => self.softmax(id, node),
            Op::MaxPool(window) => self.max_pool(id, node, window),
            Op::Upsample { resize, size } => self.upsample(id, node, resize, size),
            Op::Slice { start, channels } => self.slice(id, node, start, channels),
            Op::Pad { rows, columns, filling } => self.pad(id, node, rows, columns, filling),
            Op::ZeroStuff { stride } => self.zero_stuff(id, node, stride),
            Op::Relu => self.simple("Relu", id, node, Vec::new()),
            Op::Sigmoid => self.simple("Sigmoid", id, node, Vec::new()),
            Op::LeakyRelu { slope } => self.simple("LeakyRelu", id, node, vec![number("alpha", slope)]),
            Op::AvgPool(window) => self.simple("AveragePool", id, node, pooling(window)),
            Op::GlobalAvgPool => self.simple("GlobalAveragePool", id, node, Vec::new()),
            Op::Concat => self.simple("Concat", id, node, vec![int("axis", 1)]),
            Op::Add => self.simple("Add", id, node, Vec::new()),
            // The second input of a channel scale has one pixel, which ONNX broadcasts.
            Op::Mul | Op::ChannelScale => self.simple("Mul", id, node, Vec::new()),
            Op::Input | Op::Dropout { .. } => Ok(()),
            op => Err(Error::CannotWrite { node: node.name.clone(), op: op.name() }),
        }
    }

    /// A node that reads what the network's node reads.
    fn simple(
        &mut self,
        op_type: &'static str,
        id: NodeId,
        node: &Node,
        attributes: Vec<graph::Attribute>,
    ) -> Result<(), Error> {
        let inputs = node.inputs.iter().map(|&input| self.read(input)).collect::<Result<_, _>>()?;
        let output = self.names[id.index()].clone();
        self.call(op_type, node, inputs, attributes, output);
        Ok(())
    }
    fn batch_norm(&mut self, id: NodeId, node: &Node, epsilon: f32) -> Result<(), Error> {
        let mut inputs = vec![self.read(node.inputs[0])?];
        for role in [Role::Scale, Role::Shift, Role::Mean, Role::Variance] {
            let values = self.tensor(id, role);
            let name = format!("{}.{}", node.name, role.name());
            inputs.push(self.graph.weight(&name, &[values.len()], values)?);
        }
        let output = self.names[id.index()].clone();
        self.call("BatchNormalization", node, inputs, vec![number("epsilon", epsilon)], output);
        Ok(())
    }

    /// Always both steps, so that a reader can tell where one operator ends; the device's compiler makes one of them.
    fn scale_shift(&mut self, id: NodeId, node: &Node) -> Result<(), Error> {
        let dims = [1, node.shape.channels, 1, 1];
        let read = self.read(node.inputs[0])?;
        let scale =
            self.graph.weight(&format!("{}.scale", node.name), &dims, self.tensor(id, Role::Scale))?;
        let product = self.helper("Mul", node, vec![read, scale]);
        let shift =
            self.graph.weight(&format!("{}.shift", node.name), &dims, self.tensor(id, Role::Shift))?;
        let output = self.names[id.index()].clone();
        self.call("Add", node, vec![product, shift], Vec::new(), output);
        Ok(())
    }

    /// A limit at the end of binary32 is left out, which FP16 could not hold.
    fn clip(&mut self, id: NodeId, node: &Node, low: f32, high: f32) -> Result<(), Error> {
        let mut inputs = vec![self.read(node.inputs[0])?];
        if low > f32::MIN {
            inputs.push(self.graph.constant(&format!("{}.low", node.name), &[], &[low])?);
        } else {
            inputs.push(String::new());
        }
        if high < f32::MAX {
            inputs.push(self.graph.constant(&format!("{}.high", node.name), &[], &[high])?);
        }
        let output = self.names[id.index()].clone();
        self.call("Clip", node, inputs, Vec::new(), output);
        Ok(())
    }

    /// `x * (1 + erf(x / sqrt 2)) * 0.5`, in the one order of nodes of which `OpenVINO` makes a single stage again and
    /// which `PyTorch` writes.
    fn gelu(&mut self, id: NodeId, node: &Node) -> Result<(), Error> {
        let read = self.read(node.inputs[0])?;
        let mut constant = |what, value| self.graph.constant(&format!("{}.{what}", node.name), &[], &[value]);
        let (root, one, half) =
            (constant("root_two", std::f32::consts::SQRT_2)?, constant("one", 1.0)?, constant("half", 0.5)?);
        let ratio = self.helper("Div", node, vec![read.clone(), root]);
        let erf = self.helper("Erf", node, vec![ratio]);
        let sum = self.helper("Add", node, vec![erf, one]);
        let product = self.helper("Mul", node, vec![read, sum]);
        let output = self.names[id.index()].clone();
        self.call("Mul", node, vec![product, half], Vec::new(), output);
        Ok(())
    }

    /// Up to version 12, a softmax normalises over its axis and all after it together. With the channels last there are
    /// none after it; with the exponentials written out large values would overflow.
    fn softmax(&mut self, id: NodeId, node: &Node) -> Result<(), Error> {
        let output = self.names[id.index()].clone();
        let read = self.read(node.inputs[0])?;
        if self.opset == Opset::V13 || node.shape.plane() == 1 {
            self.call("Softmax", node, vec![read], vec![int("axis", 1)], output);
            return Ok(());
        }
        let mut transpose = |what: &str| {
            let name = self.graph.node_name(&format!("{}/{what}", node.name));
            (name.clone(), self.graph.value_name(&name))
        };
        let ((name, last), (back, normalised)) = (transpose("ChannelsLast"), transpose("ChannelsFirst"));
        let transpose = |name, inputs, order: &[usize], output| {
            let attributes = vec![ints("perm", order)];
            Call { op_type: "Transpose", name, inputs, attributes, output }
        };
        let call = transpose(name, vec![read], &[0, 2, 3, 1], last.clone());
        self.graph.add_channels_last(call, node.shape);
        let softmax = Call {
            op_type: "Softmax",
            name: node.name.clone(),
            inputs: vec![last],
            attributes: vec![int("axis", 3)],
            output: normalised.clone(),
        };
        self.graph.add_channels_last(softmax, node.shape);
        self.graph.add(transpose(back, vec![normalised], &[0, 3, 1, 2], output), node.shape);
        Ok(())
    }

    fn max_pool(&mut self, id: NodeId, node: &Node, window: Window) -> Result<(), Error> {
        let source = node.inputs[0];
        let pads = lowest_padding(self.network.node(source)).filter(|_| self.absorbed[source.index()]);
        let mut attributes = pooling(window);
        let mut read = source;
        if let Some([[top, left], [bottom, right]]) = pads {
            attributes.push(ints("pads", &[top, left, bottom, right]));
            read = self.network.node(source).inputs[0];
        }
        let inputs = vec![self.read(read)?];
        let output = self.names[id.index()].clone();
        self.call("MaxPool", node, inputs, attributes, output);
        Ok(())
    }

    fn upsample(&mut self, id: NodeId, node: &Node, resize: Resize, size: [usize; 2]) -> Result<(), Error> {
        let source = self.network.node(node.inputs[0]).shape;
        let read = self.read(node.inputs[0])?;
        let absent = match self.opset {
            // Version 11 has no inputs that may be missing, only ones that may be empty.
            Opset::V11 => self.graph.floats(&format!("{}.none", node.name), &[]),
            Opset::V13 => String::new(),
        };
        let mut inputs = vec![read, absent.clone()];
        let scales = [scale(source.height, size[0], resize), scale(source.width, size[1], resize)];
        if let [Some(down), Some(across)] = scales {
            inputs.push(self.graph.floats(&format!("{}.scales", node.name), &[1.0, 1.0, down, across]));
        } else {
            let sizes = [self.graph.batch(), source.channels, size[0], size[1]];
            inputs.extend([absent, self.graph.integers(&format!("{}.sizes", node.name), &sizes)]);
        }
        let attributes = match resize {
            Resize::Nearest => vec![
                word("coordinate_transformation_mode", "asymmetric"),
                word("mode", "nearest"),
                word("nearest_mode", "floor"),
            ],
            Resize::Bilinear => {
                vec![word("coordinate_transformation_mode", "half_pixel"), word("mode", "linear")]
            }
        };
        let output = self.names[id.index()].clone();
        self.call("Resize", node, inputs, attributes, output);
        Ok(())
    }

    fn slice(&mut self, id: NodeId, node: &Node, start: usize, channels: usize) -> Result<(), Error> {
        let mut inputs = vec![self.read(node.inputs[0])?];
        for (what, value) in [("start", start), ("end", start + channels), ("axis", 1)] {
            inputs.push(self.graph.integers(&format!("{}.{what}", node.name), &[value]));
        }
        let output = self.names[id.index()].clone();
        self.call("Slice", node, inputs, Vec::new(), output);
        Ok(())
    }

    fn pad(
        &mut self,
        id: NodeId,
        node: &Node,
        rows: [usize; 2],
        columns: [usize; 2],
        filling: Filling,
    ) -> Result<(), Error> {
        let value = match filling {
            Filling::Zero => 0.0,
            Filling::Lowest => f32::NEG_INFINITY,
        };
        let pads = [0, 0, rows[0], columns[0], 0, 0, rows[1], columns[1]];
        // Around the input zero means its border: padded with zero, the input less its border has that.
        let is_shifted =
            filling == Filling::Zero && node.inputs[0] == self.network.input() && self.has_border();
        let read = if is_shifted { self.shifted_input()? } else { self.read(node.inputs[0])? };
        let inputs = vec![
            read,
            self.graph.integers(&format!("{}.pads", node.name), &pads),
            self.graph.constant(&format!("{}.value", node.name), &[], &[value])?,
        ];
        let output = self.names[id.index()].clone();
        if is_shifted {
            let padded = self.helper_with("Pad", node, inputs, vec![word("mode", "constant")]);
            let border = self.border_constant(&node.name)?;
            self.call("Add", node, vec![padded, border], Vec::new(), output);
        } else {
            self.call("Pad", node, inputs, vec![word("mode", "constant")], output);
        }
        Ok(())
    }
}

fn pooling(window: Window) -> Vec<graph::Attribute> {
    vec![ints("kernel_shape", &window.kernel), ints("strides", &window.stride)]
}

/// The scale of one axis, where it leads every runtime to `to` pixels and to the pixels that the network reads, whether
/// it computes in binary32 or exactly. Scales are preferred: the compiler of the Myriad X takes sizes for single images
/// alone.
fn scale(from: usize, to: usize, resize: Resize) -> Option<f32> {
    let scale = to as f32 / from as f32;
    let is_size = |size: f64| (size - to as f64).abs() < 0.5;
    let makes_size =
        is_size((from as f32 * scale).floor().into()) && is_size((from as f64 * f64::from(scale)).floor());
    let is_source = |at: usize| {
        let (single, double) = (at as f32 / scale, at as f64 / f64::from(scale));
        [f64::from(single), double].iter().all(|place| (place.floor() - (at * from / to) as f64).abs() < 0.5)
    };
    let reads_sources = resize == Resize::Bilinear || (0..to).all(is_source);
    (makes_size && reads_sources).then_some(scale)
}
