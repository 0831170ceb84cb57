//! The line of JSON.

use boresight::vpu::{Prediction, StageRow};
use serde::Serialize;
use std::path::Path;

/// One network.
#[derive(Debug, Serialize)]
pub(crate) struct Report<'a> {
    stages: Vec<Stage<'a>>,
    nce_cycles: u64,
    cmx_bytes: u64,
    latency_ms: f64,
    latency_band_ms: [f64; 2],
    fps: f64,
    energy_mj: Option<f64>,
    ddr_bytes: u64,
    ddr_traffic_bytes: u64,
    blob_bytes: u64,
    nce_utilisation: f64,
    beyond: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    onnx: Option<&'a Path>,
}

/// A network that the device refuses.
#[derive(Debug, Serialize)]
pub(crate) struct Refusal<'a> {
    pub(crate) error: String,
    pub(crate) code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) onnx: Option<&'a Path>,
}

/// One stage of the device; of a tiled convolution each tile is one.
#[derive(Debug, Serialize)]
struct Stage<'a> {
    name: &'a str,
    unit: String,
    op: &'static str,
    mode: Option<String>,
    descriptors: Option<usize>,
    cost_cycles: Option<u64>,
    tiles: [usize; 3],
    ms: f64,
    shaves: u32,
    output: [usize; 3],
    beside: bool,
}

impl<'a> Report<'a> {
    pub(crate) fn new(prediction: &'a Prediction, drawn: Option<(&'a str, Option<&'a Path>)>) -> Self {
        Self {
            stages: prediction.stages.iter().map(Stage::new).collect(),
            nce_cycles: prediction.nce_cycles,
            cmx_bytes: prediction.cmx_bytes,
            latency_ms: 1e3 * prediction.latency.0,
            latency_band_ms: prediction.band.map(|end| 1e3 * end.0),
            fps: prediction.fps,
            energy_mj: prediction.energy.map(|energy| 1e3 * energy.0),
            ddr_bytes: prediction.ddr_bytes,
            ddr_traffic_bytes: prediction.ddr_traffic,
            blob_bytes: prediction.blob_bytes,
            nce_utilisation: prediction.utilisation,
            beyond: prediction.beyond.iter().map(ToString::to_string).collect(),
            code: drawn.map(|(code, _)| code),
            onnx: drawn.and_then(|(_, onnx)| onnx),
        }
    }
}

impl<'a> Stage<'a> {
    fn new(row: &'a StageRow) -> Self {
        Self {
            name: &row.name,
            unit: row.unit.to_string(),
            op: row.op,
            mode: row.mode.map(|mode| mode.to_string()),
            descriptors: row.descriptors,
            cost_cycles: row.cost_cycles,
            tiles: row.tiles,
            ms: 1e3 * row.time.0,
            shaves: row.shaves,
            output: [row.output.channels, row.output.height, row.output.width],
            beside: row.beside,
        }
    }
}
