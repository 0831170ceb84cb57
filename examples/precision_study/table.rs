//! Scores pooled over the seeds, with intervals, as text, JSON and a chart.

use crate::Cli;
use crate::cells::{Forms, Study};
use crate::engineering;
use crate::vessels::{Hits, Scores, bootstrap};
use boresight::core::Seed;
use boresight::ir::Weights;
use boresight::report::{Bar, BarChart, BarGroup};
use serde::Serialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;

/// Gaps below this are reported without a claim about what is recovered.
const GAP: f64 = 0.05;

/// What one seed made of one input under one profile.
pub(crate) struct Row {
    pub(crate) seed: u64,
    pub(crate) input: String,
    pub(crate) profile: String,
    pub(crate) forms: Forms,
}

/// What `study.json` holds.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    code: String,
    parameters: usize,
    seeds: u64,
    /// Predicted milliseconds of a tile with the normalisation folded in, and with a node in front.
    latency_folded_ms: f64,
    latency_with_node_ms: f64,
    cells: Vec<Cell>,
}

#[derive(Debug, Serialize)]
struct Cell {
    input: String,
    profile: String,
    /// mIoU of the equal control in FP32 less that of the same after conversion.
    gap: Estimate,
    forms: Vec<FormScore>,
}

#[derive(Debug, Serialize)]
struct FormScore {
    form: String,
    miou: Estimate,
    vessel_iou: Estimate,
    /// Share of the gap that is closed.
    recovered: Option<Estimate>,
    /// mIoU of each seed.
    seeds: BTreeMap<u64, f64>,
}

/// A value over all seeds, and 95 % of what drawing vessels again gives.
#[derive(Clone, Copy, Debug, Serialize)]
struct Estimate {
    value: f64,
    interval: Option<[f64; 2]>,
}

/// What all seeds made of one form, ready to be drawn from.
struct Pooled {
    /// Hits by cluster: a vessel, with what every network made of it.
    clusters: Vec<Hits>,
    pixels: u64,
}

impl Pooled {
    /// `shared` says that all seeds saw the same vessels.
    fn new<'rows>(rows: impl Iterator<Item = &'rows Row>, form: &str, shared: bool) -> Self {
        let mut pooled = Self { clusters: Vec::new(), pixels: 0 };
        for form in rows.filter_map(|row| row.forms.get(form)) {
            pooled.pixels += form.pixels;
            if shared && !pooled.clusters.is_empty() {
                pooled.clusters.iter_mut().zip(&form.hits).for_each(|(sum, hits)| sum.add(*hits));
            } else {
                pooled.clusters.extend(&form.hits);
            }
        }
        pooled
    }

    fn scores(&self, drawn: Option<&[usize]>) -> Scores {
        let mut sum = Hits::default();
        match drawn {
            Some(drawn) => drawn.iter().for_each(|&cluster| sum.add(self.clusters[cluster])),
            None => self.clusters.iter().for_each(|&hits| sum.add(hits)),
        }
        // Drawing many large vessels may exceed a small scene.
        sum.scores(self.pixels.max(sum.found + sum.missed + sum.wrong))
    }

    fn estimate(&self, score: impl Fn(Scores) -> f64) -> Estimate {
        let interval = bootstrap(self.clusters.len(), Seed::new(1), |drawn| score(self.scores(Some(drawn))));
        Estimate { value: score(self.scores(None)), interval }
    }
}

impl Table {
    pub(crate) fn new(cli: &Cli, study: &Study<'_>, rows: &[Row]) -> Result<Self, Box<dyn Error>> {
        let weights = Weights::initial(study.network, Seed::new(1));
        let [latency_folded_ms, latency_with_node_ms] = engineering::latencies(study, &weights)?;
        let mut cells: Vec<Cell> = Vec::new();
        for row in rows {
            if !cells.iter().any(|cell| cell.input == row.input && cell.profile == row.profile) {
                let same: Vec<&Row> = rows
                    .iter()
                    .filter(|other| other.input == row.input && other.profile == row.profile)
                    .collect();
                cells.push(Cell::new(&same, cli.data.is_some()));
            }
        }
        let (folded, _) = boresight::ir::fold_batch_norm(study.network, &weights)?;
        Ok(Self {
            code: cli.code.clone(),
            parameters: folded.parameter_count(),
            seeds: cli.seeds,
            latency_folded_ms,
            latency_with_node_ms,
            cells,
        })
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{}: {} parameters, {} seeds; predicted {:.2} ms a tile, {:.2} ms with a normalisation node\n",
            self.code, self.parameters, self.seeds, self.latency_folded_ms, self.latency_with_node_ms
        );
        for cell in &self.cells {
            // Writing to a string does not fail.
            cell.write(&mut text).unwrap_or_default();
        }
        text
    }

    pub(crate) fn chart(&self) -> BarChart {
        let groups = self.cells.iter().map(|cell| BarGroup {
            name: format!("{}, {}", cell.input, cell.profile),
            bars: cell
                .forms
                .iter()
                .map(|form| Bar {
                    name: form.form.clone(),
                    value: form.miou.value,
                    interval: form.miou.interval,
                })
                .collect(),
        });
        BarChart {
            title: format!("{}, {} parameters", self.code, self.parameters),
            axis: "mIoU on the test split".to_owned(),
            groups: groups.collect(),
        }
    }
}

/// Forms in the order in which they are shown; what is aligned comes last.
const ORDER: [&str; 9] = [
    "FP32",
    "converted",
    "control FP32",
    "control converted",
    "equal control FP32",
    "equal control converted",
    "FP16 file",
    "scaled input",
    "normalisation node",
];

impl Cell {
    fn new(rows: &[&Row], shared: bool) -> Self {
        let pool = |form: &str| Pooled::new(rows.iter().copied(), form, shared);
        let [control, converted] = ["equal control FP32", "equal control converted"].map(pool);
        let miou = |scores: Scores| scores.miou;
        let gap = |drawn: Option<&[usize]>| control.scores(drawn).miou - converted.scores(drawn).miou;
        let clusters = control.clusters.len();
        let gap_estimate = Estimate {
            value: gap(None),
            interval: bootstrap(clusters, Seed::new(1), |drawn| gap(Some(drawn))),
        };
        let known = rows.iter().flat_map(|row| row.forms.keys());
        let mut names: Vec<&str> = known.map(String::as_str).collect();
        let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
        names.sort_by_key(|name| (place(name), *name));
        names.dedup();
        let forms = names.into_iter().map(|name| {
            let pooled = pool(name);
            let share = |drawn: Option<&[usize]>| {
                (pooled.scores(drawn).miou - converted.scores(drawn).miou) / gap(drawn)
            };
            let whole = pooled.clusters.len() == clusters;
            let recovered = (place(name) > 5 && whole && gap_estimate.value >= GAP).then(|| Estimate {
                value: share(None),
                interval: bootstrap(clusters, Seed::new(1), |drawn| share(Some(drawn))),
            });
            FormScore {
                form: name.to_owned(),
                miou: pooled.estimate(miou),
                vessel_iou: pooled.estimate(|scores| scores.vessel_iou),
                recovered,
                seeds: rows
                    .iter()
                    .filter(|row| row.forms.contains_key(name))
                    .map(|row| (row.seed, Pooled::new([*row].into_iter(), name, shared).scores(None).miou))
                    .collect(),
            }
        });
        let (input, profile) = (rows[0].input.clone(), rows[0].profile.clone());
        Self { input, profile, forms: forms.collect(), gap: gap_estimate }
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n{}, {}: gap {} mIoU", self.input, self.profile, shown(&self.gap))?;
        if self.gap.value < GAP {
            writeln!(text, "(below {GAP}: nothing is claimed about what is recovered)")?;
        }
        writeln!(text, "{:<24} {:<24} {:<24} gap closed", "", "mIoU", "vessel IoU")?;
        for form in &self.forms {
            let recovered = form.recovered.as_ref().map(shown).unwrap_or_default();
            let (miou, vessel) = (shown(&form.miou), shown(&form.vessel_iou));
            writeln!(text, "{:<24} {miou:<24} {vessel:<24} {recovered}", form.form)?;
        }
        Ok(())
    }
}

fn shown(estimate: &Estimate) -> String {
    match estimate.interval {
        Some([low, high]) => format!("{:.4} [{low:.4}, {high:.4}]", estimate.value),
        None => format!("{:.4}", estimate.value),
    }
}
