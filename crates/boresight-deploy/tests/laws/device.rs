//! The simulated device against plans: what is deployed is what was trained.

use crate::networks::{
    FORMS, bands, bits, counts, every_operator, profiles, random_profile, simulate, single, unet, weights,
};
use boresight_core::Seed;
use boresight_deploy::{Band, Deployment, Error, Simulator, reference};
use boresight_ir::{Filling, InputForm, Network, Op, Weights, fold_batch_norm};
use boresight_numerics::NumericProfile;
use boresight_plan::{Arithmetic, Mode, Plan, Projection, Store};

fn networks() -> impl Iterator<Item = (Network, Seed)> {
    let unets = (100..108).map(|number| (unet(Seed::new(number)), Seed::new(number)));
    std::iter::once((every_operator(), Seed::new(99))).chain(unets)
}

#[test]
fn what_is_undeployed_is_exactly_the_plan_on_normalised_images() {
    for (network, seed) in networks() {
        let bands = bands(network.input_shape().channels);
        let mut weights = weights(&network, seed);
        let deployment = Deployment::undeployed(&network, &weights, &bands).unwrap();
        let counts = counts(&network, 2, 4000, seed);
        let planes = counts.chunks_exact(network.input_shape().plane());
        let images: Vec<f32> = planes
            .zip(bands.iter().cycle())
            .flat_map(|(plane, band)| plane.iter().map(|count| (count - band.mean) / band.deviation))
            .collect();
        let border: Vec<f32> = bands.iter().map(|band| -band.mean / band.deviation).collect();
        weights.set_border(&border).unwrap();
        let plan = Plan::inference(&network, 2, Arithmetic::Device(Store::F32)).unwrap();
        let mut memory = plan.workspace();
        let logits = plan.forward(weights.values(), &images, Mode::Evaluate, &mut memory);
        assert_eq!(bits(&simulate(&deployment, 2, &counts)), bits(logits));
    }
}

/// The forward pass that fine-tuning makes in each step, with the dropout left out.
fn trainer_forward(master: &Weights, network: &Network, projection: &Projection, counts: &[f32]) -> Vec<f32> {
    let plan = Plan::training(network, 2, projection.device()).unwrap();
    let mut memory = plan.workspace();
    let mut constants = vec![0.0; master.values().len()];
    projection.constants(master.values(), &mut constants);
    projection.describe_sums(&constants, &mut memory);
    let mut images = counts.to_vec();
    projection.images(plan.input_planes(), &mut images);
    plan.forward(&constants, &images, Mode::Evaluate, &mut memory).to_vec()
}

#[test]
fn the_trainer_sees_what_the_device_computes_bit_for_bit() {
    for (network, seed) in networks() {
        let bands = bands(network.input_shape().channels);
        let (folded, mut master) = fold_batch_norm(&network, &weights(&network, seed)).unwrap();
        let [mean, deviation] = [|band: &Band| band.mean, |band: &Band| band.deviation]
            .map(|field| bands.iter().map(field).collect::<Vec<f32>>());
        let counts = counts(&network, 2, 4000, seed);
        let any = (0..4).map(|at| random_profile(seed.derive("any", at)));
        for profile in profiles().into_iter().chain(any) {
            for form in FORMS {
                let projection = Projection::new(&folded, &profile, form, &mean, &deviation).unwrap();
                master.set_border(&projection.border()).unwrap();
                let trained = trainer_forward(&master, &folded, &projection, &counts);
                let deployment = Deployment::convert(&folded, &master, &bands, form, &profile).unwrap();
                assert_eq!(bits(&trained), bits(&simulate(&deployment, 2, &counts)), "{profile:?} {form:?}");
            }
        }
    }
}

#[test]
fn a_batch_is_nothing_but_its_images_and_memory_forgets() {
    for (network, seed) in networks() {
        let bands = bands(network.input_shape().channels);
        let weights = weights(&network, seed);
        let profile = NumericProfile::myriad_x_optimistic();
        let deployment =
            Deployment::convert(&network, &weights, &bands, InputForm::Counts, &profile).unwrap();
        let counts = counts(&network, 5, 4000, seed);
        let one = Simulator::new(deployment.clone(), 1).unwrap();
        let mut memory = one.memory();
        let images = counts.chunks_exact(network.input_shape().len());
        let singly: Vec<f32> = images.flat_map(|image| one.logits(image, &mut memory).to_vec()).collect();
        assert_eq!(bits(&simulate(&deployment, 5, &counts)), bits(&singly));
    }
}

#[test]
fn what_does_not_go_together_is_refused() {
    let network = every_operator();
    let values = weights(&network, Seed::new(1));
    let profile = NumericProfile::ieee_f16();
    let convert = |weights, bands: &[Band]| {
        Deployment::convert(&network, weights, bands, InputForm::Counts, &profile).map(drop)
    };
    let expected = boresight_ir::Error::BandCount { expected: 3, found: 2 };
    assert_eq!(convert(&values, &bands(2)), Err(Error::Plan(expected.into())));
    let other = weights(&unet(Seed::new(1)), Seed::new(1));
    assert!(matches!(convert(&other, &bands(3)), Err(Error::Network(_))));
    let padded = single([3, 4, 4], Op::Pad { rows: [1; 2], columns: [1; 2], filling: Filling::Zero });
    let values = weights(&padded, Seed::new(1));
    let result = Deployment::convert(&padded, &values, &bands(3), InputForm::Counts, &profile);
    let expected = boresight_ir::Error::CannotFoldNormalisation { node: "n1".into(), op: "pad" };
    assert_eq!(result.map(drop), Err(Error::Plan(expected.into())));
}

#[test]
#[should_panic(expected = "counts must have the shape of the network's input")]
fn the_reference_takes_one_image() {
    let network = every_operator();
    let deployment = Deployment::undeployed(&network, &weights(&network, Seed::new(1)), &bands(3)).unwrap();
    let _ = reference::logits(&deployment, &[0.0; 7]);
}
