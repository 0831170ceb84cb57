//! Time, energy, memory and throughput of a network's stages.

use crate::compile::{Compiled, Detail};
use crate::stage::{StageRow, Unit, Work, each_row};
use crate::{Description, Device};
use boresight_core::{Cost, Joules, Seconds};
use boresight_ir::{Network, Op};
use std::fmt;

/// What a network costs on a device: predictions, not measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Every stage in the order of execution.
    pub stages: Vec<StageRow>,
    /// Cycles of the engine in all convolutions, as the compiler's dump gives them.
    pub nce_cycles: u64,
    /// On-chip memory that one inference reaches, in bytes.
    pub cmx_bytes: u64,
    /// External memory for maps that one inference reaches, in bytes.
    pub ddr_bytes: u64,
    /// Bytes that one inference moves to and from external memory.
    pub ddr_traffic: u64,
    /// Bytes of the compiled file, about.
    pub blob_bytes: u64,
    /// From input at the host to output at the host, for one image.
    pub latency: Seconds,
    /// The part of it on the link.
    pub transfer: Seconds,
    /// Between these the latency lies as often as the device's file says.
    pub band: [Seconds; 2],
    /// Why the band may be too narrow; empty within the range that the rates were fitted to.
    pub beyond: Vec<Beyond>,
    /// Images a second with the device's streams.
    pub fps: f64,
    /// Inferences at once.
    pub streams: u32,
    /// Energy of one image, where the device's file knows its power.
    pub energy: Option<Joules>,
    /// Multiply-accumulates of the network over those that the engine could do in the time on the device.
    pub utilisation: f64,
}

/// A quantity outside the range of the measurements that the rates were fitted to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beyond {
    /// Which.
    pub what: &'static str,
    /// Its value.
    pub found: f64,
    /// The range.
    pub range: [f64; 2],
}

impl fmt::Display for Beyond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.range;
        write!(f, "{} is {:.4e}, measured were {low:.4e} to {high:.4e}", self.what, self.found)
    }
}

/// What would make a layer cheaper.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The layer.
    pub node: String,
    /// What to do, in words.
    pub what: String,
    /// Time that it would save, about.
    pub saves: Seconds,
}

/// What the stages of a network come to.
struct Totals {
    /// Seconds on the device.
    time: f64,
    /// Stages, those beside another one among them.
    stages: usize,
    nce_cycles: u64,
    external_bytes: u64,
    /// Whether vector cores convolve.
    software: bool,
}

impl Totals {
    /// The sums over all stages, each of which gets its time and is handed to `keep`.
    fn of(
        compiled: &Compiled<'_>,
        description: &Description,
        name: impl Fn(&Detail) -> String,
        mut keep: impl FnMut(StageRow),
    ) -> Self {
        let mut totals = Self { time: 0.0, stages: 0, nce_cycles: 0, external_bytes: 0, software: false };
        let (mut host, rates) = (0.0, description.unit_seconds());
        each_row(compiled, name, |mut row| {
            let time = seconds(&row, &rates);
            row.time = Seconds(if row.beside { (time - host).max(0.0) } else { time });
            host = time;
            totals.time += row.time.0;
            totals.stages += 1;
            totals.nce_cycles += row.dump_cycles();
            totals.external_bytes += row.external_bytes;
            totals.software |= row.work == Work::Multiplying;
            keep(row);
        });
        totals
    }

    fn cost(&self, network: &Network, device: &Device, compiled: &Compiled<'_>) -> Cost {
        let description = device.description();
        let transfer = transfer(network, device);
        let latency = self.time + transfer;
        let streams = f64::from(description.streams);
        // Each stream has its own engine and cores; external memory and link are everybody's.
        let contention = if description.streams > 1 { description.rates.contention } else { 0.0 };
        let interval = (self.time * (1.0 + contention) / streams).max(transfer).max(latency / streams);
        Cost {
            latency: Seconds(latency),
            fps: 1.0 / interval,
            streams: description.streams,
            energy: description
                .power
                .map(|power| Joules(power.busy_watts * self.time + power.waiting_watts * transfer)),
            peak_memory: compiled.memory.on_chip_bytes(),
            memory_traffic: Some(self.external_bytes),
            utilisation: Some(self.utilisation(network, description)),
        }
    }

    /// Multiply-accumulates of the network over those that the engine could do in the same time.
    fn utilisation(&self, network: &Network, description: &Description) -> f64 {
        network.macs() as f64 / (description.clock_hz * description.nce.lanes as f64 * self.time)
    }
}

/// Seconds that image and result are on the link.
fn transfer(network: &Network, device: &Device) -> f64 {
    let (input, output) = (network.input_shape().len(), network.output_shape().len());
    let form = device.description().transfer;
    (input * form.bytes() + output * form.result_bytes()) as f64 / device.link().bytes_per_second
}

/// What a network costs, without a word on its stages.
pub(crate) fn cost(network: &Network, device: &Device, compiled: &Compiled<'_>) -> Cost {
    Totals::of(compiled, device.description(), |_| String::new(), drop).cost(network, device, compiled)
}

impl Prediction {
    pub(crate) fn new(network: &Network, device: &Device, compiled: &Compiled<'_>) -> Self {
        let description = device.description();
        let mut stages = Vec::with_capacity(compiled.order.len());
        let name =
            |stage: &Detail| [network.nodes()[stage.node as usize].name.as_str(), stage.suffix].concat();
        let totals = Totals::of(compiled, description, name, |row| stages.push(row));
        let cost = totals.cost(network, device, compiled);
        let band = description.calibration.band.map(|factor| Seconds(cost.latency.0 * factor));
        Self {
            nce_cycles: totals.nce_cycles,
            cmx_bytes: cost.peak_memory,
            ddr_bytes: compiled.memory.external_bytes(),
            ddr_traffic: totals.external_bytes,
            blob_bytes: compiled.blob_bytes(),
            latency: cost.latency,
            transfer: Seconds(transfer(network, device)),
            band,
            beyond: beyond(description, &totals),
            fps: cost.fps,
            streams: cost.streams,
            energy: cost.energy,
            utilisation: totals.utilisation(network, description),
            stages,
        }
    }

    /// The terms by which a search compares networks, by name.
    pub fn terms(&self) -> [(&'static str, f64); 6] {
        [
            ("latency_s", self.latency.0),
            ("fps", self.fps),
            ("peak_cmx_b", self.cmx_bytes as f64),
            ("ddr_traffic_b", self.ddr_traffic as f64),
            ("energy_j", self.energy.map_or(f64::INFINITY, |energy| energy.0)),
            ("nce_utilisation", self.utilisation),
        ]
    }

    /// What would make layers cheaper, the largest savings first.
    pub fn advice(&self, network: &Network) -> Vec<Advice> {
        let mut advice: Vec<Advice> = Vec::new();
        for (at, node) in network.nodes().iter().enumerate() {
            let own = || self.stages.iter().filter(|row| row.node == at);
            let time = |unit: Unit| own().filter(|row| row.unit == unit).map(|row| row.time.0).sum::<f64>();
            let mut push = |saves: f64, what: String| {
                advice.push(Advice { node: node.name.clone(), what, saves: Seconds(saves) });
            };
            if let Some(source) = node.inputs.first()
                && let Some(expansion) = own().find(|row| row.name.ends_with("@expand"))
            {
                let (channels, wanted) =
                    (network.node(*source).shape.channels, expansion_of(self, at).unwrap_or(0));
                let saves: f64 =
                    own().filter(|row| row.name.ends_with("@expand")).map(|row| row.time.0).sum();
                if wanted > channels && expansion.unit == Unit::Dma {
                    push(saves, format!("pad its {channels} input channels to {wanted}: saves a copy"));
                }
            }
            match node.op {
                Op::Gelu | Op::Sigmoid | Op::Relu | Op::Relu6 if time(Unit::Shave) > 0.0 => {
                    let what = if matches!(node.op, Op::Gelu) {
                        "a ReLU in its place would be part of the convolution before it"
                    } else {
                        "it is a stage of its own; after a convolution that nothing else reads a ReLU is free"
                    };
                    push(time(Unit::Shave), what.to_owned());
                }
                Op::BatchNorm { .. } | Op::ScaleShift if time(Unit::Shave) > 0.0 => push(
                    time(Unit::Shave),
                    "after a convolution that nothing else reads it would be free".to_owned(),
                ),
                _ => {}
            }
            let tiles: f64 = own().filter(|row| row.name.contains("@tiles")).map(|row| row.time.0).sum();
            if tiles > 0.0 {
                push(
                    tiles,
                    "its map exceeds the on-chip memory: fewer channels or pixels save the copies".into(),
                );
            }
        }
        advice.retain(|advice| advice.saves.0 > 0.0);
        advice.sort_by(|first, second| second.saves.0.total_cmp(&first.saves.0));
        advice
    }
}

/// Channels that the engine's blocks want of what node `at` reads.
fn expansion_of(prediction: &Prediction, at: usize) -> Option<usize> {
    let row = prediction.stages.iter().find(|row| row.node == at && row.mode.is_some())?;
    let copy = prediction.stages.iter().find(|row| row.node == at && row.name.ends_with("@expand"))?;
    Some(copy.output.channels.next_multiple_of(row.mode?.inputs))
}

/// How much longer a number takes that goes through an exponential than one that is added or compared: assumed.
const TRANSCENDENTAL: f64 = 2.0;

/// Time of a stage by itself.
fn seconds(row: &StageRow, rates: &[f64; 5]) -> f64 {
    row.amounts().iter().zip(rates).map(|(amount, rate)| amount * rate).sum()
}

impl StageRow {
    /// Quantities on which the stage's time depends: cycles of the engine; bytes that copies and the engine's poolings
    /// move; bytes and multiply-accumulates for each SHAVE; stages.
    pub fn amounts(&self) -> [f64; 5] {
        let cores = f64::from(self.shaves.max(1));
        let bytes = self.bytes as f64;
        let mut amounts = [0.0; 5];
        match self.work {
            Work::Convolution => amounts[0] = self.busy_cycles() as f64,
            Work::Pooling | Work::Copying => amounts[1] = bytes,
            Work::Elementwise | Work::Gathering => amounts[2] = bytes / cores,
            Work::Transcendental => amounts[2] = TRANSCENDENTAL * bytes / cores,
            Work::Multiplying => amounts[3] = self.macs as f64 / cores,
        }
        amounts[4] = 1.0;
        amounts
    }
}

impl Description {
    /// Seconds for a unit of each of [`StageRow::amounts`]: a stage takes the sum of their products.
    pub fn unit_seconds(&self) -> [f64; 5] {
        let rates = &self.rates;
        [
            1.0 / self.clock_hz,
            1.0 / rates.moved_bytes_per_second,
            1.0 / rates.shave_bytes_per_second,
            1.0 / rates.shave_macs_per_second,
            rates.stage_seconds,
        ]
    }
}

fn beyond(description: &Description, totals: &Totals) -> Vec<Beyond> {
    let calibration = &description.calibration;
    [
        ("the number of cycles of the NCE", totals.nce_cycles as f64, calibration.nce_cycles),
        ("the number of stages", totals.stages as f64, calibration.stages),
        ("the number of convolutions on SHAVEs", f64::from(u8::from(totals.software)), [0.0; 2]),
    ]
    .into_iter()
    .filter(|(_, found, [low, high])| found < low || found > high)
    .map(|(what, found, range)| Beyond { what, found, range })
    .collect()
}
