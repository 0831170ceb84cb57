//! `card.md`: what an artifact is, how it scores, what it costs, and how it is run.

use crate::compiler::{Compiled, blob_name};
use crate::files::onnx_name;
use crate::found::Found;
use crate::verified::{TILES, Verified};
use boresight::core::CostModel;
use boresight::deploy::Range;
use boresight::deploy::onnx::Form;
use boresight::ir::InputForm;
use boresight::vpu::Vpu;
use std::error::Error;
use std::fmt::Write;

pub(crate) struct Card<'run> {
    pub(crate) found: &'run Found,
    pub(crate) compiled: &'run [Compiled],
    pub(crate) verified: &'run Verified,
    pub(crate) vpu: &'run Vpu,
}

impl Card<'_> {
    pub(crate) fn text(&self) -> Result<String, Box<dyn Error>> {
        let mut text = String::new();
        self.what_it_is(&mut text)?;
        self.scores(&mut text)?;
        self.cost(&mut text)?;
        self.how_to_run(&mut text)?;
        self.ranges(&mut text)?;
        Ok(text)
    }

    fn what_it_is(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let Found { artifact, dataset, source, fingerprint, seed, .. } = self.found;
        let shape = artifact.network.input_shape();
        writeln!(text, "# {}\n", artifact.code)?;
        writeln!(
            text,
            "A segmentation network of {} parameters (batch normalisations folded) and {:.1} M multiply-accumulates for tiles of {} x {} pixels.\n",
            artifact.network.parameter_count(),
            artifact.network.macs() as f64 / 1e6,
            shape.height,
            shape.width
        )?;
        writeln!(text, "| | |\n|---|---|")?;
        writeln!(text, "| classes | {} |", artifact.class_names.join(", "))?;
        writeln!(text, "| bands, in this order | {} |", dataset.bands.join(", "))?;
        writeln!(text, "| made for | `{}` |", artifact.profile.name)?;
        writeln!(text, "| found by | vessel_search, seed {seed}, trial {} |", artifact.trial)?;
        writeln!(text, "| data | {source} |")?;
        writeln!(text, "| their fingerprint | `{fingerprint}` |")?;
        writeln!(text, "| made with | Boresight {} |\n", env!("CARGO_PKG_VERSION"))?;
        writeln!(
            text,
            "Mean and deviation of the counts over the training split:\n\n| band | mean | deviation |\n|---|---:|---:|"
        )?;
        for band in &artifact.bands {
            writeln!(text, "| {} | {} | {} |", band.name, band.mean, band.deviation)?;
        }
        Ok(())
    }

    fn scores(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let best = &self.found.best;
        writeln!(
            text,
            "\n## Scores\n\nVessel IoU and mIoU over whole scenes, each pixel once. What the run wrote down:\n\n\
             | | val vessel IoU | val mIoU | test vessel IoU | test mIoU |\n|---|---:|---:|---:|---:|"
        )?;
        let rows = [
            (
                "FP32",
                best.val.vessel_iou.fp32,
                best.val.miou.fp32,
                best.test.vessel_iou.fp32,
                best.test.miou.fp32,
            ),
            (
                "converted",
                best.val.vessel_iou.converted,
                best.val.miou.converted,
                best.test.vessel_iou.converted,
                best.test.miou.converted,
            ),
            (
                "aligned: this network",
                best.val.vessel_iou.aligned,
                best.val.miou.aligned,
                best.test.vessel_iou.aligned,
                best.test.miou.aligned,
            ),
        ];
        for (what, a, b, c, d) in rows {
            writeln!(text, "| {what} | {a:.4} | {b:.4} | {c:.4} | {d:.4} |")?;
        }
        writeln!(
            text,
            "\nThe files of this artifact, read back and scored on the simulated device:\n\n\
             | file | profile | val vessel IoU | val mIoU | test vessel IoU | test mIoU |\n|---|---|---:|---:|---:|---:|"
        )?;
        for row in &self.verified.rows {
            writeln!(
                text,
                "| {} | `{}` | {:.4} | {:.4} | {:.4} | {:.4} |",
                row.file, row.profile, row.val.vessel_iou, row.val.miou, row.test.vessel_iou, row.test.miou
            )?;
        }
        writeln!(
            text,
            "\nThe constants of `{}` are FP16 already, so its profile converts nothing more. No device was at hand: these \
             are scores of a simulation.",
            onnx_name(Form::Fp16)
        )?;
        Ok(())
    }

    fn cost(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let network = &self.found.artifact.network;
        let cost = self.vpu.estimate(network)?;
        writeln!(
            text,
            "\n## Cost\n\nPredicted for {}: {:.2} ms a tile, {:.1} tiles a second with {} streams.\n",
            CostModel::device(self.vpu),
            1e3 * cost.latency.0,
            cost.fps,
            cost.streams
        )?;
        for compiled in self.compiled {
            let total = |key: &str| compiled.totals.get(key).copied().unwrap_or_default();
            let memory = |key: &str| compiled.memory.get(key).copied().unwrap_or_default();
            writeln!(
                text,
                "`{}`: the compiler ({}) made {} stages of it ({} on the NCE, {} on SHAVEs, {} copies) with {} NCE \
                 cycles; {} bytes of CMX, {} of DDR, a blob of {} bytes.\n",
                onnx_name(compiled.form),
                compiled.compiler,
                total("stages"),
                total("nce"),
                total("shave"),
                total("dma"),
                total("nce_cycles"),
                memory("CMX"),
                memory("BSS"),
                memory("blob")
            )?;
        }
        writeln!(text, "| layer | operator | unit | predicted ms |\n|---|---|---|---:|")?;
        for row in self.vpu.explain(network)?.iter().filter(|row| row.time.0 > 0.0) {
            let unit = format!("{:?}", row.unit).to_uppercase();
            writeln!(text, "| {} | {} | {unit} | {:.3} |", row.name, row.op, 1e3 * row.time.0)?;
        }
        Ok(())
    }

    fn how_to_run(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let artifact = &self.found.artifact;
        let shape = artifact.network.input_shape();
        let reads = match artifact.input {
            InputForm::Counts => format!(
                "raw sensor counts; an 8-bit value v is the count v / 255 x {}. The normalisation is in the weights",
                artifact.full_scale
            ),
            InputForm::Normalised => "(count - mean) / deviation of each band, in the order above".to_owned(),
        };
        writeln!(
            text,
            "\n## How to run it\n\nInput `input`, [1, {}, {}, {}], bands as above: {reads}. Output `logits`, [1, {}, {}, {}]: \
             the class of a pixel is that of its largest logit, the first of equal ones. Cut a scene into disjoint tiles; \
             move the last row and column of tiles back to the edge and let them fill only what is still open.\n",
            shape.channels,
            shape.height,
            shape.width,
            artifact.class_names.len(),
            shape.height,
            shape.width
        )?;
        for compiled in self.compiled {
            let blob = blob_name(compiled.form);
            writeln!(
                text,
                "- `{blob}`, made of `{}`, for a Myriad X with OpenVINO 2021.4: `IECore().import_network(\"{blob}\", \
                 \"MYRIAD\")`; input and output are FP32.",
                onnx_name(compiled.form)
            )?;
        }
        writeln!(
            text,
            "- `network-*.onnx`, opset 13, for ONNX Runtime, OpenVINO and others: FP32, all of it FP16, or FP16 weights that \
             are cast to FP32. On a CPU give OpenVINO `INFERENCE_PRECISION_HINT=f32`.\n\
             - `cargo run --release --example evaluate -- ARTIFACT --data DIR --split test` scores it again; with `--runner COMMAND` \
             on a device of yours.\n\
             - `cargo run --release --example predict -- ARTIFACT IMAGE` segments an image.\n\
             - `network.json` and `weights.safetensors` are the network and its master weights, for training on.\n\
             - `sha256sum --check SHA256SUMS` says whether the files are whole."
        )?;
        Ok(())
    }

    fn ranges(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let lost: usize = self.verified.ranges.iter().map(|row| row.flushed).sum();
        writeln!(
            text,
            "\n## Ranges\n\nMagnitudes before the conversion of constants, and of stored values on {} tiles of the validation \
             split. Below 6.1e-5 FP16 loses digits, above 65504 it overflows. Of {} constants {lost} became zero. The last \
             three columns are signal to noise in decibels: of the constants after their conversion, of the values, and of \
             the values if this layer alone were the device's.\n\n\
             | layer | operator | smallest constant | largest | became zero | smallest value | largest | too small | too large \
             | constants dB | values dB | alone dB |\n\
             |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
            TILES, self.verified.constants
        )?;
        for row in &self.verified.ranges {
            let [smallest, largest] =
                row.constants.map_or([String::new(), String::new()], |range| magnitudes(&range));
            let [least, most] = magnitudes(&row.activations);
            let flushed = if row.constants.is_some() { row.flushed.to_string() } else { String::new() };
            writeln!(
                text,
                "| {} | {} | {smallest} | {largest} | {flushed} | {least} | {most} | {:.2} % | {:.2} % | {} | {} | {} |",
                row.node,
                row.op,
                100.0 * row.exact.underflow(),
                100.0 * row.activations.overflow(),
                if row.constants.is_some() { row.constants_ratio.to_string() } else { String::new() },
                row.activations_ratio,
                row.own_ratio
            )?;
        }
        self.findings(text)
    }

    fn findings(&self, text: &mut String) -> Result<(), Box<dyn Error>> {
        let diagnosis = &self.verified.diagnosis;
        writeln!(
            text,
            "\n## Diagnosis\n\nOn the same tiles the device changes the label of {:.3} % of the pixels; its logits have {} dB.\n",
            100.0 * diagnosis.changed,
            diagnosis.logits
        )?;
        if diagnosis.findings.is_empty() {
            writeln!(text, "No layer adds noise of a hundredth of its results or more.")?;
        }
        for finding in &diagnosis.findings {
            writeln!(text, "- {finding}.")?;
        }
        Ok(())
    }
}

fn magnitudes(range: &Range) -> [String; 2] {
    if range.largest > 0.0 {
        [format!("{:.2e}", range.smallest), format!("{:.2e}", range.largest)]
    } else {
        ["0".to_owned(), "0".to_owned()]
    }
}
