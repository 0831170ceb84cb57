//! Which layers break a network on its device, why, and what to do about it.

use crate::ranges::{Range, Ratio};
use crate::{Deployment, Error, LayerRange, layer_ranges, reference};
use boresight_ir::{NodeId, Op, Role};
use boresight_numerics::{Accumulator, Constants, NumericProfile, PoolingSum};
use std::fmt;

/// Decibels below which what a layer adds by itself is named: noise of a hundredth of the signal's amplitude. Rounding to
/// binary16 alone leaves some 70.
const NAMED_BELOW: f64 = 40.0;
/// Largest magnitude of binary16.
const LARGEST: f32 = 65_504.0;
/// What no normalised value exceeds.
const NORMALISED: f32 = 255.0;

/// Why a layer breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cause {
    /// Counts that the input format does not hold.
    InputOverflow {
        /// The largest count.
        largest: f32,
    },
    /// Constants that became zero, or were raised, being too small for the tool chain.
    ConstantsFlushed {
        /// How many became zero.
        flushed: usize,
        /// Of how many.
        of: usize,
        /// The largest weight.
        largest: f32,
        /// Whether the layer reads raw counts, with their normalisation folded in.
        folded: bool,
    },
    /// Constants that were cut or became infinite, being too large.
    ConstantsOverflow {
        /// The largest.
        largest: f32,
    },
    /// Stored values that became infinite or were cut, being too large.
    ActivationsOverflow {
        /// The share of values, from 0 to 1.
        share: f64,
        /// The largest value where nothing is rounded.
        largest: f32,
    },
    /// Stored values that lost their digits, being too small.
    ActivationsUnderflow {
        /// The share of values, from 0 to 1.
        share: f64,
        /// The largest value where nothing is rounded.
        largest: f32,
    },
    /// Sums of a pooling that lose what is added to them.
    PoolingSums {
        /// Values of a window.
        values: usize,
    },
    /// Sums of products that lose what is added to them.
    Accumulator,
    /// Coarse steps of the format.
    Rounding,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Remedy {
    /// Multiply counts by this before they reach the device, and train or fold for that.
    ScaleInput {
        /// A power of two.
        factor: f32,
    },
    /// Give the tool chain a file with binary16 constants: it does not flush them, and scales them.
    Fp16File,
    /// Put the normalisation into a node of its own in front instead of folding it: costs a stage.
    NormalisationNode,
    /// Fold the scale or shift into the convolution beside it in FP32, before anything is converted.
    Fold,
    /// Bound the layer's results (`ReLU6`, a clip), or fine-tune with the range penalty.
    Clip,
    /// Multiply the layer's weights by this and divide those behind it: the power-of-two scales of fine-tuning.
    ScaleLayer {
        /// A power of two.
        factor: f32,
    },
    /// Pool in stages, so that each sum is short.
    PoolInStages,
    /// Fine-tune under this profile.
    FineTune,
}

/// A layer that breaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The node.
    pub node: String,
    /// Why.
    pub cause: Cause,
    /// Signal to the noise that the layer adds by itself.
    pub ratio: Ratio,
    /// What to do, the cheapest first.
    pub remedies: Vec<Remedy>,
}

/// What is wrong with a deployed network.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// Layers that break, in their order.
    pub findings: Vec<Finding>,
    /// Logits to what the device has added to them.
    pub logits: Ratio,
    /// The share of pixels, from 0 to 1, whose label the device changes.
    pub changed: f64,
}

/// Names the layers that break `deployment` on tiles of raw sensor counts `[bands, height, width]`, and says what to do.
///
/// A layer is named where it adds noise of a hundredth of its result by itself, given what the layers before it would make
/// if nothing were rounded.
///
/// # Errors
/// As [`layer_ranges`].
///
/// # Panics
/// As [`layer_ranges`].
pub fn diagnose(deployment: &Deployment, tiles: &[Vec<f32>]) -> Result<Diagnosis, Error> {
    let rows = layer_ranges(deployment, tiles)?;
    let mut findings: Vec<Finding> = input(deployment, tiles).into_iter().collect();
    for ((id, _), row) in deployment.network().iter().skip(1).zip(&rows) {
        if row.own_ratio.decibels() < NAMED_BELOW {
            let cause = cause(deployment, id, row, tiles)?;
            let remedies = remedies(deployment, cause);
            findings.push(Finding { node: row.node.clone(), cause, ratio: row.own_ratio, remedies });
        }
    }
    let output = deployment.network().output().index() - 1;
    Ok(Diagnosis { findings, logits: rows[output].activations_ratio, changed: changed(deployment, tiles)? })
}

/// Counts that do not fit the input's format.
fn input(deployment: &Deployment, tiles: &[Vec<f32>]) -> Option<Finding> {
    if !deployment.projection().reads_counts() {
        return None;
    }
    let (mut range, mut ratio) = (Range::EMPTY, Ratio::default());
    for tile in tiles {
        let mut read = tile.clone();
        deployment.projection().profile().round_input(&mut read);
        range.extend(tile);
        ratio.extend(tile, &read);
    }
    let cause = Cause::InputOverflow { largest: range.largest };
    let node = deployment.network().node(deployment.network().input()).name.clone();
    let remedies = vec![Remedy::ScaleInput { factor: down(range.largest) }];
    (ratio.decibels() < NAMED_BELOW).then_some(Finding { node, cause, ratio, remedies })
}

/// A power of two that brings `largest` to half of what binary16 holds, or below.
fn down(largest: f32) -> f32 {
    2.0_f32.powi(-(exponent(2.0 * largest / LARGEST) + 1).max(1))
}

/// The exponent of a positive number: the largest power of two that it reaches.
fn exponent(value: f32) -> i32 {
    (value.to_bits() >> 23).cast_signed() - 127
}

fn cause(deployment: &Deployment, id: NodeId, row: &LayerRange, tiles: &[Vec<f32>]) -> Result<Cause, Error> {
    let (network, profile) = (deployment.network(), deployment.projection().profile());
    if let (Some(before), Some(after)) = (row.constants, row.converted) {
        // A bias can be cut from 256 on, where it was multiplied by the largest scale.
        let is_cut = before.largest > 128.0 && before.largest > 1.01 * after.largest;
        if after.not_finite > 0 || is_cut {
            return Ok(Cause::ConstantsOverflow { largest: before.largest });
        }
        let exact = with_exact_constants(deployment, id, tiles)?;
        if exact.decibels() >= NAMED_BELOW || exact.decibels() > row.own_ratio.decibels() + 20.0 {
            let folded =
                reads_counts(deployment, tiles) && network.node(id).inputs.contains(&network.input());
            let largest = largest_factor(deployment, id);
            let (flushed, of) = (row.flushed, before.count);
            return Ok(Cause::ConstantsFlushed { flushed, of, largest, folded });
        }
    }
    let largest = row.exact.largest;
    let share = row.exact.overflow().max(row.activations.overflow());
    if share > 0.0 {
        return Ok(Cause::ActivationsOverflow { share, largest });
    }
    let kernel = match network.node(id).op {
        Op::GlobalAvgPool if profile.squeeze == PoolingSum::F16 => {
            Some(network.node(network.node(id).inputs[0]).shape.plane())
        }
        Op::AvgPool(window) if profile.pooling == PoolingSum::F16 => {
            Some(window.kernel[0] * window.kernel[1])
        }
        _ => None,
    };
    Ok(match kernel {
        Some(values) => Cause::PoolingSums { values },
        None if row.exact.underflow() > 0.1 => {
            Cause::ActivationsUnderflow { share: row.exact.underflow(), largest }
        }
        None if matches!(network.node(id).op, Op::Conv2d(_)) && profile.accumulator != Accumulator::F32 => {
            Cause::Accumulator
        }
        None => Cause::Rounding,
    })
}

/// Whether the network reads raw counts: as it says, or by what comes in. A file that was written with the normalisation folded in
/// says nothing of it.
fn reads_counts(deployment: &Deployment, tiles: &[Vec<f32>]) -> bool {
    let boresight_ir::Shape { channels, height, width } = deployment.network().input_shape();
    let planes = boresight_kernels::Planes { batch: 1, channels, height, width };
    let is_large = |tile: &Vec<f32>| {
        let mut read = tile.clone();
        deployment.projection().normalise(planes, &mut read);
        read.iter().any(|value| *value > NORMALISED)
    };
    deployment.projection().reads_counts() || tiles.iter().any(is_large)
}

/// The largest weight of a layer before it is converted.
fn largest_factor(deployment: &Deployment, id: NodeId) -> f32 {
    let exact = deployment.exact();
    let layout = deployment.network().layout();
    let ranges = [Role::Weight, Role::Scale].into_iter().filter_map(|role| layout.range(id, role));
    let factors = ranges.flat_map(|range| exact.constants()[range].to_vec());
    factors.fold(f32::MIN_POSITIVE, |largest, factor| largest.max(factor.abs()))
}

/// What the layer adds by itself when its constants alone are not rounded.
fn with_exact_constants(deployment: &Deployment, id: NodeId, tiles: &[Vec<f32>]) -> Result<Ratio, Error> {
    let exact = deployment.exact();
    let mixed = deployment.holding(exact.constants());
    let mut ratio = Ratio::default();
    for tile in tiles {
        let expected = reference::feature_maps(&exact, tile)?;
        let found = reference::node_by_node(&mixed, tile, &expected)?;
        ratio.extend(&expected[id.index()], &found[id.index()]);
    }
    Ok(ratio)
}

fn remedies(deployment: &Deployment, cause: Cause) -> Vec<Remedy> {
    let profile = deployment.projection().profile();
    let converts = |profile: &NumericProfile| profile.constants == Constants::Plugin;
    match cause {
        Cause::InputOverflow { largest } => vec![Remedy::ScaleInput { factor: down(largest) }],
        Cause::ConstantsFlushed { largest, folded, .. } => {
            // So that the largest constant is about 1.
            let factor = 2.0_f32.powi(-exponent(largest).clamp(-20, 0));
            let file = converts(profile).then_some(Remedy::Fp16File);
            let scale = if folded {
                Remedy::ScaleInput { factor: 1.0 / factor }
            } else {
                Remedy::ScaleLayer { factor }
            };
            let node = folded.then_some(Remedy::NormalisationNode);
            file.into_iter().chain([scale]).chain(node).chain([Remedy::FineTune]).collect()
        }
        Cause::ConstantsOverflow { largest } => {
            vec![Remedy::ScaleLayer { factor: down(largest) }, Remedy::Fold, Remedy::FineTune]
        }
        Cause::ActivationsOverflow { largest, .. } => {
            vec![Remedy::Clip, Remedy::ScaleLayer { factor: down(largest) }]
        }
        Cause::ActivationsUnderflow { largest, .. } => {
            let factor = 2.0_f32.powi((-exponent(largest)).clamp(1, 14));
            vec![Remedy::ScaleLayer { factor }, Remedy::FineTune]
        }
        Cause::PoolingSums { .. } => vec![Remedy::PoolInStages, Remedy::FineTune],
        Cause::Accumulator | Cause::Rounding => vec![Remedy::FineTune],
    }
}

/// The share of pixels whose label the device changes.
fn changed(deployment: &Deployment, tiles: &[Vec<f32>]) -> Result<f64, Error> {
    let (mut changed, mut all) = (0_usize, 0_usize);
    let shape = deployment.network().output_shape();
    for tile in tiles {
        let [expected, found] = [&deployment.exact(), deployment].map(|deployment| labels(deployment, tile));
        let (expected, found) = (expected?, found?);
        changed += expected.iter().zip(&found).filter(|(expected, found)| expected != found).count();
        all += shape.plane();
    }
    Ok(if all == 0 { 0.0 } else { changed as f64 / all as f64 })
}

fn labels(deployment: &Deployment, tile: &[f32]) -> Result<Vec<u8>, Error> {
    let boresight_ir::Shape { channels, height, width } = deployment.network().output_shape();
    let planes = boresight_kernels::Planes { batch: 1, channels, height, width };
    let mut labels = vec![0; planes.plane()];
    crate::argmax(planes, &reference::logits(deployment, tile)?, &mut labels);
    Ok(labels)
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InputOverflow { largest } => {
                write!(f, "counts up to {largest} do not fit the input's format")
            }
            Self::ConstantsFlushed { flushed, of, largest, folded } => {
                let where_from =
                    if *folded { ", the normalisation of raw counts being folded in," } else { "" };
                write!(f, "{flushed} of {of} constants, up to {largest:.1e}{where_from} became zero")
            }
            Self::ConstantsOverflow { largest } => write!(f, "constants up to {largest:.1e} are too large"),
            Self::ActivationsOverflow { share, largest } => {
                write!(f, "{:.2} % of the results, up to {largest:.1e}, are too large", 100.0 * share)
            }
            Self::ActivationsUnderflow { share, largest } => {
                write!(f, "{:.1} % of the results, up to {largest:.1e}, are too small", 100.0 * share)
            }
            Self::PoolingSums { values } => {
                write!(f, "FP16 sums of {values} values lose what is added to them")
            }
            Self::Accumulator => write!(f, "FP16 sums of products lose what is added to them"),
            Self::Rounding => write!(f, "the format's steps are too coarse"),
        }
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScaleInput { factor } => write!(f, "scale the input by {factor}"),
            Self::Fp16File => f.write_str("give the tool chain an FP16 file"),
            Self::NormalisationNode => {
                f.write_str("keep the normalisation as a node in front, which costs a stage")
            }
            Self::Fold => f.write_str("fold scales and shifts in FP32 before the conversion"),
            Self::Clip => f.write_str("clip the layer (ReLU6), or fine-tune with the range penalty"),
            Self::ScaleLayer { factor } => {
                write!(f, "scale the layer by {factor} and the next ones back (power-of-two scales)")
            }
            Self::PoolInStages => f.write_str("pool in stages of small windows"),
            Self::FineTune => f.write_str("fine-tune under this profile"),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} dB left); ", self.node, self.cause, self.ratio)?;
        for (at, remedy) in self.remedies.iter().enumerate() {
            write!(f, "{}{remedy}", if at == 0 { "" } else { ", or " })?;
        }
        Ok(())
    }
}
