//! What is written is read back.

use super::random;
use crate::networks::{bands, bits, counts, every_operator, simulate, unet, weights};
use boresight_core::Seed;
use boresight_deploy::onnx::{Export, Form, Opset, ReadOptions, read};
use boresight_deploy::{Band, Deployment, tolerance};
use boresight_ir::{Builder, Filling, Network, NodeId, Op, Weights};
use boresight_numerics::round_f16;
use proptest::prelude::*;

/// The network that a file stands for: without dropout, and with one operator for what ONNX writes alike.
fn as_written(network: &Network) -> Network {
    let mut builder = Builder::new(network.input_shape()).unwrap();
    let mut place: Vec<NodeId> = vec![builder.input()];
    for (_, node) in network.iter().skip(1) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| place[input.index()]).collect();
        let op = match node.op {
            Op::ChannelScale if node.shape.plane() == 1 => Op::Mul,
            Op::Clip { low: 0.0, high: f32::MAX } => Op::Relu,
            op => op,
        };
        let is_dropout = matches!(op, Op::Dropout { .. });
        place.push(if is_dropout { inputs[0] } else { builder.add(&node.name, op, &inputs).unwrap() });
    }
    builder.finish(place[network.output().index()]).unwrap()
}

/// Whether an operator may become part of another one, and loses its name then.
fn may_be_absorbed(op: &Op) -> bool {
    matches!(op, Op::Pad { .. } | Op::ZeroStuff { .. })
}

fn assert_round_trip(network: &Network, weights: &Weights) {
    let expected = as_written(network);
    for form in Form::ALL {
        for opset in Opset::ALL {
            let export = Export { form, opset, batch: 3, ..Export::new(network, weights) };
            let model = read(&export.write().unwrap(), &ReadOptions::default()).unwrap();
            assert_eq!(model.network.hash(), expected.hash(), "{}", network.to_json());
            for (found, node) in model.network.nodes().iter().zip(expected.nodes()) {
                assert!(found.name == node.name || may_be_absorbed(&node.op), "{} {}", found.name, node.name);
            }
            let held: Vec<f32> = match form {
                Form::Fp32 => weights.values().to_vec(),
                Form::Fp16 | Form::Fp16Weights => {
                    weights.values().iter().map(|&value| round_f16(value)).collect()
                }
            };
            assert_eq!(bits(model.weights.values()), bits(&held));
            assert_eq!((model.opset, &*model.input, &*model.output), (opset.number(), "input", "logits"));
        }
    }
}

#[test]
fn the_network_with_every_operator_survives() {
    let network = every_operator();
    assert_round_trip(&network, &weights(&network, Seed::new(3)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn networks_of_all_operators_survive(number: u64) {
        let network = random::network(Seed::new(number), false);
        assert_round_trip(&network, &weights(&network, Seed::new(number)));
    }

    #[test]
    fn u_nets_of_the_search_space_survive(number: u64) {
        let network = unet(Seed::new(number));
        assert_round_trip(&network, &weights(&network, Seed::new(number)));
    }

    #[test]
    fn what_was_read_is_written_as_the_same_bytes(number: u64) {
        let network = as_written(&random::network(Seed::new(number), false));
        let weights = weights(&network, Seed::new(number));
        let first = Export::new(&network, &weights).write().unwrap();
        let model = read(&first, &ReadOptions::default()).unwrap();
        prop_assert_eq!(first, Export::new(&model.network, &model.weights).write().unwrap());
    }
}

#[test]
fn random_networks_have_every_operator() {
    let names: std::collections::BTreeSet<&str> = (0..200)
        .flat_map(|number| {
            random::network(Seed::new(number), false)
                .nodes()
                .iter()
                .map(|node| node.op.name())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(names.len(), 23, "{names:?}");
    let is_absorbed = |op: &Op| matches!(op, Op::Pad { filling: Filling::Lowest, .. });
    assert!((0..200).any(|number| {
        random::network(Seed::new(number), false).nodes().iter().any(|node| is_absorbed(&node.op))
    }));
}

#[test]
fn a_network_with_a_border_or_a_normalisation_computes_the_same_after_reading() {
    for number in 0..12 {
        let seed = Seed::new(number);
        let network = random::network(seed, true);
        let weights = weights(&network, seed);
        let bands = bands(network.input_shape().channels);
        let deployment = Deployment::undeployed(&network, &weights, &bands).unwrap();
        let counts = counts(&network, 1, 2000, seed);
        let (expected, allowed) = (simulate(&deployment, 1, &counts), tolerance(&deployment, &counts, false));

        let raw = Export { normalisation: Some(&bands), ..Export::new(&network, &weights) }.write().unwrap();
        let mut bordered = weights.clone();
        let border: Vec<f32> = bands.iter().map(|band| -band.mean / band.deviation).collect();
        bordered.set_border(&border).unwrap();
        let normalised = Export::new(&network, &bordered).write().unwrap();
        let identity = vec![Band { mean: 0.0, deviation: 1.0 }; bands.len()];
        let planes = counts.chunks_exact(network.input_shape().plane()).zip(&bands);
        let image: Vec<f32> = planes
            .flat_map(|(plane, band)| plane.iter().map(|count| (count - band.mean) / band.deviation))
            .collect();
        for (bytes, input) in [(raw, &counts), (normalised, &image)] {
            let model = read(&bytes, &ReadOptions::default()).unwrap();
            let read = Deployment::undeployed(&model.network, &model.weights, &identity).unwrap();
            for ((found, expected), allowed) in simulate(&read, 1, input).iter().zip(&expected).zip(&allowed)
            {
                assert!((found - expected).abs() <= 2.0 * allowed, "{found} {expected} {allowed}");
            }
        }
    }
}
