//! Losses of per-pixel classification and their gradients, in one call.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use crate::dispatch::{Version, dispatch};
use crate::rows::Sum;
use crate::{Error, Planes, Team, math};
use std::ops::Range;

/// A weighted sum of cross-entropy, soft Dice and focal loss over the softmax of the logits.
///
/// With p the softmax, t the label of a pixel and w its class weight:
/// - cross-entropy: sum of -w ln p\[t\] over sum of w, as PyTorch's weighted mean;
/// - focal: sum of -w (1 - p\[t\])^gamma ln p\[t\] over sum of w;
/// - soft Dice: 1 - the mean over all classes but class 0 (the background) of
///   (2 I + smooth) / (P + T + smooth), with I the sum of p\[c\] over the pixels of class c, P the sum of p\[c\] over
///   all pixels and T the number of pixels of class c, each over the whole batch; class weights play no part.
///
/// Ignored pixels contribute to nothing. Where nothing counts (all pixels ignored, or all of weight 0), the first two
/// are 0; a class whose P + T + smooth is 0 has Dice 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Loss {
    /// Weight of the cross-entropy.
    pub cross_entropy: f32,
    /// Weight of the soft Dice loss.
    pub dice: f32,
    /// Weight of the focal loss.
    pub focal: f32,
    /// Exponent of the focal loss, at least 0.
    pub gamma: f32,
    /// Added to numerator and denominator of Dice, at least 0.
    pub smooth: f32,
    /// One weight for each class, finite and at least 0; empty means 1.
    pub class_weights: Vec<f32>,
    /// Label of pixels that do not count.
    pub ignore: Option<u8>,
}

impl Default for Loss {
    /// Plain cross-entropy; gamma 2 and smooth 1 for whoever turns the others on.
    fn default() -> Self {
        Self {
            cross_entropy: 1.0,
            dice: 0.0,
            focal: 0.0,
            gamma: 2.0,
            smooth: 1.0,
            class_weights: Vec::new(),
            ignore: None,
        }
    }
}

/// Most classes that labels of one byte can name.
const CLASSES: usize = 256;
/// Pixels that are worked on together.
const PIXELS: usize = 64;
/// Chunks of images at most, each with sums of its own.
const CHUNKS: usize = 8;
/// Stands for the label of a pixel that does not count.
const NONE: u32 = u32::MAX;

/// The loss of `logits` `[batch, classes, height, width]` against `labels` `[batch, height, width]`; its gradient
/// with respect to the logits overwrites `grad_logits`.
///
/// Pixels are summed in binary64 in an order that no number of threads changes. Logits that are NaN or +infinity at counted pixels make the loss NaN.
///
/// # Errors
/// When a label is neither a class nor the ignore value, there are fewer than 2 or more than 256 classes, or the class
/// weights do not fit. `grad_logits` is then untouched.
///
/// # Panics
/// When a slice's length does not fit `planes`.
pub fn loss_and_gradient(
    team: &Team,
    loss: &Loss,
    planes: Planes,
    logits: &[f32],
    labels: &[u8],
    grad_logits: &mut [f32],
) -> Result<f64, Error> {
    let pixels = planes.batch * planes.plane();
    assert_eq!(
        (logits.len(), grad_logits.len()),
        (planes.len(), planes.len()),
        "logits do not fill their planes"
    );
    assert_eq!(labels.len(), pixels, "not one label per pixel");
    let weights = class_weights(loss, planes.channels)?;
    let counts = count_labels(loss, planes.channels, labels)?;
    let total: f64 =
        counts.iter().zip(&weights).map(|(&count, &weight)| count as f64 * f64::from(weight)).sum();
    let share = if total > 0.0 { 1.0 / total } else { 0.0 };
    let task = Task { loss, planes, labels, weights: &weights };
    let step = (task.chunk() * planes.channels * planes.plane()).max(1);
    let version = Version::best();
    let mut sums = [[0.0; 2]; CHUNKS];
    let maps = logits.chunks(step).zip(grad_logits.chunks_mut(step));
    team.each(task.chunks().zip(maps).zip(&mut sums), |((task, (logits, shares)), sums)| {
        *sums = softmax(version, task, logits, shares);
    });
    let [entropy, focal] = in_order(sums);
    let mut value = entropy * share * f64::from(loss.cross_entropy) + focal * share * f64::from(loss.focal);
    let mut slopes = Slopes::ZERO;
    if loss.dice.abs() > 0.0 {
        value += f64::from(loss.dice) * dice(team, task, &counts, grad_logits, &mut slopes);
    }
    team.each(task.chunks().zip(grad_logits.chunks_mut(step)), |(task, map)| {
        gradient(version, task, share, &slopes, map);
    });
    Ok(value)
}

/// Sums over the chunks, one after the other.
fn in_order(sums: [[f64; 2]; CHUNKS]) -> [f64; 2] {
    sums.into_iter().fold([0.0; 2], |total, sums| [total[0] + sums[0], total[1] + sums[1]])
}

/// The weight of every class.
fn class_weights(loss: &Loss, classes: usize) -> Result<[f32; CLASSES], Error> {
    if !(2..=CLASSES).contains(&classes) {
        return Err(Error::Classes { classes });
    }
    let mut weights = [1.0; CLASSES];
    let given = &loss.class_weights;
    if !given.is_empty() {
        if given.len() != classes {
            return Err(Error::ClassWeights { weights: given.len(), classes });
        }
        if let Some(class) = given.iter().position(|weight| !(weight.is_finite() && *weight >= 0.0)) {
            return Err(Error::ClassWeight { class, weight: given[class] });
        }
        weights[..classes].copy_from_slice(given);
    }
    Ok(weights)
}

/// Counted pixels of every class.
fn count_labels(loss: &Loss, classes: usize, labels: &[u8]) -> Result<[u64; CLASSES], Error> {
    let mut counts = [0; CLASSES];
    for &label in labels {
        counts[usize::from(label)] += 1;
    }
    if let Some(ignore) = loss.ignore {
        counts[usize::from(ignore)] = 0;
    }
    if counts[classes..].iter().any(|&count| count > 0) {
        let unknown = |&label: &u8| usize::from(label) >= classes && Some(label) != loss.ignore;
        if let Some(pixel) = labels.iter().position(unknown) {
            return Err(Error::UnknownLabel { pixel, label: labels[pixel], classes });
        }
    }
    Ok(counts)
}

/// What is to be computed, on what.
#[derive(Clone, Copy)]
struct Task<'a> {
    loss: &'a Loss,
    planes: Planes,
    labels: &'a [u8],
    weights: &'a [f32; CLASSES],
}

impl Task<'_> {
    /// Images of a chunk.
    fn chunk(self) -> usize {
        self.planes.batch.div_ceil(CHUNKS)
    }

    /// The task for each chunk of images.
    fn chunks(self) -> impl Iterator<Item = Self> {
        let Task { loss, planes, labels, weights } = self;
        let plane = planes.plane().max(1);
        labels.chunks((self.chunk() * plane).max(1)).map(move |labels| {
            let planes = Planes { batch: labels.len() / plane, ..planes };
            Task { loss, planes, labels, weights }
        })
    }

    /// Blocks of at most [`PIXELS`] pixels as (image, pixels of its plane).
    #[inline(always)]
    fn blocks(self) -> impl Iterator<Item = (usize, Range<usize>)> {
        let plane = self.planes.plane();
        (0..self.planes.batch).flat_map(move |image| {
            (0..plane).step_by(PIXELS).map(move |start| (image, start..plane.min(start + PIXELS)))
        })
    }

    /// The labels of a block, [`NONE`] where a pixel does not count or the block has no pixel.
    #[inline(always)]
    fn targets(self, image: usize, pixels: &Range<usize>) -> [u32; PIXELS] {
        let start = image * self.planes.plane();
        let ignore = self.loss.ignore.map_or(NONE, u32::from);
        let mut targets = [NONE; PIXELS];
        for (target, &label) in targets.iter_mut().zip(&self.labels[start + pixels.start..start + pixels.end])
        {
            let label = u32::from(label);
            *target = if label == ignore { NONE } else { label };
        }
        targets
    }

    /// Where the maps keep a block of one class.
    #[inline(always)]
    fn range(self, image: usize, class: usize, pixels: &Range<usize>) -> Range<usize> {
        let start = (image * self.planes.channels + class) * self.planes.plane();
        start + pixels.start..start + pixels.end
    }

    /// Whether the focal loss takes part.
    #[inline(always)]
    fn has_focal(self) -> bool {
        self.loss.focal.abs() > 0.0
    }

    /// The classes as they stand in targets.
    #[inline(always)]
    fn classes(self) -> impl Iterator<Item = (usize, u32)> {
        (0..self.planes.channels).zip(0_u32..)
    }
}

/// One number for each pixel of a block.
type Row = [f32; PIXELS];

/// The block's part of a map, in full length: what lies beyond its end does not matter.
#[inline(always)]
fn load(values: &[f32]) -> Row {
    let mut row = [0.0; PIXELS];
    row[..values.len()].copy_from_slice(values);
    row
}

dispatch! {
    /// Writes the softmax of `logits` to `shares`; returns the sums of cross-entropy and focal loss over pixels, before
    /// division by the sum of weights.
    fn softmax(task: Task<'_>, logits: &[f32], shares: &mut [f32]) -> [f64; 2] {
        let (mut cross_entropy, mut focal) = (Sum::ZERO, Sum::ZERO);
        for (image, pixels) in task.blocks() {
            let targets = task.targets(image, &pixels);
            let mut pixel = exponentials(task, image, &pixels, &targets, logits, shares);
            let (mut entropy, mut missing) = ([0.0; PIXELS], [0.0; PIXELS]);
            for at in 0..PIXELS {
                let rate = 1.0 / pixel.sum[at];
                let share = pixel.others[at] * rate;
                let exact = math::ln(pixel.sum[at]) - pixel.logit[at];
                let surprise = if share < NEARLY_SURE { share * surprise_ratio(share) } else { exact };
                entropy[at] = if targets[at] == NONE { 0.0 } else { pixel.weight[at] * surprise };
                missing[at] = share;
                pixel.sum[at] = rate;
            }
            cross_entropy.add(&entropy[..pixels.len()], |x| x);
            if task.has_focal() {
                for at in 0..PIXELS {
                    let product = entropy[at] * focus(missing[at], task.loss.gamma);
                    entropy[at] = if targets[at] == NONE { 0.0 } else { product };
                }
                focal.add(&entropy[..pixels.len()], |x| x);
            }
            for (class, _) in task.classes() {
                let shares = &mut shares[task.range(image, class, &pixels)];
                for (share, rate) in shares.iter_mut().zip(&pixel.sum) {
                    *share *= rate;
                }
            }
        }
        [cross_entropy.total(), focal.total()]
    }
}

/// What a block's pixels know after the pass over their classes.
struct Block {
    /// Sum of e^(logit - largest logit).
    sum: Row,
    /// That sum without the labelled class.
    others: Row,
    /// The labelled class's logit - largest logit.
    logit: Row,
    /// Weight of the labelled class.
    weight: Row,
}

/// Writes e^(logit - largest logit) of one block to `shares`.
#[inline(always)]
fn exponentials(
    task: Task<'_>,
    image: usize,
    pixels: &Range<usize>,
    targets: &[u32; PIXELS],
    logits: &[f32],
    shares: &mut [f32],
) -> Block {
    let mut largest = [f32::NEG_INFINITY; PIXELS];
    for (class, _) in task.classes() {
        for (max, z) in largest.iter_mut().zip(load(&logits[task.range(image, class, pixels)])) {
            *max = if z > *max { z } else { *max };
        }
    }
    let mut block =
        Block { sum: [0.0; PIXELS], others: [0.0; PIXELS], logit: [0.0; PIXELS], weight: [0.0; PIXELS] };
    for (class, name) in task.classes() {
        let range = task.range(image, class, pixels);
        let weight = task.weights[class];
        let mut row = load(&logits[range.clone()]);
        for at in 0..PIXELS {
            let (offset, labelled) = (row[at] - largest[at], targets[at] == name);
            row[at] = math::exp(offset);
            block.sum[at] += row[at];
            block.others[at] += if labelled { 0.0 } else { row[at] };
            block.logit[at] = if labelled { offset } else { block.logit[at] };
            block.weight[at] = if labelled { weight } else { block.weight[at] };
        }
        shares[range].copy_from_slice(&row[..pixels.len()]);
    }
    block
}

/// Below this share of the other classes a series replaces the logarithm.
const NEARLY_SURE: f32 = 0.01;

/// -ln(1 - q) / q for small q; the first term left out is q^4 / 5.
#[inline(always)]
fn surprise_ratio(q: f32) -> f32 {
    1.0 + q * (0.5 + q * (1.0 / 3.0 + q * 0.25))
}

/// q^gamma, and 1 for gamma 0 also at q = 0.
#[inline(always)]
fn focus(q: f32, gamma: f32) -> f32 {
    let held = if q < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { q };
    math::exp(gamma * math::ln(held))
}

/// The derivative of the Dice term with respect to the share of each class, where the pixel is of that class and where
/// it is not.
struct Slopes {
    hit: [f32; CLASSES],
    miss: [f32; CLASSES],
}

impl Slopes {
    const ZERO: Self = Self { hit: [0.0; CLASSES], miss: [0.0; CLASSES] };
}

/// The soft Dice loss of the shares, without its weight; fills `slopes` with its weighted derivatives.
#[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
fn dice(team: &Team, task: Task<'_>, counts: &[u64; CLASSES], shares: &[f32], slopes: &mut Slopes) -> f64 {
    let step = (task.chunk() * task.planes.channels * task.planes.plane()).max(1);
    let foreground = (task.planes.channels - 1) as f64;
    let smooth = f64::from(task.loss.smooth);
    let mut loss = 0.0;
    for (class, name) in task.classes().skip(1) {
        let (version, mut sums) = (Version::best(), [[0.0; 2]; CHUNKS]);
        team.each(task.chunks().zip(shares.chunks(step)).zip(&mut sums), |((task, shares), sums)| {
            *sums = class_sums(version, task, class, name, shares);
        });
        let [intersection, mass] = in_order(sums);
        let denominator = mass + counts[class] as f64 + smooth;
        // Written so that NaN is not taken for an absent class.
        if denominator <= 0.0 {
            continue;
        }
        let score = (2.0 * intersection + smooth) / denominator;
        loss += (1.0 - score) / foreground;
        let factor = f64::from(task.loss.dice) / (foreground * denominator);
        slopes.hit[class] = (factor * (score - 2.0)) as f32;
        slopes.miss[class] = (factor * score) as f32;
    }
    loss
}

dispatch! {
    /// Sums of a class's share over its own pixels and over all counted pixels.
    fn class_sums(task: Task<'_>, class: usize, name: u32, shares: &[f32]) -> [f64; 2] {
        let (mut own, mut all) = (Sum::ZERO, Sum::ZERO);
        for (image, pixels) in task.blocks() {
            let targets = task.targets(image, &pixels);
            let mut counted = load(&shares[task.range(image, class, &pixels)]);
            let mut hits = counted;
            for at in 0..PIXELS {
                hits[at] = if targets[at] == name { hits[at] } else { 0.0 };
                counted[at] = if targets[at] == NONE { 0.0 } else { counted[at] };
            }
            own.add(&hits[..pixels.len()], |x| x);
            all.add(&counted[..pixels.len()], |x| x);
        }
        [own.total(), all.total()]
    }
}

dispatch! {
    /// Replaces the shares in `map` by the gradient of the whole loss.
    fn gradient(task: Task<'_>, share: f64, slopes: &Slopes, map: &mut [f32]) {
        #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
        let (entropy, focal) = (
            (share * f64::from(task.loss.cross_entropy)) as f32,
            (share * f64::from(task.loss.focal)) as f32,
        );
        for (image, pixels) in task.blocks() {
            let targets = task.targets(image, &pixels);
            let pixel = known(task, image, &pixels, &targets, slopes, map);
            let mut pull = pixel.weight.map(|weight| weight * entropy);
            if task.has_focal() {
                for (at, pull) in pull.iter_mut().enumerate() {
                    let (missing, own) = (pixel.others[at], pixel.own[at]);
                    let held = if own < f32::MIN_POSITIVE { f32::MIN_POSITIVE } else { own };
                    let exact = -math::ln(held) / missing;
                    let ratio = if missing < NEARLY_SURE { surprise_ratio(missing) } else { exact };
                    let focus = focus(missing, task.loss.gamma) * (1.0 + task.loss.gamma * own * ratio);
                    *pull += pixel.weight[at] * focal * focus;
                }
            }
            for (class, name) in task.classes() {
                let (hit, miss) = (slopes.hit[class], slopes.miss[class]);
                let range = task.range(image, class, &pixels);
                let mut row = load(&map[range.clone()]);
                for at in 0..PIXELS {
                    let labelled = targets[at] == name;
                    let error = if labelled { -pixel.others[at] } else { row[at] };
                    let slope = if labelled { hit } else { miss };
                    let gradient = pull[at] * error + row[at] * (slope - pixel.slope[at]);
                    row[at] = if targets[at] == NONE { 0.0 } else { gradient };
                }
                map[range].copy_from_slice(&row[..pixels.len()]);
            }
        }
    }
}

/// What a block's pixels know of their shares.
struct Known {
    /// Share of the labelled class.
    own: Row,
    /// Share of all other classes.
    others: Row,
    /// Weight of the labelled class.
    weight: Row,
    /// Mean slope of the Dice term under the shares.
    slope: Row,
}

/// One pass over the classes of a block.
#[inline(always)]
fn known(
    task: Task<'_>,
    image: usize,
    pixels: &Range<usize>,
    targets: &[u32; PIXELS],
    slopes: &Slopes,
    shares: &[f32],
) -> Known {
    let mut known =
        Known { own: [0.0; PIXELS], others: [0.0; PIXELS], weight: [0.0; PIXELS], slope: [0.0; PIXELS] };
    for (class, name) in task.classes() {
        let (weight, hit, miss) = (task.weights[class], slopes.hit[class], slopes.miss[class]);
        let row = load(&shares[task.range(image, class, pixels)]);
        for at in 0..PIXELS {
            let (share, labelled) = (row[at], targets[at] == name);
            known.own[at] = if labelled { share } else { known.own[at] };
            known.others[at] += if labelled { 0.0 } else { share };
            known.weight[at] = if labelled { weight } else { known.weight[at] };
            known.slope[at] += share * if labelled { hit } else { miss };
        }
    }
    known
}

#[cfg(test)]
mod tests;
