//! The table.

use boresight::ir::Network;
use boresight::vpu::{Prediction, StageRow};
use std::fmt::Write;

/// Pieces of advice that are printed.
const ADVICE: usize = 8;

/// Stages, sums and advice as text. Tiles of one operator share a line.
pub(crate) fn table(network: &Network, prediction: &Prediction) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    write(&mut text, network, prediction).unwrap_or_default();
    text
}

fn write(text: &mut String, network: &Network, prediction: &Prediction) -> std::fmt::Result {
    writeln!(
        text,
        "{:<36} {:<5} {:<10} {:<11} {:>5} {:>6} {:>7} {:>6} {:>9} {:>5}",
        "stage", "unit", "op", "mode", "descr", "cost", "tiles", "SHAVEs", "ms", "%"
    )?;
    let latency = prediction.latency.0;
    for group in groups(&prediction.stages) {
        let row = group[0];
        let time: f64 = group.iter().map(|row| row.time.0).sum();
        let tiles = row.tiles.map(|size| size.to_string()).join("x");
        writeln!(
            text,
            "{:<36} {:<5} {:<10} {:<11} {:>5} {:>6} {:>7} {:>6} {:>9.3} {:>5.1}",
            if group.len() > 1 { format!("{} ({})", row.name, group.len()) } else { row.name.clone() },
            row.unit,
            row.op,
            row.mode.map(|mode| mode.to_string()).unwrap_or_default(),
            row.descriptors.map(|count| count.to_string()).unwrap_or_default(),
            row.cost_cycles.map(|cost| cost.to_string()).unwrap_or_default(),
            if tiles == "1x1x1" { "" } else { &tiles },
            if row.shaves == 0 { String::new() } else { row.shaves.to_string() },
            1e3 * time,
            100.0 * time / latency,
        )?;
    }
    sums(text, prediction)?;
    let advice = prediction.advice(network);
    if !advice.is_empty() {
        writeln!(text, "\nWhat would make it cheaper:")?;
    }
    for advice in advice.iter().take(ADVICE) {
        writeln!(text, "{:>8.3} ms  {}: {}", 1e3 * advice.saves.0, advice.node, advice.what)?;
    }
    Ok(())
}

fn sums(text: &mut String, prediction: &Prediction) -> std::fmt::Result {
    let [low, high] = prediction.band.map(|end| 1e3 * end.0);
    writeln!(
        text,
        "\nlatency {:.2} ms ({low:.2} to {high:.2}), {:.2} ms of it on the link; {:.1} images a second with {} streams",
        1e3 * prediction.latency.0,
        1e3 * prediction.transfer.0,
        prediction.fps,
        prediction.streams,
    )?;
    if let Some(energy) = prediction.energy {
        writeln!(text, "energy {:.2} mJ an image", 1e3 * energy.0)?;
    }
    writeln!(
        text,
        "NCE {} cycles, {:.1} % of its multipliers used; CMX {} B, DDR {} B and {} B moved, coefficients {} B",
        prediction.nce_cycles,
        100.0 * prediction.utilisation,
        prediction.cmx_bytes,
        prediction.ddr_bytes,
        prediction.ddr_traffic,
        prediction.blob_bytes,
    )?;
    for beyond in &prediction.beyond {
        writeln!(text, "beyond the calibrated range: {beyond}")?;
    }
    Ok(())
}

/// Rows that differ in nothing but their tile, in the order of their first.
fn groups(stages: &[StageRow]) -> Vec<Vec<&StageRow>> {
    let mut groups: Vec<Vec<&StageRow>> = Vec::new();
    for row in stages {
        let alike = |first: &StageRow| {
            (&first.name, first.node, first.op, first.mode, first.descriptors, first.cost_cycles)
                == (&row.name, row.node, row.op, row.mode, row.descriptors, row.cost_cycles)
        };
        match groups.iter_mut().rev().take(8).find(|group| alike(group[0])) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups
}
