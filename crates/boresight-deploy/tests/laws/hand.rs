//! Cases worked out by hand.

use crate::networks::{Graph, bits, profiles, simulate, single};
use boresight_deploy::{Band, Deployment, Simulator, argmax, reference};
use boresight_ir::{Conv2d, Filling, InputForm, Network, Op, Resize, Weights, Window};
use boresight_kernels::Planes;
use boresight_numerics::NumericProfile;

/// The reference's result as trained, on bands of this mean and deviation 1.
fn as_trained(network: &Network, values: &[f32], mean: f32, counts: &[f32]) -> Vec<f32> {
    let weights = Weights::from_values(network, values.to_vec()).unwrap();
    let bands = vec![Band { mean, deviation: 1.0 }; network.input_shape().channels];
    let deployment = Deployment::undeployed(network, &weights, &bands).unwrap();
    let logits = reference::logits(&deployment, counts).unwrap();
    assert_eq!(bits(&logits), bits(&simulate(&deployment, 1, counts)));
    logits
}

fn assert_values(found: &[f32], expected: &[f32]) {
    assert_eq!(bits(found), bits(expected), "{found:?} is not {expected:?}");
}

#[test]
fn a_convolution_reads_count_zero_beyond_the_edge() {
    let network = single([1, 1, 2], Op::Conv2d(Conv2d::same(1, 3)));
    // Nine weights of 1, bias 10, border: counts 5 and 7 are 3 and 5, and seven positions of -2 surround them.
    let values = [[1.0; 9].as_slice(), &[10.0, 0.0]].concat();
    assert_values(&as_trained(&network, &values, 2.0, &[5.0, 7.0]), &[4.0, 4.0]);
}

#[test]
fn a_second_convolution_reads_zero_beyond_the_edge() {
    let mut graph = Graph::new(1, 1, 1);
    let first = graph.add(Op::Conv2d(Conv2d::same(1, 1)), &[graph.input()]);
    let second = graph.add(Op::Conv2d(Conv2d::same(1, 3)), &[first]);
    let network = graph.finish(second);
    let values = [[2.0, 1.0].as_slice(), &[1.0; 9], &[0.5, 0.0]].concat();
    assert_values(&as_trained(&network, &values, 2.0, &[5.0]), &[7.5]);
}

#[test]
fn groups_see_their_own_channels() {
    let conv =
        Conv2d { out_channels: 2, kernel: [1, 2], stride: [1, 2], padding: [0, 0], groups: 2, bias: false };
    let network = single([2, 1, 4], Op::Conv2d(conv));
    let counts = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    let values = [1.0, 10.0, 100.0, 1000.0, 0.0, 0.0];
    assert_values(&as_trained(&network, &values, 0.0, &counts), &[21.0, 43.0, 6500.0, 8700.0]);
}

#[test]
fn pooling_drops_what_its_windows_do_not_reach() {
    let counts = [1.0, 5.0, 9.0, 2.0, 4.0, 9.0];
    let window = Window::square(2);
    assert_values(&as_trained(&single([1, 2, 3], Op::MaxPool(window)), &[0.0], 0.0, &counts), &[5.0]);
    assert_values(&as_trained(&single([1, 2, 3], Op::AvgPool(window)), &[0.0], 0.0, &counts), &[3.0]);
    assert_values(&as_trained(&single([1, 2, 3], Op::GlobalAvgPool), &[0.0], 0.0, &counts), &[5.0]);
}

#[test]
fn bilinear_resizing_blends_between_the_centres_of_pixels() {
    let row = |from: [usize; 3], to, counts: &[f32]| {
        as_trained(&single(from, Op::Upsample { resize: Resize::Bilinear, size: to }), &[0.0], 0.0, counts)
    };
    assert_values(&row([1, 1, 2], [1, 4], &[0.0, 4.0]), &[0.0, 1.0, 3.0, 4.0]);
    assert_values(&row([1, 2, 1], [4, 1], &[0.0, 4.0]), &[0.0, 1.0, 3.0, 4.0]);
    assert_values(&row([1, 1, 4], [1, 2], &[0.0, 2.0, 4.0, 8.0]), &[1.0, 6.0]);
}

#[test]
fn nearest_resizing_rounds_positions_down() {
    let network = single([1, 1, 3], Op::Upsample { resize: Resize::Nearest, size: [2, 5] });
    let row = [1.0, 1.0, 2.0, 2.0, 3.0];
    assert_values(&as_trained(&network, &[0.0], 0.0, &[1.0, 2.0, 3.0]), &[row, row].concat());
}

#[test]
fn a_batch_normalisation_uses_running_statistics() {
    let network = single([1, 1, 2], Op::BatchNorm { epsilon: 1.0 });
    // gamma 6, beta 1, border 0, mean 2, variance 3
    let values = [6.0, 1.0, 0.0, 2.0, 3.0];
    assert_values(&as_trained(&network, &values, 0.0, &[2.0, 4.0]), &[1.0, 7.0]);
}

#[test]
fn activations_bend_where_they_should() {
    let counts = [0.0, 2.0, 3.0, 12.0];
    let result = |op| as_trained(&single([1, 1, 4], op), &[0.0], 2.0, &counts);
    assert_values(&result(Op::Relu), &[0.0, 0.0, 1.0, 10.0]);
    assert_values(&result(Op::Relu6), &[0.0, 0.0, 1.0, 6.0]);
    assert_values(&result(Op::LeakyRelu { slope: 0.5 }), &[-1.0, 0.0, 1.0, 10.0]);
    assert_values(&result(Op::Clip { low: -1.0, high: 2.5 }), &[-1.0, 0.0, 1.0, 2.5]);
    assert_values(&result(Op::Sigmoid)[1..2], &[0.5]);
    assert_values(&result(Op::Gelu)[3..], &[10.0]);
}

#[test]
fn channels_of_a_pixel_share_one() {
    let counts = [1.0, 7.0, 0.0, 1.0, 7.0, 200.0];
    let shares = as_trained(&single([2, 1, 3], Op::Softmax), &[0.0; 2], 3.0, &counts);
    assert_values(&shares, &[0.5, 0.5, 0.0, 0.5, 0.5, 1.0]);
}

#[test]
fn a_value_times_itself_is_its_square() {
    let mut graph = Graph::new(1, 1, 3);
    let square = graph.add(Op::Mul, &[graph.input(); 2]);
    assert_values(&as_trained(&graph.finish(square), &[0.0], 2.0, &[0.0, 5.0, 2.0]), &[4.0, 9.0, 0.0]);
}

#[test]
fn padding_of_the_image_is_count_zero_and_what_a_maximum_never_chooses_is_infinite() {
    let pad = |filling| single([1, 1, 2], Op::Pad { rows: [1, 0], columns: [0, 1], filling });
    // Counts 0, 5 and 7 are -2, 3 and 5.
    let zero = as_trained(&pad(Filling::Zero), &[0.0], 2.0, &[5.0, 7.0]);
    assert_values(&zero, &[-2.0, -2.0, -2.0, 3.0, 5.0, -2.0]);
    let least = f32::NEG_INFINITY;
    let lowest = as_trained(&pad(Filling::Lowest), &[0.0], 2.0, &[5.0, 7.0]);
    assert_values(&lowest, &[least, least, least, 3.0, 5.0, least]);
}

#[test]
fn zeros_stand_between_pixels_and_not_around_them() {
    let network = single([1, 2, 2], Op::ZeroStuff { stride: [1, 3] });
    let expected = [1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 4.0];
    assert_values(&as_trained(&network, &[0.0], 0.0, &[1.0, 2.0, 3.0, 4.0]), &expected);
}

#[test]
fn values_that_are_only_moved_are_not_rounded() {
    let unrounded = profiles().pop().unwrap();
    let result = |op| {
        let network = single([1, 1, 2], op);
        let weights = Weights::from_values(&network, vec![0.0]).unwrap();
        let bands = [Band { mean: 0.0, deviation: 1.0 }];
        let form = InputForm::Normalised;
        let deployment = Deployment::convert(&network, &weights, &bands, form, &unrounded).unwrap();
        let counts = [2049.0, 7.0];
        let logits = reference::logits(&deployment, &counts).unwrap();
        assert_eq!(bits(&logits), bits(&simulate(&deployment, 1, &counts)));
        logits
    };
    assert_values(&result(Op::MaxPool(Window { kernel: [1, 2], stride: [1, 2] })), &[2049.0]);
    assert_values(&result(Op::ZeroStuff { stride: [1, 2] }), &[2049.0, 0.0, 7.0]);
    let pad = Op::Pad { rows: [0; 2], columns: [0, 1], filling: Filling::Zero };
    // Count zero less a mean of zero.
    assert_values(&result(pad), &[2049.0, 7.0, -0.0]);
    assert_values(&result(Op::Relu), &[2048.0, 7.0]);
    assert_values(&result(Op::LeakyRelu { slope: 0.1 }), &[2048.0, 7.0]);
}

/// One 1x1 convolution of weight 1/4 on a 16-bit band of mean 20000 and deviation 10000.
fn sixteen_bits(input: InputForm, profile: &NumericProfile) -> Deployment {
    let network = single([1, 1, 2], Op::Conv2d(Conv2d::same(1, 1)));
    let weights = Weights::from_values(&network, vec![0.25, 0.0, 0.0]).unwrap();
    let bands = [Band { mean: 20_000.0, deviation: 10_000.0 }];
    Deployment::convert(&network, &weights, &bands, input, profile).unwrap()
}

#[test]
fn the_myriad_rule_flushes_weights_that_are_folded_for_sixteen_bit_counts() {
    let profile = NumericProfile::myriad_x_optimistic();
    // (0 - 20000) / 10000 / 4 and (60000 - 20000) / 10000 / 4, and 60000 is a binary16 value.
    let counts = [0.0, 60_000.0];

    let kept = sixteen_bits(InputForm::Normalised, &profile);
    assert_eq!((kept.lost().flushed, kept.lost().overflowed), (0, 0));
    assert_values(&simulate(&kept, 1, &counts), &[-0.5, 1.0]);

    // 1 / 40000 lies below 2^-15: only the bias, -20000 / 40000, is left.
    let lost = sixteen_bits(InputForm::Counts, &profile);
    assert_eq!(lost.lost().flushed, 1);
    assert_values(&simulate(&lost, 1, &counts), &[-0.5, -0.5]);

    // IEEE 754 keeps it as the subnormal 419 * 2^-24, and the logit is 60000 * 419 / 2^24 - 1/2 in binary16.
    let subnormal = sixteen_bits(InputForm::Counts, &NumericProfile::ieee_f16());
    assert_eq!(subnormal.lost().flushed, 0);
    assert_values(&simulate(&subnormal, 1, &counts), &[-0.5, 0.998_535_16]);
}

#[test]
fn a_label_is_the_first_largest_class_and_never_one_of_nan() {
    let planes = Planes { batch: 1, channels: 3, height: 1, width: 4 };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let logits = [0.0, nan, 1.0, -inf, 2.0, 1.0, 1.0, nan, 1.0, inf, 0.0, -9.0];
    let mut labels = [9; 4];
    argmax(planes, &logits, &mut labels);
    assert_eq!(labels, [1, 2, 0, 2]);
}

#[test]
fn labels_are_those_of_the_logits() {
    let network = single([1, 1, 3], Op::Conv2d(Conv2d::same(2, 1)));
    let weights = Weights::from_values(&network, vec![1.0, -1.0, 0.0, 0.0, 0.0]).unwrap();
    let deployment =
        Deployment::undeployed(&network, &weights, &[Band { mean: 10.0, deviation: 4.0 }]).unwrap();
    let simulator = Simulator::new(deployment, 1).unwrap();
    let mut labels = [9; 3];
    simulator.labels(&[4.0, 10.0, 14.0], &mut simulator.memory(), &mut labels);
    assert_eq!(labels, [1, 0, 0]);
}
