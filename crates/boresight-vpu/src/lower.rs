//! What the device's compiler makes of a network: which unit runs each node, and what it costs there.

use crate::fuse::{self, Absorbed};
use crate::nce::{ConvTile, line_bytes};
use crate::tiling::{Conv, Fusion, Tiling};
use crate::{Device, Error, Limit, Transfer};
use boresight_ir::{Conv2d, Network, Node, NodeId, Op, Shape, Window};
use std::fmt;

/// What runs a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// The Neural Compute Engine.
    Nce,
    /// The SHAVE vector cores.
    Shave,
    /// The memory engine.
    Dma,
    /// Nothing: another stage does it on the way, or there is nothing to do.
    Fused,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Nce => "NCE",
            Self::Shave => "SHAVE",
            Self::Dma => "DMA",
            Self::Fused => "fused",
        })
    }
}

/// What a stage spends its time on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Work {
    /// Nothing.
    None,
    /// This many cycles of the NCE.
    Cycles(u64),
    /// Bytes read and written by pooling on the NCE.
    Pooled(u64),
    /// Bytes read and written by an element-wise operator on the SHAVEs.
    Elementwise(u64),
    /// Bytes read and written by an operator on the SHAVEs that gathers: resizing and pooling.
    Gathered(u64),
    /// Multiply-accumulate operations on the SHAVEs.
    Macs(u64),
    /// Bytes read and written by copies.
    Copied(u64),
}

/// A stage of a network on the device, or several equal ones in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The node that it comes from, with a suffix where a node needs several kinds of stages.
    pub name: String,
    /// What it does: the operator, or `copy`, `sum`, `bias`, `convert`.
    pub op: &'static str,
    /// What runs it.
    pub unit: Unit,
    /// Stages of the device that it stands for; 0 for fused ones.
    pub count: usize,
    /// What it spends its time on.
    pub work: Work,
    /// How it is cut, for stages on the NCE.
    pub tiling: Option<Tiling>,
    /// On-chip memory that it needs for its output tile and a padded input.
    pub memory: usize,
}

impl Stage {
    /// Cost times output pixels, summed over the stages that it stands for, as the compiler's own dump gives them; 0
    /// for everything but convolutions on the NCE.
    pub const fn nce_cycles(&self) -> u64 {
        match (self.unit, self.tiling) {
            (Unit::Nce, Some(tiling)) => tiling.cycles,
            _ => 0,
        }
    }
}

/// The stages of `network` on `device`, in the order of the network's nodes. Every node appears, fused ones too.
///
/// # Errors
/// When a feature map is beyond the device's limits or its compiler refuses an operator; the error names the node.
pub fn lower(network: &Network, device: &Device) -> Result<Vec<Stage>, Error> {
    check(network, device)?;
    let absorbed = fuse::absorbed(network);
    let count = network.nodes().len();
    let stages = Vec::with_capacity(2 * count);
    let mut lowering = Lowering { network, device, absorbed, spilled: vec![Spill::default(); count], stages };
    for (id, node) in network.iter() {
        lowering.node(id, node);
    }
    if device.description().transfer == Transfer::F32 {
        let output = &network.nodes()[count - 1];
        lowering.convert(output, "@out");
    }
    Ok(lowering.stages)
}

/// Whether `device` runs every node of `network`.
pub(crate) fn check(network: &Network, device: &Device) -> Result<(), Error> {
    let limits = device.description();
    for node in network.nodes() {
        let unsupported = |reason| {
            Err(Error::Unsupported {
                device: limits.name.clone(),
                node: node.name.clone(),
                op: node.op.name(),
                reason,
            })
        };
        if limits.refused.iter().any(|refused| refused == node.op.name()) {
            return unsupported(Limit::Operator);
        }
        if !is_modelled(&node.op) {
            return unsupported(Limit::NotModelled);
        }
        for (what, found, limit) in [
            ("height", node.shape.height, limits.max_dimension),
            ("width", node.shape.width, limits.max_dimension),
            ("number of channels", node.shape.channels, limits.max_channels),
        ] {
            if found > limit {
                return unsupported(Limit::Size { what, found, limit });
            }
        }
    }
    Ok(())
}

/// Whether [`Lowering`] knows what becomes of an operator.
const fn is_modelled(op: &Op) -> bool {
    matches!(
        op,
        Op::Input
            | Op::Conv2d(_)
            | Op::BatchNorm { .. }
            | Op::ScaleShift
            | Op::Relu
            | Op::Relu6
            | Op::Gelu
            | Op::Sigmoid
            | Op::MaxPool(_)
            | Op::AvgPool(_)
            | Op::GlobalAvgPool
            | Op::Upsample { .. }
            | Op::Concat
            | Op::Add
            | Op::ChannelScale
            | Op::Slice { .. }
            | Op::Dropout { .. }
    )
}

/// Bytes of a feature map in the device's memory.
const fn map_bytes(shape: Shape) -> u64 {
    (line_bytes(shape.width) * shape.height * shape.channels) as u64
}

/// Whether each channel is convolved by itself.
const fn is_depthwise(conv: Conv2d, input: Shape) -> bool {
    conv.groups == input.channels && conv.groups == conv.out_channels
}

struct Lowering<'a> {
    network: &'a Network,
    device: &'a Device,
    /// For each node, the node whose stage takes it in.
    absorbed: Vec<Absorbed>,
    /// For each convolution, what its stages cannot take in after all.
    spilled: Vec<Spill>,
    stages: Vec<Stage>,
}

/// What the stages of a convolution leave to stages of their own.
#[derive(Clone, Copy, Default)]
struct Spill {
    /// Pooling, since no tile can be pooled on the way.
    pooling: bool,
    /// A `ReLU6`, since the convolution is several; a `ReLU` is still taken in.
    clamp: bool,
}

impl Lowering<'_> {
    fn node(&mut self, id: NodeId, node: &Node) {
        if let Absorbed::By(maker) = self.absorbed[id.index()] {
            let spilled = self.spilled[maker.index()];
            match node.op {
                Op::MaxPool(_) if spilled.pooling => {}
                Op::Relu6 if spilled.clamp => {}
                _ => return self.push(node, "", node.op.name(), Unit::Fused, 0, Work::None),
            }
        }
        let moved = self.moved(node);
        match node.op {
            Op::Input if self.device.description().transfer == Transfer::F32 => self.convert(node, ""),
            Op::Conv2d(conv) => self.convolution(id, node, conv),
            Op::MaxPool(window) | Op::AvgPool(window) => self.pooling(node, window),
            Op::GlobalAvgPool => self.global_pooling(node),
            Op::Upsample { .. } => self.shave(node, Work::Gathered(moved)),
            Op::Concat => self.concat(node),
            Op::Slice { .. } => self.copy(node, "", 1, 2 * map_bytes(node.shape)),
            Op::Input | Op::Dropout { .. } => self.push(node, "", node.op.name(), Unit::Fused, 0, Work::None),
            // Element-wise operators; `check` has refused what is not modelled.
            _ => self.shave(node, Work::Elementwise(moved)),
        }
    }

    /// Bytes of all inputs and of the output.
    fn moved(&self, node: &Node) -> u64 {
        let read: u64 = node.inputs.iter().map(|&input| map_bytes(self.network.node(input).shape)).sum();
        read + map_bytes(node.shape)
    }

    fn push(&mut self, node: &Node, suffix: &str, op: &'static str, unit: Unit, count: usize, work: Work) {
        let name = [node.name.as_str(), suffix].concat();
        self.stages.push(Stage { name, op, unit, count, work, tiling: None, memory: 0 });
    }

    fn shave(&mut self, node: &Node, work: Work) {
        self.push(node, "", node.op.name(), Unit::Shave, 1, work);
    }

    fn copy(&mut self, node: &Node, suffix: &str, count: usize, bytes: u64) {
        if count > 0 {
            self.push(node, suffix, "copy", Unit::Dma, count, Work::Copied(bytes));
        }
    }

    /// A conversion between binary32 and binary16, which reads and writes 6 bytes a value.
    fn convert(&mut self, node: &Node, suffix: &str) {
        let work = Work::Elementwise(3 * map_bytes(node.shape));
        self.push(node, suffix, "convert", Unit::Shave, 1, work);
    }

    /// A value that nothing else reads is written in place, and one that is cut into tiles is copied tile by tile
    /// anyway; the others are copied, and so is the host's image.
    fn concat(&mut self, node: &Node) {
        let limit = self.device.tiling_limit() as u64;
        let result = map_bytes(node.shape) > self.device.description().cmx.slice_bytes as u64;
        let copied = node.inputs.iter().filter(|&&input| {
            let whole = map_bytes(self.network.node(input).shape) <= limit;
            input == self.network.input() || (result && whole && self.readers(input) > 1)
        });
        let (count, bytes) = copied.fold((0, 0), |(count, bytes), &input| {
            (count + 1, bytes + 2 * map_bytes(self.network.node(input).shape))
        });
        match count {
            0 => self.push(node, "", node.op.name(), Unit::Fused, 0, Work::None),
            _ => self.push(node, "", node.op.name(), Unit::Dma, count, Work::Copied(bytes)),
        }
    }

    /// How often a value is read.
    fn readers(&self, id: NodeId) -> usize {
        let reads = |node: &Node| node.inputs.iter().filter(|&&input| input == id).count();
        self.network.nodes()[id.index() + 1..].iter().map(reads).sum()
    }

    fn convolution(&mut self, id: NodeId, node: &Node, conv: Conv2d) {
        let input = self.network.node(node.inputs[0]).shape;
        let nce = &self.device.description().nce;
        let engine = conv.kernel.iter().all(|&size| size <= nce.max_kernel)
            && conv.stride[0] == conv.stride[1]
            && conv.stride[0] <= nce.max_stride;
        let pooling = fuse::pooling(self.network, &self.absorbed, id);
        let whole = Conv {
            in_channels: input.channels / conv.groups,
            out_channels: conv.out_channels / conv.groups,
            height: input.height,
            width: input.width,
            kernel: conv.kernel,
            stride: conv.stride[0],
            padding: conv.padding,
            fusion: if pooling.is_some() { Fusion::MaxPool2 } else { Fusion::None },
        };
        if !engine {
            return self.on_shave(id, node, conv);
        }
        // Blocks of a depthwise convolution clamp by themselves, groups do not.
        self.spilled[id.index()].clamp = conv.groups > 1 && !is_depthwise(conv, input);
        if let Some(parts) = self.parts(conv, whole) {
            return self.on_nce(node, &parts);
        }
        self.spilled[id.index()].pooling = true;
        match self.parts(conv, Conv { fusion: Fusion::None, ..whole }) {
            Some(parts) => self.on_nce(node, &parts),
            None => self.on_shave(id, node, conv),
        }
    }

    /// The dense convolutions that `conv` becomes, each with its tiling and how often it occurs; `None` where one of
    /// them does not fit.
    fn parts(&self, conv: Conv2d, whole: Conv) -> Option<Vec<(Conv, Tiling, usize)>> {
        let tiled = |part: Conv, count: usize| self.tile(part).map(|(part, tiling)| (part, tiling, count));
        if conv.groups == 1 || whole.in_channels != 1 || whole.out_channels != 1 {
            return Some(vec![tiled(whole, conv.groups)?]);
        }
        let block = self.block(&whole, conv.groups);
        let part = |channels| Conv { in_channels: channels, out_channels: channels, ..whole };
        let mut parts = vec![tiled(part(block), conv.groups / block)?];
        if !conv.groups.is_multiple_of(block) {
            parts.push(tiled(part(conv.groups % block), 1)?);
        }
        Some(parts)
    }

    fn tile(&self, conv: Conv) -> Option<(Conv, Tiling)> {
        let (description, limit) = (self.device.description(), self.device.tiling_limit());
        let tiling = conv.tile(&description.nce, &description.tiling, limit)?;
        Some((conv, tiling))
    }

    /// Channels of one dense block of a depthwise convolution of `channels` channels: the cheapest, the fewest of
    /// equals; all where no block fits.
    fn block(&self, conv: &Conv, channels: usize) -> usize {
        let nce = &self.device.description().nce;
        let cost = |block: usize| {
            let tile = ConvTile {
                in_channels: block,
                out_channels: block,
                height: conv.height,
                width: conv.width,
                kernel: conv.kernel,
                stride: conv.stride,
            };
            nce.cost(&tile).map(|found| (found.cost * channels.div_ceil(block) as u64, block))
        };
        (1..channels).filter_map(cost).min().map_or(channels, |(_, block)| block)
    }

    fn on_nce(&mut self, node: &Node, parts: &[(Conv, Tiling, usize)]) {
        let blocks: usize = parts.iter().map(|(.., count)| count).sum();

        for (at, (conv, tiling, count)) in parts.iter().enumerate() {
            let suffix = if at == 0 { "" } else { "@rest" };
            let pad = self.pad(node, conv, tiling, *count);
            let tiling = Tiling {
                cycles: tiling.cycles * *count as u64,
                pixels: tiling.pixels * *count as u64,
                stages: tiling.stages * count,
                sums: tiling.sums * count,
                copies: tiling.copies * count,
                copy_bytes: tiling.copy_bytes * *count as u64,
                ..*tiling
            };
            // A fused pooling has four convolution pixels for each of its own.
            let work = tiling.cycles * if conv.fusion == Fusion::MaxPool2 { 4 } else { 1 };
            let name = [node.name.as_str(), suffix].concat();
            self.stages.push(Stage {
                name,
                op: node.op.name(),
                unit: Unit::Nce,
                count: tiling.stages,
                work: Work::Cycles(work),
                tiling: Some(tiling),
                memory: tiling.tile_bytes + pad,
            });
            self.sums(node, conv, &tiling);
            self.copy(node, "@tiles", tiling.copies, tiling.copy_bytes);
        }
        let cut = parts.iter().any(|(_, tiling, _)| tiling.copies > 0);
        if blocks > 1 && !cut && map_bytes(node.shape) > self.device.tiling_limit() as u64 {
            self.copy(node, "@join", blocks, 2 * map_bytes(node.shape));
        }
    }

    /// Copies an input whose channels do not fill the blocks; returns the bytes of one padded input.
    fn pad(&mut self, node: &Node, conv: &Conv, tiling: &Tiling, count: usize) -> usize {
        let inputs = tiling.nce.map_or(1, |nce| nce.mode.inputs);
        if conv.in_channels.is_multiple_of(inputs) {
            return 0;
        }
        let plane = line_bytes(conv.width) * conv.height;
        let padded = plane * conv.in_channels.next_multiple_of(inputs);
        self.copy(node, "@pad", count, (count * (plane * conv.in_channels + padded)) as u64);
        padded
    }

    /// Additions of partial results of a convolution whose input channels are cut.
    fn sums(&mut self, node: &Node, conv: &Conv, tiling: &Tiling) {
        if tiling.sums == 0 {
            return;
        }
        let parts = tiling.grid[2] as u64;
        let values = tiling.pixels / parts * (parts - 1) * conv.out_channels as u64;
        self.push(node, "@sum", "sum", Unit::Shave, tiling.sums, Work::Elementwise(6 * values));
    }

    /// The convolution on the SHAVEs, and the addition of its bias.
    fn on_shave(&mut self, id: NodeId, node: &Node, conv: Conv2d) {
        self.spilled[id.index()].clamp = true;
        let input = self.network.node(node.inputs[0]).shape;
        let taps = input.channels / conv.groups * conv.kernel[0] * conv.kernel[1];
        self.shave(node, Work::Macs((taps * node.shape.len()) as u64));
        self.push(node, "@bias", "bias", Unit::Shave, 1, Work::Elementwise(2 * map_bytes(node.shape)));
    }

    /// A plane that one window holds is pooled on the NCE.
    fn global_pooling(&mut self, node: &Node) {
        let input = self.network.node(node.inputs[0]).shape;
        if input.height.max(input.width) <= self.device.description().nce.max_kernel {
            self.pooling(node, Window { kernel: [input.height, input.width], stride: [1; 2] });
        } else {
            self.shave(node, Work::Gathered(self.moved(node)));
        }
    }

    fn pooling(&mut self, node: &Node, window: Window) {
        let input = self.network.node(node.inputs[0]).shape;
        let description = self.device.description();
        let largest = window.kernel[0].max(window.kernel[1]);
        let strange = matches!(node.op, Op::AvgPool(_)) && window.kernel == [3; 2] && window.stride == [2; 2];
        let conv = Conv {
            in_channels: input.channels,
            out_channels: input.channels,
            height: input.height,
            width: input.width,
            kernel: window.kernel,
            stride: window.stride[0],
            padding: [0; 2],
            fusion: Fusion::None,
        };
        let engine = window.stride[0] == window.stride[1]
            && !strange
            && largest <= description.nce.max_kernel
            && window.stride[0] <= description.nce.max_stride;
        let tiling = if engine {
            conv.tile_pool(&description.nce, &description.tiling, self.device.tiling_limit())
        } else {
            None
        };
        let moved = self.moved(node);
        let Some(tiling) = tiling else {
            return self.shave(node, Work::Gathered(moved));
        };
        self.stages.push(Stage {
            name: node.name.clone(),
            op: node.op.name(),
            unit: Unit::Nce,
            count: tiling.stages,
            work: Work::Pooled(moved),
            tiling: Some(tiling),
            memory: tiling.tile_bytes,
        });
        self.copy(node, "@tiles", tiling.copies, tiling.copy_bytes);
    }
}
