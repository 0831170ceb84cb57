//! From layers to the first stages.

use super::graph::{Cores, Graph, Ids, Kind, Shave, Usage, ValueId, index};
use super::layers::{Act, Layer, Layers};
use super::stubs::{ConvStub, PoolStub, Post, Stub, Stubs};
use crate::{Device, Transfer};
use boresight_ir::{Conv2d, Network, NodeId, Op, Resize, Shape, Window};

/// Sides beyond which pooling by an even window is left to the vector cores.
const WIDE_POOL: [usize; 2] = [700, 1000];

/// Makes the first stages of a network.
pub(crate) struct Reader<'a> {
    network: &'a Network,
    device: &'a Device,
    graph: &'a mut Graph,
    stubs: &'a mut Stubs,
    /// The value of each node.
    values: &'a mut Vec<Option<ValueId>>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(
        network: &'a Network,
        device: &'a Device,
        graph: &'a mut Graph,
        stubs: &'a mut Stubs,
        values: &'a mut Vec<Option<ValueId>>,
    ) -> Self {
        values.clear();
        values.resize(network.nodes().len(), None);
        Self { network, device, graph, stubs, values }
    }

    pub(crate) fn read(&mut self, layers: &Layers) {
        let transfer = self.device.description().transfer;
        let shape = self.network.input_shape();
        let image = self.host(shape, Usage::Input, transfer.bytes());
        let mut inside = image;
        if transfer != Transfer::F16 {
            inside = self.graph.value(shape);
            self.graph.stage(Kind::Shave(Shave::Convert), 0, &[image], &[inside]);
        }
        self.values[0] = Some(inside);
        let last = layers.of(self.network.output()).map(|layer| layer.node);
        let result = self.host(self.network.output_shape(), Usage::Output, transfer.result_bytes());
        if let Some(last) = last {
            let mut made = result;
            let node = index(last.index());
            if transfer == Transfer::F32 {
                made = self.graph.value(self.network.output_shape());
                let id = self.graph.stage(Kind::Shave(Shave::Convert), node, &[made], &[result]);
                self.graph.detail_mut(id).suffix = "@out";
            }
            self.values[last.index()] = Some(made);
        } else {
            self.graph.copy(0, "@out", inside, result);
        }
        for layer in layers.ordered() {
            self.layer(layer);
        }
    }

    fn host(&mut self, shape: Shape, usage: Usage, width: usize) -> ValueId {
        let id = self.graph.value(shape);
        let value = self.graph.of_mut(id);
        value.usage = usage;
        value.width = width;
        id
    }

    fn value(&mut self, node: NodeId) -> ValueId {
        let shape = self.network.node(node).shape;
        *self.values[node.index()].get_or_insert_with(|| self.graph.value(shape))
    }

    fn layer(&mut self, layer: &Layer) {
        let inputs: Ids = layer.inputs.iter().map(|&input| self.value(input)).collect();
        let output = self.value(layer.node);
        let kind = match layer.act {
            Act::Conv { conv, pads } => self.convolution(conv, pads, inputs[0]),
            Act::Transposed { conv, stride, pads } => {
                return self.transposed(layer, inputs[0], output, (conv, stride, pads));
            }
            Act::Stuff { .. } => Kind::Shave(Shave::Other("DepthDeconv", Cores::All)),
            Act::MaxPool { window, pads } => self.pooling(true, window, pads, [inputs[0], output]),
            Act::AvgPool { window } => self.pooling(false, window, [[0; 2]; 2], [inputs[0], output]),
            Act::Map(name) => Kind::Shave(Shave::Elementwise(name)),
            Act::Relu => Kind::Shave(Shave::Elementwise("Relu")),
            Act::Leaky { fuses: true } => Kind::Shave(Shave::Elementwise("FusedLeakyRelu")),
            Act::Leaky { fuses: false } => Kind::Shave(Shave::Elementwise("LeakyRelu")),
            Act::Clamp { from_zero: true } => Kind::Shave(Shave::Elementwise("Clamp")),
            Act::Clamp { from_zero: false } => Kind::Shave(Shave::Elementwise("FreeClamp")),
            Act::Pair(name) => Kind::Shave(Shave::Pair(name)),
            Act::Softmax => Kind::Shave(Shave::Other("SoftMax", Cores::All)),
            Act::Resize(Resize::Nearest) => Kind::Shave(Shave::Other("Resample", Cores::All)),
            Act::Resize(Resize::Bilinear) => Kind::Shave(Shave::Other("Interp", Cores::All)),
            Act::Pad { .. } => Kind::Shave(Shave::Other("Pad", Cores::Limited)),
            Act::Concat => Kind::Join,
            Act::Slices => Kind::Take,
        };
        let mut outputs = Ids::from_slice(&[output]);
        for &more in &layer.more {
            outputs.push(self.value(more));
        }
        self.graph.stage(kind, index(layer.node.index()), &inputs, &outputs);
    }

    fn conv(&self, id: NodeId) -> Conv2d {
        match self.network.node(id).op {
            Op::Conv2d(conv) => conv,
            _ => Conv2d::same(1, 1),
        }
    }

    fn convolution(&mut self, id: NodeId, pads: [[usize; 2]; 2], input: ValueId) -> Kind {
        let conv = self.conv(id);
        let nce = &self.device.description().nce;
        let height = self.graph.of(input).shape.height + pads[0][0] + pads[1][0];
        // Steps down do not matter where the kernel is as high as the map.
        let down = if conv.kernel[0] == height { conv.stride[1] } else { conv.stride[0] };
        let engine = conv.kernel.iter().all(|&size| size <= nce.max_kernel)
            && down == conv.stride[1]
            && conv.stride[1] <= nce.max_stride;
        self.stubs.kind(Stub::Conv(ConvStub {
            kernel: conv.kernel,
            stride: [down, conv.stride[1]],
            pads,
            groups: conv.groups,
            bias: true,
            scaled: false,
            engine,
            post: Post::None,
            pooled: false,
            whole: self.network.node(id).shape,
        }))
    }

    fn pooling(
        &mut self,
        max: bool,
        window: Window,
        pads: [[usize; 2]; 2],
        [input, output]: [ValueId; 2],
    ) -> Kind {
        let (from, to) = (self.graph.of(input).shape, self.graph.of(output).shape);
        let Window { kernel, stride } = window;
        let nce = &self.device.description().nce;
        let sides = [from.height, from.width];
        let reaches = |at: usize, made: usize| {
            let extra = usize::from(sides[at] % 2 == 1 && kernel[at] % 2 == 0 && pads[1][at] == 0);
            let room = (sides[at] + extra + pads[0][at] + pads[1][at]).saturating_sub(kernel[at]);
            made == room / stride[1] + 1 || made == room.div_ceil(stride[1]) + 1
        };
        let even = kernel.iter().any(|size| size % 2 == 0);
        let odd_map = sides.iter().any(|side| side % 2 == 1);
        let wide = sides.iter().zip(WIDE_POOL).any(|(&side, limit)| side > limit);
        let hangs = kernel == [3; 2] && stride[1] == 2 || kernel == [5; 2] && stride[1] == 3;
        let engine = stride[0] == stride[1]
            && reaches(0, to.height)
            && reaches(1, to.width)
            && kernel.iter().all(|&size| size <= nce.max_kernel)
            && stride[0] <= nce.max_stride
            && (max || !hangs)
            && (max || !(even && odd_map))
            && !(even && wide);
        self.stubs.kind(Stub::Pool(PoolStub { max, kernel, stride, pads, engine, relu: false }))
    }

    /// Upsampling with zeros and a convolution, where the padding allows it.
    fn transposed(
        &mut self,
        layer: &Layer,
        input: ValueId,
        output: ValueId,
        (id, stride, pads): (NodeId, [usize; 2], [[usize; 2]; 2]),
    ) {
        let (conv, node) = (self.conv(id), index(layer.node.index()));
        let from = self.graph.of(input).shape;
        let to = self.graph.of(output).shape;
        let nce = &self.device.description().nce;
        let engine =
            conv.groups == 1 && pads[0] == pads[1] && conv.kernel.iter().all(|&size| size <= nce.max_kernel);
        if !engine {
            let name = if conv.groups == 1 { "Deconvolution" } else { "DepthDeconv" };
            // Zeros between pixels are skipped.
            let taps = from.channels / conv.groups * conv.kernel[0] * conv.kernel[1];
            let macs = (taps * to.len() / (stride[0] * stride[1])) as u64;
            let [made, biased] = [self.graph.value(to), self.graph.value(to)];
            let id = self.graph.stage(Kind::Shave(Shave::Conv(name)), node, &[input], &[made]);
            self.graph.detail_mut(id).macs = macs;
            for (word, from, to) in [("Bias", made, biased), ("Scale", biased, output)] {
                self.graph.stage(Kind::Shave(Shave::Elementwise(word)), node, &[from], &[to]);
            }
            return;
        }
        let side = |at: usize, lines: usize| (lines - 1) * stride[at] + 1 + pads[0][at] + pads[1][at];
        let stuffed = self.graph.value(from.resized(side(0, from.height), side(1, from.width)));
        let id = self.graph.stage(Kind::Shave(Shave::Stuff), node, &[input], &[stuffed]);
        self.graph.detail_mut(id).suffix = "@upsample";
        let kind = self.stubs.kind(Stub::Conv(ConvStub {
            kernel: conv.kernel,
            stride: [1; 2],
            pads: [[0; 2]; 2],
            groups: 1,
            bias: true,
            scaled: false,
            engine: true,
            post: Post::None,
            pooled: false,
            whole: to,
        }));
        self.graph.stage(kind, node, &[stuffed], &[output]);
    }
}
