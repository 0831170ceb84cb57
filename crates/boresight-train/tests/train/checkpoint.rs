//! Weights on disk.

use crate::networks;
use boresight_core::Seed;
use boresight_ir::{Builder, Conv2d, Network, Op, Shape};
use boresight_train::{Error, read_weights, to_safetensors};

fn network(channels: usize) -> Network {
    let mut builder = Builder::new(Shape::new(2, 7, 6)).unwrap();
    let conv = builder.add("conv", Op::Conv2d(Conv2d::same(channels, 3)), &[builder.input()]).unwrap();
    let norm = builder.add("norm", Op::BatchNorm { epsilon: 1e-5 }, &[conv]).unwrap();
    builder.finish(norm).unwrap()
}

#[test]
fn weights_survive_a_file_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let network = network(3);
    let mut weights = networks::weights(&network, Seed::new(1));
    weights.values_mut()[..4].copy_from_slice(&[f32::NAN, f32::NEG_INFINITY, -0.0, 1e-42]);
    let bytes = to_safetensors(&weights, &[("code", "S3"), ("epochs", "12")]).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let read = read_weights(&path, &network).unwrap();
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(read.values()), bits(weights.values()));
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["code"], "S3");
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let network = network(3);
    let error = read_weights(&path, &network).unwrap_err();
    assert!(matches!(&error, Error::File { path: named, .. } if *named == path), "{error}");

    let bytes = to_safetensors(&networks::weights(&network, Seed::new(1)), &[]).unwrap();
    for length in [0, 5, 40, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let error = read_weights(&path, &network).unwrap_err();
        assert!(matches!(&error, Error::Safetensors { path: named, .. } if *named == path), "{error}");
    }
}

#[test]
fn weights_of_another_network_are_refused_by_tensor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let weights = networks::weights(&network(3), Seed::new(1));
    std::fs::write(&path, to_safetensors(&weights, &[]).unwrap()).unwrap();
    let error = read_weights(&path, &network(4)).unwrap_err();
    let expected = "tensor 'conv.weight' is missing or is not f32 of shape [4, 2, 3, 3]";
    assert!(error.to_string().ends_with(expected), "{error}");
}
