use super::*;
use crate::ChannelRule;
use boresight_core::Seed;
use boresight_ir::{NormalisationFold, Weights, fold_batch_norm};

fn network(code: &str, tile: usize) -> Network {
    let genotype: UnetGenotype = code.parse().unwrap();
    let settings = SpaceSettings { tile, rule: genotype.rule, ..SpaceSettings::default() };
    decode(&settings, &genotype).unwrap()
}

/// Parameters of the one-stage network `code` without its decoder and classes.
fn block_parameters(code: &str, width: usize) -> usize {
    // Decoder: 1x1 conv with bias, 3x3 from twice the width, 3x3, two batch normalisations; then two classes.
    let decoder = width * width + width + 27 * width * width + 4 * width + 2 * width + 2;
    network(code, 16).parameter_count() - decoder
}

#[test]
fn blocks_have_the_parameters_that_their_definitions_give() {
    // Four bands; each term is a layer in order, "+ 2 x" a batch normalisation, "+ x" a bias.
    let transition = 4 * 16 + 32;
    let inverted = |from: usize, e: usize, to: usize| {
        (from * e * from + 2 * e * from) + (9 * e * from + 2 * e * from) + (e * from * to + 2 * to)
    };
    let cases = [
        ("u1;w;n;ca16r-x", 4 * 16 * 9 + 16),
        ("u1;w;n;cba16r-x", 4 * 16 * 9 + 32),
        ("u1;w;n;cse16g-x", 4 * 16 * 9 + 32 + (16 * 4 + 4) + (4 * 16 + 16)),
        ("u1;w;n;mb16e5r-a", inverted(4, 5, 16)),
        ("u1;w;n;mbr16e3r-x", transition + inverted(16, 3, 16)),
        ("u1;w;n;dn16r-x", (4 * 8 + 16) + 16 + (8 * 8 * 9 + 8)),
        ("u1;w;n;rn16q3r-x", transition + (16 * 5 + 10) + (25 * 9 + 10) + (5 * 16 + 32)),
        ("u1;w;n;cc16k2r-x", transition + 2 * (64 * 9 + 16) + (256 + 32)),
        ("u1;w;n;cm16k3e4gd5-x", transition + 3 * inverted(8, 4, 8) + (256 + 32)),
    ];
    for (code, expected) in cases {
        assert_eq!(block_parameters(code, 16), expected, "{code}");
    }
}

#[test]
fn multiplying_blocks_have_the_channels_of_the_published_rule() {
    // Four bands through a linear stem of 4 x 4 + 4 where the block reuses its input.
    let cases = [
        ("u1;m;n;cba5r-x", 20, 4 * 20 * 9 + 40),
        ("u1;m;n;dn5r-x", 24, 20 + 8 + (4 * 20 * 9 + 20)),
        ("u1;m;n;mbe3r-x", 4, (48 + 24) + (108 + 24) + (48 + 8)),
        ("u1;m;n;mbre3r-x", 4, 20 + (48 + 24) + (108 + 24) + (48 + 8)),
        ("u1;m;n;rnq4r-x", 4, 20 + (4 + 2) + (9 + 2) + (4 + 8)),
        ("u1;m;n;cck1r-x", 4, 20 + (36 + 4) + (16 + 8)),
    ];
    for (code, width, expected) in cases {
        assert_eq!(block_parameters(code, width), expected, "{code}");
    }
}

#[test]
fn the_decoder_reaches_full_resolution_with_every_skip() {
    let network = network("u1;w;b;cba8r-x;cba16r-a;cba24r-x", 128);
    let shape = |name: &str| network.nodes().iter().find(|node| node.name == name).unwrap().shape;
    assert_eq!(shape("stage2.pool"), Shape::new(24, 16, 16));
    assert_eq!(shape("decoder2.concat"), Shape::new(48, 32, 32));
    assert_eq!(shape("decoder0.reduce"), Shape::new(8, 64, 64));
    assert_eq!(shape("decoder0.concat"), Shape::new(16, 128, 128));
    assert_eq!(network.output_shape(), Shape::new(2, 128, 128));
}

#[test]
fn odd_sizes_come_back_to_the_size_of_the_input() {
    let network = network("u1;w;n;cba8r-x;cba8r-x;cba8r-a", 45);
    assert_eq!(network.output_shape(), Shape::new(2, 45, 45));
}

#[test]
fn a_normalisation_folds_into_every_first_block() {
    let blocks = ["ca8", "cba8", "cse8", "mb8e3", "mbr8e3", "dn8", "rn8q2", "cc8k1", "cm8k1e3"];
    let published = ["ca4", "cba4", "cse4", "mbe3", "mbre3", "dn4", "rnq2", "cck1", "cmk1e3"];
    let codes = blocks.map(|block| format!("u1;w;n;{block}r-x"));
    for code in codes.into_iter().chain(published.map(|block| format!("u1;m;n;{block}r-x"))) {
        let genotype: UnetGenotype = code.parse().unwrap();
        // Eight bands are also the width, one band cannot be halved.
        for bands in [1, 4, 8] {
            let settings = SpaceSettings { bands, tile: 8, rule: genotype.rule, ..SpaceSettings::default() };
            let network = decode(&settings, &genotype).unwrap();
            let weights = Weights::initial(&network, Seed::new(1));
            let (folded, _) = fold_batch_norm(&network, &weights).unwrap();
            let fold = NormalisationFold::new(&folded, &vec![1000.0; bands], &vec![500.0; bands]);
            assert!(fold.is_ok(), "{code} with {bands} bands: {fold:?}");
        }
    }
}

#[test]
fn wide_stages_of_the_published_rule_are_refused_without_overflow() {
    let genotype: UnetGenotype = format!("u1;m;n{}", ";ca12r-x".repeat(12)).parse().unwrap();
    let settings =
        SpaceSettings { tile: 4096, rule: ChannelRule::Multiply, bands: 1024, ..SpaceSettings::default() };
    assert!(decode(&settings, &genotype).is_err());
}
