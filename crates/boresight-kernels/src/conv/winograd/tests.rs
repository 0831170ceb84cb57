//! The transformed kernels on every instruction set against the defining sums in binary64.

use super::super::tests::{Case, bits, each_product, used_scratch};
use super::super::{ConvShape, forward, input_gradient, weight_gradient};
use super::{pays, pays_for_weights};
use crate::dispatch::Version;
use crate::{Arithmetic, Buffer, Planes, Store, Write};
use proptest::prelude::*;

/// The largest error of a sum of products, relative to the root of the mean square of all sums.
///
/// `benches/winograd_error.py` found 4e-6 over 400 tiles of 32 channels (plain sum: 2e-6; the usual points 0, 1, -1, 2,
/// -2 and infinity: 1.7e-5); here are more tiles and more channels.
const TOLERANCE: f64 = 2e-5;

fn assert_close(found: &[f32], expected: &[f64], what: &str) {
    let square: f64 = expected.iter().map(|value| value * value).sum();
    let scale = (square / expected.len() as f64).sqrt();
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= TOLERANCE * scale, "{what} {index}: {found} instead of {expected}, scale {scale}");
    }
}

fn check_forward(case: &Case) {
    let planes = case.shape.output();
    let bias = |index: usize| match case.bias.as_slice() {
        [] => 0.0,
        bias => bias[index / planes.plane() % planes.channels],
    };
    let mut exact: Vec<f64> = (0..planes.len()).map(|index| bias(index).into()).collect();
    each_product(&case.shape, |product| {
        exact[product.output] += f64::from(case.pixel(&product)) * f64::from(case.weight[product.weight]);
    });
    let versions = Version::all().into_iter();
    let found: Vec<_> =
        versions.map(|version| case.forward(version, Arithmetic::Fast, &mut used_scratch())).collect();
    assert_close(&found[0], &exact, "output");
    for other in &found[1..] {
        assert_eq!(bits(other), bits(&found[0]), "instruction sets differ, {:?}", case.shape);
    }
}

fn check_grad_input(case: &Case) {
    let mut exact = vec![0.0_f64; case.input.len()];
    each_product(&case.shape, |product| {
        if let Some(pixel) = product.pixel {
            exact[pixel] += f64::from(case.slope[product.output]) * f64::from(case.weight[product.weight]);
        }
    });
    let twice: Vec<f64> = exact.iter().map(|value| 2.0 * value).collect();
    for version in Version::all() {
        let mut gradient = vec![f32::NAN; exact.len()];
        for (write, expected) in [(Write::Set, &exact), (Write::Add, &twice)] {
            let scratch = &mut used_scratch();
            input_gradient(version, &case.shape, &case.slope, &case.weight, write, &mut gradient, scratch);
            assert_close(&gradient, expected, "input");
        }
    }
}

fn check_grad_weight(case: &Case) {
    let mut exact = vec![0.0_f64; case.weight.len()];
    each_product(&case.shape, |product| {
        exact[product.weight] += f64::from(case.slope[product.output]) * f64::from(case.pixel(&product));
    });
    for version in Version::all() {
        let mut gradient = vec![f32::NAN; exact.len()];
        let Case { shape, input, border, slope, .. } = case;
        weight_gradient(version, shape, input, border, slope, &mut gradient, &mut [], &mut used_scratch());
        assert_close(&gradient, &exact, "weight");
    }
}

fn shape(batch: usize, channels: [usize; 2], size: [usize; 2], padding: [usize; 2]) -> ConvShape {
    ConvShape {
        input: Planes { batch, channels: channels[0], height: size[0], width: size[1] },
        out_channels: channels[1],
        kernel: [3, 3],
        stride: [1, 1],
        padding,
        groups: 1,
    }
}

#[test]
fn bands_stretches_and_wide_tiles_agree_with_the_defining_sums() {
    let shapes = [
        shape(2, [16, 16], [16, 16], [1, 1]),
        shape(1, [48, 48], [13, 17], [1, 1]),
        shape(1, [24, 80], [15, 14], [1, 1]),
        shape(1, [16, 16], [33, 130], [1, 1]),
        shape(1, [64, 24], [66, 34], [0, 2]),
        shape(1, [16, 24], [17, 14], [3, 4]),
    ];
    for shape in shapes {
        assert!(pays(&shape.grid(), [shape.depth(), shape.group_outputs()]) && pays_for_weights(&shape));
        for optional in [0, 3] {
            let case = Case::new(shape, optional);
            check_forward(&case);
            check_grad_input(&case);
            check_grad_weight(&case);
        }
    }
}

#[test]
fn the_arithmetic_of_a_device_never_goes_this_way() {
    let case = Case::new(shape(1, [16, 16], [16, 16], [1, 1]), 2);
    let mut chain = vec![0.0_f32; case.slope.len()];
    each_product(&case.shape, |product| {
        let sum = &mut chain[product.output];
        *sum = case.pixel(&product).mul_add(case.weight[product.weight], *sum);
    });
    chain.iter_mut().zip(0..).for_each(|(sum, index)| *sum += case.bias[index / 256]);
    let found = case.forward(Version::best(), Arithmetic::Device(Store::F32), &mut Buffer::default());
    assert_eq!(bits(&found), bits(&chain));
}

#[test]
fn few_channels_small_images_and_other_kernels_are_summed_plainly() {
    let pays = |shape: &ConvShape| pays(&shape.grid(), [shape.depth(), shape.group_outputs()]);
    let usual = shape(1, [16, 16], [16, 16], [1, 1]);
    assert!(pays(&usual));
    assert!(!pays(&shape(1, [3, 16], [16, 16], [1, 1])));
    assert!(!pays(&shape(1, [64, 64], [8, 8], [1, 1])));
    assert!(!pays(&ConvShape { kernel: [5, 5], ..usual }));
    assert!(!pays(&ConvShape { stride: [2, 2], ..usual }));
    assert!(!pays_for_weights(&ConvShape { groups: 16, ..usual }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn random_shapes_agree_with_the_defining_sums(
        batch in 1_usize..4, channels in (16_usize..36, 16_usize..36), size in (13_usize..30, 13_usize..30),
        padding in (0_usize..3, 0_usize..3), optional in 0_u8..4,
    ) {
        let case = Case::new(shape(batch, [channels.0, channels.1], [size.0, size.1], [padding.0, padding.1]), optional);
        check_forward(&case);
        check_grad_input(&case);
        check_grad_weight(&case);
    }

    #[test]
    fn images_do_not_see_each_other(size in (13_usize..20, 13_usize..20), optional in 0_u8..4) {
        let case = Case::new(shape(3, [16, 24], [size.0, size.1], [1, 1]), optional);
        let together = case.forward(Version::best(), Arithmetic::Fast, &mut Buffer::default());
        let one = ConvShape { input: Planes { batch: 1, ..case.shape.input }, ..case.shape };
        let Case { border, weight, bias, .. } = &case;
        for (input, expected) in case.input.chunks(one.input.len()).zip(together.chunks(one.output().len())) {
            let mut found = vec![f32::NAN; expected.len()];
            let scratch = &mut used_scratch();
            forward(Version::best(), &one, input, border, weight, bias, Arithmetic::Fast, &mut found, scratch);
            prop_assert_eq!(bits(&found), bits(expected));
        }
    }
}
