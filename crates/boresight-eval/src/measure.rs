//! What can be an objective.

use crate::Error;
use boresight_core::{Cost, Direction, Objective};
use boresight_ir::Network;
use std::fmt;
use std::str::FromStr;

/// A quantity of a candidate that can be an objective; accuracy is that on the simulated device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Mean IoU over the classes that occur.
    Miou,
    /// IoU of class 1, the first that is not background.
    VesselIou,
    /// Predicted latency of one tile.
    Latency,
    /// Predicted tiles a second with the device's default streams.
    Fps,
    /// Trainable parameters.
    Parameters,
    /// Multiply-accumulate operations for one tile.
    Macs,
    /// Largest on-chip memory of any stage.
    PeakMemory,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 7] = [
        Self::Miou,
        Self::VesselIou,
        Self::Latency,
        Self::Fps,
        Self::Parameters,
        Self::Macs,
        Self::PeakMemory,
    ];

    /// Its name on the command line and in journals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Miou => "miou",
            Self::VesselIou => "vessel_iou",
            Self::Latency => "latency",
            Self::Fps => "fps",
            Self::Parameters => "parameters",
            Self::Macs => "macs",
            Self::PeakMemory => "peak_memory",
        }
    }

    /// Name, unit and direction.
    pub fn objective(self) -> Objective {
        let (unit, direction) = match self {
            Self::Miou | Self::VesselIou => ("1", Direction::Maximise),
            Self::Latency => ("s", Direction::Minimise),
            Self::Fps => ("1/s", Direction::Maximise),
            Self::Parameters | Self::Macs => ("1", Direction::Minimise),
            Self::PeakMemory => ("B", Direction::Minimise),
        };
        Objective::new(self.name(), unit, direction)
    }

    /// Its value for a network of this cost and this accuracy on the device.
    pub(crate) fn of(self, network: &Network, cost: &Cost, miou: f64, vessel_iou: f64) -> f64 {
        match self {
            Self::Miou => miou,
            Self::VesselIou => vessel_iou,
            Self::Latency => cost.latency.0,
            Self::Fps => cost.fps,
            Self::Parameters => network.parameter_count() as f64,
            Self::Macs => network.macs() as f64,
            Self::PeakMemory => cost.peak_memory as f64,
        }
    }

    /// Whether it is known only after training.
    pub const fn needs_training(self) -> bool {
        matches!(self, Self::Miou | Self::VesselIou)
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|measure| measure.name() == name).ok_or_else(|| Error::UnknownMeasure {
            name: name.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}
