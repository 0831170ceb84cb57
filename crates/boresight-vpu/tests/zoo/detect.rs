//! Networks that detect, up to their last convolutions; boxes are decoded by the host.

use super::build::{Act, Build, Built};
use boresight_ir::{Error, NodeId, Op};

/// github.com/meituan/YOLOv6, release 0.2, YOLOv6-N, as it is deployed: one 3x3 convolution a `RepVGG` block.
pub(super) fn yolov6n(mut build: Build) -> Result<Built, Error> {
    let mut map = build.conv(build.input(), 16, [3, 2], Act::Relu)?;
    let mut scales = Vec::new();
    for (width, blocks) in [(32, 2), (64, 4), (128, 6), (256, 2)] {
        map = build.conv(map, width, [3, 2], Act::Relu)?;
        map = rep(&mut build, map, width, blocks)?;
        scales.push(map);
    }
    let half = build.conv(map, 128, [1, 1], Act::Relu)?;
    let pools = build.pyramid(half)?;
    let top = build.conv(pools, 256, [1, 1], Act::Relu)?;
    let reduced = build.conv(top, 64, [1, 1], Act::Relu)?;
    let up = build.transposed(reduced, 64)?;
    let joined = build.concat(&[up, scales[2]])?;
    let middle = rep(&mut build, joined, 64, 4)?;
    let reduced_middle = build.conv(middle, 32, [1, 1], Act::Relu)?;
    let up = build.transposed(reduced_middle, 32)?;
    let joined = build.concat(&[up, scales[1]])?;
    let fine = rep(&mut build, joined, 32, 4)?;
    let down = build.conv(fine, 32, [3, 2], Act::Relu)?;
    let joined = build.concat(&[down, reduced_middle])?;
    let middle = rep(&mut build, joined, 64, 4)?;
    let down = build.conv(middle, 64, [3, 2], Act::Relu)?;
    let joined = build.concat(&[down, reduced])?;
    let coarse = rep(&mut build, joined, 128, 4)?;
    let mut outputs = Vec::new();
    for (map, width) in [(fine, 32), (middle, 64), (coarse, 128)] {
        let stem = build.conv(map, width, [1, 1], Act::Silu)?;
        let classes = build.conv(stem, width, [3, 1], Act::Silu)?;
        let classes = build.conv(classes, 80, [1, 1], Act::None)?;
        let classes = build.add(Op::Sigmoid, &[classes])?;
        let boxes = build.conv(stem, width, [3, 1], Act::Silu)?;
        let boxes = build.conv(boxes, 4, [1, 1], Act::None)?;
        outputs.push(build.concat(&[boxes, classes])?);
    }
    build.finish(&outputs)
}

fn rep(build: &mut Build, map: NodeId, width: usize, blocks: usize) -> Result<NodeId, Error> {
    (0..blocks).try_fold(map, |map, _| build.conv(map, width, [3, 1], Act::Relu))
}

/// github.com/WongKinYiu/yolov7, cfg/deploy/yolov7-tiny.yaml, with `LeakyReLU`.
pub(super) fn yolov7_tiny(mut build: Build) -> Result<Built, Error> {
    let act = Act::Leaky;
    let mut map = build.conv(build.input(), 32, [3, 2], act)?;
    map = build.conv(map, 64, [3, 2], act)?;
    map = elan(&mut build, map, 32, 64)?;
    let mut scales = Vec::new();
    for width in [64, 128, 256] {
        map = build.max_pool(map, 2, 2)?;
        map = elan(&mut build, map, width, 2 * width)?;
        scales.push(map);
    }
    let left = build.conv(map, 256, [1, 1], act)?;
    let right = build.conv(map, 256, [1, 1], act)?;
    let [small, medium, large] = [5, 9, 13].map(|kernel| build.max_pool(right, kernel, 1));
    let pools = build.concat(&[large?, medium?, small?, right])?;
    let pools = build.conv(pools, 256, [1, 1], act)?;
    let joined = build.concat(&[pools, left])?;
    let top = build.conv(joined, 256, [1, 1], act)?;
    let middle = ascend(&mut build, top, scales[1], 128)?;
    let fine = ascend(&mut build, middle, scales[0], 64)?;
    let down = build.conv(fine, 128, [3, 2], act)?;
    let joined = build.concat(&[down, middle])?;
    let middle = elan(&mut build, joined, 64, 128)?;
    let down = build.conv(middle, 256, [3, 2], act)?;
    let joined = build.concat(&[down, top])?;
    let coarse = elan(&mut build, joined, 128, 256)?;
    let mut outputs = Vec::new();
    for (map, width) in [(fine, 128), (middle, 256), (coarse, 512)] {
        let map = build.conv(map, width, [3, 1], act)?;
        let map = build.conv(map, 255, [1, 1], Act::None)?;
        outputs.push(build.add(Op::Sigmoid, &[map])?);
    }
    build.finish(&outputs)
}

fn elan(build: &mut Build, map: NodeId, width: usize, made: usize) -> Result<NodeId, Error> {
    let first = build.conv(map, width, [1, 1], Act::Leaky)?;
    let second = build.conv(map, width, [1, 1], Act::Leaky)?;
    let third = build.conv(second, width, [3, 1], Act::Leaky)?;
    let fourth = build.conv(third, width, [3, 1], Act::Leaky)?;
    let joined = build.concat(&[fourth, third, second, first])?;
    build.conv(joined, made, [1, 1], Act::Leaky)
}

fn ascend(build: &mut Build, map: NodeId, skip: NodeId, width: usize) -> Result<NodeId, Error> {
    let reduced = build.conv(map, width, [1, 1], Act::Leaky)?;
    let up = build.double(reduced)?;
    let skip = build.conv(skip, width, [1, 1], Act::Leaky)?;
    let joined = build.concat(&[skip, up])?;
    elan(build, joined, width / 2, width)
}

/// github.com/ultralytics/ultralytics, yolov8.yaml: widths of the five stages, and blocks of the shallowest.
pub(super) fn yolov8(mut build: Build, widths: [usize; 5], depth: usize) -> Result<Built, Error> {
    let act = Act::Silu;
    let mut map = build.conv(build.input(), widths[0], [3, 2], act)?;
    let mut scales = Vec::new();
    for (&width, blocks) in widths[1..].iter().zip([depth, 2 * depth, 2 * depth, depth]) {
        map = build.conv(map, width, [3, 2], act)?;
        map = partial(&mut build, map, width, blocks, true)?;
        scales.push(map);
    }
    let half = build.conv(map, widths[4] / 2, [1, 1], act)?;
    let pools = build.pyramid(half)?;
    let top = build.conv(pools, widths[4], [1, 1], act)?;
    let up = build.double(top)?;
    let joined = build.concat(&[up, scales[2]])?;
    let middle = partial(&mut build, joined, widths[3], depth, false)?;
    let up = build.double(middle)?;
    let joined = build.concat(&[up, scales[1]])?;
    let fine = partial(&mut build, joined, widths[2], depth, false)?;
    let down = build.conv(fine, widths[2], [3, 2], act)?;
    let joined = build.concat(&[down, middle])?;
    let middle = partial(&mut build, joined, widths[3], depth, false)?;
    let down = build.conv(middle, widths[3], [3, 2], act)?;
    let joined = build.concat(&[down, top])?;
    let coarse = partial(&mut build, joined, widths[4], depth, false)?;
    let (boxes, classes) = ((widths[2] / 4).max(64), widths[2].max(80));
    let mut outputs = Vec::new();
    for map in [fine, middle, coarse] {
        let mut sides = Vec::new();
        for (width, made) in [(boxes, 64), (classes, 80)] {
            let side = build.conv(map, width, [3, 1], act)?;
            let side = build.conv(side, width, [3, 1], act)?;
            sides.push(build.conv(side, made, [1, 1], Act::None)?);
        }
        outputs.push(build.concat(&sides)?);
    }
    build.finish(&outputs)
}

/// The block `C2f`: half of the channels goes on, and all in-between results are joined.
fn partial(build: &mut Build, map: NodeId, width: usize, blocks: usize, adds: bool) -> Result<NodeId, Error> {
    let map = build.conv(map, width, [1, 1], Act::Silu)?;
    let half = width / 2;
    let mut last = build.slice(map, half, half)?;
    let mut parts = vec![build.slice(map, 0, half)?, last];
    for _ in 0..blocks {
        let first = build.conv(last, half, [3, 1], Act::Silu)?;
        let second = build.conv(first, half, [3, 1], Act::Silu)?;
        last = if adds { build.add(Op::Add, &[second, last])? } else { second };
        parts.push(last);
    }
    let joined = build.concat(&parts)?;
    build.conv(joined, width, [1, 1], Act::Silu)
}
