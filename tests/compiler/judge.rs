//! Compiles networks with the real compiler and compares what it reports with what the model predicts.

use boresight::core::Seed;
use boresight::deploy::onnx::{Export, Opset};
use boresight::ir::{Network, Role, Weights};
use boresight::vpu::{Device, Prediction, StageRow, Transfer, Vpu};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the compiler made of a network.
#[derive(Debug, Deserialize)]
struct Report {
    model: PathBuf,
    error: Option<String>,
    memory: Option<Memory>,
    #[serde(default)]
    stages: Vec<Stage>,
    totals: Option<Totals>,
}

#[derive(Debug, Deserialize)]
struct Memory {
    #[serde(rename = "CMX")]
    cmx: u64,
    #[serde(rename = "BSS")]
    ddr: u64,
    blob: u64,
}

#[derive(Debug, Deserialize)]
struct Totals {
    nce_cycles: u64,
}

#[derive(Debug, Deserialize)]
struct Stage {
    unit: String,
    #[serde(rename = "type")]
    op: String,
    mode: Option<String>,
    descriptors: Option<u64>,
    cost: Option<u64>,
    shaves: u32,
}

/// Unit, word, mode, descriptors and cost of a stage.
type Key = (String, String, Option<String>, Option<u64>, Option<u64>);

impl Stage {
    fn key(&self) -> Key {
        (self.unit.clone(), self.op.clone(), self.mode.clone(), self.descriptors, self.cost)
    }
}

fn key(row: &StageRow) -> Key {
    let mode = row.mode.map(|mode| mode.to_string());
    let descriptors = row.descriptors.map(|count| count as u64);
    (row.unit.to_string(), row.op.to_owned(), mode, descriptors, row.cost_cycles)
}

fn counted(keys: impl Iterator<Item = Key>) -> BTreeMap<Key, i64> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_insert(0) += 1;
    }
    counts
}

/// How well the model did.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) networks: usize,
    /// Networks of which each stage has its equal in unit and operator.
    pub(crate) same_units: usize,
    pub(crate) nce_stages: i64,
    /// Stages of the engine without an equal in mode, descriptors and cost.
    pub(crate) nce_missing: i64,
    /// Networks with cycles within 1 %, and with exactly the compiler's.
    pub(crate) near_cycles: usize,
    pub(crate) same_cycles: usize,
    /// Networks with on-chip memory within 5 %, and with exactly the compiler's.
    pub(crate) near_cmx: usize,
    pub(crate) same_cmx: usize,
    pub(crate) same_ddr: usize,
    pub(crate) same_shaves: usize,
    /// The largest relative error of the blob's bytes, in hundredths of a percent.
    pub(crate) blob_error: u64,
    /// Networks that both or neither refuse.
    pub(crate) same_refusals: usize,
    pub(crate) refused: usize,
    /// What differs, network by network.
    pub(crate) differences: Vec<String>,
}

impl Verdict {
    fn judge(&mut self, name: &str, report: &Report, prediction: Result<Prediction, String>) {
        self.networks += 1;
        let (Some(memory), Some(totals), Ok(prediction)) = (&report.memory, &report.totals, &prediction)
        else {
            let both = report.error.is_some() && prediction.is_err();
            self.same_refusals += usize::from(both);
            self.refused += usize::from(report.error.is_some());
            if !both {
                let model = prediction.map(|_| "taken");
                self.differences.push(format!("{name}: compiler {:?}, model {model:?}", report.error));
            }
            return;
        };
        self.same_refusals += 1;
        let theirs = counted(report.stages.iter().map(Stage::key));
        let ours = counted(prediction.stages.iter().map(key));
        let units = |counts: &BTreeMap<Key, i64>| {
            let mut units = BTreeMap::new();
            for ((unit, op, ..), count) in counts {
                *units.entry((unit.clone(), op.clone())).or_insert(0) += count;
            }
            units
        };
        let same = units(&theirs) == units(&ours);
        self.same_units += usize::from(same);
        for (key, count) in theirs.iter().filter(|(key, _)| key.0 == "NCE") {
            self.nce_stages += count;
            let missing = (count - ours.get(key).copied().unwrap_or(0)).max(0);
            self.nce_missing += missing;
            if missing > 0 {
                self.differences.push(format!("{name}: {missing} too few {key:?}"));
            }
        }
        if !same {
            self.differences.push(format!("{name}: units {:?}, model {:?}", units(&theirs), units(&ours)));
        }
        let within = |found: u64, wanted: u64, percent: u64| 100 * found.abs_diff(wanted) <= percent * wanted;
        self.near_cycles += usize::from(within(prediction.nce_cycles, totals.nce_cycles, 1));
        self.same_cycles += usize::from(prediction.nce_cycles == totals.nce_cycles);
        self.near_cmx += usize::from(within(prediction.cmx_bytes, memory.cmx, 5));
        self.same_cmx += usize::from(prediction.cmx_bytes == memory.cmx);
        self.same_ddr += usize::from(prediction.ddr_bytes == memory.ddr);
        let error = 10_000 * prediction.blob_bytes.abs_diff(memory.blob) / memory.blob;
        self.blob_error = self.blob_error.max(error);
        let shaves = |list: &mut Vec<u32>| {
            list.sort_unstable();
            list.clone()
        };
        let mut theirs: Vec<u32> = report.stages.iter().map(|stage| stage.shaves).collect();
        let mut ours: Vec<u32> = prediction.stages.iter().map(|row| row.shaves).collect();
        self.same_shaves += usize::from(shaves(&mut theirs) == shaves(&mut ours));
        if prediction.cmx_bytes != memory.cmx {
            self.differences.push(format!("{name}: CMX {}, model {}", memory.cmx, prediction.cmx_bytes));
        }
    }
}

/// Compiles all `networks` for this number of streams and compares; `None`, said aloud, where there is no compiler.
pub(crate) fn judge(networks: &[(String, Network)], streams: u32, form: Opset) -> Option<Verdict> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files: Vec<PathBuf> = networks
        .iter()
        .enumerate()
        .map(|(at, (_, network))| {
            let path = folder.path().join(format!("{at:04}.onnx"));
            let weights = random_weights(network, at as u64);
            let bytes =
                Export { opset: form, ..Export::new(network, &weights) }.write().expect("an ONNX file");
            std::fs::write(&path, bytes).expect("room for a file");
            path
        })
        .collect();
    let reports = compile(&files, streams, &folder.path().join("reports.jsonl"))?;
    let device = Device::named("myriad-x").unwrap().with_streams(streams).unwrap();
    let vpu = Vpu::new(device.with_transfer(Transfer::F32));
    let mut verdict = Verdict::default();
    for ((name, network), (file, report)) in networks.iter().zip(files.iter().zip(&reports)) {
        assert_eq!(&report.model, file, "reports come in the order of the files");
        verdict.judge(name, report, vpu.predict(network).map_err(|error| error.to_string()));
    }
    Some(verdict)
}

/// Weights with random normalisations: the compiler leaves out one that changes nothing.
fn random_weights(network: &Network, seed: u64) -> Weights {
    let mut weights = Weights::initial(network, Seed::new(seed));
    let mut stream = Seed::new(seed).derive("statistics", 0).stream();
    for slot in weights.layout().clone().slots() {
        if matches!(slot.role, Role::Scale | Role::Shift | Role::Mean | Role::Variance | Role::Bias) {
            for value in &mut weights.values_mut()[slot.range.clone()] {
                *value = 0.5 + stream.below(1000) as f32 / 1000.0;
            }
        }
    }
    weights
}

fn compile(files: &[PathBuf], streams: u32, reports: &Path) -> Option<Vec<Report>> {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/myriad");
    let mut command = Command::new("python3");
    command.arg(tools.join("compile.py")).args(files).args(["--many", "--form", "fp32"]);
    command.args(["--streams", &streams.to_string()]).arg("--json").arg(reports);
    if let Some(cache) = std::env::var_os("BORESIGHT_MYRIAD_CACHE") {
        command.arg("--cache").arg(cache);
    }
    let done = command.output().ok();
    let text = std::fs::read_to_string(reports).ok();
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        let words = done.map(|done| String::from_utf8_lossy(&done.stderr).into_owned()).unwrap_or_default();
        // Not captured by the test runner, so that it is seen.
        let _ = writeln!(std::io::stderr(), "SKIPPED, there is no Myriad X compiler: {}", words.trim());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a report")).collect())
}
