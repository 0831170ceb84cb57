//! Reading the files of an artifact back and scoring them on the simulated device.

use crate::files::{Staging, onnx_name};
use crate::found::{FORMS, Found};
use boresight::data::Split;
use boresight::deploy::onnx::{Form, Model, ReadOptions, read};
use boresight::deploy::{Deployment, Diagnosis, LayerRange, diagnose, layer_ranges};
use boresight::eval::{Device, Intake, Score, Simulated, confusion};
use boresight::ir::InputForm;
use boresight::numerics::NumericProfile;
use std::error::Error;

/// Tiles on which ranges are observed.
pub(crate) const TILES: usize = 4;
/// How far the scores of a file may be from those of the run, where the file subtracts the border from normalised
/// images: other roundings, which may turn pixels that were undecided.
const UNDECIDED: f64 = 0.005;

/// A file under a profile.
pub(crate) struct Row {
    pub(crate) file: String,
    pub(crate) profile: String,
    pub(crate) val: Score,
    pub(crate) test: Score,
}

/// What verification has seen.
pub(crate) struct Verified {
    pub(crate) rows: Vec<Row>,
    pub(crate) ranges: Vec<LayerRange>,
    pub(crate) diagnosis: Diagnosis,
    /// Constants in all.
    pub(crate) constants: usize,
}

impl Verified {
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.rows.iter().map(|row| {
            format!(
                "{} under {}: vessel IoU {:.4} val, {:.4} test",
                row.file, row.profile, row.val.vessel_iou, row.test.vessel_iou
            )
        })
    }
}

/// What else is scored: the other end of the bracket, where the profile is one of the Myriad X, and what was asked for.
fn others(own: &NumericProfile, further: &[NumericProfile]) -> Vec<NumericProfile> {
    let ends = [NumericProfile::myriad_x_optimistic(), NumericProfile::myriad_x_pessimistic()];
    let is_end = ends.iter().any(|end| end.name == own.name);
    let bracket = ends.into_iter().filter(|end| is_end && end.name != own.name);
    bracket.chain(further.iter().cloned()).collect()
}

/// Scores every file; the first row is the FP32 file under the profile of the run, and must score as the run says.
pub(crate) fn verify(
    found: &Found,
    staging: &Staging,
    further: &[NumericProfile],
) -> Result<Verified, Box<dyn Error>> {
    let own = &found.artifact.profile;
    let others = others(own, further);
    let mut rows = Vec::new();
    for form in FORMS {
        let model = model(staging, form)?;
        let mut profiles = vec![own.clone()];
        // To a tool chain FP16 weights that are cast to FP32 are what the FP32 file has.
        if form != Form::Fp16Weights {
            profiles.extend(others.iter().cloned());
        }
        if model.is_fp16 {
            profiles = profiles.iter().map(NumericProfile::preconverted).collect();
        } else {
            profiles.extend([NumericProfile::f32(), NumericProfile::ieee_f16()]);
        }
        for profile in profiles {
            rows.push(row(found, form, &model, &profile)?);
        }
    }
    check(found, &rows[0])?;
    let deployment = found.artifact.deploy(&found.weights)?;
    let tiles = tiles(found)?;
    let (ranges, diagnosis) = (layer_ranges(&deployment, &tiles)?, diagnose(&deployment, &tiles)?);
    Ok(Verified { rows, ranges, diagnosis, constants: deployment.network().parameter_count() })
}

fn model(staging: &Staging, form: Form) -> Result<Model, Box<dyn Error>> {
    let bytes = std::fs::read(staging.path(&onnx_name(form)))?;
    Ok(read(&bytes, &ReadOptions::default()).map_err(|error| format!("{}: {error}", onnx_name(form)))?)
}

fn deploy(model: &Model, profile: &NumericProfile) -> Result<Deployment, Box<dyn Error>> {
    let intake = Intake::from_metadata(&model.metadata)?.ok_or("the file does not tell its input")?;
    Ok(intake.deploy(&model.network, &model.weights, profile)?)
}

fn row(found: &Found, form: Form, model: &Model, profile: &NumericProfile) -> Result<Row, Box<dyn Error>> {
    let deployment = deploy(model, profile)?;
    let score = |split| -> Result<Score, Box<dyn Error>> {
        let mut runner = Simulated.load(&deployment)?;
        let scenes = found.dataset.split(split);
        Ok(Score::of(&confusion(runner.as_mut(), &found.dataset, scenes)?))
    };
    let (val, test) = (score(Split::Val)?, score(Split::Test)?);
    Ok(Row { file: onnx_name(form), profile: profile.name.clone(), val, test })
}

/// Holds the scores of a file to what the run wrote down.
fn check(found: &Found, row: &Row) -> Result<(), Box<dyn Error>> {
    // Counts come in as they are: the file is the network bit by bit.
    let allowed = if found.artifact.input == InputForm::Counts { 0.0 } else { UNDECIDED };
    let pairs = [
        ("val vessel IoU", row.val.vessel_iou, found.best.val.vessel_iou.aligned),
        ("val mIoU", row.val.miou, found.best.val.miou.aligned),
        ("test vessel IoU", row.test.vessel_iou, found.best.test.vessel_iou.aligned),
        ("test mIoU", row.test.miou, found.best.test.miou.aligned),
    ];
    for (what, scored, recorded) in pairs {
        if (scored - recorded).abs() > allowed {
            return Err(format!("{} has {what} {scored}, the run says {recorded}", row.file).into());
        }
    }
    Ok(())
}

/// Tiles from the scenes of the validation split, far apart from each other.
fn tiles(found: &Found) -> Result<Vec<Vec<f32>>, Box<dyn Error>> {
    let side = found.artifact.network.input_shape().height;
    let scenes = &found.dataset.val;
    (0..TILES)
        .map(|at| {
            let scene = &scenes[at % scenes.len()];
            let place = |size: usize| (size - side) * (at + 1) / (TILES + 1);
            let tile = scene.crop(place(scene.height), place(scene.width), side)?;
            Ok(tile.counts.into_iter().map(f32::from).collect())
        })
        .collect()
}
