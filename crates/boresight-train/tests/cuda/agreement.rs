//! A pass on the GPU against one on the CPU in f64.

use crate::cases::{modes, of_the_space, with_case, with_ties};
use crate::gpu::on_gpu;
use crate::networks;
use crate::oracle::{Case, norm, numbers, relative};
use boresight_core::Seed;
use boresight_plan::Mode;
use candle_core::{DType, Device, Tensor};

/// Largest relative errors in each float type: of logits and statistics, and of gradients. Those of f32 are what the
/// composed network is held to on the CPU; products rounded to TF32, 11 bits, would miss the first by far. Those of
/// f64 leave six digits to the order of sums.
const LIMITS: [(DType, [f64; 2]); 2] = [(DType::F64, [1e-10, 1e-9]), (DType::F32, [1e-5, 1e-4])];

/// Asserts that a pass gives on the GPU what it gives on the CPU.
fn agrees(name: &str, case: &Case<'_>, gpu: &Device) {
    let expected = case.composed(DType::F64);
    for (dtype, [value_limit, slope_limit]) in LIMITS {
        let found = case.composed_on(dtype, gpu);
        let (of_parameters, tensor) = case.gradient_error(&found.gradient, &expected.gradient);
        for (what, error, limit) in [
            ("logits", relative(&found.logits, &expected.logits), value_limit),
            ("statistics", relative(&found.statistics, &expected.statistics), value_limit),
            ("gradient of the images", case.image_error(&found.images, &expected.images), slope_limit),
            (tensor.as_str(), of_parameters, slope_limit),
        ] {
            assert!(error < limit, "{name}, {:?}, {dtype:?}: {what} differ by {error}", case.mode);
        }
    }
}

#[test]
fn every_operator_computes_the_same() {
    on_gpu(|gpu| {
        for (name, network) in networks::small() {
            for mode in modes() {
                with_case(&network, Seed::new(5), mode, |case| agrees(name, case, gpu));
            }
        }
    });
}

#[test]
fn random_networks_compute_the_same() {
    on_gpu(|gpu| {
        for number in 0..60 {
            let seed = Seed::new(number);
            let network = networks::random(seed);
            for mode in modes() {
                with_case(&network, seed, mode, |case| agrees(&format!("network {number}"), case, gpu));
            }
        }
    });
}

#[test]
fn networks_of_the_search_space_compute_the_same() {
    on_gpu(|gpu| {
        for (code, seed, network) in of_the_space() {
            with_case(&network, seed, Mode::Train(seed), |case| agrees(&code, case, gpu));
        }
    });
}

#[test]
fn where_values_tie_the_same_ones_are_chosen() {
    on_gpu(|gpu| {
        for (name, network) in networks::small() {
            with_ties(&network, |case| {
                let (found, expected) = (case.composed_on(DType::F64, gpu), case.composed(DType::F64));
                let (error, tensor) = case.gradient_error(&found.gradient, &expected.gradient);
                assert!(error < 1e-9, "{name}: gradient of {tensor} differs by {error}");
            });
        }
    });
}

#[test]
fn equal_passes_give_equal_bits() {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    on_gpu(|gpu| {
        for (code, seed, network) in of_the_space() {
            with_case(&network, seed, Mode::Train(seed), |case| {
                let [one, other] = [(); 2].map(|()| case.composed_on(DType::F32, gpu));
                for (one, other) in [
                    (one.logits, other.logits),
                    (one.statistics, other.statistics),
                    (one.gradient, other.gradient),
                    (one.images, other.images),
                ] {
                    assert_eq!(bits(&one), bits(&other), "{code}");
                }
            });
        }
    });
}

#[test]
fn products_in_f32_are_not_rounded_to_tf32() {
    on_gpu(|gpu| {
        let [left, right] = [1, 2].map(|seed| networks::normals(Seed::new(seed), 256 * 256));
        let product = |dtype, device: &Device| {
            let [left, right] = [&left, &right].map(|values| {
                let matrix = Tensor::from_slice(values, (256, 256), &Device::Cpu).unwrap();
                matrix.to_dtype(dtype).unwrap().to_device(device).unwrap()
            });
            numbers(&left.matmul(&right).unwrap())
        };
        let expected = product(DType::F64, &Device::Cpu);
        assert!(norm(&expected) > 1.0);
        // TF32 keeps 11 bits of each factor, which makes an error of about 3e-4; f32 sums of 256 products stay far
        // below 256 units in the 24th bit.
        let error = relative(&product(DType::F32, gpu), &expected);
        assert!(error < 5e-6, "{error}");
    });
}
