//! What a device does to numbers, as plain data.

use crate::{
    Accumulator, BatchNorm, Constants, Error, Format, Functions, Overflow, Places, PoolingSum, Rounding,
    Rule, Scaling, Subnormals, myriad_constant, written::Written,
};
use serde::{Deserialize, Serialize};

/// What a conversion of constants lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConversionCount {
    /// Values that were not zero and became zero.
    pub flushed: usize,
    /// Finite values too large for the format: they became infinity, or the largest finite value, as the rule says.
    pub overflowed: usize,
}

impl ConversionCount {
    /// The sum of two counts.
    pub fn add(&mut self, other: Self) {
        self.flushed += other.flushed;
        self.overflowed += other.overflowed;
    }

    /// How many values of `before` are zero in `after` without having been it.
    fn flushed(before: &[f32], after: &[f32]) -> usize {
        before.iter().zip(after).filter(|(before, after)| before.abs() > 0.0 && after.abs() == 0.0).count()
    }
}

/// What a device does to numbers; the trainer and the simulated device read the same value.
///
/// Files of earlier versions, whose `constants` named the rule, are read as well.
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
#[serde(try_from = "Written")]
pub struct NumericProfile {
    /// Its name, such as `myriad-x-optimistic`.
    pub name: String,
    /// Who converts constants.
    pub constants: Constants,
    /// The format of constants.
    pub weights: Format,
    /// How a tool chain rounds constants to it.
    pub rule: Rule,
    /// Powers of two by which the constants of convolutions are multiplied.
    pub scaling: Scaling,
    /// The format to which raw sensor counts are rounded before the first operator.
    pub input: Format,
    /// The format of every stored feature map.
    pub activations: Format,
    /// How products are summed.
    pub accumulator: Accumulator,
    /// What becomes of batch normalisations.
    pub batch_norm: BatchNorm,
    /// How windows of average pooling are summed.
    pub pooling: PoolingSum,
    /// How whole maps are summed, as squeeze-and-excitation does.
    pub squeeze: PoolingSum,
    /// How activation functions are computed.
    pub functions: Functions,
    /// What becomes of subnormal values.
    pub subnormals: Places<Subnormals>,
    /// What becomes of values that are too large.
    pub overflow: Places<Overflow>,
}

/// Every embedded profile by name; the name in the file is the same.
const EMBEDDED: [(&str, &str); 6] = [
    ("f32", include_str!("../profiles/f32.toml")),
    ("ieee-f16", include_str!("../profiles/ieee-f16.toml")),
    ("myriad-x-optimistic", include_str!("../profiles/myriad-x-optimistic.toml")),
    ("myriad-x-pessimistic", include_str!("../profiles/myriad-x-pessimistic.toml")),
    ("bfloat16", include_str!("../profiles/bfloat16.toml")),
    ("int8", include_str!("../profiles/int8.toml")),
];

impl NumericProfile {
    /// Whether everything stays binary32, so that there is no device whose order of operations would matter.
    pub fn keeps_f32(&self) -> bool {
        self.constants_rounding().is_identity()
            && self.input_rounding().is_identity()
            && self.computes_as(Format::F32)
    }

    /// Whether activations are stored in `format` as IEEE 754 rounds, and everything is computed in binary32 with
    /// exact functions: what every processor does fast.
    pub fn computes_as(&self, format: Format) -> bool {
        self.activations_rounding() == Rounding::ieee(format)
            && self.accumulator == Accumulator::F32
            && [self.pooling, self.squeeze] == [PoolingSum::Wide; 2]
            && self.functions == Functions::Exact
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

    /// Myriad X, with the worst assumed of what nobody knows about its accumulator: binary16 sums.
    pub fn myriad_x_pessimistic() -> Self {
        Self::embedded("myriad-x-pessimistic")
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

    /// The same device, given a file that has its constants in the device's format.
    #[must_use]
    pub fn preconverted(&self) -> Self {
        Self { constants: Constants::Preconverted, ..self.clone() }
    }

    /// How constants are rounded where the rule is [`Rule::Ieee`] or the file has them rounded.
    pub const fn constants_rounding(&self) -> Rounding {
        match self.constants {
            Constants::Plugin => Rounding {
                format: self.weights,
                subnormals: self.subnormals.weights,
                overflow: self.overflow.weights,
            },
            Constants::Preconverted => Rounding::ieee(self.weights),
        }
    }

    /// How counts are rounded as they come in.
    pub const fn input_rounding(&self) -> Rounding {
        Rounding {
            format: self.input,
            subnormals: self.subnormals.activations,
            overflow: self.overflow.activations,
        }
    }

    /// How feature maps are rounded as they are stored.
    pub const fn activations_rounding(&self) -> Rounding {
        Rounding {
            format: self.activations,
            subnormals: self.subnormals.activations,
            overflow: self.overflow.activations,
        }
    }

    /// How products and sums are rounded where the accumulator or a pooling rounds them.
    pub const fn accumulator_rounding(&self) -> Rounding {
        Rounding {
            format: Format::F16,
            subnormals: self.subnormals.accumulator,
            overflow: self.overflow.accumulator,
        }
    }

    /// Converts the constants of one tensor in place and counts what was lost; scaling comes after that.
    pub fn convert_constants(&self, constants: &mut [f32]) -> ConversionCount {
        let rounding = self.constants_rounding();
        if rounding.format == Format::Int8 {
            let before = constants.to_vec();
            rounding.tensor(constants);
            return ConversionCount { flushed: ConversionCount::flushed(&before, constants), overflowed: 0 };
        }
        if rounding.is_identity() {
            return ConversionCount::default();
        }
        match (self.constants, self.rule) {
            (Constants::Plugin, Rule::MyriadPlugin) => convert(constants, OVERFLOW_F16, myriad_constant),
            _ if rounding == Rounding::ieee(Format::F16) => {
                convert(constants, OVERFLOW_F16, crate::round_f16)
            }
            _ => {
                let beyond = if rounding.format == Format::F16 { OVERFLOW_F16 } else { f32::INFINITY };
                convert(constants, beyond, |value| rounding.apply(value))
            }
        }
    }

    /// Rounds the counts of one image, in place, as the device does before the first operator.
    pub fn round_input(&self, counts: &mut [f32]) {
        self.input_rounding().tensor(counts);
    }

    /// Rounds the feature map of one image, in place, as the device does when it stores it.
    pub fn round_activations(&self, values: &mut [f32]) {
        self.activations_rounding().tensor(values);
    }
}

/// From here up, a magnitude rounds to 65536 or more: half a step above the largest binary16 value.
const OVERFLOW_F16: f32 = 65_520.0;

fn convert(constants: &mut [f32], beyond: f32, rule: impl Fn(f32) -> f32) -> ConversionCount {
    let mut count = ConversionCount::default();
    for constant in constants {
        let converted = rule(*constant);
        count.flushed += usize::from(constant.abs() > 0.0 && converted.abs().to_bits() == 0);
        count.overflowed += usize::from(constant.is_finite() && constant.abs() >= beyond);
        *constant = converted;
    }
    count
}

#[cfg(test)]
mod tests;
