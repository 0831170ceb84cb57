//! Files as PyTorch writes them, and what PyTorch computes of them; `tests/goldens/make.py` made both.

use crate::networks::bits;
use boresight_deploy::onnx::{Error, Export, Form, Model, Opset, ReadOptions, read};
use boresight_deploy::{Band, Deployment, Simulator};
use boresight_ir::Op;
use std::fs;
use std::path::{Path, PathBuf};

/// Name of a network, and rows and columns of its image.
const NETWORKS: [(&str, usize); 6] = [
    ("resnet18", 64),
    ("mobilenetv2", 64),
    ("unet-transposed", 32),
    ("unet-nearest", 36),
    ("unet-bilinear", 32),
    ("odds", 31),
];
const EXPORTERS: [&str; 2] = ["torchscript", "dynamo"];

fn file(name: &str) -> Vec<u8> {
    fs::read(folder().join(name)).unwrap()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/goldens")
}

fn logits(name: &str) -> Vec<f32> {
    let bytes = file(&format!("{name}.logits"));
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// The image of the script: a multiple of 1/64 for each value, from its place alone.
fn image(len: usize) -> Vec<f32> {
    (0..len).map(|place| ((place * 7919 + 13) % 257) as f32 / 64.0 - 2.0).collect()
}

fn open(name: &str, exporter: &str, size: usize) -> Model {
    let options = ReadOptions { size: Some([size; 2]), ..ReadOptions::default() };
    read(&file(&format!("{name}-{exporter}.onnx")), &options).unwrap()
}

/// Logits of the network that was read, on the simulated device without a device.
fn run(model: &Model) -> Vec<f32> {
    let bands = vec![Band { mean: 0.0, deviation: 1.0 }; model.network.input_shape().channels];
    let deployment = Deployment::undeployed(&model.network, &model.weights, &bands).unwrap();
    let simulator = Simulator::new(deployment, 1).unwrap();
    let image = image(model.network.input_shape().len());
    simulator.logits(&image, &mut simulator.memory()).to_vec()
}

fn assert_close(name: &str, found: &[f32], expected: &[f32]) {
    assert_eq!(found.len(), expected.len());
    let most = expected.iter().fold(1.0_f32, |most, logit| most.max(logit.abs()));
    let far = found.iter().zip(expected).fold(0.0_f32, |far, (a, b)| far.max((a - b).abs()));
    assert!(far <= 1e-4 * most, "{name}: {far} of {most}");
}

#[test]
fn networks_of_pytorch_compute_what_pytorch_computes() {
    for (name, size) in NETWORKS {
        for exporter in EXPORTERS {
            let model = open(name, exporter, size);
            assert_close(&format!("{name} of {exporter}"), &run(&model), &logits(name));
        }
    }
}

#[test]
fn what_was_read_of_pytorch_is_written_and_read_again() {
    for (name, size) in NETWORKS {
        for opset in Opset::ALL {
            let model = open(name, "torchscript", size);
            let bytes = Export { opset, ..Export::new(&model.network, &model.weights) }.write().unwrap();
            let again = read(&bytes, &ReadOptions::default()).unwrap();
            assert_eq!(again.network, model.network, "{name}");
            assert_eq!(bits(again.weights.values()), bits(model.weights.values()));
        }
    }
}

#[test]
fn transposed_convolutions_and_gelu_are_read_as_such() {
    let count =
        |model: &Model, is: fn(&Op) -> bool| model.network.nodes().iter().filter(|node| is(&node.op)).count();
    for exporter in EXPORTERS {
        let transposed = open("unet-transposed", exporter, 32);
        assert_eq!(count(&transposed, |op| matches!(op, Op::ZeroStuff { stride: [2, 2] })), 3);
        assert_eq!(count(&transposed, |op| matches!(op, Op::Pad { .. })), 1);
        let nearest = open("unet-nearest", exporter, 36);
        assert_eq!(count(&nearest, |op| matches!(op, Op::Gelu)), 14);
        assert_eq!(count(&nearest, |op| matches!(op, Op::ScaleShift)), 0);
    }
}

#[test]
fn open_sizes_must_be_given_and_fixed_ones_are_kept() {
    let bytes = file("unet-nearest-torchscript.onnx");
    let read_at = |size| read(&bytes, &ReadOptions { size, ..ReadOptions::default() });
    assert!(matches!(read_at(None), Err(Error::NeedsSize { .. })));
    let shape = read_at(Some([44, 52])).unwrap().network.output_shape();
    assert_eq!((shape.channels, shape.height, shape.width), (2, 44, 52));
    let bytes = file("resnet18-torchscript.onnx");
    let fixed = read(&bytes, &ReadOptions { size: Some([32, 32]), ..ReadOptions::default() });
    assert!(matches!(fixed, Err(Error::Size { size: [32, 32], .. })));
}

#[test]
fn goldens_survive_fp16_weights() {
    for (name, size) in NETWORKS {
        let model = open(name, "dynamo", size);
        let export = Export { form: Form::Fp16Weights, ..Export::new(&model.network, &model.weights) };
        let halved = read(&export.write().unwrap(), &ReadOptions::default()).unwrap();
        assert_eq!(halved.network.hash(), model.network.hash());
    }
}

#[test]
fn spellings_of_many_origins_compute_what_onnx_runtime_computes() {
    let folder = folder().join("spellings");
    let mut names: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(names.len() > 90, "only {} spellings", names.len());
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let model = read(&fs::read(&path).unwrap(), &ReadOptions::default());
        let model = model.unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = from_hex(&model.metadata["logits"]);
        // The network is for one image; the batch's first is the one that the test makes.
        let found = run(&model);
        let tolerance = if name.contains("fp16") { 1e-2 } else { 1e-5 };
        assert_eq!(expected.len() % found.len(), 0, "{name}");
        for (found, expected) in found.iter().zip(&expected) {
            assert!(
                (found - expected).abs() <= tolerance * expected.abs().max(1.0),
                "{name}: {found} {expected}"
            );
        }
    }
}

fn from_hex(text: &str) -> Vec<f32> {
    let number = |digits: &[u8]| u32::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
    text.as_bytes().chunks_exact(8).map(|digits| f32::from_bits(number(digits).swap_bytes())).collect()
}
