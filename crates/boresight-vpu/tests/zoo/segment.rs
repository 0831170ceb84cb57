//! The residual encoder-decoder of the NCS2 comparison, and single layers.

use super::build::{Act, Build, Built};
use boresight_ir::{Conv2d, Error, Filling, NodeId, Op};

/// `github.com/NitinJSanket/prg_prgncs`: four residual blocks with max pooling, four times a transposed 3x3 convolution with
/// stride 2 and a 3x3 convolution, and four outputs. Its layers are not listed; these have its numbers of parameters for every
/// published width and number of bands.
pub(super) fn encoder_decoder(mut build: Build, width: usize) -> Result<Built, Error> {
    let mut map = build.input();
    for stage in 0..4 {
        let channels = width << stage;
        let first = build.conv(map, channels, [3, 1], Act::Relu)?;
        let second = build.conv(first, channels, [3, 1], Act::None)?;
        let skip = build.conv(map, channels, [1, 1], Act::None)?;
        let sum = build.add(Op::Add, &[second, skip])?;
        let sum = build.add(Op::Relu, &[sum])?;
        map = build.max_pool(sum, 2, 2)?;
    }
    for stage in [3, 2, 1, 0] {
        let channels = width << stage;
        map = enlarge(&mut build, map, channels)?;
        map = build.conv(map, channels, [3, 1], Act::Relu)?;
    }
    let outputs = build.conv(map, 4, [3, 1], Act::None)?;
    build.finish(&[outputs])
}

fn enlarge(build: &mut Build, map: NodeId, channels: usize) -> Result<NodeId, Error> {
    let map = build.add(Op::ZeroStuff { stride: [2; 2] }, &[map])?;
    let pads = [1, 2];
    let map = build.add(Op::Pad { rows: pads, columns: pads, filling: Filling::Zero }, &[map])?;
    let conv = Conv2d { padding: [0; 2], ..Conv2d::same(channels, 3) };
    let map = build.add(Op::Conv2d(conv), &[map])?;
    build.add(Op::Relu, &[map])
}

pub(super) fn layer(mut build: Build, channels: usize, kernel: usize) -> Result<Built, Error> {
    let map = build.conv(build.input(), channels, [kernel, 1], Act::None)?;
    build.finish(&[map])
}
