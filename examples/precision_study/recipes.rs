//! How a network is aligned.

use boresight::train::TrainSettings;
use clap::ValueEnum;

/// Which settings of fine-tuning are on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Recipe {
    /// None.
    Plain,
    /// Simulated folding for half of the epochs.
    Folding,
    /// The range penalty.
    Range,
    /// Powers of two.
    Powers,
    /// Distillation.
    Distillation,
    /// All of them.
    All,
}

impl Recipe {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Folding => "folding",
            Self::Range => "range",
            Self::Powers => "powers",
            Self::Distillation => "distillation",
            Self::All => "all",
        }
    }

    pub(crate) fn settings(self, epochs: usize) -> TrainSettings {
        let on = |setting| self == setting || self == Self::All;
        TrainSettings {
            simulated_folding: if on(Self::Folding) { 0.5 } else { 0.0 },
            range_penalty: if on(Self::Range) { 0.01 } else { 0.0 },
            power_scales: on(Self::Powers),
            distillation: if on(Self::Distillation) { 1.0 } else { 0.0 },
            ..TrainSettings::finetune(epochs)
        }
    }
}
