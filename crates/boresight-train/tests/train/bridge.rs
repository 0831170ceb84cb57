//! A network as one Candle operation.

use crate::networks::{self, normals};
use boresight_core::Seed;
use boresight_ir::{Network, Weights};
use boresight_plan::Plan;
use boresight_train::{Arithmetic, CandleNetwork, Mode};
use candle_core::{DType, Device, Tensor, Var};

const TRAIN: Mode = Mode::Train(Seed::new(8));

/// A network with batch normalisation and its bridge, for two images.
struct Bridged {
    network: Network,
    weights: Weights,
    bridge: CandleNetwork,
    parameters: Var,
}

fn bridged() -> Bridged {
    let (_, network) = networks::small().into_iter().find(|(name, _)| name.contains("GELU")).unwrap();
    let weights = networks::weights(&network, Seed::new(1));
    let bridge = CandleNetwork::new(&network, &weights, 2, Arithmetic::Fast).unwrap();
    let parameters = Tensor::new(&weights.values()[..network.parameter_count()], &Device::Cpu).unwrap();
    Bridged { network, weights, bridge, parameters: Var::from_tensor(&parameters).unwrap() }
}

fn images(network: &Network, seed: u64) -> Vec<f32> {
    normals(Seed::new(seed), 2 * network.input_shape().len())
}

fn tensor(network: &Network, images: &[f32]) -> Tensor {
    let shape = network.input_shape();
    Tensor::from_slice(images, (2, shape.channels, shape.height, shape.width), &Device::Cpu).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn bits_of(tensor: &Tensor) -> Vec<u32> {
    bits(&tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
}

/// Logits and gradient of their sum, by the plan itself.
fn planned(bridged: &Bridged, images: &[f32], mode: Mode) -> [Vec<u32>; 2] {
    let plan = Plan::training(&bridged.network, 2, Arithmetic::Fast).unwrap();
    let mut memory = plan.workspace();
    let weights = bridged.weights.values();
    let logits = plan.forward(weights, images, mode, &mut memory).to_vec();
    let mut gradient = vec![0.0; bridged.network.parameter_count()];
    plan.backward(weights, images, &vec![1.0; logits.len()], &mut memory, &mut gradient);
    [bits(&logits), bits(&gradient)]
}

#[test]
fn candle_sees_the_bits_of_the_plan() {
    let bridged = bridged();
    for mode in [TRAIN, Mode::Evaluate] {
        let images = images(&bridged.network, 2);
        let logits =
            bridged.bridge.apply(&bridged.parameters, &tensor(&bridged.network, &images), mode).unwrap();
        let gradients = logits.sum_all().unwrap().backward().unwrap();
        let gradient = gradients.get(&bridged.parameters).unwrap();
        assert_eq!([bits_of(&logits), bits_of(gradient)], planned(&bridged, &images, mode));
    }
}

#[test]
fn tensors_with_gaps_are_read_by_their_strides() {
    let bridged = bridged();
    let images = images(&bridged.network, 2);
    let whole = tensor(&bridged.network, &images);
    let gappy = whole.permute((3, 1, 0, 2)).unwrap().contiguous().unwrap().permute((2, 1, 3, 0)).unwrap();
    assert!(!gappy.is_contiguous());
    let twice = Tensor::cat(&[bridged.parameters.as_tensor(), bridged.parameters.as_tensor()], 0).unwrap();
    let second = twice.reshape((2, ())).unwrap().t().unwrap().narrow(1, 1, 1).unwrap().squeeze(1).unwrap();
    let expected = bridged.bridge.apply(&bridged.parameters, &whole, TRAIN).unwrap();
    let found = bridged.bridge.apply(&second, &gappy, TRAIN).unwrap();
    assert_eq!(bits_of(&found), bits_of(&expected));
}

#[test]
fn passes_that_are_open_at_once_do_not_disturb_each_other() {
    let bridged = bridged();
    let batches = [3, 4, 5].map(|seed| images(&bridged.network, seed));
    for _ in 0..2 {
        let sums = batches.each_ref().map(|images| {
            let images = tensor(&bridged.network, images);
            bridged.bridge.apply(&bridged.parameters, &images, TRAIN).unwrap().sum_all().unwrap()
        });
        for (sum, images) in sums.iter().zip(&batches) {
            let gradients = sum.backward().unwrap();
            let gradient = gradients.get(&bridged.parameters).unwrap();
            assert_eq!(bits_of(gradient), planned(&bridged, images, TRAIN)[1]);
        }
    }
}

#[test]
fn a_result_is_differentiated_once() {
    let bridged = bridged();
    let images = tensor(&bridged.network, &images(&bridged.network, 2));
    let sum = bridged.bridge.apply(&bridged.parameters, &images, TRAIN).unwrap().sum_all().unwrap();
    sum.backward().unwrap();
    let error = sum.backward().unwrap_err();
    assert!(error.to_string().contains("this result was differentiated before"), "{error}");
}

#[test]
fn statistics_move_when_they_are_committed_and_not_before() {
    let mut bridged = bridged();
    let images = images(&bridged.network, 2);
    let parameters = bridged.network.parameter_count();
    let before = bits(bridged.bridge.statistics());
    assert_eq!(before, bits(&bridged.weights.values()[parameters..]));
    bridged.bridge.apply(&bridged.parameters, &tensor(&bridged.network, &images), TRAIN).unwrap();
    assert_eq!(bits(bridged.bridge.statistics()), before);

    let plan = Plan::training(&bridged.network, 2, Arithmetic::Fast).unwrap();
    let mut memory = plan.workspace();
    let mut expected = bridged.weights.values().to_vec();
    plan.forward(&expected, &images, TRAIN, &mut memory);
    plan.commit_statistics(&memory, 0.1, &mut expected);
    for _ in 0..2 {
        bridged.bridge.commit_statistics(0.1);
        assert_eq!(bits(bridged.bridge.statistics()), bits(&expected[parameters..]));
    }
    assert_ne!(bits(bridged.bridge.statistics()), before);
}

#[test]
fn what_does_not_fit_is_refused_in_one_sentence() {
    let Bridged { network, weights, bridge, parameters } = bridged();
    let good = tensor(&network, &images(&network, 2));
    let message = |parameters: &Tensor, images: &Tensor| {
        bridge.apply(parameters, images, Mode::Evaluate).unwrap_err().to_string()
    };
    assert_eq!(
        message(&parameters, &good.narrow(0, 0, 1).unwrap()),
        "images have shape [1, 2, 7, 6], the network takes [2, 2, 7, 6]"
    );
    assert_eq!(
        message(&parameters.to_dtype(DType::F64).unwrap(), &good),
        "parameters are f64, a plan takes f32"
    );
    let variable = Var::from_tensor(&good).unwrap();
    assert_eq!(
        message(&parameters, &(variable.as_tensor() * 2.0).unwrap()),
        "images depend on a variable, but a plan has no gradient for them: detach them"
    );
    let (_, other) = networks::small().swap_remove(0);
    let error = CandleNetwork::new(&other, &weights, 2, Arithmetic::Fast).unwrap_err();
    assert!(error.to_string().starts_with("the network has "), "{error}");
}
