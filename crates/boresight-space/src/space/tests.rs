use super::*;
use boresight_ir::{NormalisationFold, Op, Weights, fold_batch_norm};
use boresight_testkit::{decode_laws, evolvable_laws};
use proptest::prelude::*;

fn space(settings: SpaceSettings) -> UnetSpace {
    UnetSpace::new(settings, supports_everything).unwrap()
}

fn multiply() -> SpaceSettings {
    SpaceSettings { rule: ChannelRule::Multiply, ..SpaceSettings::default() }
}

fn seeds(count: u64) -> impl Iterator<Item = Seed> {
    (0..count).map(|index| Seed::new(11).derive("test", index))
}

fn without_gelu(network: &Network) -> Result<(), String> {
    let gelu = network.nodes().iter().find(|node| node.op == Op::Gelu);
    gelu.map_or(Ok(()), |node| Err(format!("node '{}' is a gelu", node.name)))
}

#[test]
fn both_rules_keep_the_laws_of_spaces() {
    for settings in [SpaceSettings::default(), multiply()] {
        evolvable_laws(&space(settings.clone()), seeds(40));
        decode_laws(&space(settings), seeds(10));
    }
}

#[test]
fn unusual_settings_keep_the_laws_of_spaces() {
    let thirteen_bands = SpaceSettings { bands: 13, classes: 5, tile: 45, ..multiply() };
    let only_growing = SpaceSettings {
        bands: 1,
        blocks: vec![BlockKind::ConvAct, BlockKind::DenseNet],
        stages: [1, 2],
        ..multiply()
    };
    let tight = SpaceSettings { max_parameters: 7_000, ..SpaceSettings::default() };
    let never = SpaceSettings { mutation: 0.0, kernel: 5, ..SpaceSettings::default() };
    for settings in [thirteen_bands, only_growing, tight, never] {
        evolvable_laws(&space(settings), seeds(15));
    }
}

#[test]
fn a_support_predicate_keeps_the_laws_of_spaces() {
    let supported = UnetSpace::new(SpaceSettings::default(), without_gelu).unwrap();
    evolvable_laws(&supported, seeds(15));
}

/// Samples of `settings` in each quarter of the range of parameters, and those below a tenth of it.
fn histogram(settings: &SpaceSettings) -> ([usize; 4], usize) {
    let space = space(settings.clone());
    let (mut quarters, mut tiny) = ([0; 4], 0);
    for seed in seeds(1000) {
        let found = space.decode(&space.sample(seed)).unwrap().parameter_count();
        quarters[(4 * found / settings.max_parameters).min(3)] += 1;
        tiny += usize::from(found < settings.max_parameters / 10);
    }
    (quarters, tiny)
}

#[test]
fn samples_reach_every_size_up_to_the_limit() {
    for settings in [SpaceSettings::default(), multiply()] {
        let (quarters, tiny) = histogram(&settings);
        assert!(quarters.iter().all(|&count| count >= 100), "{:?}: {quarters:?}", settings.rule);
        assert!(tiny < 250, "{:?}: {tiny} below a tenth of the limit", settings.rule);
    }
}

#[test]
fn samples_use_every_gene() {
    let space = space(SpaceSettings::default());
    let samples: Vec<UnetGenotype> = seeds(200).map(|seed| space.sample(seed)).collect();
    let seen = |holds: &dyn Fn(&Stage) -> bool| samples.iter().flat_map(|sample| &sample.stages).any(holds);
    for kind in BlockKind::ALL {
        assert!(seen(&|stage| stage.block.kind() == kind), "{kind:?}");
    }
    for dropout in 0..=5 {
        assert!(seen(&|stage| stage.dropout == dropout), "{dropout}");
    }
    for count in 3..=5 {
        assert!(samples.iter().any(|sample| sample.stages.len() == count), "{count}");
    }
}

#[test]
fn a_limit_below_the_smallest_network_is_refused() {
    let found = |limit| {
        UnetSpace::new(
            SpaceSettings { max_parameters: limit, ..SpaceSettings::default() },
            supports_everything,
        )
    };
    let Err(Error::LimitTooLow { smallest, limit: 10 }) = found(10) else { panic!("{:?}", found(10)) };
    let least = found(smallest).unwrap();
    let sampled = least.sample(Seed::new(1));
    assert_eq!(least.decode(&sampled).unwrap().parameter_count(), smallest);
    assert!(found(smallest - 1).is_err());
}

#[test]
fn a_predicate_that_refuses_everything_is_refused() {
    let nothing = |_: &Network| Err("out of order".to_owned());
    let error = UnetSpace::new(SpaceSettings::default(), nothing).unwrap_err();
    assert!(error.to_string().ends_with("networks can be deployed: out of order"), "{error}");
}

#[test]
fn a_tile_that_cannot_be_halved_is_refused() {
    let settings = SpaceSettings { tile: 31, ..SpaceSettings::default() };
    let error = UnetSpace::new(settings, supports_everything).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a tile of 31 pixels cannot be halved 5 times, that takes 32 pixels or more"
    );
}

#[test]
fn settings_outside_their_range_are_refused_by_name() {
    let base = SpaceSettings::default;
    let cases = [
        (SpaceSettings { bands: 0, ..base() }, "bands is 0, it must be 1 to 1024"),
        (SpaceSettings { classes: 1, ..base() }, "classes is 1, it must be 2 to 255"),
        (SpaceSettings { stages: [4, 3], ..base() }, "stages is 4 to 3, it must be a range within 1 to 12"),
        (SpaceSettings { kernel: 2, ..base() }, "kernel is 2, it must be odd and at most 15"),
        (SpaceSettings { mutation: f64::NAN, ..base() }, "mutation is NaN, it must be between 0 and 1"),
        (SpaceSettings { pools: vec![], ..base() }, "pools is empty, it must be a list of at least one"),
        (
            SpaceSettings { widths: [8, 20], ..base() },
            "widths is 8 to 20, it must be a range of multiples of 8 within 8 to 1024",
        ),
    ];
    for (settings, message) in cases {
        assert_eq!(UnetSpace::new(settings, supports_everything).unwrap_err().to_string(), message);
    }
}

#[test]
fn strangers_are_refused_by_what_makes_them_strange() {
    let plain = SpaceSettings { pools: vec![crate::Pool::Max], ..SpaceSettings::default() };
    let space = UnetSpace::new(plain, without_gelu).unwrap();
    let cases = [
        ("u1;m;n;ca4r-x;ca4r-x;ca4r-x", "the genotype is of the channel rule Multiply, the space of Width"),
        ("u1;w;n;ca8r-x", "the genotype has 1 stages, allowed are 3 to 5"),
        ("u1;w;n;ca8r-x;ca8r-x;ca8r-a", "stage 2: pool is Average, which the space does not have"),
        ("u1;w;n;ca8r-x;ca80r-x;ca8r-x", "stage 1: size is 80, which the space does not have"),
        ("u1;w;n;ca8r-x;ca8g-x;ca8r-x", "the network cannot be deployed: node 'stage1.act' is a gelu"),
    ];
    for (code, message) in cases {
        let genotype: UnetGenotype = code.parse().unwrap();
        assert_eq!(space.decode(&genotype).unwrap_err().to_string(), message);
    }
    let large: UnetGenotype = "u1;w;n;ca64r-x;ca64r-x;ca64r-x".parse().unwrap();
    let Err(Error::TooManyParameters { found, limit: 100_000 }) = space.check(&large) else {
        panic!("{:?}", space.check(&large))
    };
    assert!(found > 300_000);
}

#[test]
fn strangers_as_parents_have_members_as_children_where_there_is_a_choice() {
    let space = space(SpaceSettings::default());
    let empty = UnetGenotype {
        rule: ChannelRule::Multiply,
        stages: Vec::new(),
        upsampling: boresight_ir::Resize::Nearest,
    };
    let odd = Stage { size: Some(u16::MAX), ..small_stage(space.settings(), BlockKind::DenseNet) };
    let odd = UnetGenotype { rule: ChannelRule::Width, stages: vec![odd; 3], ..empty.clone() };
    for stranger in [&empty, &odd] {
        space.check(&space.mutate(stranger, Seed::new(1))).unwrap();
        let member = space.sample(Seed::new(2));
        space.check(&space.crossover(&member, stranger, Seed::new(3))).unwrap();
    }
}

#[test]
fn crossover_takes_its_stages_from_one_parent_and_then_the_other() {
    let space = space(SpaceSettings { max_parameters: 10_000_000, ..SpaceSettings::default() });
    let first: UnetGenotype = "u1;w;n;ca8r-x;ca16r-x;ca24r-x;ca32r-x".parse().unwrap();
    let second: UnetGenotype = "u1;w;b;cba8g-a;cba16g-a;cba24g-a".parse().unwrap();
    let children: Vec<String> =
        seeds(20).map(|seed| space.crossover(&first, &second, seed).to_string()).collect();
    let expected = ["u1;w;b;ca8r-x;cba16g-a;cba24g-a", "u1;w;b;ca8r-x;ca16r-x;cba24g-a"];
    assert!(children.iter().all(|child| expected.contains(&child.as_str())), "{children:?}");
    assert!(expected.iter().all(|child| children.iter().any(|found| found == child)));
}

#[test]
fn a_network_of_the_published_size_has_its_known_code() {
    let settings = SpaceSettings { max_parameters: 95_791, ..SpaceSettings::default() };
    let genotype: UnetGenotype = PUBLISHED_SIZE.parse().unwrap();
    let network = space(settings).decode(&genotype).unwrap();
    assert_eq!((network.parameter_count(), network.macs()), (95_791, 192_787_840));
    assert!(include_str!("../../README.md").contains(PUBLISHED_SIZE));
}

const PUBLISHED_SIZE: &str = "u1;w;n;cc16k2r-x;cse16r-x;dn16r-x;cse24r-x;rn40q3r-x";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn variation_is_closed_over_generations(seed: u64) {
        for settings in [SpaceSettings::default(), multiply()] {
            let space = space(settings);
            let seed = Seed::new(seed);
            let mut member = space.sample(seed);
            for step in 0..8 {
                let mutant = space.mutate(&member, seed.derive("mutate", step));
                prop_assert_ne!(&mutant, &member);
                let other = space.sample(seed.derive("other", step));
                member = space.crossover(&mutant, &other, seed.derive("cross", step));
                prop_assert_eq!(space.check(&member), Ok(()));
            }
        }
    }

    #[test]
    fn a_normalisation_folds_into_every_sample(seed: u64) {
        for settings in [SpaceSettings::default(), multiply()] {
            let space = space(settings);
            let network = space.decode(&space.sample(Seed::new(seed))).unwrap();
            let weights = Weights::initial(&network, Seed::new(1));
            let (folded, _) = fold_batch_norm(&network, &weights).unwrap();
            prop_assert!(NormalisationFold::new(&folded, &[900.0; 4], &[400.0; 4]).is_ok());
        }
    }
}
