//! What settings of the tool chain recover without any training.

use crate::cells::{Part, Study};
use boresight::core::CostModel;
use boresight::deploy::{Band, Deployment};
use boresight::ir::{Builder, Conv2d, Filling, InputForm, Network, NodeId, Op, Weights};
use boresight::numerics::NumericProfile;
use std::error::Error;

/// A deployment with what its counts are multiplied by before.
pub(crate) struct Variant {
    pub(crate) name: &'static str,
    pub(crate) deployment: Deployment,
    pub(crate) factor: f32,
}

/// The same weights given to the tool chain otherwise.
pub(crate) fn variants(
    part: &Part<'_>,
    folded: &Network,
    weights: &Weights,
) -> Result<Vec<Variant>, Box<dyn Error>> {
    let Part { bands, input, profile, .. } = part;
    let convert = |bands: &[Band], profile: &NumericProfile| {
        Deployment::convert(folded, weights, bands, *input, profile)
    };
    let file = convert(bands, &profile.preconverted())?;
    let mut variants = vec![Variant { name: "FP16 file", deployment: file, factor: 1.0 }];
    if *input == InputForm::Counts {
        let widest = bands.iter().fold(1.0_f32, |widest, band| widest.max(band.deviation));
        // A power of two, so that no count is rounded once more.
        let exponent = (widest.to_bits() >> 23).cast_signed() - 127;
        let factor = 2.0_f32.powi(-exponent);
        let scaled =
            bands.iter().map(|band| Band { mean: band.mean * factor, deviation: band.deviation * factor });
        let deployment = convert(&scaled.collect::<Vec<_>>(), profile)?;
        variants.push(Variant { name: "scaled input", deployment, factor });
        let (network, weights) = with_node(folded, weights, bands, Border::CountZero)?;
        let plain = vec![Band { mean: 0.0, deviation: 1.0 }; bands.len()];
        let deployment = Deployment::convert(&network, &weights, &plain, InputForm::Normalised, profile)?;
        variants.push(Variant { name: "normalisation node", deployment, factor: 1.0 });
    }
    Ok(variants)
}

/// Milliseconds that a tile takes with the normalisation folded in, and with a node in front.
pub(crate) fn latencies(study: &Study<'_>, weights: &Weights) -> Result<[f64; 2], Box<dyn Error>> {
    let bands = vec![Band { mean: 1.0, deviation: 1.0 }; study.network.input_shape().channels];
    let (folded, _) = boresight::ir::fold_batch_norm(study.network, weights)?;
    let (node, _) = with_node(study.network, weights, &bands, Border::Mean)?;
    let milliseconds = |network: &Network| -> Result<f64, Box<dyn Error>> {
        Ok(1e3 * study.vpu.estimate(network)?.latency.0)
    };
    Ok([milliseconds(&folded)?, milliseconds(&node)?])
}

/// What is around an image that a node normalises.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Border {
    /// Count zero, as in training: the image is padded before the node.
    CountZero,
    /// What convolutions pad with themselves; it costs nothing.
    Mean,
}

/// The network without batch normalisations, with a node in front that normalises counts.
fn with_node(
    network: &Network,
    weights: &Weights,
    bands: &[Band],
    border: Border,
) -> Result<(Network, Weights), Box<dyn Error>> {
    let (folded, weights) = boresight::ir::fold_batch_norm(network, weights)?;
    let mut builder = Builder::new(folded.input_shape())?;
    let mut place = vec![builder.input()];
    for (id, node) in folded.iter().skip(1) {
        let mut inputs: Vec<NodeId> = node.inputs.iter().map(|input| place[input.index()]).collect();
        let mut op = node.op;
        if node.inputs.contains(&folded.input()) {
            let Op::Conv2d(conv) = node.op else {
                return Err(format!("node '{}' reads the input and is no convolution", node.name).into());
            };
            if border == Border::CountZero {
                let [rows, columns] = conv.padding.map(|padding| [padding; 2]);
                let pad = Op::Pad { rows, columns, filling: Filling::Zero };
                inputs = vec![builder.add(format!("pad{}", id.index()), pad, &inputs)?];
                op = Op::Conv2d(Conv2d { padding: [0; 2], ..conv });
            }
            inputs = vec![builder.add(format!("normalise{}", id.index()), Op::ScaleShift, &inputs)?];
        }
        place.push(builder.add(&node.name, op, &inputs)?);
    }
    let network = builder.finish(place[folded.output().index()])?;
    let mut values = Weights::from_values(&network, vec![0.0; network.layout().len()])?;
    for slot in network.layout().slots() {
        let target = &mut values.values_mut()[slot.range.clone()];
        match folded.layout().find(&slot.name) {
            Some(source) => target.copy_from_slice(&weights.values()[source.range.clone()]),
            None => {
                for (value, band) in target.iter_mut().zip(bands) {
                    *value = match slot.role {
                        boresight::ir::Role::Scale => 1.0 / band.deviation,
                        _ => -band.mean / band.deviation,
                    };
                }
            }
        }
    }
    Ok((network, values))
}
