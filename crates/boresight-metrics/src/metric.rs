//! The scores as metrics that an evaluator can be given.

use crate::{AbsentClasses, Confusion};
use boresight_core::{Direction, Metric, Objective};

fn ratio(name: String) -> Objective {
    Objective::new(name, "1", Direction::Maximise)
}

/// [`Confusion::mean_iou`], as objective `miou`; by default over the classes that occur.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeanIou(
    /// What becomes of a class that does not occur.
    pub AbsentClasses,
);

/// [`Confusion::iou`] of one class, as objective `iou_N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassIou(
    /// The class.
    pub u8,
);

/// [`Confusion::dice`] of one class, as objective `dice_N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dice(
    /// The class.
    pub u8,
);

/// [`Confusion::mcc`], as objective `mcc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mcc;

impl Metric<Confusion> for MeanIou {
    fn objective(&self) -> Objective {
        ratio("miou".to_owned())
    }

    fn score(&self, counts: &Confusion) -> Option<f64> {
        counts.mean_iou(self.0)
    }
}

impl Metric<Confusion> for ClassIou {
    fn objective(&self) -> Objective {
        ratio(format!("iou_{}", self.0))
    }

    fn score(&self, counts: &Confusion) -> Option<f64> {
        counts.iou(self.0)
    }
}

impl Metric<Confusion> for Dice {
    fn objective(&self) -> Objective {
        ratio(format!("dice_{}", self.0))
    }

    fn score(&self, counts: &Confusion) -> Option<f64> {
        counts.dice(self.0)
    }
}

impl Metric<Confusion> for Mcc {
    fn objective(&self) -> Objective {
        ratio("mcc".to_owned())
    }

    fn score(&self, counts: &Confusion) -> Option<f64> {
        counts.mcc()
    }
}
