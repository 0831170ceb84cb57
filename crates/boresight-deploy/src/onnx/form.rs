//! The choices that a writer of ONNX has.

use super::Error;
use std::fmt;
use std::str::FromStr;

/// In which formats a file keeps numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// Everything in FP32.
    #[default]
    Fp32,
    /// Everything in FP16: input, constants, activations and output.
    Fp16,
    /// Constants in FP16, each cast to FP32 where it is used; all else in FP32.
    Fp16Weights,
}

impl Form {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Fp32, Self::Fp16, Self::Fp16Weights];

    const fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Fp16 => "fp16",
            Self::Fp16Weights => "fp16-weights",
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Form {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let form = Self::ALL.into_iter().find(|form| form.name() == text);
        form.ok_or_else(|| Error::UnknownForm { found: text.to_owned() })
    }
}

/// Which version of the ONNX operators a file uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Opset {
    /// Version 11, the one that the most tools take.
    #[default]
    V11,
    /// Version 13.
    V13,
}

impl Opset {
    /// Every version.
    pub const ALL: [Self; 2] = [Self::V11, Self::V13];

    /// The version's number.
    pub const fn number(self) -> i64 {
        match self {
            Self::V11 => 11,
            Self::V13 => 13,
        }
    }

    /// The version of the file format that came with it.
    pub(crate) const fn ir_version(self) -> i64 {
        match self {
            Self::V11 => 6,
            Self::V13 => 7,
        }
    }
}
