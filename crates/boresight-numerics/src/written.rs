//! A profile as it stands in a file: fields that may be left out, and the form of earlier versions.

use crate::{
    Accumulator, BatchNorm, Constants, Format, Functions, NumericProfile, Overflow, Places, PoolingSum, Rule,
    Scaling, Subnormals,
};
use serde::Deserialize;

/// The fields of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Written {
    name: String,
    constants: WrittenConstants,
    weights: Option<Format>,
    #[serde(default)]
    rule: Option<Rule>,
    #[serde(default)]
    scaling: Scaling,
    input: Format,
    activations: Format,
    accumulator: Accumulator,
    #[serde(default)]
    batch_norm: BatchNorm,
    #[serde(default)]
    pooling: PoolingSum,
    #[serde(default)]
    squeeze: PoolingSum,
    #[serde(default)]
    functions: Functions,
    #[serde(default)]
    subnormals: Places<Subnormals>,
    #[serde(default)]
    overflow: Places<Overflow>,
}

/// Who converts constants; in earlier versions, the rule by which the tool chain did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenConstants {
    Plugin,
    Preconverted,
    F32,
    IeeeF16,
    MyriadPlugin,
}

impl TryFrom<Written> for NumericProfile {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let (constants, weights, rule) = match (written.constants, written.weights, written.rule) {
            (WrittenConstants::Plugin, Some(format), rule) => (Constants::Plugin, format, rule),
            (WrittenConstants::Preconverted, Some(format), rule) => (Constants::Preconverted, format, rule),
            (WrittenConstants::Plugin | WrittenConstants::Preconverted, None, _) => {
                return Err("missing field `weights`: f32, f16, bf16 or int8".to_owned());
            }
            (WrittenConstants::F32, None, None) => (Constants::Plugin, Format::F32, Some(Rule::Ieee)),
            (WrittenConstants::IeeeF16, None, None) => (Constants::Plugin, Format::F16, Some(Rule::Ieee)),
            (WrittenConstants::MyriadPlugin, None, None) => {
                (Constants::Plugin, Format::F16, Some(Rule::MyriadPlugin))
            }
            _ => {
                return Err(
                    "constants: 'plugin' or 'preconverted', where weights or rule are given".to_owned()
                );
            }
        };
        let profile = Self {
            name: written.name,
            constants,
            weights,
            rule: rule.unwrap_or_default(),
            scaling: written.scaling,
            input: written.input,
            activations: written.activations,
            accumulator: written.accumulator,
            batch_norm: written.batch_norm,
            pooling: written.pooling,
            squeeze: written.squeeze,
            functions: written.functions,
            subnormals: written.subnormals,
            overflow: written.overflow,
        };
        profile.checked()
    }
}

impl NumericProfile {
    /// Refuses what does not go together.
    fn checked(self) -> Result<Self, String> {
        let binary16 = self.weights == Format::F16;
        if self.rule == Rule::MyriadPlugin && !binary16 {
            return Err("rule: 'myriad-plugin' converts to f16, so weights must be f16".to_owned());
        }
        if self.scaling == Scaling::MyriadX && !binary16 {
            return Err("scaling: 'myriad-x' scales f16 constants, so weights must be f16".to_owned());
        }
        if let Functions::Table(table) = self.functions {
            table.check().map_err(|error| error.to_string())?;
        }
        Ok(self)
    }
}
