//! What a search optimises.

use serde::{Deserialize, Serialize};

/// Whether more or less of an objective is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Less is better, as of latency.
    Minimise,
    /// More is better, as of mIoU.
    Maximise,
}

impl Direction {
    /// Whether `left` is strictly better than `right`; false when either is NaN.
    pub fn prefers(self, left: f64, right: f64) -> bool {
        match self {
            Self::Minimise => left < right,
            Self::Maximise => left > right,
        }
    }

    /// `value` turned so that less is better; for algorithms that are written for one direction.
    pub fn minimised(self, value: f64) -> f64 {
        match self {
            Self::Minimise => value,
            Self::Maximise => -value,
        }
    }
}

/// A quantity that a search optimises, in its natural sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objective {
    /// Its name, such as `miou`.
    pub name: String,
    /// Its unit, such as `s`; `1` for a ratio or a count.
    pub unit: String,
    /// Whether more or less is better.
    pub direction: Direction,
}

impl Objective {
    /// An objective of this name, unit and direction.
    pub fn new(name: impl Into<String>, unit: impl Into<String>, direction: Direction) -> Self {
        Self { name: name.into(), unit: unit.into(), direction }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_never_preferred() {
        for direction in [Direction::Minimise, Direction::Maximise] {
            assert!(!direction.prefers(f64::NAN, 1.0) && !direction.prefers(1.0, f64::NAN));
        }
    }

    #[test]
    fn each_direction_prefers_its_side() {
        assert!(Direction::Minimise.prefers(1.0, 2.0) && Direction::Maximise.prefers(2.0, 1.0));
    }
}
