//! Convolutions of any shape.

use crate::judge::judge;
use boresight::core::{Seed, Stream};
use boresight::deploy::onnx::Opset;
use boresight::ir::{Builder, Conv2d, Network, Op, Shape};

/// A convolution between two others is what a convolution is in a network; alone it also shows the ends.
fn drawn(stream: &mut Stream, largest: [usize; 2]) -> (String, Network) {
    let [channels, size] = largest;
    let kernel = 1 + 2 * stream.below(4);
    let stride = if stream.chance(0.3) { 2 } else { 1 };
    let [from, to] = [1 + stream.below(channels), 1 + stream.below(channels)];
    let side = |stream: &mut Stream| kernel + stream.below(size);
    let shape = Shape::new(from, side(stream), side(stream));
    let padding = if stream.chance(0.5) { kernel / 2 } else { 0 };
    let conv =
        Conv2d { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 2], ..Conv2d::same(to, 1) };
    let mut builder = Builder::new(shape).unwrap();
    let mut last = builder.add("conv", Op::Conv2d(conv), &[builder.input()]).unwrap();
    if stream.chance(0.3) {
        last = builder.add("relu", Op::Relu, &[last]).unwrap();
    }
    (format!("{shape} {conv:?}"), builder.finish(last).unwrap())
}

#[test]
fn convolutions_of_any_shape_become_the_compilers_stages() {
    let mut stream = Seed::new(5).stream();
    let mut cases: Vec<_> = (0..120).map(|_| drawn(&mut stream, [256, 220])).collect();
    cases.extend((0..60).map(|_| drawn(&mut stream, [64, 64])));
    cases.extend((0..20).map(|_| drawn(&mut stream, [16, 600])));
    let Some(verdict) = judge(&cases, 2, Opset::V11) else { return };
    // One of these is cut otherwise, and four small ones lie otherwise in the on-chip memory.
    let all = verdict.networks;
    assert_eq!(verdict.same_refusals, all, "{verdict:#?}");
    assert!(100 * verdict.nce_missing <= verdict.nce_stages, "{verdict:#?}");
    assert!(100 * verdict.same_units >= 99 * all && 100 * verdict.near_cycles >= 99 * all, "{verdict:#?}");
    assert!(100 * verdict.near_cmx >= 95 * all, "{verdict:#?}");
}
