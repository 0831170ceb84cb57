//! What the compiler refuses, and its neighbours that it takes.
//!
//! It takes nearly all that a `Network` can say: what it cannot run on the engine it leaves to the vector cores. It refuses
//! a buffer of 2^31 bytes, and padding with minus infinity that no max pooling with a larger window takes in.

use crate::judge::judge;
use boresight::deploy::onnx::Opset;
use boresight::ir::{Builder, Conv2d, Filling, Network, Op, Resize, Shape, Window};

fn chain([channels, height, width]: [usize; 3], ops: &[Op]) -> Network {
    let mut builder = Builder::new(Shape::new(channels, height, width)).unwrap();
    let mut last = builder.input();
    for (at, &op) in ops.iter().enumerate() {
        last = builder.add(format!("n{at}"), op, &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

fn named(ops: &[([usize; 3], Vec<Op>)]) -> Vec<(String, Network)> {
    ops.iter().map(|(shape, ops)| (format!("{shape:?} {ops:?}"), chain(*shape, ops))).collect()
}

const fn conv(out_channels: usize, kernel: usize, stride: usize, padding: usize) -> Conv2d {
    Conv2d {
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [padding; 2],
        ..Conv2d::same(out_channels, 1)
    }
}

const fn pool(kernel: usize, stride: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2] }
}

const fn lowest(lines: usize) -> Op {
    Op::Pad { rows: [lines; 2], columns: [lines; 2], filling: Filling::Lowest }
}

/// A map of that many channels and 2048 x 2048 pixels in the middle of a network of small ones.
fn swollen(channels: usize) -> ([usize; 3], Vec<Op>) {
    let grown = Op::Upsample { resize: Resize::Nearest, size: [2048; 2] };
    ([channels, 64, 64], vec![grown, Op::AvgPool(pool(2, 32))])
}

#[test]
fn both_refuse_the_same_networks() {
    let refused = named(&[
        ([128, 2048, 2048], vec![Op::Relu]),
        ([8, 2048, 2048], vec![Op::Conv2d(conv(128, 1, 1, 0))]),
        ([1, 32768, 16384], vec![Op::Relu]),
        swollen(256),
        ([8, 16, 16], vec![lowest(1)]),
        ([8, 16, 16], vec![lowest(1), Op::Relu]),
        ([8, 16, 16], vec![lowest(3), Op::MaxPool(pool(3, 1))]),
        ([8, 16, 16], vec![lowest(2), Op::MaxPool(pool(2, 2))]),
        ([8, 16, 16], vec![Op::Conv2d(conv(8, 3, 1, 1)), lowest(2), Op::AvgPool(pool(3, 1))]),
    ]);
    let Some(verdict) = judge(&refused, 2, Opset::V11) else { return };
    let all = refused.len();
    assert_eq!((verdict.refused, verdict.same_refusals), (all, all), "{verdict:#?}");
}

#[test]
fn both_take_what_is_just_within_the_limits_and_other_extremes() {
    let mut taken = vec![
        ([127, 2048, 2048], vec![Op::Relu]),
        ([8, 2048, 2048], vec![Op::Conv2d(conv(127, 1, 1, 0))]),
        swollen(255),
        ([8, 16, 16], vec![lowest(1), Op::MaxPool(pool(3, 1))]),
        ([8, 16, 16], vec![lowest(2), Op::MaxPool(pool(3, 1))]),
        ([8, 16, 16], vec![lowest(1), Op::MaxPool(pool(2, 2))]),
        ([2, 4, 60_000], vec![Op::Relu]),
        ([60_000, 4, 4], vec![Op::Relu]),
        ([4, 4, 5000], vec![Op::Conv2d(conv(4, 3, 1, 1))]),
        ([4, 5000, 4], vec![Op::Conv2d(conv(4, 3, 1, 1))]),
        ([3000, 8, 8], vec![Op::Conv2d(conv(8, 1, 1, 0))]),
        ([8, 8, 8], vec![Op::Conv2d(conv(3000, 1, 1, 0))]),
        ([5000, 8, 8], vec![Op::Softmax]),
        ([1, 8, 8], vec![Op::Softmax]),
        ([8, 64, 64], vec![Op::Conv2d(conv(8, 63, 1, 31))]),
        ([8, 4, 4], vec![Op::Conv2d(conv(8, 31, 1, 15))]),
        ([8, 64, 64], vec![Op::Conv2d(conv(8, 3, 33, 1))]),
        ([8, 16, 16], vec![Op::Conv2d(conv(8, 3, 1, 5))]),
        ([8, 16, 16], vec![Op::Conv2d(conv(8, 1, 1, 16))]),
        ([8, 64, 64], vec![Op::MaxPool(pool(64, 1))]),
        ([8, 64, 64], vec![Op::MaxPool(pool(3, 9))]),
        ([8, 64, 64], vec![Op::AvgPool(pool(33, 3))]),
        ([8, 64, 64], vec![Op::MaxPool(pool(1, 2))]),
        ([8, 512, 512], vec![Op::GlobalAvgPool]),
        ([8, 1, 1], vec![Op::Upsample { resize: Resize::Bilinear, size: [64; 2] }]),
        ([8, 64, 64], vec![Op::Upsample { resize: Resize::Nearest, size: [19; 2] }]),
        ([1, 1, 1], vec![Op::Sigmoid]),
    ];
    for groups in [2, 4, 8] {
        taken.push(([8, 16, 16], vec![Op::Conv2d(Conv2d { groups, ..conv(16, 3, 1, 1) })]));
    }
    let taken = named(&taken);
    let Some(verdict) = judge(&taken, 2, Opset::V11) else { return };
    assert_eq!((verdict.refused, verdict.same_refusals), (0, taken.len()), "{verdict:#?}");
}
