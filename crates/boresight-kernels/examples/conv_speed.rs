//! Prints the speed of the convolution kernels in billions of floating-point operations per second (a fused
//! multiply-add is two), the best of several calls on one core.

#![expect(clippy::print_stdout, reason = "an example reports on standard output")]

use boresight_kernels::{
    Arithmetic, Buffer, ConvShape, Planes, Write, conv2d, conv2d_grad_input, conv2d_grad_weight,
};
use std::time::{Duration, Instant};

fn main() {
    println!("{:34}{:>9}{:>11}{:>12}", "batch 8", "forward", "grad input", "grad weight");
    let wanted = std::env::args().nth(1).unwrap_or_default();
    for (name, shape) in shapes().into_iter().filter(|(name, _)| name.contains(&wanted)) {
        let [forward, input, weight] = speeds(&shape);
        println!("{name:34}{forward:9.1}{input:11.1}{weight:12.1}");
    }
}

/// Layers of U-Nets on tiles of 128 by 128 pixels.
fn shapes() -> Vec<(String, ConvShape)> {
    let dense = [
        (4, 16, 128, 3, 1),
        (16, 16, 128, 3, 1),
        (32, 32, 64, 3, 1),
        (64, 64, 32, 3, 1),
        (64, 64, 16, 3, 1),
        (128, 128, 8, 3, 1),
        (64, 64, 4, 3, 1),
        (16, 32, 128, 3, 2),
        (32, 64, 64, 3, 2),
        (16, 16, 128, 1, 1),
        (32, 32, 128, 1, 1),
        (64, 64, 64, 1, 1),
        (64, 64, 16, 1, 1),
        (128, 64, 32, 1, 1),
        (16, 2, 128, 1, 1),
        (16, 16, 64, 5, 1),
        (20, 12, 64, 3, 1),
    ];
    let depthwise = [(32, 128, 3, 1), (64, 32, 3, 1), (32, 64, 5, 1), (64, 64, 3, 2)];
    let dense = dense.map(|(inputs, outputs, size, kernel, stride)| {
        let name = format!("{kernel}x{kernel}/{stride} {inputs}->{outputs} at {size}");
        (name, shape([inputs, outputs], size, kernel, stride, 1))
    });
    let depthwise = depthwise.map(|(channels, size, kernel, stride)| {
        let name = format!("depthwise {kernel}x{kernel}/{stride} {channels} at {size}");
        (name, shape([channels; 2], size, kernel, stride, channels))
    });
    dense.into_iter().chain(depthwise).collect()
}

fn shape(channels: [usize; 2], size: usize, kernel: usize, stride: usize, groups: usize) -> ConvShape {
    ConvShape {
        input: Planes { batch: 8, channels: channels[0], height: size, width: size },
        out_channels: channels[1],
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        groups,
    }
}

/// Forward, gradient of the input, gradient of the weights.
fn speeds(shape: &ConvShape) -> [f64; 3] {
    let numbers = |length: usize| (0..length).map(|i| (i * 7919 % 1013) as f32 / 1013.0).collect::<Vec<_>>();
    let (input, weight) = (numbers(shape.input.len()), numbers(shape.weight_len()));
    let mut output = numbers(shape.output().len());
    let (mut grad_input, mut grad_weight) = (vec![0.0; input.len()], vec![0.0; weight.len()]);
    let mut scratch = Buffer::default();
    let flops = 2.0 * shape.macs() as f64;
    let forward =
        best(|| conv2d(shape, &input, &[], &weight, &[], Arithmetic::Fast, &mut output, &mut scratch));
    let slope = &output;
    let by_input =
        best(|| conv2d_grad_input(shape, slope, &weight, Write::Set, &mut grad_input, &mut scratch));
    let by_weight =
        best(|| conv2d_grad_weight(shape, &input, &[], slope, &mut grad_weight, &mut [], &mut scratch));
    [forward, by_input, by_weight].map(|time| flops / time.as_secs_f64() * 1e-9)
}

/// Shortest time of one call.
#[expect(clippy::disallowed_methods, reason = "the clock is what this example is about")]
fn best(mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    let mut best = Duration::MAX;
    let mut calls = 0;
    while calls < 3 || (calls < 20 && start.elapsed() < Duration::from_millis(200)) {
        let before = Instant::now();
        call();
        best = best.min(before.elapsed());
        calls += 1;
    }
    best
}
