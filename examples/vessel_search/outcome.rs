//! What a run leaves: summary.json, best.json, best.safetensors, overlays and a table.

use crate::run::{Session, Trials, Winner};
use boresight::eval::{Artifact, BandStatistics, Device, Finalist, Score, Simulated, Stages, predict};
use boresight::evolve::pareto;
use boresight::report::{Overlay, write_png};
use boresight::search::RunFolder;
use boresight::train::to_safetensors;
use serde::Serialize;
use std::collections::BTreeMap;
use std::error::Error;

/// What `summary.json` holds.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    /// `None` when no candidate was measured.
    best: Option<Best>,
    front: Vec<FrontPoint>,
    trials: usize,
    wall_s: f64,
}

/// The winner; scores are those of the test split, but for `val`.
#[derive(Debug, Serialize)]
struct Best {
    code: String,
    /// For the table alone; the file keeps it in `best.json`.
    #[serde(skip)]
    trial: u64,
    parameters: usize,
    macs: u64,
    latency_ms: f64,
    fps: f64,
    input_shape: [usize; 3],
    streams: u32,
    profile: String,
    #[serde(flatten)]
    test: Scores,
    val: Scores,
}

#[derive(Debug, Serialize)]
struct Scores {
    miou: Forms,
    vessel_iou: Forms,
}

#[derive(Debug, Serialize)]
struct Forms {
    fp32: f64,
    converted: f64,
    aligned: f64,
}

/// A trial that no other one beats in every objective.
#[derive(Debug, Serialize)]
struct FrontPoint {
    trial: u64,
    code: String,
    #[serde(flatten)]
    attributes: BTreeMap<String, f64>,
}

impl Summary {
    pub(crate) fn new(session: &Session<'_>, trials: &Trials, winner: Option<&Winner>, wall_s: f64) -> Self {
        let front = pareto::front(trials, &session.directions).into_iter().map(|trial| FrontPoint {
            trial: trial.id.0,
            code: trial.proposal.genotype.to_string(),
            attributes: match &trial.verdict {
                boresight::core::Outcome::Measured { attributes, .. } => attributes.clone(),
                _ => BTreeMap::new(),
            },
        });
        Self {
            best: winner.map(|winner| best(session, winner)),
            front: front.collect(),
            trials: trials.len(),
            wall_s,
        }
    }
}

fn best(session: &Session<'_>, winner: &Winner) -> Best {
    let Finalist { cost, deployments, .. } = &winner.finalist;
    let network = deployments[0].network();
    let shape = network.input_shape();
    Best {
        code: winner.trial.proposal.genotype.to_string(),
        trial: winner.trial.id.0,
        parameters: network.parameter_count(),
        macs: network.macs(),
        latency_ms: 1e3 * cost.latency.0,
        fps: cost.fps,
        input_shape: [shape.channels, shape.height, shape.width],
        streams: cost.streams,
        profile: session.settings.profile.name.clone(),
        test: scores(&winner.finalist.test),
        val: scores(&winner.finalist.val),
    }
}

fn scores(stages: &Stages) -> Scores {
    let forms = |score: fn(&Score) -> f64| Forms {
        fp32: score(&stages.fp32),
        converted: score(&stages.converted),
        aligned: score(&stages.aligned),
    };
    Scores { miou: forms(|score| score.miou), vessel_iou: forms(|score| score.vessel_iou) }
}

/// Writes the winner's files, and the summary last: a folder with a summary is whole.
pub(crate) fn write(
    session: &Session<'_>,
    winner: Option<&Winner>,
    summary: &Summary,
) -> Result<(), Box<dyn Error>> {
    let folder = session.folder;
    if let Some(Winner { trial, finalist }) = winner {
        let [_, _, deployed] = &finalist.deployments;
        let artifact = Artifact {
            code: trial.proposal.genotype.to_string(),
            trial: trial.id.0,
            network: deployed.network().clone(),
            bands: BandStatistics::of(session.dataset, session.evaluator.bands()),
            class_names: session.dataset.class_names.clone(),
            ignore: session.dataset.ignore,
            full_scale: session.dataset.full_scale,
            input: session.settings.input,
            profile: session.settings.profile.clone(),
        };
        folder.write(Artifact::WEIGHTS, &to_safetensors(&finalist.aligned, &[("code", &artifact.code)])?)?;
        folder.write(Artifact::DESCRIPTION, &serde_json::to_vec_pretty(&artifact)?)?;
        overlays(session, finalist)?;
    }
    Ok(folder.write("summary.json", &serde_json::to_vec_pretty(summary)?)?)
}

/// Test scenes with what the deployed network finds in them.
fn overlays(session: &Session<'_>, finalist: &Finalist) -> Result<(), Box<dyn Error>> {
    let folder = session.folder.file("overlays");
    std::fs::create_dir_all(&folder)?;
    let mut runner = Simulated.load(&finalist.deployments[2])?;
    for scene in &session.dataset.test {
        let map = predict(runner.as_mut(), scene, &mut Vec::new())?;
        let overlay = Overlay {
            bands: &session.dataset.bands,
            labels: Some(&scene.mask),
            prediction: Some(&map),
            ignore: session.dataset.ignore,
            title: &scene.name,
            ..Overlay::new([scene.height, scene.width], &scene.counts)
        };
        write_png(&folder.join(format!("test_{}.png", scene.name)), &overlay.draw()?)?;
    }
    Ok(())
}

/// Prints the final table.
pub(crate) fn print(summary: &Summary, folder: &RunFolder) {
    let Some(best) = &summary.best else {
        println!("No candidate could be measured; the journal in {} says why.", folder.path().display());
        return;
    };
    println!();
    println!("Best network (trial {}): {}", best.trial, best.code);
    println!(
        "{} parameters, {:.1} M MACs; predicted {:.1} ms and {:.1} FPS for one tile of {}x{}x{} ({} streams)",
        best.parameters,
        best.macs as f64 / 1e6,
        best.latency_ms,
        best.fps,
        best.input_shape[0],
        best.input_shape[1],
        best.input_shape[2],
        best.streams
    );
    println!();
    println!("{:34}{:>11}{:>11}{:>11}{:>11}", "", "test mIoU", "vessel IoU", "val mIoU", "vessel IoU");
    let columns = [&best.test.miou, &best.test.vessel_iou, &best.val.miou, &best.val.vessel_iou];
    let row = |name: &str, value: fn(&Forms) -> f64| {
        let [test_miou, test_vessel, val_miou, val_vessel] = columns.map(value);
        println!("{name:34}{test_miou:>11.4}{test_vessel:>11.4}{val_miou:>11.4}{val_vessel:>11.4}");
    };
    row("FP32", |forms| forms.fp32);
    row("converted, on the simulated device", |forms| forms.converted);
    row("aligned, on the simulated device", |forms| forms.aligned);
    println!();
    println!("Front ({} of {} trials):", summary.front.len(), summary.trials);
    println!("{:>7}{:>9}{:>12}{:>12}{:>9}  code", "trial", "val mIoU", "parameters", "latency ms", "FPS");
    for point in &summary.front {
        let value = |name: &str| point.attributes.get(name).copied().unwrap_or_default();
        println!(
            "{:>7}{:>9.4}{:>12}{:>12.2}{:>9.1}  {}",
            point.trial,
            value("miou_aligned"),
            value("parameters"),
            1e3 * value("latency_s"),
            value("fps"),
            point.code
        );
    }
    println!();
    println!("{:.0} s; everything is in {}", summary.wall_s, folder.path().display());
}
