use super::*;
use crate::testing::{assert_close, assert_gradient, bits, dot, numbers, wide, written};
use proptest::prelude::*;

/// A map and any size to resize it to; doubling is frequent because it has its own loops.
fn cases() -> impl Strategy<Value = (Planes, [usize; 2])> {
    (1_usize..3, 1_usize..3, 1_usize..6, 1_usize..6).prop_flat_map(|(batch, channels, height, width)| {
        let planes = Planes { batch, channels, height, width };
        let doubled = [2 * height, 2 * width];
        prop_oneof![
            (Just(planes), [1_usize..13, 1_usize..13]),
            (Just(planes), [doubled[0]..=doubled[0], doubled[1]..=doubled[1]]),
            (Just(planes), [1_usize..13, doubled[1]..doubled[1] + 1]),
        ]
    })
}

/// Resizes every plane by giving each output value as a function of its plane, row and column.
fn each(
    planes: Planes,
    size: [usize; 2],
    x: &[f64],
    value: impl Fn(&[f64], usize, usize) -> f64,
) -> Vec<f64> {
    let mut y = Vec::new();
    for plane in x.chunks_exact(planes.plane()) {
        for row in 0..size[0] {
            y.extend((0..size[1]).map(|column| value(plane, row, column)));
        }
    }
    y
}

fn plain_nearest(planes: Planes, size: [usize; 2], x: &[f64]) -> Vec<f64> {
    each(planes, size, x, |plane, row, column| {
        plane[row * planes.height / size[0] * planes.width + column * planes.width / size[1]]
    })
}

/// Both neighbours along one axis and the weight of the second, as PyTorch's documentation has it.
fn neighbours(at: usize, input: usize, output: usize) -> (usize, usize, f64) {
    let source = ((at as f64 + 0.5) * input as f64 / output as f64 - 0.5).max(0.0);
    let low = (0..input).rev().find(|&low| low as f64 <= source).unwrap();
    (low, (low + 1).min(input - 1), source - low as f64)
}

fn plain_bilinear(planes: Planes, size: [usize; 2], x: &[f64]) -> Vec<f64> {
    each(planes, size, x, |plane, row, column| {
        let (top, bottom, down) = neighbours(row, planes.height, size[0]);
        let (left, right, across) = neighbours(column, planes.width, size[1]);
        let blend = |row: usize| {
            (1.0 - across) * plane[row * planes.width + left] + across * plane[row * planes.width + right]
        };
        (1.0 - down) * blend(top) + down * blend(bottom)
    })
}

proptest! {
    #[test]
    fn nearest_and_its_gradient_agree_with_the_plain_formula((planes, size) in cases(), seed: u64) {
        let x = numbers(seed, planes.len());
        let expected = plain_nearest(planes, size, &wide(&x));
        let mut y = vec![f32::NAN; expected.len()];
        upsample_nearest(planes, size, &x, &mut y);
        assert_close(&y, &expected, 0.0);
        let grad_y = numbers(seed ^ 1, y.len());
        let grad_x = written(x.len(), |write, grad_x| upsample_nearest_grad(planes, size, &grad_y, write, grad_x));
        assert_gradient(&x, &grad_x, |x| dot(&plain_nearest(planes, size, x), &grad_y));
    }

    #[test]
    fn bilinear_and_its_gradient_agree_with_the_plain_formula((planes, size) in cases(), seed: u64) {
        let x = numbers(seed, planes.len());
        let expected = plain_bilinear(planes, size, &wide(&x));
        let mut y = vec![f32::NAN; expected.len()];
        upsample_bilinear(planes, size, Store::F32, &x, &mut y);
        assert_close(&y, &expected, 1e-6);
        let grad_y = numbers(seed ^ 1, y.len());
        let grad_x = written(x.len(), |write, grad_x| upsample_bilinear_grad(planes, size, &grad_y, write, grad_x));
        assert_gradient(&x, &grad_x, |x| dot(&plain_bilinear(planes, size, x), &grad_y));
    }

    #[test]
    fn resizing_to_the_same_size_changes_nothing(
        batch in 1_usize..3, height in 1_usize..7, width in 1_usize..7, seed: u64,
    ) {
        let planes = Planes { batch, channels: 2, height, width };
        let x = numbers(seed, planes.len());
        let (mut nearest, mut bilinear) = (vec![f32::NAN; x.len()], vec![f32::NAN; x.len()]);
        upsample_nearest(planes, [height, width], &x, &mut nearest);
        upsample_bilinear(planes, [height, width], Store::F32, &x, &mut bilinear);
        prop_assert_eq!(bits(&nearest), bits(&x));
        prop_assert_eq!(bits(&bilinear), bits(&x));
    }
}

#[test]
fn nearest_takes_the_floor_of_the_scaled_position() {
    let planes = Planes { batch: 1, channels: 1, height: 1, width: 3 };
    let mut y = [0.0; 5];
    upsample_nearest(planes, [1, 5], &[10.0, 20.0, 30.0], &mut y);
    assert_eq!(bits(&y), bits(&[10.0, 10.0, 20.0, 20.0, 30.0]));
    let mut y = [0.0; 2];
    upsample_nearest(planes, [1, 2], &[10.0, 20.0, 30.0], &mut y);
    assert_eq!(bits(&y), bits(&[10.0, 20.0]));
}

#[test]
fn doubling_blends_by_quarters_and_keeps_the_edges() {
    let planes = Planes { batch: 1, channels: 1, height: 1, width: 2 };
    let mut y = [0.0; 8];
    upsample_bilinear(planes, [2, 4], Store::F32, &[0.0, 8.0], &mut y);
    assert_eq!(bits(&y), bits(&[0.0, 2.0, 6.0, 8.0, 0.0, 2.0, 6.0, 8.0]));
}

#[test]
fn wide_rows_are_resized_alike_in_every_block_of_columns() {
    let planes = Planes { batch: 1, channels: 1, height: 2, width: 150 };
    for width in [299, 300, 301, 100] {
        let x = numbers(4, planes.len());
        let mut y = vec![f32::NAN; 3 * width];
        upsample_bilinear(planes, [3, width], Store::F32, &x, &mut y);
        assert_close(&y, &plain_bilinear(planes, [3, width], &wide(&x)), 1e-6);
        let grad_y = numbers(5, y.len());
        let mut grad_x = vec![f32::NAN; x.len()];
        upsample_bilinear_grad(planes, [3, width], &grad_y, Write::Set, &mut grad_x);
        assert_gradient(&x, &grad_x, |x| dot(&plain_bilinear(planes, [3, width], x), &grad_y));
    }
}

#[test]
fn an_infinite_neighbour_without_weight_does_not_spread() {
    let planes = Planes { batch: 1, channels: 1, height: 1, width: 2 };
    let mut y = [0.0; 4];
    upsample_bilinear(planes, [1, 4], Store::F32, &[1.0, f32::INFINITY], &mut y);
    assert_eq!(bits(&y), bits(&[1.0, f32::INFINITY, f32::INFINITY, f32::INFINITY]));
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let input = Planes { batch: 2, channels: 2, height: 11, width: 19 };
    let x = numbers(1, input.len());
    for (height, width) in [(22, 38), (17, 25), (5, 7)] {
        let output = Planes { height, width, ..input };
        let grad_y = numbers(2, output.len());
        let run = |version| {
            let (mut near, mut smooth) = (vec![0.0; output.len()], vec![0.0; output.len()]);
            let (mut near_grad, mut smooth_grad) = (numbers(3, x.len()), numbers(3, x.len()));
            nearest(version, input, output, &x, &mut near);
            bilinear(version, input, output, Store::F16, &x, &mut smooth);
            nearest_grad(version, input, output, &grad_y, &mut near_grad);
            bilinear_grad(version, input, output, &grad_y, &mut smooth_grad);
            [near, smooth, near_grad, smooth_grad].map(|values| bits(&values))
        };
        let results: Vec<_> = Version::all().into_iter().map(run).collect();
        assert!(results.iter().all(|result| *result == results[0]), "{height} {width}");
    }
}
