//! The reference network of the training benchmark: a small U-Net of a stem, an inverted residual block with
//! squeeze-and-excitation, a residual block and a decoder; 100,474 parameters for 3 bands and 2 classes.

use boresight::ir::{Builder, Conv2d, Error, Network, NodeId, Op, Resize, Shape, Window};

const EPSILON: f32 = 1e-5;

/// The reference network for images of `bands` x `size` x `size`; `size` is a multiple of 8.
///
/// # Errors
/// When the size is too small to be pooled three times.
pub(crate) fn network(bands: usize, classes: usize, size: usize) -> Result<Network, Error> {
    let mut net = Parts(Builder::new(Shape::new(bands, size, size))?);
    let input = net.0.input();
    let stem = net.conv_norm_relu("stem", input, Conv2d::same(16, 3))?;
    let one = net.conv_norm_relu("e1", stem, Conv2d::same(16, 3))?;
    let two = net.pool("pool1", one)?;
    let two = net.inverted_residual("e2", two, 24)?;
    let three = net.pool("pool2", two)?;
    let three = net.residual("e3", three, 32)?;
    let four = net.pool("pool3", three)?;
    let four = net.conv_norm_relu("b1", four, Conv2d::same(48, 3))?;
    let four = net.conv_norm_relu("b2", four, Conv2d::same(48, 3))?;
    let three = net.up("u3", four, three, 32)?;
    let two = net.up("u2", three, two, 24)?;
    let one = net.up("u1", two, one, 16)?;
    let head = net.0.add("head", Op::Conv2d(Conv2d::same(classes, 1)), &[one])?;
    net.0.finish(head)
}

/// A network under construction, block by block.
struct Parts(Builder);

impl Parts {
    fn conv_norm(&mut self, name: &str, from: NodeId, conv: Conv2d) -> Result<NodeId, Error> {
        let conv = self.0.add(format!("{name}.conv"), Op::Conv2d(conv.without_bias()), &[from])?;
        self.0.add(format!("{name}.norm"), Op::BatchNorm { epsilon: EPSILON }, &[conv])
    }

    fn conv_norm_relu(&mut self, name: &str, from: NodeId, conv: Conv2d) -> Result<NodeId, Error> {
        let norm = self.conv_norm(name, from, conv)?;
        self.0.add(format!("{name}.relu"), Op::Relu, &[norm])
    }

    fn pool(&mut self, name: &str, from: NodeId) -> Result<NodeId, Error> {
        self.0.add(name, Op::MaxPool(Window::square(2)), &[from])
    }

    /// Expansion by 4, depthwise convolution, squeeze-and-excitation, projection.
    fn inverted_residual(&mut self, name: &str, from: NodeId, out: usize) -> Result<NodeId, Error> {
        let wide = 4 * self.0.shape(from).channels;
        let expand = self.conv_norm_relu(&format!("{name}.e"), from, Conv2d::same(wide, 1))?;
        let depth = self.conv_norm_relu(&format!("{name}.d"), expand, Conv2d::same(wide, 3).depthwise())?;
        let mean = self.0.add(format!("{name}.s.mean"), Op::GlobalAvgPool, &[depth])?;
        let squeeze = self.0.add(format!("{name}.s.a"), Op::Conv2d(Conv2d::same(wide / 4, 1)), &[mean])?;
        let squeeze = self.0.add(format!("{name}.s.relu"), Op::Relu, &[squeeze])?;
        let excite = self.0.add(format!("{name}.s.b"), Op::Conv2d(Conv2d::same(wide, 1)), &[squeeze])?;
        let excite = self.0.add(format!("{name}.s.sigmoid"), Op::Sigmoid, &[excite])?;
        let scaled = self.0.add(format!("{name}.s.scale"), Op::ChannelScale, &[depth, excite])?;
        self.conv_norm(&format!("{name}.p"), scaled, Conv2d::same(out, 1))
    }

    /// A bottleneck of half the channels, with a projected shortcut.
    fn residual(&mut self, name: &str, from: NodeId, out: usize) -> Result<NodeId, Error> {
        let narrow = self.conv_norm_relu(&format!("{name}.a"), from, Conv2d::same(out / 2, 1))?;
        let narrow = self.conv_norm_relu(&format!("{name}.b"), narrow, Conv2d::same(out / 2, 3))?;
        let wide = self.conv_norm(&format!("{name}.c"), narrow, Conv2d::same(out, 1))?;
        let shortcut = self.conv_norm(&format!("{name}.k"), from, Conv2d::same(out, 1))?;
        let sum = self.0.add(format!("{name}.sum"), Op::Add, &[wide, shortcut])?;
        self.0.add(format!("{name}.relu"), Op::Relu, &[sum])
    }

    /// Projection, nearest upsampling to the skip's size, concatenation with it, two convolutions.
    fn up(&mut self, name: &str, from: NodeId, skip: NodeId, out: usize) -> Result<NodeId, Error> {
        let narrow = self.0.add(format!("{name}.p"), Op::Conv2d(Conv2d::same(out, 1)), &[from])?;
        let Shape { height, width, .. } = self.0.shape(skip);
        let upsample = Op::Upsample { resize: Resize::Nearest, size: [height, width] };
        let large = self.0.add(format!("{name}.up"), upsample, &[narrow])?;
        let both = self.0.add(format!("{name}.cat"), Op::Concat, &[large, skip])?;
        let first = self.conv_norm_relu(&format!("{name}.a"), both, Conv2d::same(out, 3))?;
        self.conv_norm_relu(&format!("{name}.b"), first, Conv2d::same(out, 3))
    }
}
