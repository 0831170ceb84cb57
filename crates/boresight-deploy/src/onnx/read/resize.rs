//! Resizing: accepted wherever every pixel is read from where the network reads it.

use super::call::Call;
use super::constant::{Constant, shown};
use super::reader::Reader;
use crate::onnx::Error;
use boresight_ir::{Op, Resize};

/// How far the scale of an axis may lie from the ratio of its sizes, in parts of itself: it was rounded to binary32.
const SCALE_TOLERANCE: f64 = 1e-6;

/// One axis: its sizes, and the scale where the file states one.
#[derive(Clone, Copy)]
struct Axis {
    from: usize,
    to: usize,
    scale: Option<f32>,
}

/// How a file says where a pixel comes from.
#[derive(Clone, Copy)]
struct Rule<'a> {
    coordinates: &'a str,
    rounding: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn resize(&mut self, call: Call<'a>) -> Result<(), Error> {
        let source = self.image_input(call, 0)?;
        let mode = call.word("mode", "nearest")?;
        let rule = rule(call)?;
        let axes = self.axes(call, source)?;
        // Every pixel is looked at: a file of resizings alone must end too.
        self.budget.take(axes[0].to + axes[1].to)?;
        let (resize, fits) = match mode {
            "nearest" => (Resize::Nearest, axes.iter().all(|axis| axis.is_nearest(rule))),
            "linear" | "bilinear" => (Resize::Bilinear, axes.iter().all(|axis| axis.is_linear(rule))),
            _ => return Err(call.attribute_error("mode", mode.into(), "nearest or linear")),
        };
        if !fits {
            let sizes = axes.map(|axis| format!("{} to {}", axis.from, axis.to)).join(" and ");
            let found = format!("{}, {mode} {}, for {sizes}", rule.coordinates, rule.rounding);
            let expected = "pixel floor(i * in / out) where nearest, half-pixel centres where linear";
            return Err(call.attribute_error("coordinate_transformation_mode", found, expected));
        }
        let op = Op::Upsample { resize, size: axes.map(|axis| axis.to) };
        let entry = self.add(call, op, vec![source], Vec::new())?;
        self.set_image(call, entry);
        Ok(())
    }

    /// Rows and columns, from scales or sizes.
    fn axes(&mut self, call: Call<'a>, source: usize) -> Result<[Axis; 2], Error> {
        let dims = self.image(source).dims;
        let wrong = |found: String| {
            call.operand_error("scales or sizes", found, "constants that change rows and columns alone")
        };
        let has_region = call.op_type() == "Resize" && call.opset >= 11;
        let scales = self.constant(call, if has_region { 2 } else { 1 }, "the scales")?;
        let scales = scales.filter(|scales| scales.len() > 0);
        let sizes = if has_region { self.constant(call, 3, "the sizes")? } else { None };
        let sizes = sizes.filter(|sizes| sizes.len() > 0);
        let places = places(call)?;
        let mut axes = [0, 1, 2, 3].map(|at| Axis { from: dims[at], to: dims[at], scale: None });
        match (scales, sizes, call.floats("scales")?) {
            (Some(scales), None, None) => {
                let values = scales.floats().ok_or_else(|| wrong(scales.to_string()))?;
                scale(&mut axes, &places, values)
                    .ok_or_else(|| wrong(shown(&values[..values.len().min(8)])))?;
            }
            (None, None, Some(values)) => {
                scale(&mut axes, &places, values)
                    .ok_or_else(|| wrong(shown(&values[..values.len().min(8)])))?;
            }
            (None, Some(sizes), None) => {
                resized(&mut axes, &places, &sizes).ok_or_else(|| wrong(sizes.to_string()))?;
            }
            _ => return Err(wrong("none or both".into())),
        }
        let [batch, channels, rows, columns] = axes;
        let stays = |axis: Axis| axis.from == axis.to;
        if stays(batch) && stays(channels) { Ok([rows, columns]) } else { Err(wrong("other".into())) }
    }
}

/// Axes that scales or sizes are for: all, where the file does not say.
fn places(call: Call<'_>) -> Result<Vec<usize>, Error> {
    match call.ints("axes")? {
        None => Ok(vec![0, 1, 2, 3]),
        Some(axes) => axes.iter().take(5).map(|&axis| call.axis(axis, 4)).collect(),
    }
}

fn scale(axes: &mut [Axis; 4], places: &[usize], scales: &[f32]) -> Option<()> {
    if places.len() != scales.len() {
        return None;
    }
    for (&at, &scale) in places.iter().zip(scales) {
        let axis = &mut axes[at];
        let size = (axis.from as f32 * scale).floor();
        if !(1.0..=65_536.0).contains(&size) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 65536")]
        let to = size as usize;
        (axis.to, axis.scale) = (to, Some(scale));
    }
    Some(())
}

fn resized(axes: &mut [Axis; 4], places: &[usize], sizes: &Constant) -> Option<()> {
    let sizes = sizes.as_integers().filter(|sizes| sizes.len() == places.len())?;
    for (&at, &size) in places.iter().zip(sizes) {
        axes[at].to = usize::try_from(size).ok().filter(|size| (1..=65_536).contains(size))?;
    }
    Some(())
}

fn rule(call: Call<'_>) -> Result<Rule<'_>, Error> {
    for (name, neutral) in [("antialias", 0), ("exclude_outside", 0)] {
        let found = call.int(name, neutral)?;
        if found != neutral {
            return Err(call.attribute_error(name, found.to_string(), "0"));
        }
    }
    let policy = call.word("keep_aspect_ratio_policy", "stretch")?;
    if policy != "stretch" {
        return Err(call.attribute_error("keep_aspect_ratio_policy", policy.into(), "stretch"));
    }
    // Before version 11 there was one rule.
    if call.opset < 11 {
        return Ok(Rule { coordinates: "asymmetric", rounding: "floor" });
    }
    Ok(Rule {
        coordinates: call.word("coordinate_transformation_mode", "half_pixel")?,
        rounding: call.word("nearest_mode", "round_prefer_floor")?,
    })
}

impl Axis {
    fn is_nearest(self, rule: Rule<'_>) -> bool {
        (0..self.to).all(|at| self.nearest(at, rule) == Some(at * self.from / self.to))
    }

    fn nearest(self, at: usize, rule: Rule<'_>) -> Option<usize> {
        let place = self.coordinate(at, rule.coordinates)?;
        let place = match rule.rounding {
            "floor" => place.floor(),
            "ceil" => place.ceil(),
            "round_prefer_floor" => (place - 0.5).ceil(),
            "round_prefer_ceil" => (place + 0.5).floor(),
            _ => return None,
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 65535")]
        let place = place.clamp(0.0, (self.from - 1) as f64) as usize;
        Some(place)
    }

    /// Where pixel `at` lies in the source. With a scale, it is computed in binary32, as runtimes do.
    fn coordinate(self, at: usize, rule: &str) -> Option<f64> {
        let (from, to) = (self.from as f64, self.to as f64);
        let back = |place: f64| match self.scale {
            #[expect(clippy::cast_possible_truncation, reason = "the arithmetic of runtimes")]
            Some(scale) => f64::from(place as f32 / scale),
            None => place * from / to,
        };
        let place = at as f64;
        match rule {
            "asymmetric" => Some(back(place)),
            "half_pixel" => Some(back(place + 0.5) - 0.5),
            "pytorch_half_pixel" => Some(if self.to > 1 { back(place + 0.5) - 0.5 } else { 0.0 }),
            "tf_half_pixel_for_nn" => Some(back(place + 0.5)),
            "align_corners" => Some(if self.to > 1 { place * (from - 1.0) / (to - 1.0) } else { 0.0 }),
            _ => None,
        }
    }

    fn is_linear(self, rule: Rule<'_>) -> bool {
        let ratio = self.to as f64 / self.from as f64;
        let is_ratio =
            self.scale.is_none_or(|scale| (f64::from(scale) / ratio - 1.0).abs() <= SCALE_TOLERANCE);
        // One pixel is read from everywhere; equal sizes move nothing.
        let is_trivial = self.from == 1 || (self.from == self.to && is_ratio);
        match rule.coordinates {
            "half_pixel" | "half_pixel_symmetric" => is_ratio || is_trivial,
            "pytorch_half_pixel" => (is_ratio && self.to > 1) || is_trivial,
            "asymmetric" | "align_corners" => is_trivial,
            _ => false,
        }
    }
}
