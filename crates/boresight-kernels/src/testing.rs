//! What the tests of several kernels need: numbers from a seed, and gradients by finite differences.

use crate::{Activation, Write};

/// Numbers in -2..2 that depend on nothing but the seed (`SplitMix64`).
pub(crate) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / 4_194_304.0 - 2.0
    };
    (0..len).map(|_| draw()).collect()
}

/// Numbers of which no two are closer than 0.01, in random order: a maximum stays one under small steps.
pub(crate) fn distinct(seed: u64, len: usize) -> Vec<f32> {
    let keys = numbers(seed, len);
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
    let mut values = vec![0.0; len];
    for (rank, at) in order.into_iter().enumerate() {
        values[at] = (rank as f32 - len as f32 / 2.0) * 0.01;
    }
    values
}

pub(crate) fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&value| f64::from(value)).collect()
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The scalar that a gradient kernel differentiates when `grad_y` comes from above.
pub(crate) fn dot(y: &[f64], grad_y: &[f32]) -> f64 {
    assert_eq!(y.len(), grad_y.len());
    y.iter().zip(grad_y).map(|(y, &g)| y * f64::from(g)).sum()
}

/// Asserts |computed - expected| <= tolerance * (1 + the largest |expected|) for every value.
#[track_caller]
pub(crate) fn assert_close(computed: &[f32], expected: &[f64], tolerance: f64) {
    assert_eq!(computed.len(), expected.len());
    let bound = tolerance * (1.0 + expected.iter().fold(0.0, |max: f64, value| max.max(value.abs())));
    for (at, (&computed, expected)) in computed.iter().zip(expected).enumerate() {
        let error = (f64::from(computed) - expected).abs();
        assert!(error <= bound, "value {at}: {computed} instead of {expected}, allowed {bound:e}");
    }
}

/// Asserts that `gradient` is that of `f` at `x`, by central differences in binary64.
///
/// Steps of 1e-5 leave truncation below 1e-8 and rounding below 1e-10 for functions as tame as those tested; what is
/// allowed, 3e-5 of the largest component, is the rounding of `f32` kernels.
#[track_caller]
pub(crate) fn assert_gradient(x: &[f32], gradient: &[f32], f: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    let mut point = wide(x);
    let expected: Vec<f64> = (0..x.len())
        .map(|at| {
            let centre = point[at];
            point[at] = centre + STEP;
            let above = f(&point);
            point[at] = centre - STEP;
            let below = f(&point);
            point[at] = centre;
            (above - below) / (2.0 * STEP)
        })
        .collect();
    assert_close(gradient, &expected, 3e-5);
}

/// What a kernel writes with `Set` over NaN, after asserting that `Add` adds the same to what stands there: a value
/// with two consumers gets both gradients.
#[track_caller]
pub(crate) fn written(len: usize, run: impl Fn(Write, &mut [f32])) -> Vec<f32> {
    let mut set = vec![f32::NAN; len];
    run(Write::Set, &mut set);
    let before = numbers(99, len);
    let mut sum = before.clone();
    run(Write::Add, &mut sum);
    let expected: Vec<f64> = set.iter().zip(&before).map(|(&s, &b)| f64::from(s) + f64::from(b)).collect();
    assert_close(&sum, &expected, 1e-5);
    set
}

/// erfc in binary64: a series of positive terms below 2, a continued fraction above.
pub(crate) fn erfc(t: f64) -> f64 {
    let scale = (-t * t).exp() / std::f64::consts::PI.sqrt();
    if t < 2.0 {
        let (mut term, mut sum) = (t, t);
        for n in 1..80 {
            term *= 2.0 * t * t / f64::from(2 * n + 1);
            sum += term;
        }
        return 1.0 - 2.0 * scale * sum;
    }
    let mut below = t;
    for k in (1..=120).rev() {
        below = t + f64::from(k) / 2.0 / below;
    }
    scale / below
}

/// The share of the standard normal distribution below `x`.
pub(crate) fn normal_share(x: f64) -> f64 {
    let tail = 0.5 * erfc(x.abs() / std::f64::consts::SQRT_2);
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// An activation by its plain formula in binary64.
pub(crate) fn plain_activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Gelu => x * normal_share(x),
        Activation::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        Activation::LeakyRelu(slope) => x.max(0.0) + x.min(0.0) * f64::from(slope),
        Activation::Clip(low, high) => x.clamp(f64::from(low), f64::from(high)),
    }
}

/// Runs a kernel that passes a gradient on in place, and again with a sum that it is added to; checks that the two fit
/// together and returns the gradient.
pub(crate) fn passed(grad_y: &[f32], mut run: impl FnMut(&mut [f32], Option<&mut [f32]>)) -> Vec<f32> {
    let (mut gradient, mut used) = (grad_y.to_vec(), grad_y.to_vec());
    run(&mut gradient, None);
    let before = numbers(99, grad_y.len());
    let mut sum = before.clone();
    run(&mut used, Some(&mut sum));
    let expected: Vec<f64> =
        before.iter().zip(&gradient).map(|(&b, &g)| f64::from(b) + f64::from(g)).collect();
    assert_close(&sum, &expected, 1e-5);
    gradient
}
