use super::*;
use crate::testing::{assert_close, assert_gradient, bits, distinct, dot, numbers, wide, written};
use proptest::prelude::*;

/// A map with a kernel that fits and any stride: overlapping, side by side, gaps, remainders.
fn cases() -> impl Strategy<Value = (Planes, [usize; 2], [usize; 2])> {
    (1_usize..3, 1_usize..3, 1_usize..9, 1_usize..9).prop_flat_map(|(batch, channels, height, width)| {
        let planes = Planes { batch, channels, height, width };
        let kernel = [1..=height.min(4), 1..=width.min(4)];
        let stride = [1_usize..4, 1_usize..4];
        prop_oneof![
            (Just(planes), kernel, stride),
            (
                Just(planes),
                [height.min(2)..=height.min(2), width.min(2)..=width.min(2)],
                [2_usize..=2, 2..=2]
            ),
        ]
    })
}

/// The values of every window in row-major order.
fn windows(
    planes: Planes,
    kernel: [usize; 2],
    stride: [usize; 2],
    x: &[f64],
) -> impl Iterator<Item = Vec<f64>> {
    let Planes { batch, channels, height, width } = pooled(planes, kernel, stride);
    let corners = (0..batch * channels * height * width).map(move |at| {
        let (plane, row, column) = (at / (height * width), at / width % height, at % width);
        plane * planes.plane() + row * stride[0] * planes.width + column * stride[1]
    });
    corners.map(move |corner| {
        let rows = (0..kernel[0]).map(|ky| corner + ky * planes.width);
        rows.flat_map(|start| x[start..start + kernel[1]].iter().copied()).collect()
    })
}

fn plain_max(planes: Planes, kernel: [usize; 2], stride: [usize; 2], x: &[f64]) -> Vec<f64> {
    windows(planes, kernel, stride, x).map(|window| window.into_iter().fold(f64::MIN, f64::max)).collect()
}

fn plain_mean(planes: Planes, kernel: [usize; 2], stride: [usize; 2], x: &[f64]) -> Vec<f64> {
    windows(planes, kernel, stride, x)
        .map(|window| window.iter().sum::<f64>() / window.len() as f64)
        .collect()
}

proptest! {
    #[test]
    fn max_pooling_and_its_gradient_agree_with_the_plain_formula((planes, kernel, stride) in cases(), seed: u64) {
        let x = distinct(seed, planes.len());
        let expected = plain_max(planes, kernel, stride, &wide(&x));
        let mut y = vec![f32::NAN; expected.len()];
        max_pool(planes, kernel, stride, &x, &mut y);
        assert_close(&y, &expected, 0.0);
        let grad_y = numbers(seed ^ 1, y.len());
        let grad_x = written(x.len(), |write, grad_x| {
            max_pool_grad(planes, kernel, stride, &x, &grad_y, write, grad_x);
        });
        assert_gradient(&x, &grad_x, |x| dot(&plain_max(planes, kernel, stride, x), &grad_y));
    }

    #[test]
    fn average_pooling_and_its_gradient_agree_with_the_plain_formula(
        (planes, kernel, stride) in cases(), seed: u64,
    ) {
        let x = numbers(seed, planes.len());
        let expected = plain_mean(planes, kernel, stride, &wide(&x));
        let mut y = vec![f32::NAN; expected.len()];
        avg_pool(planes, kernel, stride, Store::F32, &x, &mut y);
        assert_close(&y, &expected, 1e-6);
        let grad_y = numbers(seed ^ 1, y.len());
        let grad_x = written(x.len(), |write, grad_x| {
            avg_pool_grad(planes, kernel, stride, &grad_y, write, grad_x);
        });
        assert_gradient(&x, &grad_x, |x| dot(&plain_mean(planes, kernel, stride, x), &grad_y));
    }

    #[test]
    fn global_average_and_its_gradient_agree_with_the_plain_formula(
        batch in 1_usize..3, channels in 1_usize..4, height in 1_usize..9, width in 1_usize..9, seed: u64,
    ) {
        let planes = Planes { batch, channels, height, width };
        let plain = |x: &[f64]| plain_mean(planes, [height, width], [1, 1], x);
        let x = numbers(seed, planes.len());
        let mut y = vec![f32::NAN; batch * channels];
        global_avg_pool(planes, Store::F32, &x, &mut y);
        assert_close(&y, &plain(&wide(&x)), 1e-7);
        let grad_y = numbers(seed ^ 1, y.len());
        let grad_x = written(x.len(), |write, grad_x| global_avg_pool_grad(planes, &grad_y, write, grad_x));
        assert_gradient(&x, &grad_x, |x| dot(&plain(x), &grad_y));
    }

    /// A small alphabet makes ties frequent; the general loop and the one for 2x2 must choose alike.
    #[test]
    fn the_first_of_equal_maxima_takes_the_gradient(
        width in 1_usize..9, height in 1_usize..5, picks in prop::collection::vec(0_usize..5, 16 * 8),
    ) {
        let planes = Planes { batch: 1, channels: 1, height: 2 * height, width: 2 * width };
        let alphabet = [-1.0, -0.0, 0.0, 1.0, f32::NAN];
        let x: Vec<f32> = picks.iter().cycle().map(|&pick| alphabet[pick]).take(planes.len()).collect();
        let mut grad_x = vec![f32::NAN; x.len()];
        max_pool_grad(planes, [2, 2], [2, 2], &x, &vec![1.0; x.len() / 4], Write::Set, &mut grad_x);
        let mut y = vec![0.0; x.len() / 4];
        max_pool(planes, [2, 2], [2, 2], &x, &mut y);
        for (at, y) in y.iter().enumerate() {
            let corner = at / width * 4 * width + at % width * 2;
            let window = [corner, corner + 1, corner + 2 * width, corner + 2 * width + 1];
            let nan = window.iter().position(|&i| x[i].is_nan());
            let largest = window.iter().fold(f32::NEG_INFINITY, |max, &i| x[i].max(max));
            let chosen = nan.or_else(|| window.iter().position(|&i| x[i] >= largest)).unwrap();
            prop_assert_eq!(y.to_bits(), x[window[chosen]].to_bits());
            for (place, &i) in window.iter().enumerate() {
                prop_assert_eq!(grad_x[i].to_bits(), f32::from(u8::from(place == chosen)).to_bits());
            }
        }
    }
}

#[test]
fn a_unique_maximum_takes_the_whole_gradient() {
    let planes = Planes { batch: 1, channels: 1, height: 2, width: 2 };
    let mut grad_x = [f32::NAN; 4];
    max_pool_grad(planes, [2, 2], [2, 2], &[0.0, 3.0, 1.0, 2.0], &[1.0], Write::Set, &mut grad_x);
    assert_eq!(bits(&grad_x), bits(&[0.0, 1.0, 0.0, 0.0]));
}

#[test]
fn rows_and_columns_that_no_window_covers_get_no_gradient() {
    let planes = Planes { batch: 1, channels: 1, height: 3, width: 3 };
    let mut grad_x = [f32::NAN; 9];
    avg_pool_grad(planes, [2, 2], [2, 2], &[4.0], Write::Set, &mut grad_x);
    assert_eq!(bits(&grad_x), bits(&[1.0, 1.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]));
}

#[test]
fn nan_in_a_window_is_its_maximum() {
    let planes = Planes { batch: 1, channels: 1, height: 3, width: 3 };
    let mut x = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    x[0] = f32::NAN;
    let mut y = [0.0; 4];
    max_pool(planes, [2, 2], [1, 1], &x, &mut y);
    assert!(y[0].is_nan());
    assert_eq!(bits(&y[1..]), bits(&[6.0, 8.0, 9.0]));
}

#[test]
fn stored_means_are_binary16_values() {
    let planes = Planes { batch: 1, channels: 2, height: 2, width: 4 };
    let x = numbers(3, 16);
    let (mut means, mut global) = ([0.0; 4], [0.0; 2]);
    avg_pool(planes, [2, 2], [2, 2], Store::F16, &x, &mut means);
    global_avg_pool(planes, Store::F16, &x, &mut global);
    for value in means.into_iter().chain(global) {
        assert_eq!(value.to_bits(), half::f16::from_f32(value).to_f32().to_bits());
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let planes = Planes { batch: 2, channels: 2, height: 23, width: 37 };
    let x = numbers(1, planes.len());
    for (kernel, stride) in [([2, 2], [2, 2]), ([3, 3], [2, 2]), ([3, 2], [1, 3])] {
        let output = pooled(planes, kernel, stride);
        let windows = Windows { input: planes, output, kernel, stride };
        let grad_y = numbers(2, output.len());
        let run = |version| {
            let (mut max, mut mean) = (vec![0.0; output.len()], vec![0.0; output.len()]);
            let (mut max_grad, mut mean_grad) = (numbers(3, x.len()), numbers(3, x.len()));
            let mut global = vec![0.0; 4];
            max_pool_all(version, windows, &x, &mut max);
            avg_pool_all(version, windows, Store::F16, &x, &mut mean);
            max_pool_grad_all(version, windows, &x, &grad_y, Write::Add, &mut max_grad);
            avg_pool_grad_all(version, windows, &grad_y, &mut mean_grad);
            global_avg_pool_all(version, planes.plane(), Store::F32, &x, &mut global);
            [max, mean, max_grad, mean_grad, global].map(|values| bits(&values))
        };
        let results: Vec<_> = Version::all().into_iter().map(run).collect();
        assert!(results.iter().all(|result| *result == results[0]), "{kernel:?} {stride:?}");
    }
}
