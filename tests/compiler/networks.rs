//! Random networks of the search space.

use crate::judge::{Verdict, judge};
use boresight::core::{SearchSpace, Seed};
use boresight::deploy::onnx::Opset;
use boresight::ir::Network;
use boresight::space::{SpaceSettings, UnetSpace, supports_everything};

fn drawn(count: u64, size: usize, seed: u64) -> Vec<(String, Network)> {
    let settings = SpaceSettings { tile: size, ..SpaceSettings::default() };
    let space = UnetSpace::new(settings, supports_everything).unwrap();
    let draw = |at| {
        let genotype = space.sample(Seed::new(seed).derive("network", at));
        (format!("{size} px, {genotype}"), space.decode(&genotype).unwrap())
    };
    (0..count).map(draw).collect()
}

/// Everything is equal, so nothing less is asked for.
fn assert_equal(verdict: &Verdict) {
    let all = verdict.networks;
    assert_eq!(verdict.differences, Vec::<String>::new());
    let same = [verdict.same_units, verdict.same_cycles, verdict.near_cycles, verdict.same_cmx];
    assert_eq!((same, verdict.nce_missing, verdict.same_refusals), ([all; 4], 0, all));
    assert!(verdict.blob_error <= 1000, "{verdict:#?}");
    // The maps in external memory, and the cores of a stage, differ in one of several hundred.
    assert!(100 * verdict.same_ddr >= 98 * all && 100 * verdict.same_shaves >= 98 * all, "{verdict:#?}");
}

#[test]
fn two_hundred_random_networks_become_the_compilers_stages() {
    let mut networks = drawn(176, 128, 20);
    networks.extend(drawn(16, 256, 21));
    networks.extend(drawn(8, 512, 22));
    if let Some(verdict) = judge(&networks, 2, Opset::V11) {
        assert_equal(&verdict);
    }
}

#[test]
fn so_they_do_with_one_stream() {
    let mut networks = drawn(40, 128, 23);
    networks.extend(drawn(10, 256, 24));
    if let Some(verdict) = judge(&networks, 1, Opset::V11) {
        assert_equal(&verdict);
    }
}
