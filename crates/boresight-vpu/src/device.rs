//! Devices as data.

use crate::nce::Nce;
use crate::{Error, tiling};
use serde::{Deserialize, Serialize};

/// Every embedded device by name; the name in the file is the same.
const EMBEDDED: [(&str, &str); 2] =
    [("myriad-x", include_str!("../devices/myriad-x.toml")), ("rvc2", include_str!("../devices/rvc2.toml"))];

/// On-chip memory and vector cores that one inference may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Inferences that run at once.
    pub streams: u32,
    /// Slices of on-chip memory for each of them.
    pub cmx_slices: usize,
    /// SHAVE vector cores for each of them.
    pub shaves: u32,
}

/// Sizes of the on-chip memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cmx {
    /// Bytes of a slice.
    pub slice_bytes: usize,
    /// Bytes that an output tile may have beyond half of the slices.
    pub reserve_bytes: usize,
}

/// How fast the units work; what was fitted to which measurements is told in docs/DEVICES.md.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Bytes a second that copies and poolings of the engine read and write.
    pub moved_bytes_per_second: f64,
    /// Bytes a second that one SHAVE reads and writes; half as many where each number goes through an exponential.
    pub shave_bytes_per_second: f64,
    /// Multiply-accumulate operations a second of one SHAVE.
    pub shave_macs_per_second: f64,
    /// Seconds that starting any stage takes.
    pub stage_seconds: f64,
    /// By how much inferences that run at once slow each other down.
    pub contention: f64,
}

/// What the rates were fitted to, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Factors between which measured over predicted latency lay for four of five networks left out of the fit.
    pub band: [f64; 2],
    /// Fewest and most cycles of the engine of a measured network.
    pub nce_cycles: [f64; 2],
    /// Fewest and most stages of a measured network.
    pub stages: [f64; 2],
}

/// Power in the states of an inference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Power {
    /// Watts while stages run.
    pub busy_watts: f64,
    /// Watts while image and result are on the link.
    pub waiting_watts: f64,
}

/// A way for images to the device and for results back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Its name, such as `usb3`; `none` where image and result are in the device's memory.
    pub name: String,
    /// Bytes a second, either way; infinite for `none`.
    pub bytes_per_second: f64,
}

/// The form in which images and results travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Transfer {
    /// As binary16: the host converts.
    #[serde(rename = "f16")]
    F16,
    /// As binary32: the device converts, which is a stage at either end.
    #[serde(rename = "f32")]
    F32,
    /// Images as bytes, which the device converts; results as binary16, the form that OAK cameras take.
    #[serde(rename = "u8")]
    U8,
}

impl Transfer {
    /// Bytes of a value of an image.
    pub const fn bytes(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
            Self::U8 => 1,
        }
    }

    /// Bytes of a value of a result.
    pub const fn result_bytes(self) -> usize {
        match self {
            Self::F16 | Self::U8 => 2,
            Self::F32 => 4,
        }
    }
}

/// What a device file says: what the compiler does and how fast the units are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// Its name, such as `myriad-x`.
    pub name: String,
    /// Cycles a second.
    pub clock_hz: f64,
    /// Inferences that run at once.
    pub streams: u32,
    /// Most bytes of a feature map, on the device or at the host.
    pub max_map_bytes: usize,
    /// Operators that its compiler refuses, by the names of `Op::name`.
    #[serde(default)]
    pub refused: Vec<String>,
    /// The link in use.
    pub link: String,
    /// The form in which images and results travel.
    pub transfer: Transfer,
    /// Links that it has.
    pub links: Vec<Link>,
    /// What an inference may use, by the number of streams.
    pub resources: Vec<Resources>,
    /// On-chip memory.
    pub cmx: Cmx,
    /// The convolution engine.
    pub nce: Nce,
    /// How convolutions are cut into tiles.
    pub tiling: tiling::Rules,
    /// How fast everything else is.
    pub rates: Rates,
    /// What the rates were fitted to.
    pub calibration: Calibration,
    /// Power, where it is known.
    #[serde(default)]
    pub power: Option<Power>,
}

/// A device whose description was checked.
///
/// # Examples
/// ```
/// use boresight_vpu::Device;
/// let device = Device::named("myriad-x")?;
/// assert_eq!(device.tiling_limit(), 589_824);
/// assert_eq!(device.with_streams(1)?.tiling_limit(), 1_245_184);
/// # Ok::<(), boresight_vpu::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    description: Description,
    resources: Resources,
    link: Link,
}

impl Device {
    /// The embedded device of this name.
    ///
    /// # Errors
    /// When there is none; the error lists every name.
    pub fn named(name: &str) -> Result<Self, Error> {
        match EMBEDDED.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::from_toml(text),
            None => Err(Error::UnknownDevice {
                name: name.to_owned(),
                known: EMBEDDED.iter().map(|(known, _)| *known).collect(),
            }),
        }
    }

    /// The device that `text` describes; devices/myriad-x.toml is an example with every field.
    ///
    /// # Errors
    /// When a field is missing, unknown or out of its range.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let description: Description =
            toml::from_str(text).map_err(|error| Error::Syntax { report: error.to_string() })?;
        description.try_into()
    }

    /// The same device running this many inferences at once.
    ///
    /// # Errors
    /// When its file knows no resources for that number.
    pub fn with_streams(self, streams: u32) -> Result<Self, Error> {
        Description { streams, ..self.description }.try_into()
    }

    /// The same device behind another of its links.
    ///
    /// # Errors
    /// When it has no link of this name.
    pub fn with_link(self, name: &str) -> Result<Self, Error> {
        Description { link: name.to_owned(), ..self.description }.try_into()
    }

    /// The same device fed in another form.
    #[must_use]
    pub const fn with_transfer(mut self, transfer: Transfer) -> Self {
        self.description.transfer = transfer;
        self
    }

    /// Everything that its file says.
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// What one inference may use with the current number of streams.
    pub const fn resources(&self) -> Resources {
        self.resources
    }

    /// The link in use.
    pub const fn link(&self) -> &Link {
        &self.link
    }

    /// Bytes that the output tile of a stage may have.
    pub const fn tiling_limit(&self) -> usize {
        let cmx = self.description.cmx;
        self.resources.cmx_slices / 2 * cmx.slice_bytes + cmx.reserve_bytes
    }

    /// Bytes of on-chip memory that one inference may use.
    pub const fn cmx_bytes(&self) -> usize {
        self.resources.cmx_slices * self.description.cmx.slice_bytes
    }
}

impl TryFrom<Description> for Device {
    type Error = Error;

    fn try_from(description: Description) -> Result<Self, Error> {
        let resources = description.resources.iter().find(|row| row.streams == description.streams);
        let resources = *resources.ok_or_else(|| Error::Streams {
            device: description.name.clone(),
            streams: description.streams,
            known: description.resources.iter().map(|row| row.streams).collect(),
        })?;
        let link = description.links.iter().find(|link| link.name == description.link);
        let link = link.cloned().ok_or_else(|| Error::UnknownLink {
            device: description.name.clone(),
            name: description.link.clone(),
            known: description.links.iter().map(|link| link.name.clone()).collect(),
        })?;
        description.check_rates()?;
        description.check_modes()?;
        Ok(Self { description, resources, link })
    }
}

impl Description {
    fn check_rates(&self) -> Result<(), Error> {
        let rates = &self.rates;
        let slowest = self.links.iter().map(|link| link.bytes_per_second).fold(f64::INFINITY, f64::min);
        for (field, value) in [
            ("clock_hz", self.clock_hz),
            ("moved_bytes_per_second", rates.moved_bytes_per_second),
            ("shave_bytes_per_second", rates.shave_bytes_per_second),
            ("shave_macs_per_second", rates.shave_macs_per_second),
            ("bytes_per_second of a link", slowest),
        ] {
            if value.is_nan() || value <= 0.0 {
                return self.refuse(field, &value, "(0, inf]");
            }
        }
        let power = self.power.unwrap_or(Power { busy_watts: 0.0, waiting_watts: 0.0 });
        for (field, value) in [
            ("stage_seconds", rates.stage_seconds),
            ("contention", rates.contention),
            ("lower end of the band", self.calibration.band[0]),
            ("upper end of the band", self.calibration.band[1]),
            ("busy_watts", power.busy_watts),
            ("waiting_watts", power.waiting_watts),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return self.refuse(field, &value, "[0, inf)");
            }
        }
        Ok(())
    }

    fn check_modes(&self) -> Result<(), Error> {
        let nce = &self.nce;
        match nce.modes.iter().find(|row| row.inputs == 0 || nce.lanes / row.inputs < 8) {
            Some(row) => self.refuse("inputs of a mode", &row.inputs, "1 to an eighth of the lanes"),
            None if nce.modes.is_empty() => self.refuse("modes", &"empty", "at least one"),
            None => Ok(()),
        }
    }

    fn refuse(&self, field: &'static str, found: &dyn ToString, allowed: &'static str) -> Result<(), Error> {
        Err(Error::Field { device: self.name.clone(), field, found: found.to_string(), allowed })
    }
}
