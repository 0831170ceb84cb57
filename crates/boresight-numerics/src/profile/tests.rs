use super::*;
use proptest::prelude::*;

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_embedded_profile_bears_the_name_that_finds_it() {
    for name in NumericProfile::names() {
        assert_eq!(NumericProfile::named(name).unwrap().name, name);
    }
}

#[test]
fn a_profile_survives_toml_and_json() {
    let block = Accumulator::F16Block(std::num::NonZeroU32::MIN);
    let narrow = NumericProfile { accumulator: block, ..NumericProfile::myriad_x_pessimistic() };
    let profiles = NumericProfile::names().map(|name| NumericProfile::named(name).unwrap());
    for profile in profiles.chain([narrow]) {
        let text = toml::to_string(&profile).unwrap();
        assert_eq!(NumericProfile::from_toml(&text).unwrap(), profile);
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<NumericProfile>(&text).unwrap(), profile);
    }
}

#[test]
fn an_unknown_name_is_answered_with_the_known_ones() {
    let message = NumericProfile::named("tpu").unwrap_err().to_string();
    assert_eq!(
        message,
        "no numeric profile is called \"tpu\"; known are f32, ieee-f16, myriad-x-optimistic, \
         myriad-x-pessimistic, bfloat16, int8"
    );
}

#[test]
fn errors_name_the_field() {
    let whole = toml::to_string(&NumericProfile::f32()).unwrap();
    let missing = whole.replace("accumulator = \"f32\"", "");
    let wrong = whole.replace("activations = \"f32\"", "activations = \"f8\"");
    let unknown = format!("colour = true\n{whole}");
    let no_format = whole.replace("weights = \"f32\"", "");
    let mixed = whole.replace("constants = \"plugin\"", "constants = \"ieee-f16\"");
    let scaled = whole.replace("scaling = \"none\"", "scaling = \"myriad-x\"");
    let cases = [
        (missing, "accumulator"),
        (wrong, "activations"),
        (unknown, "colour"),
        (no_format, "weights"),
        (mixed, "constants"),
        (scaled, "scaling"),
    ];
    for (text, field) in cases {
        let message = NumericProfile::from_toml(&text).unwrap_err().to_string();
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn files_of_earlier_versions_are_read() {
    let old = |constants: &str, format: &str| {
        let text = format!(
            "{{\"name\":\"x\",\"constants\":\"{constants}\",\"input\":\"{format}\",\"activations\":\"{format}\",\
             \"accumulator\":\"f32\"}}"
        );
        serde_json::from_str::<NumericProfile>(&text).unwrap()
    };
    let named = |profile: NumericProfile| NumericProfile { name: "x".to_owned(), ..profile };
    assert_eq!(old("f32", "f32"), named(NumericProfile::f32()));
    assert_eq!(old("ieee-f16", "f16"), named(NumericProfile::ieee_f16()));
    // They knew of no scaling, and what they found is found again without it.
    let optimistic = NumericProfile { scaling: Scaling::None, ..NumericProfile::myriad_x_optimistic() };
    assert_eq!(old("myriad-plugin", "f16"), named(optimistic));
}

#[test]
fn every_choice_can_be_written() {
    let text = r#"
        name = "mine"
        constants = "preconverted"
        weights = "f16"
        scaling = "myriad-x"
        input = "f16"
        activations = "bf16"
        accumulator = { f16-block = 16 }
        batch_norm = "separate"
        pooling = "f16"
        squeeze = "f16"
        functions = { table = { intervals = 256, reach = 8 } }
        subnormals = { weights = "flush", accumulator = "flush" }
        overflow = { activations = "saturate" }
    "#;
    let profile = NumericProfile::from_toml(text).unwrap();
    assert_eq!(profile.subnormals.activations, Subnormals::Keep);
    assert_eq!(profile.overflow.activations, Overflow::Saturate);
    assert_eq!(profile.batch_norm, BatchNorm::Separate);
    let Functions::Table(table) = profile.functions else { panic!("{profile:?}") };
    assert!((table.step() - 1.0 / 16.0).abs() < 1e-12);
    // Who wrote the file rounded as IEEE 754 does; the tool chain flushes nothing more.
    assert_eq!(profile.constants_rounding(), Rounding::ieee(Format::F16));
}

#[test]
fn each_rule_counts_what_it_loses() {
    let constants = [0.0, -0.0, 1e-5, -1e-8, 65_519.0, 65_520.0, -1e9, f32::INFINITY, f32::NAN];
    let counted = |profile: NumericProfile| profile.convert_constants(&mut constants.clone());
    assert_eq!(counted(NumericProfile::f32()), ConversionCount { flushed: 0, overflowed: 0 });
    assert_eq!(counted(NumericProfile::ieee_f16()), ConversionCount { flushed: 1, overflowed: 2 });
    let myriad = NumericProfile::myriad_x_optimistic();
    assert_eq!(counted(myriad.clone()), ConversionCount { flushed: 2, overflowed: 2 });
    assert_eq!(counted(myriad.preconverted()), ConversionCount { flushed: 1, overflowed: 2 });
}

#[test]
fn the_f32_profile_changes_no_bit() {
    let profile = NumericProfile::f32();
    assert!(profile.keeps_f32());
    let values = [0.1, 1e-40, -0.0, 1e38, 40_001.0];
    let mut kept = values;
    profile.round_input(&mut kept);
    profile.round_activations(&mut kept);
    profile.convert_constants(&mut kept);
    assert_eq!(bits(&kept), bits(&values));
}

#[test]
fn counts_above_2048_are_rounded_on_the_way_in() {
    let mut counts = [2047.0, 2049.0, 10_003.0];
    NumericProfile::myriad_x_optimistic().round_input(&mut counts);
    assert_eq!(bits(&counts), bits(&[2047.0, 2048.0, 10_000.0]));
}

proptest! {
    #[test]
    fn converting_twice_changes_nothing_more(values in proptest::collection::vec(-1e5_f32..1e5, 1..30)) {
        // A step of integers is rounded, so a second conversion may move by its last digit.
        for name in NumericProfile::names().filter(|name| *name != "int8") {
            let profile = NumericProfile::named(name).unwrap();
            let mut once = values.clone();
            profile.convert_constants(&mut once);
            let mut twice = once.clone();
            prop_assert_eq!(profile.convert_constants(&mut twice).flushed, 0);
            prop_assert_eq!(bits(&twice), bits(&once));
        }
    }
}
