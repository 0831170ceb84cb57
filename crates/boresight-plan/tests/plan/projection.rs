//! Folding, normalisation and constants, as a device holds them.

use crate::networks;
use boresight_core::Seed;
use boresight_ir::{
    Builder, Conv2d, InputForm, Network, NodeId, Op, Resize, Shape, Weights, Window, fold_batch_norm,
};
use boresight_numerics::NumericProfile;
use boresight_plan::{Arithmetic, Mode, Plan, Projection};

const MEAN: [f32; 3] = [1200.0, 900.0, 2500.0];
const DEVIATION: [f32; 3] = [300.0, 450.0, 1100.0];

fn counts(seed: Seed, count: usize) -> Vec<f32> {
    let mut stream = seed.stream();
    (0..count).map(|_| stream.below(10_000) as f32).collect()
}

/// A U-Net of one stage with batch normalisations, of operators that move no value by more than their input moves.
fn unet() -> Network {
    let mut builder = Builder::new(Shape::new(3, 9, 7)).unwrap();
    let input = builder.input();
    let mut add = |name: &str, op, inputs: &[NodeId]| builder.add(name, op, inputs).unwrap();
    let conv = |out_channels| Op::Conv2d(Conv2d::same(out_channels, 3).without_bias());
    let norm = Op::BatchNorm { epsilon: 1e-5 };
    let first = add("first", conv(4), &[input]);
    let first = add("first.norm", norm, &[first]);
    let first = add("first.relu", Op::Relu, &[first]);
    let deep = add("pool", Op::MaxPool(Window::square(2)), &[first]);
    let deep = add("deep", conv(6), &[deep]);
    let deep = add("deep.norm", norm, &[deep]);
    let deep = add("deep.relu", Op::Relu, &[deep]);
    let up = add("up", Op::Upsample { resize: Resize::Bilinear, size: [9, 7] }, &[deep]);
    let joined = add("joined", Op::Concat, &[first, up]);
    let joined = add("joined.norm", norm, &[joined]);
    let last = add("last", Op::Conv2d(Conv2d::same(2, 3)), &[joined]);
    builder.finish(last).unwrap()
}

fn projection(network: &Network, profile: &NumericProfile, input: InputForm) -> Projection {
    Projection::new(network, profile, input, &MEAN, &DEVIATION).unwrap()
}

fn logits(network: &Network, weights: &[f32], images: &[f32]) -> Vec<f32> {
    let plan = Plan::inference(network, 1, Arithmetic::Fast).unwrap();
    plan.forward(weights, images, Mode::Evaluate, &mut plan.workspace()).to_vec()
}

/// For each logit a bound of its rounding error: the depth of the sums times half a unit in the last place, times
/// what the network makes of the absolute values of everything.
fn rounding_bound(network: &Network, weights: &[f32], images: &[f32]) -> Vec<f32> {
    let absolute = |values: &[f32]| values.iter().map(|value| value.abs()).collect::<Vec<_>>();
    let operations: usize = network
        .nodes()
        .iter()
        .map(|node| match node.op {
            Op::Conv2d(conv) => {
                network.node(node.inputs[0]).shape.channels / conv.groups * conv.kernel[0] * conv.kernel[1]
                    + 4
            }
            _ => 6,
        })
        .sum();
    let unit = operations as f32 * f32::EPSILON / 2.0;
    logits(network, &absolute(weights), &absolute(images)).into_iter().map(|size| size * unit).collect()
}

struct Folded {
    original: Network,
    weights: Weights,
    network: Network,
    master: Weights,
}

fn folded() -> Folded {
    let original = unet();
    let mut weights = networks::weights(&original, Seed::new(3));
    let projection = projection(&original, &NumericProfile::f32(), InputForm::Normalised);
    weights.set_border(&projection.border()).unwrap();
    let (network, master) = fold_batch_norm(&original, &weights).unwrap();
    Folded { original, weights, network, master }
}

#[test]
fn a_folded_network_on_counts_is_the_network_on_normalised_images_up_to_rounding() {
    let Folded { original, weights, network, master } = folded();
    let raw = counts(Seed::new(1), network.input_shape().len());
    let whole = projection(&original, &NumericProfile::f32(), InputForm::Normalised);
    let plan = Plan::inference(&original, 1, Arithmetic::Fast).unwrap();
    let mut images = raw.clone();
    whole.images(plan.input_planes(), &mut images);
    let expected = logits(&original, weights.values(), &images);

    let on_counts = projection(&network, &NumericProfile::f32(), InputForm::Counts);
    let mut device = vec![0.0; master.values().len()];
    let lost = on_counts.constants(master.values(), &mut device);
    assert_eq!((lost.flushed, lost.overflowed), (0, 0));
    let mut read = raw.clone();
    on_counts.images(plan.input_planes(), &mut read);
    assert_eq!(read, raw, "counts pass the f32 profile as they are");
    let found = logits(&network, &device, &read);

    let mut bound = rounding_bound(&network, &device, &read);
    let other = rounding_bound(&network, master.values(), &images);
    bound.iter_mut().zip(other).for_each(|(bound, other)| *bound += 2.0 * other);
    for (at, ((found, expected), bound)) in found.iter().zip(&expected).zip(&bound).enumerate() {
        assert!((found - expected).abs() <= *bound, "logit {at}: {found}, not {expected} +- {bound}");
    }
    // The bound is tight enough to tell a wrong border from a right one.
    let mut borderless = weights;
    borderless.set_border(&[0.0; 3]).unwrap();
    let wrong = logits(&original, borderless.values(), &images);
    let broken = found
        .iter()
        .zip(&wrong)
        .zip(&bound)
        .filter(|((found, wrong), bound)| (*found - *wrong).abs() > **bound);
    assert!(broken.count() > 20);
}

#[test]
fn the_adjoint_is_the_gradient_of_the_projected_network() {
    let Folded { network, master, .. } = folded();
    let projection = projection(&network, &NumericProfile::f32(), InputForm::Counts);
    let raw = counts(Seed::new(2), network.input_shape().len());
    let plan = Plan::training(&network, 1, Arithmetic::Fast).unwrap();
    let mut memory = plan.workspace();
    let mut device = vec![0.0; master.values().len()];
    projection.constants(master.values(), &mut device);
    let slope = networks::normals(Seed::new(9), plan.output_planes().len());
    plan.forward(&device, &raw, Mode::Evaluate, &mut memory);
    let mut gradient = vec![0.0; network.parameter_count()];
    plan.backward(&device, &raw, &slope, &mut memory, &mut gradient);
    projection.adjoint(&device, &mut gradient);

    // Without folding the same masters on normalised images have the same gradient.
    let plain = self::projection(&network, &NumericProfile::f32(), InputForm::Normalised);
    let mut images = raw.clone();
    plain.images(plan.input_planes(), &mut images);
    plan.forward(master.values(), &images, Mode::Evaluate, &mut memory);
    let mut expected = vec![0.0; network.parameter_count()];
    plan.backward(master.values(), &images, &slope, &mut memory, &mut expected);
    let norm = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    let difference: Vec<f32> =
        gradient.iter().zip(&expected).map(|(found, expected)| found - expected).collect();
    // The gradient of a folded weight is a difference of two sums some ten times as large.
    assert!(norm(&difference) < 1e-4 * norm(&expected), "{} of {}", norm(&difference), norm(&expected));
}

#[test]
fn the_adjoint_is_that_of_the_constants() {
    let Folded { network, master, .. } = folded();
    let projection = projection(&network, &NumericProfile::f32(), InputForm::Counts);
    let parameters = network.parameter_count();
    let device_of = |master: &[f32]| {
        let mut device = vec![0.0; master.len()];
        projection.constants(master, &mut device);
        device
    };
    let slope = networks::normals(Seed::new(4), parameters);
    let mut gradient = slope.clone();
    projection.adjoint(&device_of(master.values()), &mut gradient);
    let loss = |device: &[f32]| -> f64 {
        device.iter().zip(&slope).map(|(value, slope)| f64::from(*value) * f64::from(*slope)).sum()
    };
    // The constants are a linear function of the masters, so a step of any size gives their gradient.
    for at in 0..parameters {
        let differences = [1.0, -1.0].map(|step| {
            let mut moved = master.values().to_vec();
            moved[at] += step;
            loss(&device_of(&moved)[..parameters])
        });
        let expected = f64::midpoint(differences[0], -differences[1]);
        let found = f64::from(gradient[at]);
        assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{at}: {found}, not {expected}");
    }
}

#[test]
fn no_gradient_passes_a_constant_that_was_cut_off() {
    let mut builder = Builder::new(Shape::new(1, 1, 1)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(3, 1)), &[builder.input()]).unwrap();
    let network = builder.finish(conv).unwrap();
    // Three weights, three biases, the border.
    let master = [1e6, 65_000.0, 0.5, 0.0, -7e4, 1.0, 0.0];
    for (profile, expected) in [
        (NumericProfile::ieee_f16(), [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]),
        (NumericProfile::myriad_x_optimistic(), [0.0, 1.0, 1.0, 1.0, 0.0, 1.0]),
        (NumericProfile::f32(), [1.0; 6]),
    ] {
        let projection = Projection::new(&network, &profile, InputForm::Normalised, &[0.0], &[1.0]).unwrap();
        let mut device = [0.0; 7];
        projection.constants(&master, &mut device);
        let mut gradient = [1.0; 6];
        projection.adjoint(&device, &mut gradient);
        assert_eq!(gradient.map(f32::to_bits), expected.map(f32::to_bits), "{}", profile.name);
    }
}

#[test]
fn a_projection_refuses_what_it_cannot_fold() {
    let mut builder = Builder::new(Shape::new(3, 4, 4)).unwrap();
    let relu = builder.add("relu", Op::Relu, &[builder.input()]).unwrap();
    let network = builder.finish(relu).unwrap();
    let profile = NumericProfile::f32();
    let error = Projection::new(&network, &profile, InputForm::Counts, &MEAN, &DEVIATION).unwrap_err();
    assert!(error.to_string().starts_with("node 'relu' (relu) reads the input"), "{error}");
    let error = Projection::new(&network, &profile, InputForm::Normalised, &MEAN, &[1.0]).unwrap_err();
    assert_eq!(error.to_string(), "the network reads 3 bands, the normalisation has 1");
}
