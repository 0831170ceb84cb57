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
    /// Predicted energy of one tile, where the device's file knows its power.
    Energy,
    /// Bytes that one tile moves to and from external memory.
    DdrTraffic,
    /// Multiply-accumulates of one tile over those that the convolution engine could do in the time on the device.
    NceUtilisation,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Self; 10] = [
        Self::Miou,
        Self::VesselIou,
        Self::Latency,
        Self::Fps,
        Self::Parameters,
        Self::Macs,
        Self::PeakMemory,
        Self::Energy,
        Self::DdrTraffic,
        Self::NceUtilisation,
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
            Self::Energy => "energy",
            Self::DdrTraffic => "ddr_traffic",
            Self::NceUtilisation => "nce_utilisation",
        }
    }

    /// Name, unit and direction.
    pub fn objective(self) -> Objective {
        let (unit, direction) = match self {
            Self::Miou | Self::VesselIou | Self::NceUtilisation => ("1", Direction::Maximise),
            Self::Latency => ("s", Direction::Minimise),
            Self::Fps => ("1/s", Direction::Maximise),
            Self::Parameters | Self::Macs => ("1", Direction::Minimise),
            Self::PeakMemory | Self::DdrTraffic => ("B", Direction::Minimise),
            Self::Energy => ("J", Direction::Minimise),
        };
        Objective::new(self.name(), unit, direction)
    }

    /// Its value for a network of this cost and this accuracy on the device; none where the cost model does not know it.
    pub(crate) fn of(self, network: &Network, cost: &Cost, [miou, vessel_iou]: [f64; 2]) -> Option<f64> {
        let value = match self {
            Self::Miou => miou,
            Self::VesselIou => vessel_iou,
            Self::Latency => cost.latency.0,
            Self::Fps => cost.fps,
            Self::Parameters => network.parameter_count() as f64,
            Self::Macs => network.macs() as f64,
            Self::PeakMemory => cost.peak_memory as f64,
            Self::Energy => cost.energy?.0,
            Self::DdrTraffic => cost.memory_traffic? as f64,
            Self::NceUtilisation => cost.utilisation?,
        };
        Some(value)
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
