//! What a device does to numbers, as plain data.

use crate::{Error, myriad_constant, round_f16, round_slice_f16};
use serde::{Deserialize, Serialize};

/// How constants (weights, biases) are converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ConstantRule {
    /// They stay binary32.
    #[serde(rename = "f32")]
    F32,
    /// To binary16, nearest even, subnormals kept, overflow to infinity.
    #[serde(rename = "ieee-f16")]
    IeeeF16,
    /// As the OpenVINO MYRIAD plugin does: see [`myriad_constant`].
    #[serde(rename = "myriad-plugin")]
    MyriadPlugin,
}

/// The format in which feature maps stand in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ActivationFormat {
    /// Binary32.
    #[serde(rename = "f32")]
    F32,
    /// Binary16: rounded to nearest even as it is stored, overflow to infinity.
    #[serde(rename = "f16")]
    F16,
}

impl ActivationFormat {
    /// Rounds `values` to this format, in place.
    pub fn round(self, values: &mut [f32]) {
        match self {
            Self::F32 => {}
            Self::F16 => round_slice_f16(values),
        }
    }
}

/// The format in which products are summed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Accumulator {
    /// A chain of binary32 fused multiply-adds.
    #[serde(rename = "f32")]
    F32,
}

/// What a conversion of constants lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversionCount {
    /// Values that were not zero and became zero.
    pub flushed: usize,
    /// Finite values too large for the format: they became infinity, or the largest finite value, as the rule says.
    pub overflowed: usize,
}

/// What a device does to numbers; the trainer and the simulated device read the same value.
///
/// # Examples
/// ```
/// use boresight_numerics::NumericProfile;
/// let profile = NumericProfile::myriad_x_optimistic();
/// let mut weights = [0.5, 1e-6, -1e9];
/// let lost = profile.convert_constants(&mut weights);
/// assert_eq!(weights, [0.5, 0.0, -65504.0]);
/// assert_eq!((lost.flushed, lost.overflowed), (1, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumericProfile {
    /// Its name, such as `myriad-x-optimistic`.
    pub name: String,
    /// How constants are converted.
    pub constants: ConstantRule,
    /// The format to which raw sensor counts are rounded before the first operator.
    pub input: ActivationFormat,
    /// The format of every stored feature map.
    pub activations: ActivationFormat,
    /// The format in which products are summed.
    pub accumulator: Accumulator,
}

/// Every embedded profile by name; the name in the file is the same.
const EMBEDDED: [(&str, &str); 3] = [
    ("f32", include_str!("../profiles/f32.toml")),
    ("ieee-f16", include_str!("../profiles/ieee-f16.toml")),
    ("myriad-x-optimistic", include_str!("../profiles/myriad-x-optimistic.toml")),
];

impl NumericProfile {
    /// Whether everything stays binary32, so that there is no device whose order of operations would matter.
    pub fn keeps_f32(&self) -> bool {
        let plain = ActivationFormat::F32;
        self.constants == ConstantRule::F32
            && self.input == plain
            && self.activations == plain
            && self.accumulator == Accumulator::F32
    }

    /// No device: everything stays binary32.
    pub fn f32() -> Self {
        Self::embedded("f32")
    }

    /// Binary16 as IEEE 754 has it for constants, input and activations; binary32 sums.
    pub fn ieee_f16() -> Self {
        Self::embedded("ieee-f16")
    }

    /// Myriad X, with the best assumed of what nobody knows about its accumulator.
    pub fn myriad_x_optimistic() -> Self {
        Self::embedded("myriad-x-optimistic")
    }

    #[expect(clippy::expect_used, reason = "the files are part of this crate and a test reads all of them")]
    fn embedded(name: &str) -> Self {
        Self::named(name).expect("an embedded profile")
    }

    /// The embedded profile of this name.
    ///
    /// # Errors
    /// [`Error::UnknownProfile`], with every known name, when there is none.
    pub fn named(name: &str) -> Result<Self, Error> {
        match EMBEDDED.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::from_toml(text),
            None => Err(Error::UnknownProfile { name: name.to_owned(), known: Self::names().collect() }),
        }
    }

    /// The names of the embedded profiles.
    pub fn names() -> impl Iterator<Item = &'static str> {
        EMBEDDED.iter().map(|(name, _)| *name)
    }

    /// The profile that a TOML text describes.
    ///
    /// # Errors
    /// [`Error::Syntax`] when the text is not TOML, a field is missing or unknown, or a value is none of its field's.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        toml::from_str(text)
            .map_err(|error| Error::Syntax { report: error.to_string().trim_end().to_owned() })
    }

    /// Converts constants in place and counts what was lost.
    pub fn convert_constants(&self, constants: &mut [f32]) -> ConversionCount {
        match self.constants {
            ConstantRule::F32 => ConversionCount::default(),
            ConstantRule::IeeeF16 => convert(constants, round_f16),
            ConstantRule::MyriadPlugin => convert(constants, myriad_constant),
        }
    }

    /// Rounds raw sensor counts, in place, as the device does before the first operator.
    pub fn round_input(&self, counts: &mut [f32]) {
        self.input.round(counts);
    }

    /// Rounds feature values, in place, as the device does when it stores them.
    pub fn round_activations(&self, values: &mut [f32]) {
        self.activations.round(values);
    }
}

fn convert(constants: &mut [f32], rule: impl Fn(f32) -> f32) -> ConversionCount {
    // From here up, a magnitude rounds to 65536 or more: half a step above the largest binary16 value.
    const OVERFLOW: f32 = 65_520.0;
    let mut count = ConversionCount::default();
    for constant in constants {
        let converted = rule(*constant);
        count.flushed += usize::from(constant.abs() > 0.0 && converted.abs().to_bits() == 0);
        count.overflowed += usize::from(constant.is_finite() && constant.abs() >= OVERFLOW);
        *constant = converted;
    }
    count
}

#[cfg(test)]
mod tests {
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
        for name in NumericProfile::names() {
            let profile = NumericProfile::named(name).unwrap();
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
            "no numeric profile is called \"tpu\"; known are f32, ieee-f16, myriad-x-optimistic"
        );
    }

    #[test]
    fn errors_name_the_field() {
        let whole = toml::to_string(&NumericProfile::f32()).unwrap();
        let missing = whole.replace("accumulator = \"f32\"", "");
        let wrong = whole.replace("activations = \"f32\"", "activations = \"f8\"");
        let unknown = format!("{whole}scaling = true\n");
        for (text, field) in [(missing, "accumulator"), (wrong, "activations"), (unknown, "scaling")] {
            let message = NumericProfile::from_toml(&text).unwrap_err().to_string();
            assert!(message.contains(field), "{message}");
        }
    }

    #[test]
    fn each_rule_counts_what_it_loses() {
        let constants = [0.0, -0.0, 1e-5, -1e-8, 65_519.0, 65_520.0, -1e9, f32::INFINITY, f32::NAN];
        let counted = |profile: NumericProfile| profile.convert_constants(&mut constants.clone());
        assert_eq!(counted(NumericProfile::f32()), ConversionCount { flushed: 0, overflowed: 0 });
        assert_eq!(counted(NumericProfile::ieee_f16()), ConversionCount { flushed: 1, overflowed: 2 });
        assert_eq!(
            counted(NumericProfile::myriad_x_optimistic()),
            ConversionCount { flushed: 2, overflowed: 2 }
        );
    }

    #[test]
    fn the_f32_profile_changes_no_bit() {
        let profile = NumericProfile::f32();
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
            for name in NumericProfile::names() {
                let profile = NumericProfile::named(name).unwrap();
                let mut once = values.clone();
                profile.convert_constants(&mut once);
                let mut twice = once.clone();
                prop_assert_eq!(profile.convert_constants(&mut twice).flushed, 0);
                prop_assert_eq!(bits(&twice), bits(&once));
            }
        }
    }
}
