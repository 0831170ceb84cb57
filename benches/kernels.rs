//! Times the convolution kernels: forward, gradient of the input, gradient of the weights.
//!
//! `cargo bench -p boresight-bench --bench kernels`; throughput is in multiply-accumulates.

use boresight::core::Seed;
use boresight::kernels::{
    Arithmetic, Buffer, ConvShape, Planes, Write, conv2d, conv2d_grad_input, conv2d_grad_weight,
};
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use std::time::Duration;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (name, shape) in layers() {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(shape.macs()));
        group
            .sample_size(20)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2));
        convolution(&mut group, &shape);
        group.finish();
    }
    criterion.final_summary();
}

/// Layers of U-Nets on tiles of 128 by 128 pixels.
fn layers() -> [(&'static str, ConvShape); 5] {
    [
        ("3x3 16-16 at 128", shape([16, 16], 128, 3, 1)),
        ("3x3 32-16 at 128", shape([32, 16], 128, 3, 1)),
        ("3x3 48-48 at 16", shape([48, 48], 16, 3, 1)),
        ("1x1 16-64 at 64", shape([16, 64], 64, 1, 1)),
        ("depthwise 3x3 64 at 64", shape([64, 64], 64, 3, 64)),
    ]
}

fn shape([inputs, out_channels]: [usize; 2], size: usize, kernel: usize, groups: usize) -> ConvShape {
    ConvShape {
        input: Planes { batch: 8, channels: inputs, height: size, width: size },
        out_channels,
        kernel: [kernel; 2],
        stride: [1; 2],
        padding: [kernel / 2; 2],
        groups,
    }
}

fn convolution(group: &mut BenchmarkGroup<'_, WallTime>, shape: &ConvShape) {
    let input = numbers("input", shape.input.len());
    let weight = numbers("weight", shape.weight_len());
    let slope = numbers("slope", shape.output().len());
    let mut output = vec![0.0; slope.len()];
    let (mut grad_input, mut grad_weight) = (vec![0.0; input.len()], vec![0.0; weight.len()]);
    let mut scratch = Buffer::default();
    group.bench_function("forward", |bencher| {
        bencher
            .iter(|| conv2d(shape, &input, &[], &weight, &[], Arithmetic::Fast, &mut output, &mut scratch));
    });
    group.bench_function("gradient of the input", |bencher| {
        bencher.iter(|| conv2d_grad_input(shape, &slope, &weight, Write::Set, &mut grad_input, &mut scratch));
    });
    group.bench_function("gradient of the weights", |bencher| {
        bencher.iter(|| {
            conv2d_grad_weight(shape, &input, &[], &slope, &mut grad_weight, &mut [], &mut scratch);
        });
    });
}

fn numbers(name: &str, count: usize) -> Vec<f32> {
    let mut stream = Seed::new(1).derive(name, 0).stream();
    #[expect(clippy::cast_possible_truncation, reason = "any value will do")]
    let draw = |_| stream.uniform(-1.0, 1.0) as f32;
    (0..count).map(draw).collect()
}
