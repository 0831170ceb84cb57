//! Devices that round elsewhere, and training for them.

use crate::networks::{self, normals};
use boresight_core::Seed;
use boresight_ir::{Builder, Conv2d, InputForm, Network, Op, Shape, Weights, fold_batch_norm};
use boresight_numerics::{Format, NumericProfile, Overflow, Places};
use boresight_plan::{
    Arithmetic, FoldingSimulation, Mode, Penalty, Plan, Projection, Store, TrainingExtras, power_scales,
};

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn bands(network: &Network) -> [Vec<f32>; 2] {
    let count = network.input_shape().channels;
    [vec![1400.0; count], vec![700.0; count]]
}

/// A profile that stores binary32 but converts constants as the plugin does.
fn coarse_constants() -> NumericProfile {
    let f32 = NumericProfile::f32();
    NumericProfile { input: f32.input, activations: f32.activations, ..NumericProfile::myriad_x_optimistic() }
}

/// Logits and gradient of one step of training.
fn step(plan: &Plan, constants: &[f32], images: &[f32]) -> [Vec<f32>; 2] {
    let mut memory = plan.workspace();
    let logits = plan.forward(constants, images, Mode::Train(Seed::new(4)), &mut memory).to_vec();
    let slope = normals(Seed::new(6), logits.len());
    let mut gradient = vec![f32::NAN; plan.layout().trainable()];
    plan.backward(constants, images, &slope, &mut memory, &mut gradient);
    [logits, gradient]
}

#[test]
fn the_gradient_of_the_penalty_agrees_with_finite_differences() {
    let extras =
        TrainingExtras { penalty: Some(Penalty { limit: 0.4, weight: 3.0 }), ..TrainingExtras::default() };
    let mut seen = 0;
    for (name, network) in networks::small() {
        let weights = networks::weights(&network, Seed::new(1));
        let (folded, weights) = fold_batch_norm(&network, &weights).unwrap();
        let plan = Plan::training_with(&folded, 2, Arithmetic::Device(Store::F32), extras).unwrap();
        let images = normals(Seed::new(2), 2 * folded.input_shape().len());
        let mut memory = plan.workspace();
        let slope = vec![0.0; plan.output_planes().len()];
        let mut cost = |constants: &[f32]| {
            plan.forward(constants, &images, Mode::Evaluate, &mut memory);
            plan.penalty(&memory)
        };
        let trainable = plan.layout().trainable();
        let step = 1e-2_f32;
        let differences: Vec<f64> = (0..trainable)
            .map(|at| {
                let mut moved = |by: f32| {
                    let mut constants = weights.values().to_vec();
                    constants[at] += by;
                    cost(&constants)
                };
                (moved(step) - moved(-step)) / f64::from(2.0 * step)
            })
            .collect();
        let mut gradient = vec![f32::NAN; trainable];
        plan.forward(weights.values(), &images, Mode::Evaluate, &mut memory);
        plan.backward(weights.values(), &images, &slope, &mut memory, &mut gradient);
        let norm = differences.iter().map(|value| value * value).sum::<f64>().sqrt();
        for (at, (found, expected)) in gradient.iter().zip(&differences).enumerate() {
            // The penalty bends where a value crosses the limit, and the step is wide: 2 % of the whole.
            assert!(
                (f64::from(*found) - expected).abs() <= 0.02 * norm + 1e-4,
                "{name} {at}: {found} {expected}"
            );
        }
        seen += usize::from(norm > 0.1);
    }
    assert!(seen > 3, "the penalty was hardly ever above zero");
}

#[test]
fn no_gradient_passes_where_a_stored_value_was_cut() {
    let mut builder = Builder::new(Shape::new(1, 1, 2)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(2, 1)), &[builder.input()]).unwrap();
    let network = builder.finish(conv).unwrap();
    let profile = NumericProfile {
        overflow: Places { activations: Overflow::Saturate, ..Places::default() },
        ..NumericProfile::ieee_f16()
    };
    let projection = Projection::new(&network, &profile, InputForm::Normalised, &[0.0], &[1.0]).unwrap();
    let plan = Plan::training(&network, 1, projection.device()).unwrap();
    // The second channel is 1000 and 100000 before it is cut.
    let [logits, gradient] = step(&plan, &[1.0, 1000.0, 0.0, 0.0, 0.0], &[1.0, 100.0]);
    assert_eq!(logits, [1.0, 100.0, 1000.0, 65_504.0]);
    let slope = normals(Seed::new(6), 4);
    assert_eq!(gradient, [slope[0] + 100.0 * slope[1], slope[2], slope[0] + slope[1], slope[2]]);
}

#[test]
fn a_simulation_of_folding_without_a_device_is_plain_training() {
    for number in 0..40 {
        let seed = Seed::new(number);
        let network = networks::random(seed);
        let mut weights = networks::weights(&network, seed);
        let [mean, deviation] = bands(&network);
        let profile = NumericProfile::f32();
        let form = InputForm::Normalised;
        let simulation = FoldingSimulation::new(&network, &profile, form, &mean, &deviation).unwrap();
        weights.set_border(&simulation.folded().border()).unwrap();
        let mut constants = vec![0.0; weights.values().len()];
        simulation.constants(&weights, &mut constants).unwrap();
        assert_eq!(bits(&constants), bits(weights.values()));
        let device = Arithmetic::Device(Store::F32);
        let extras = TrainingExtras { simulates_folding: true, penalty: None };
        let simulated = Plan::training_with(&network, 2, device, extras).unwrap();
        let plain = Plan::training(&network, 2, device).unwrap();
        let images = normals(seed.derive("images", 0), 2 * network.input_shape().len());
        let [found, expected] = [&simulated, &plain].map(|plan| step(plan, &constants, &images));
        assert_eq!(bits(&found[0]), bits(&expected[0]));
        let norm = expected[1].iter().map(|value| value * value).sum::<f32>().sqrt();
        // Normalisation and activation are one step there and two here.
        let worst = found[1].iter().zip(&expected[1]).map(|(found, expected)| (found - expected).abs());
        assert!(worst.fold(0.0, f32::max) <= 1e-5 * norm, "{number}");
    }
}

/// With frozen statistics, what training simulates is what the folded network computes.
#[test]
fn a_simulation_of_folding_with_frozen_statistics_is_the_folded_network() {
    for form in [InputForm::Normalised, InputForm::Counts] {
        for number in 0..12 {
            let seed = Seed::new(number);
            let network = plain_unet(seed);
            let mut weights = networks::weights(&network, seed);
            let [mean, deviation] = bands(&network);
            let profile = coarse_constants();
            let simulation = FoldingSimulation::new(&network, &profile, form, &mean, &deviation).unwrap();
            weights.set_border(&simulation.folded().border()).unwrap();
            let mut constants = vec![0.0; weights.values().len()];
            simulation.constants(&weights, &mut constants).unwrap();
            let plan = Plan::inference(&network, 1, Arithmetic::Device(Store::F32)).unwrap();
            let planes = plan.input_planes();
            let mut stream = seed.derive("counts", 0).stream();
            let counts: Vec<f32> = (0..planes.len()).map(|_| stream.below(4000) as f32).collect();
            let mut images = counts.clone();
            simulation.images(planes, &mut images);
            let found = plan.forward(&constants, &images, Mode::Evaluate, &mut plan.workspace()).to_vec();
            let (folded, masters) = fold_batch_norm(&network, &weights).unwrap();
            let mut device = vec![0.0; masters.values().len()];
            simulation.folded().constants(masters.values(), &mut device);
            let plan = Plan::inference(&folded, 1, simulation.folded().device()).unwrap();
            let mut images = counts;
            simulation.folded().images(planes, &mut images);
            let expected = plan.forward(&device, &images, Mode::Evaluate, &mut plan.workspace()).to_vec();
            let largest = expected.iter().fold(1e-3_f32, |largest, value| largest.max(value.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                assert!((found - expected).abs() <= 2e-3 * largest, "{number} {form:?}: {found} {expected}");
            }
        }
    }
}

/// Convolutions with normalisations, and activations between.
fn plain_unet(seed: Seed) -> Network {
    let mut stream = seed.derive("shape", 0).stream();
    let mut builder = Builder::new(Shape::new(2, 8, 9)).unwrap();
    let mut last = builder.input();
    for at in 0..3 {
        let conv = Conv2d::same(4 + stream.below(8), 3);
        let conv = if stream.chance(0.5) { conv } else { conv.without_bias() };
        last = builder.add(format!("conv{at}"), Op::Conv2d(conv), &[last]).unwrap();
        last = builder.add(format!("norm{at}"), Op::BatchNorm { epsilon: 1e-5 }, &[last]).unwrap();
        last = builder.add(format!("relu{at}"), Op::Relu, &[last]).unwrap();
    }
    last = builder.add("head", Op::Conv2d(Conv2d::same(2, 1)), &[last]).unwrap();
    builder.finish(last).unwrap()
}

#[test]
fn powers_of_two_rescue_small_constants_and_change_nothing_else() {
    let network = plain_unet(Seed::new(3));
    let (folded, mut master) = fold_batch_norm(&network, &networks::weights(&network, Seed::new(3))).unwrap();
    let [mean, deviation] = [vec![9000.0; 2], vec![6000.0; 2]];
    let myriad = NumericProfile::myriad_x_optimistic();
    let projection =
        |profile| Projection::new(&folded, profile, InputForm::Counts, &mean, &deviation).unwrap();
    master.set_border(&projection(&myriad).border()).unwrap();
    let powers = power_scales(&folded, &projection(&myriad), master.values());
    assert!(!powers.is_empty());
    let lost = |projection: Projection| {
        let mut device = vec![0.0; master.values().len()];
        projection.constants(master.values(), &mut device).flushed
    };
    let [before, after] = [lost(projection(&myriad)), lost(projection(&myriad).with_powers(powers.clone()))];
    assert!(before > 30 && 5 * after < before, "{after} of {before} are still lost");
    // In binary32 a power of two is exact, so logits have the same bits.
    let f32 = NumericProfile::f32();
    let logits = |projection: Projection| {
        let mut device = vec![0.0; master.values().len()];
        projection.constants(master.values(), &mut device);
        let plan = Plan::inference(&folded, 1, Arithmetic::Device(Store::F32)).unwrap();
        let mut stream = Seed::new(5).stream();
        let images: Vec<f32> = (0..plan.input_planes().len()).map(|_| stream.below(20_000) as f32).collect();
        bits(plan.forward(&device, &images, Mode::Evaluate, &mut plan.workspace()))
    };
    assert_eq!(logits(projection(&f32).with_powers(powers)), logits(projection(&f32)));
    // On normalised input nothing is lost, so nothing is moved.
    let normal = Projection::new(&folded, &myriad, InputForm::Normalised, &mean, &deviation).unwrap();
    assert_eq!(power_scales(&folded, &normal, master.values()), []);
}

#[test]
fn powers_of_two_are_smaller_where_sums_are_binary16() {
    let network = plain_unet(Seed::new(3));
    let (folded, mut master) = fold_batch_norm(&network, &networks::weights(&network, Seed::new(3))).unwrap();
    let mut largest = |profile: &NumericProfile| {
        let [mean, deviation] = [vec![9000.0; 2], vec![6000.0; 2]];
        let projection = Projection::new(&folded, profile, InputForm::Counts, &mean, &deviation).unwrap();
        master.set_border(&projection.border()).unwrap();
        let powers = power_scales(&folded, &projection, master.values());
        powers.iter().map(|(_, power)| *power).fold(1.0_f32, f32::max)
    };
    let wide = largest(&NumericProfile::myriad_x_optimistic());
    let narrow = largest(&NumericProfile::myriad_x_pessimistic());
    assert!(wide > 1.0 && narrow <= 8.0 && narrow <= wide, "{wide} {narrow}");
}

#[test]
fn masters_with_a_power_of_two_get_its_share_of_the_gradient() {
    let network = plain_unet(Seed::new(4));
    let (folded, master) = fold_batch_norm(&network, &networks::weights(&network, Seed::new(4))).unwrap();
    let [mean, deviation] = bands(&folded);
    let profile = NumericProfile::f32();
    let plain = Projection::new(&folded, &profile, InputForm::Counts, &mean, &deviation).unwrap();
    let range = folded.layout().find("conv1.weight").unwrap().range.clone();
    let raised = plain.clone().with_powers(vec![(range.clone(), 8.0)]);
    let device = vec![0.0; master.values().len()];
    let [found, expected] = [&raised, &plain].map(|projection| {
        let mut gradient: Vec<f32> = normals(Seed::new(1), folded.layout().trainable());
        projection.adjoint(&device, &mut gradient);
        gradient
    });
    for at in 0..found.len() {
        let factor = if range.contains(&at) { 8.0 } else { 1.0 };
        assert_eq!(found[at].to_bits(), (factor * expected[at]).to_bits(), "{at}");
    }
}

#[test]
fn integers_are_one_tensor_each_and_addends_stay() {
    let network = plain_unet(Seed::new(1));
    let (folded, master) = fold_batch_norm(&network, &networks::weights(&network, Seed::new(1))).unwrap();
    let [mean, deviation] = bands(&folded);
    let profile = NumericProfile::named("int8").unwrap();
    assert_eq!(profile.weights, Format::Int8);
    let projection = Projection::new(&folded, &profile, InputForm::Normalised, &mean, &deviation).unwrap();
    let mut device = vec![0.0; master.values().len()];
    projection.constants(master.values(), &mut device);
    for slot in folded.layout().slots() {
        let [before, after] = [master.values(), &device[..]].map(|values| &values[slot.range.clone()]);
        let largest = before.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let step = if slot.name.ends_with("weight") { largest / 127.0 } else { 0.0 };
        for (before, after) in before.iter().zip(after) {
            assert!((before - after).abs() <= 0.501 * step, "{}", slot.name);
        }
    }
}

/// The master values of a network are not changed by looking at them.
#[test]
fn a_simulation_needs_weights_of_its_network() {
    let network = plain_unet(Seed::new(1));
    let other = plain_unet(Seed::new(2));
    let [mean, deviation] = bands(&network);
    let form = InputForm::Counts;
    let simulation = FoldingSimulation::new(&network, &coarse_constants(), form, &mean, &deviation).unwrap();
    let weights = Weights::initial(&other, Seed::new(1));
    assert!(simulation.constants(&weights, &mut vec![0.0; weights.values().len()]).is_err());
}
