//! Single operators and small blocks, among them those of the table of 127 operators that a `Network` can express.

use crate::judge::judge;
use boresight::deploy::onnx::Opset;
use boresight::ir::{Builder, Conv2d, Filling, Network, NodeId, Op, Resize, Shape, Window};

const IMAGE: Shape = Shape::new(32, 64, 64);

/// A network under construction.
struct Build(Builder, NodeId, usize);

impl Build {
    fn on(shape: Shape) -> Self {
        let builder = Builder::new(shape).unwrap();
        let input = builder.input();
        Self(builder, input, 0)
    }

    fn add(&mut self, op: Op, inputs: &[NodeId]) -> NodeId {
        self.2 += 1;
        self.0.add(format!("n{:02}", self.2), op, inputs).unwrap()
    }

    fn then(mut self, op: Op) -> Self {
        self.1 = self.add(op, &[self.1]);
        self
    }

    fn done(self) -> Network {
        self.0.finish(self.1).unwrap()
    }
}

fn conv(channels: usize, kernel: usize) -> Conv2d {
    Conv2d::same(channels, kernel)
}

fn chain(ops: &[Op]) -> Network {
    chain_on(IMAGE, ops)
}

fn chain_on(shape: Shape, ops: &[Op]) -> Network {
    ops.iter().fold(Build::on(shape), |build, &op| build.then(op)).done()
}

fn pool(kernel: usize, stride: usize) -> Window {
    Window { kernel: [kernel; 2], stride: [stride; 2] }
}

const fn pad(rows: [usize; 2], columns: [usize; 2]) -> Op {
    Op::Pad { rows, columns, filling: Filling::Zero }
}

fn convolutions(cases: &mut Vec<(String, Network)>) {
    for kernel in [1, 3, 5, 7, 9, 11, 13, 15] {
        cases.push((format!("conv{kernel}x{kernel}"), chain(&[Op::Conv2d(conv(32, kernel))])));
    }
    for kernel in [2, 4, 16] {
        let op =
            Conv2d { kernel: [kernel; 2], padding: [kernel / 2 - usize::from(kernel > 2); 2], ..conv(32, 1) };
        cases.push((format!("conv{kernel}x{kernel}"), chain(&[Op::Conv2d(op)])));
    }
    for kernel in [1, 5, 7] {
        cases.push((format!("conv{kernel}x{kernel}s2"), chain(&[Op::Conv2d(conv(32, kernel).strided(2))])));
    }
    for stride in [2, 3, 4, 8, 16] {
        cases.push((format!("conv3x3s{stride}"), chain(&[Op::Conv2d(conv(32, 3).strided(stride))])));
    }
    for (kernel, padding) in [([1, 3], [0, 1]), ([3, 1], [1, 0]), ([1, 7], [0, 3])] {
        let op = Conv2d { kernel, padding, ..conv(32, 1) };
        cases.push((format!("conv{kernel:?}"), chain(&[Op::Conv2d(op)])));
    }
    for channels in [1, 2, 3, 7, 8, 9, 17, 33, 47, 64] {
        cases.push((format!("conv3x3_co{channels}"), chain(&[Op::Conv2d(conv(channels, 3))])));
    }
    for channels in [1, 3, 4, 7, 8, 13] {
        let image = Shape::new(channels, 64, 64);
        cases.push((format!("conv3x3_cin{channels}"), chain_on(image, &[Op::Conv2d(conv(32, 3))])));
    }
    for groups in [2, 4, 8, 16] {
        let op = Conv2d { groups, ..conv(32, 3) };
        for post in [None, Some(Op::Relu), Some(Op::Relu6)] {
            let ops: Vec<Op> = [Some(Op::Conv2d(op)), post].into_iter().flatten().collect();
            cases.push((format!("conv3x3_group{groups} {post:?}"), chain(&ops)));
        }
    }
    for (kernel, stride) in [(3, 1), (3, 2), (5, 1), (5, 2), (7, 1), (9, 1)] {
        let op = Op::Conv2d(conv(32, kernel).depthwise().strided(stride));
        cases.push((format!("dw{kernel}x{kernel}s{stride}"), chain(&[op])));
        cases.push((format!("dw{kernel}x{kernel}s{stride} relu6"), chain(&[op, Op::Relu6])));
    }
    let uneven = Conv2d { stride: [1, 2], ..conv(32, 3) };
    cases.push(("conv3x3_s(1,2)".into(), chain(&[Op::Conv2d(uneven)])));
    cases.push(("conv3x3_s(1,2)+relu".into(), chain(&[Op::Conv2d(uneven), Op::Relu])));
    cases.push((
        "conv16x16+relu".into(),
        chain(&[Op::Conv2d(Conv2d { kernel: [16; 2], padding: [7; 2], ..conv(32, 1) }), Op::Relu]),
    ));
    for (kernel, padding) in [(3, 0), (5, 1), (1, 1), (5, 0)] {
        let op = Conv2d { kernel: [kernel; 2], padding: [padding; 2], ..conv(32, 1) };
        cases.push((format!("conv{kernel} pad {padding}"), chain(&[Op::Conv2d(op)])));
    }
}

fn activations(cases: &mut Vec<(String, Network)>) {
    let after = |op: Op| chain(&[Op::Conv2d(conv(32, 3)), op]);
    let ops = [
        Op::Relu,
        Op::Relu6,
        Op::Gelu,
        Op::Sigmoid,
        Op::LeakyRelu { slope: 0.1 },
        Op::LeakyRelu { slope: 0.3 },
        Op::Clip { low: -1.0, high: 1.0 },
        Op::Clip { low: 0.0, high: 4.0 },
        Op::BatchNorm { epsilon: 1e-5 },
        Op::ScaleShift,
    ];
    for op in ops {
        cases.push((format!("conv3x3+{op:?}"), after(op)));
        cases.push((format!("{op:?} alone"), chain(&[op])));
        cases.push((
            format!("conv3x3+bn+{op:?}"),
            chain(&[Op::Conv2d(conv(32, 3)), Op::BatchNorm { epsilon: 1e-5 }, op]),
        ));
    }
    cases.push(("bn+relu alone".into(), chain(&[Op::BatchNorm { epsilon: 1e-5 }, Op::Relu])));
    let mut swish = Build::on(IMAGE).then(Op::Conv2d(conv(32, 3)));
    let gate = swish.add(Op::Sigmoid, &[swish.1]);
    swish.1 = swish.add(Op::Mul, &[swish.1, gate]);
    cases.push(("conv3x3+swish".into(), swish.done()));
}

fn poolings(cases: &mut Vec<(String, Network)>) {
    for (kernel, stride) in [(2, 2), (2, 1), (3, 1), (3, 2), (3, 3), (5, 1), (9, 1), (16, 1), (5, 3)] {
        let window = pool(kernel, stride);
        cases.push((format!("max{kernel}s{stride}"), chain(&[Op::MaxPool(window)])));
        cases.push((format!("avg{kernel}s{stride}"), chain(&[Op::AvgPool(window)])));
        let padding = Op::Pad { rows: [kernel / 2; 2], columns: [kernel / 2; 2], filling: Filling::Lowest };
        if kernel % 2 == 1 {
            cases.push((format!("max{kernel}s{stride} padded"), chain(&[padding, Op::MaxPool(window)])));
        }
    }
    cases.push(("GlobalMaxPool".into(), chain(&[Op::MaxPool(pool(64, 1))])));
    cases.push(("FC".into(), chain(&[Op::GlobalAvgPool, Op::Conv2d(conv(10, 1))])));
    for side in [7, 14, 15, 16, 32, 63, 65] {
        let image = Shape::new(32, side, side);
        cases.push((format!("global {side}"), chain_on(image, &[Op::GlobalAvgPool])));
        cases.push((format!("max2 {side}"), chain_on(image, &[Op::MaxPool(pool(2, 2))])));
        cases.push((format!("avg2 {side}"), chain_on(image, &[Op::AvgPool(pool(2, 2))])));
    }
    for op in [Op::MaxPool(pool(2, 2)), Op::AvgPool(pool(2, 2))] {
        cases.push((format!("conv+relu+{op:?}"), chain(&[Op::Conv2d(conv(32, 3)), Op::Relu, op])));
        cases.push((format!("{op:?}+relu"), chain(&[op, Op::Relu])));
    }
    cases.push(("conv5+max2".into(), chain(&[Op::Conv2d(conv(32, 5)), Op::MaxPool(pool(2, 2))])));
    let large = Shape::new(16, 256, 256);
    cases.push((
        "large conv+max2".into(),
        chain_on(large, &[Op::Conv2d(conv(64, 3)), Op::Relu, Op::MaxPool(pool(2, 2))]),
    ));
    cases.push((
        "large conv5+avg2".into(),
        chain_on(Shape::new(16, 128, 128), &[Op::Conv2d(conv(64, 5)), Op::AvgPool(pool(2, 2))]),
    ));
}

fn shapes(cases: &mut Vec<(String, Network)>) {
    for resize in [Resize::Nearest, Resize::Bilinear] {
        let op = Op::Upsample { resize, size: [128; 2] };
        cases.push((format!("{resize:?}"), chain(&[op])));
        cases.push((
            format!("conv+{resize:?}+conv"),
            chain(&[Op::Conv2d(conv(32, 3)), op, Op::Conv2d(conv(16, 3))]),
        ));
    }
    cases.push(("pad".into(), chain(&[pad([1; 2], [1; 2])])));
    cases.push((
        "pad+conv".into(),
        chain(&[pad([0, 1], [0, 1]), Op::Conv2d(Conv2d { padding: [0; 2], ..conv(32, 3).strided(2) })]),
    ));
    cases.push((
        "conv+pad+conv".into(),
        chain(&[
            Op::Conv2d(conv(32, 3)),
            pad([1; 2], [1; 2]),
            Op::Conv2d(Conv2d { padding: [0; 2], ..conv(32, 3) }),
        ]),
    ));
    cases.push(("softmax".into(), chain(&[Op::Softmax])));
    cases.push(("conv+softmax".into(), chain(&[Op::Conv2d(conv(32, 3)), Op::Softmax])));
    let depthwise = Op::Conv2d(Conv2d { kernel: [4; 2], padding: [2; 2], ..conv(32, 1).depthwise() });
    cases.push(("deconv_dw4x4s2".into(), chain(&[Op::ZeroStuff { stride: [2; 2] }, depthwise])));
    for (kernel, before, after) in [(2, 1, 1), (4, 2, 2), (3, 1, 1), (3, 1, 2)] {
        let stuff = Op::ZeroStuff { stride: [2; 2] };
        let op = Op::Conv2d(Conv2d { kernel: [kernel; 2], padding: [0; 2], ..conv(32, 1) });
        let ops = [stuff, pad([before, after], [before, after]), op];
        cases.push((format!("deconv{kernel} {before} {after}"), chain(&ops)));
        if before == after {
            let op = Op::Conv2d(Conv2d { kernel: [kernel; 2], padding: [before; 2], ..conv(32, 1) });
            cases.push((format!("deconv{kernel} {before}"), chain(&[stuff, op])));
            cases.push((
                format!("conv deconv{kernel} relu"),
                chain(&[Op::Conv2d(conv(32, 3)), stuff, op, Op::Relu]),
            ));
        }
    }
}

fn joins(cases: &mut Vec<(String, Network)>) {
    for op in [Op::Add, Op::Mul] {
        for post in [None, Some(Op::Relu), Some(Op::LeakyRelu { slope: 0.3 }), Some(Op::Relu6)] {
            let mut build = Build::on(IMAGE).then(Op::Conv2d(conv(32, 3)));
            let input = build.0.input();
            build.1 = build.add(op, &[build.1, input]);
            let build = post.into_iter().fold(build, Build::then);
            cases.push((format!("{op:?} {post:?}"), build.done()));
        }
    }
    for [first, second] in [[16, 16], [17, 15], [32, 64]] {
        for post in [None, Some(Op::Relu), Some(Op::MaxPool(pool(2, 2))), Some(Op::Conv2d(conv(8, 3)))] {
            let mut build = Build::on(IMAGE);
            let input = build.0.input();
            let left = build.add(Op::Conv2d(conv(first, 1)), &[input]);
            let right = build.add(Op::Conv2d(conv(second, 3)), &[input]);
            build.1 = build.add(Op::Concat, &[left, right]);
            let build = post.into_iter().fold(build, Build::then);
            cases.push((format!("concat {first} {second} {post:?}"), build.done()));
        }
    }
    let mut skip = Build::on(IMAGE).then(Op::Conv2d(conv(32, 3)));
    let input = skip.0.input();
    skip.1 = skip.add(Op::Concat, &[skip.1, input]);
    cases.push(("concat_skip_conv".into(), skip.then(Op::Conv2d(conv(32, 3))).done()));
    let excite = Build::on(IMAGE).then(Op::Conv2d(conv(32, 3)));
    let map = excite.1;
    let excite = excite.then(Op::GlobalAvgPool).then(Op::Conv2d(conv(8, 1))).then(Op::Relu);
    let mut excite = excite.then(Op::Conv2d(conv(32, 1))).then(Op::Sigmoid);
    excite.1 = excite.add(Op::ChannelScale, &[map, excite.1]);
    cases.push(("SE_block".into(), excite.done()));
    let mut split = Build::on(IMAGE);
    let input = split.0.input();
    let parts: Vec<NodeId> = [0, 16]
        .into_iter()
        .map(|start| {
            let part = split.add(Op::Slice { start, channels: 16 }, &[input]);
            split.add(Op::Conv2d(conv(16, 3)), &[part])
        })
        .collect();
    split.1 = split.add(Op::Concat, &parts);
    cases.push(("split_2".into(), split.done()));
    for (start, channels) in [(0, 8), (8, 8), (3, 13)] {
        cases.push((
            format!("slice {start} {channels}"),
            chain(&[Op::Slice { start, channels }, Op::Conv2d(conv(16, 3))]),
        ));
        cases.push((
            format!("conv slice {start} {channels}"),
            chain(&[Op::Conv2d(conv(32, 3)), Op::Slice { start, channels }]),
        ));
    }
    let mut inverted = Build::on(IMAGE);
    let input = inverted.0.input();
    inverted = inverted.then(Op::Conv2d(conv(128, 1))).then(Op::Relu6);
    inverted =
        inverted.then(Op::Conv2d(conv(128, 3).depthwise())).then(Op::Relu6).then(Op::Conv2d(conv(32, 1)));
    inverted.1 = inverted.add(Op::Add, &[inverted.1, input]);
    cases.push(("MBConv_e4".into(), inverted.done()));
}

#[test]
fn operators_become_the_compilers_stages() {
    let mut cases = Vec::new();
    convolutions(&mut cases);
    activations(&mut cases);
    poolings(&mut cases);
    shapes(&mut cases);
    joins(&mut cases);
    let Some(verdict) = judge(&cases, 2, Opset::V13) else { return };
    assert!(verdict.differences.is_empty(), "{verdict:#?}");
}
