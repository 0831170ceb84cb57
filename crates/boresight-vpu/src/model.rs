//! Time, throughput and memory of a lowered network.

use crate::lower::{Stage, Unit, Work, check, lower};
use crate::{Device, Error};
use boresight_core::{Cost, CostModel, Joules, Seconds, StageCost};
use boresight_ir::Network;
use std::collections::{BTreeMap, BTreeSet};

/// Predicts what a network costs on one device.
///
/// # Examples
/// ```
/// use boresight_core::CostModel;
/// use boresight_ir::{Builder, Conv2d, Op, Shape};
/// use boresight_vpu::{Device, Vpu};
///
/// let mut builder = Builder::new(Shape::new(8, 128, 128))?;
/// let conv = builder.add("conv", Op::Conv2d(Conv2d::same(32, 3)), &[builder.input()])?;
/// let network = builder.finish(conv)?;
/// let vpu = Vpu::new(Device::named("myriad-x")?);
/// let cost = vpu.estimate(&network)?;
/// assert!(cost.latency.0 > 0.0 && cost.fps > 1.0 / cost.latency.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Vpu {
    device: Device,
}

/// A row of the table that [`Vpu::explain`] makes.
#[derive(Clone, Debug, PartialEq)]
pub struct StageRow {
    /// The node that it comes from.
    pub name: String,
    /// What runs it.
    pub unit: Unit,
    /// What it does.
    pub op: &'static str,
    /// Mode of the NCE, such as `MODE_8_32`.
    pub mode: Option<String>,
    /// Passes of the NCE over the input.
    pub descriptors: Option<usize>,
    /// Cycles of the NCE for each output pixel.
    pub cost_cycles: Option<u64>,
    /// Parts of width, height and input channels.
    pub tiles: [usize; 3],
    /// Stages of the device that the row stands for.
    pub count: usize,
    /// Time that they take together.
    pub time: Seconds,
}

impl Vpu {
    /// The model of this device.
    pub const fn new(device: Device) -> Self {
        Self { device }
    }

    /// The device.
    pub const fn device(&self) -> &Device {
        &self.device
    }

    /// Whether the device runs every node.
    ///
    /// # Errors
    /// When a feature map is beyond its limits or its compiler refuses an operator; the error names the node.
    pub fn supports(&self, network: &Network) -> Result<(), Error> {
        check(network, &self.device)
    }

    /// Where the time goes, stage by stage; fused nodes are listed with no time.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn explain(&self, network: &Network) -> Result<Vec<StageRow>, Error> {
        let stages = lower(network, &self.device)?;
        Ok(stages.into_iter().map(|stage| self.row(stage)).collect())
    }

    /// Most input channels of a part, for each convolution that is cut over them, by the name of its node.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn channel_parts(&self, network: &Network) -> Result<BTreeMap<String, usize>, Error> {
        let stages = lower(network, &self.device)?;
        let channels = |name: &str| {
            let (_, node) = network.iter().find(|(_, node)| node.name == name)?;
            Some(network.node(*node.inputs.first()?).shape.channels)
        };
        let parts = stages.into_iter().filter_map(|stage| {
            let parts = stage.tiling?.grid[2];
            let channels = channels(&stage.name).filter(|_| parts > 1)?;
            Some((stage.name, channels.div_ceil(parts)))
        });
        Ok(parts.collect())
    }

    /// Convolutions that run on the SHAVEs, whose constants the compiler does not scale, by the names of their nodes.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn convolutions_on_shaves(&self, network: &Network) -> Result<BTreeSet<String>, Error> {
        let stages = lower(network, &self.device)?;
        let convolution = |name: &String| {
            let mut nodes = network.nodes().iter();
            nodes.any(|node| node.name == *name && matches!(node.op, boresight_ir::Op::Conv2d(_)))
        };
        let names = stages.into_iter().filter(|stage| stage.unit == Unit::Shave).map(|stage| stage.name);
        Ok(names.filter(convolution).collect())
    }

    /// Cycles of the NCE in all convolutions, as the compiler's own dump gives them.
    ///
    /// # Errors
    /// As [`Vpu::supports`].
    pub fn nce_cycles(&self, network: &Network) -> Result<u64, Error> {
        Ok(lower(network, &self.device)?.iter().map(Stage::nce_cycles).sum())
    }

    fn row(&self, stage: Stage) -> StageRow {
        let nce = stage.tiling.and_then(|tiling| tiling.nce);
        StageRow {
            time: Seconds(self.seconds(&stage)),
            name: stage.name,
            unit: stage.unit,
            op: stage.op,
            mode: nce.map(|nce| nce.mode.to_string()),
            descriptors: nce.map(|nce| nce.descriptors),
            cost_cycles: nce.map(|nce| nce.cost),
            tiles: stage.tiling.map_or([1; 3], |tiling| tiling.grid),
            count: stage.count,
        }
    }

    /// Time of a stage: its work at the unit's rate, and a start for each stage of the device that it stands for.
    fn seconds(&self, stage: &Stage) -> f64 {
        let description = self.device.description();
        let rates = &description.rates;
        let work = match stage.work {
            Work::None => 0.0,
            Work::Cycles(cycles) => cycles as f64 / description.clock_hz,
            Work::Pooled(bytes) => bytes as f64 / rates.pool_bytes_per_second,
            Work::Elementwise(bytes) => bytes as f64 / rates.shave_bytes_per_second,
            Work::Gathered(bytes) => bytes as f64 / rates.gather_bytes_per_second,
            Work::Macs(macs) => macs as f64 / rates.shave_macs_per_second,
            Work::Copied(bytes) => bytes as f64 / rates.dma_bytes_per_second,
        };
        work + stage.count as f64 * rates.stage_seconds
    }

    /// Time that image and result take on the link.
    fn transfer(&self, network: &Network) -> f64 {
        let values = network.input_shape().len() + network.output_shape().len();
        let bytes = values * self.device.description().transfer.bytes();
        bytes as f64 / self.device.link().bytes_per_second
    }
}

impl CostModel<Network> for Vpu {
    type Error = Error;

    fn device(&self) -> &str {
        &self.device.description().name
    }

    fn estimate(&self, network: &Network) -> Result<Cost, Error> {
        let description = self.device.description();
        let lowered = lower(network, &self.device)?;
        let (mut on_device, mut on_dma, mut peak_memory) = (0.0, 0.0, 0);
        let mut stages = Vec::with_capacity(lowered.len());
        for stage in lowered.into_iter().filter(|stage| stage.unit != Unit::Fused) {
            let seconds = self.seconds(&stage);
            on_device += seconds;
            if stage.unit == Unit::Dma {
                on_dma += seconds;
            }
            peak_memory = peak_memory.max(stage.memory);
            stages.push(StageCost { name: stage.name, unit: stage.unit.to_string(), time: Seconds(seconds) });
        }
        let transfer = self.transfer(network);
        let latency = on_device + transfer;
        // Streams have their own NCE and SHAVEs; they share the memory engine and the link.
        let fps = (f64::from(description.streams) / latency).min(1.0 / on_dma.max(transfer));
        Ok(Cost {
            latency: Seconds(latency),
            fps,
            streams: description.streams,
            energy: description.watts.map(|watts| Joules(watts * on_device)),
            peak_memory: peak_memory as u64,
            stages,
        })
    }
}
