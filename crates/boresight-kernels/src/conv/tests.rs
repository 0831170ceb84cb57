//! Every kernel on every instruction set against the defining sums in binary64.

use super::*;
use crate::Store;
use proptest::prelude::*;

/// One product of the defining sum: indices into output, weights and input (`None`: the border).
pub(super) struct Product {
    pub(super) output: usize,
    pub(super) weight: usize,
    channel: usize,
    pub(super) pixel: Option<usize>,
}

/// Visits every product, per output in the order (input channel, kernel row, kernel column).
pub(super) fn each_product(shape: &ConvShape, mut visit: impl FnMut(Product)) {
    let (input, planes, depth) = (shape.input, shape.output(), shape.depth());
    let [rows, columns] = shape.kernel;
    for output in 0..planes.len() {
        let (x, y) = (output % planes.width, output / planes.width % planes.height);
        let (out_channel, image) =
            (output / planes.plane() % planes.channels, output / planes.plane() / planes.channels);
        for tap in 0..depth * rows * columns {
            let (kx, ky, c) = (tap % columns, tap / columns % rows, tap / columns / rows);
            let channel = out_channel / shape.group_outputs() * depth + c;
            let iy = (y * shape.stride[0] + ky).checked_sub(shape.padding[0]).filter(|&iy| iy < input.height);
            let ix = (x * shape.stride[1] + kx).checked_sub(shape.padding[1]).filter(|&ix| ix < input.width);
            let row = (image * input.channels + channel) * input.height;
            let pixel = iy.zip(ix).map(|(iy, ix)| (row + iy) * input.width + ix);
            visit(Product { output, weight: out_channel * depth * rows * columns + tap, channel, pixel });
        }
    }
}

/// The chain of fused multiply-adds that [`conv2d`] promises, one output at a time.
fn plain_forward(case: &Case, store: Store) -> Vec<f32> {
    let planes = case.shape.output();
    let mut output = vec![0.0_f32; planes.len()];
    each_product(&case.shape, |product| {
        let sum = &mut output[product.output];
        *sum = case.pixel(&product).mul_add(case.weight[product.weight], *sum);
    });
    for (index, value) in output.iter_mut().enumerate() {
        let bias = case.bias.get(index / planes.plane() % planes.channels).copied().unwrap_or(0.0);
        *value = store.apply(*value + bias);
    }
    output
}

/// A shape and numbers for it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) shape: ConvShape,
    pub(super) input: Vec<f32>,
    pub(super) border: Vec<f32>,
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) slope: Vec<f32>,
}

impl Case {
    pub(super) fn new(shape: ConvShape, optional: u8) -> Self {
        let some =
            |wanted: bool, length: usize, seed| if wanted { numbers(length, seed) } else { Vec::new() };
        Self {
            input: numbers(shape.input.len(), 1),
            border: some(optional & 1 != 0, shape.input.channels, 2),
            weight: numbers(shape.weight_len(), 3),
            bias: some(optional & 2 != 0, shape.out_channels, 4),
            slope: numbers(shape.output().len(), 5),
            shape,
        }
    }

    pub(super) fn pixel(&self, product: &Product) -> f32 {
        let border = self.border.get(product.channel).copied().unwrap_or(0.0);
        product.pixel.map_or(border, |at| self.input[at])
    }

    pub(super) fn forward(&self, version: Version, arithmetic: Arithmetic, scratch: &mut Buffer) -> Vec<f32> {
        let mut output = vec![f32::NAN; self.shape.output().len()];
        let Self { shape, input, border, weight, bias, .. } = self;
        forward(version, shape, input, border, weight, bias, arithmetic, &mut output, scratch);
        output
    }
}

/// Numbers in -1..1 from a linear congruence.
fn numbers(length: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..length).map(|_| next()).collect()
}

pub(super) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Asserts that sums of at most `terms` products of numbers below one agree with their binary64 values.
fn assert_close(found: &[f32], expected: &[f64], terms: usize, what: &str) {
    let tolerance = f64::from(f32::EPSILON) * (terms as f64 + 4.0);
    for (index, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let error = (f64::from(found) - expected).abs();
        assert!(error <= tolerance, "{what} {index}: {found} instead of {expected}");
    }
}

/// Scratch full of NaN: nothing may depend on what an earlier call left there.
pub(super) fn used_scratch() -> Buffer {
    let mut scratch = Buffer::new(20_000);
    scratch.fill(f32::NAN);
    scratch
}

fn check_forward(case: &Case) {
    for store in [Store::F32, Store::F16] {
        let expected = bits(&plain_forward(case, store));
        for version in Version::all() {
            let found = bits(&case.forward(version, Arithmetic::Device(store), &mut used_scratch()));
            let wrong = found.iter().zip(&expected).position(|(found, expected)| found != expected);
            assert_eq!(wrong, None, "first wrong output, {version:?} {store:?} {:?}", case.shape);
        }
    }
    let mut exact = vec![0.0_f64; case.slope.len()];
    each_product(&case.shape, |product| {
        exact[product.output] += f64::from(case.pixel(&product)) * f64::from(case.weight[product.weight]);
    });
    let bias = Case { bias: Vec::new(), ..Case::new(case.shape, u8::from(!case.border.is_empty())) };
    let found = bias.forward(Version::best(), Arithmetic::Device(Store::F32), &mut Buffer::default());
    assert_close(&found, &exact, case.shape.weight_len(), "output");
}

fn check_grad_input(case: &Case) {
    let mut exact = vec![0.0_f64; case.input.len()];
    each_product(&case.shape, |product| {
        if let Some(pixel) = product.pixel {
            exact[pixel] += f64::from(case.slope[product.output]) * f64::from(case.weight[product.weight]);
        }
    });
    for version in Version::all() {
        let mut gradient = vec![f32::NAN; case.input.len()];
        for (write, times) in [(Write::Set, 1.0), (Write::Add, 2.0)] {
            let scratch = &mut used_scratch();
            input_gradient(version, &case.shape, &case.slope, &case.weight, write, &mut gradient, scratch);
            let expected: Vec<f64> = exact.iter().map(|value| value * times).collect();
            assert_close(
                &gradient,
                &expected,
                2 * case.shape.weight_len(),
                &format!("{version:?} {write:?}"),
            );
        }
    }
}

fn check_grad_weight(case: &Case) {
    let planes = case.shape.output();
    let mut exact = vec![0.0_f64; case.weight.len()];
    each_product(&case.shape, |product| {
        exact[product.weight] += f64::from(case.slope[product.output]) * f64::from(case.pixel(&product));
    });
    let mut exact_bias = vec![0.0_f64; case.bias.len()];
    for (index, &slope) in case.slope.iter().enumerate().filter(|_| !case.bias.is_empty()) {
        exact_bias[index / planes.plane() % planes.channels] += f64::from(slope);
    }
    for version in Version::all() {
        let mut weight = vec![f32::NAN; exact.len()];
        let mut bias = vec![f32::NAN; exact_bias.len()];
        let Case { shape, input, border, slope, .. } = case;
        let scratch = &mut used_scratch();
        weight_gradient(version, shape, input, border, slope, &mut weight, &mut bias, scratch);
        let terms = planes.batch * planes.plane();
        assert_close(&weight, &exact, terms, &format!("{version:?} weight"));
        assert_close(&bias, &exact_bias, terms, &format!("{version:?} bias"));
    }
}

fn square(batch: usize, channels: [usize; 2], size: [usize; 2], kernel: usize, stride: usize) -> ConvShape {
    ConvShape {
        input: Planes { batch, channels: channels[0], height: size[0], width: size[1] },
        out_channels: channels[1],
        kernel: [kernel; 2],
        stride: [stride; 2],
        padding: [kernel / 2; 2],
        groups: 1,
    }
}

/// Shapes that reach every tile, several bands, and several images in a band.
fn notable_shapes() -> Vec<ConvShape> {
    let mut shapes = vec![
        square(1, [1, 1], [1, 1], 1, 1),
        square(2, [3, 13], [9, 17], 3, 1),
        square(9, [5, 8], [4, 4], 3, 1),
        square(3, [16, 24], [8, 8], 3, 2),
        square(1, [40, 12], [40, 70], 3, 1),
        square(1, [24, 11], [33, 65], 1, 1),
        square(2, [4, 6], [20, 31], 5, 2),
        square(1, [2, 3], [12, 9], 7, 3),
    ];
    let wide = square(2, [12, 12], [21, 39], 5, 1);
    shapes.extend([2, 3, 12].map(|groups| ConvShape { groups, ..wide }));
    shapes.push(ConvShape { groups: 12, stride: [2, 1], padding: [0, 3], ..wide });
    let depthwise = ConvShape { groups: 5, ..square(2, [5, 5], [19, 35], 3, 1) };
    shapes.extend([[1, 1], [0, 2], [2, 0]].map(|padding| ConvShape { padding, ..depthwise }));
    shapes.push(square(2, [7, 9], [16, 12], 1, 1));
    shapes
}

#[test]
fn notable_shapes_agree_with_the_defining_sums() {
    for shape in notable_shapes() {
        for optional in [0, 3] {
            let case = Case::new(shape, optional);
            check_forward(&case);
            check_grad_input(&case);
            check_grad_weight(&case);
        }
    }
}

#[test]
fn a_kernel_of_one_on_one_pixel_is_a_product() {
    let shape = square(1, [1, 1], [1, 1], 1, 1);
    let (mut output, mut scratch) = ([0.0], Buffer::default());
    conv2d(&shape, &[3.0], &[], &[2.0], &[0.5], Arithmetic::Device(Store::F32), &mut output, &mut scratch);
    assert_eq!(output[0].to_bits(), 6.5_f32.to_bits());
}

#[test]
fn border_values_surround_the_input_and_enter_the_weight_gradient() {
    let shape = square(1, [1, 1], [1, 1], 3, 1);
    let (mut output, mut scratch) = ([0.0], Buffer::default());
    conv2d(&shape, &[5.0], &[2.0], &[1.0; 9], &[], Arithmetic::Device(Store::F32), &mut output, &mut scratch);
    assert_eq!(output[0].to_bits(), 21_f32.to_bits());
    let mut gradient = [0.0; 9];
    conv2d_grad_weight(&shape, &[5.0], &[2.0], &[1.0], &mut gradient, &mut [], &mut scratch);
    assert_eq!(bits(&gradient), bits(&[2.0, 2.0, 2.0, 2.0, 5.0, 2.0, 2.0, 2.0, 2.0]));
}

#[test]
fn the_binary16_store_overflows_to_infinity() {
    let shape = square(1, [1, 1], [1, 2], 1, 1);
    for version in Version::all() {
        let (mut output, mut scratch) = ([0.0; 2], Buffer::default());
        let input = [65_519.0, -65_520.0];
        forward(
            version,
            &shape,
            &input,
            &[],
            &[1.0],
            &[],
            Arithmetic::Device(Store::F16),
            &mut output,
            &mut scratch,
        );
        assert_eq!(bits(&output), bits(&[65_504.0, f32::NEG_INFINITY]));
    }
}

#[test]
#[should_panic(expected = "output holds 3 values, the shape needs 4")]
fn a_slice_of_another_length_is_refused() {
    let shape = square(1, [1, 1], [2, 2], 1, 1);
    conv2d(
        &shape,
        &[0.0; 4],
        &[],
        &[1.0],
        &[],
        Arithmetic::Device(Store::F32),
        &mut [0.0; 3],
        &mut Buffer::default(),
    );
}

fn any_shape() -> impl Strategy<Value = ConvShape> {
    let axis = || (1_usize..20, 1_usize..6, 1_usize..4, 0_usize..4);
    (axis(), axis(), 1_usize..4, 1_usize..4, 1_usize..10, 1_usize..10)
        .prop_map(|(y, x, batch, groups, inputs, outputs)| ConvShape {
            input: Planes { batch, channels: groups * inputs, height: y.0, width: x.0 },
            out_channels: groups * outputs,
            kernel: [y.1, x.1],
            stride: [y.2, x.2],
            padding: [y.3, x.3],
            groups,
        })
        .prop_filter("the kernel fits", |shape| {
            shape.kernel[0] <= shape.input.height + 2 * shape.padding[0]
                && shape.kernel[1] <= shape.input.width + 2 * shape.padding[1]
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn forward_is_the_promised_chain_on_every_instruction_set(shape in any_shape(), optional in 0_u8..4) {
        check_forward(&Case::new(shape, optional));
    }

    #[test]
    fn input_gradients_agree_with_the_defining_sums(shape in any_shape()) {
        check_grad_input(&Case::new(shape, 0));
    }

    #[test]
    fn weight_gradients_agree_with_the_defining_sums(shape in any_shape(), optional in 0_u8..4) {
        check_grad_weight(&Case::new(shape, optional));
    }

    #[test]
    fn gradients_are_adjoint_to_the_forward_pass(shape in any_shape()) {
        let case = Case::new(shape, 0);
        let inner = |x: &[f32], y: &[f32]| -> f64 { x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum() };
        let output = case.forward(Version::best(), Arithmetic::Device(Store::F32), &mut Buffer::default());
        let (mut input, mut weight, mut scratch) = (vec![0.0; case.input.len()], vec![0.0; case.weight.len()], Buffer::default());
        conv2d_grad_input(&shape, &case.slope, &case.weight, Write::Set, &mut input, &mut scratch);
        conv2d_grad_weight(&shape, &case.input, &[], &case.slope, &mut weight, &mut [], &mut scratch);
        let expected = inner(&output, &case.slope);
        let tolerance = 1e-6 * shape.macs() as f64;
        prop_assert!((inner(&input, &case.input) - expected).abs() <= tolerance);
        prop_assert!((inner(&weight, &case.weight) - expected).abs() <= tolerance);
    }
}
