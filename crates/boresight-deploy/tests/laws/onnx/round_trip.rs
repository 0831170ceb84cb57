//! What is written is read back.

use super::random;
use crate::networks::{bits, every_operator, unet, weights};
use boresight_core::Seed;
use boresight_deploy::onnx::{Export, Form, Opset, ReadOptions, read};
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
