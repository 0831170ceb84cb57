//! The plain execution of a [`Deployment`]: what the simulated device computes, written to be read.
//!
//! One image, one operator after the other, every value by itself. Each operator does its arithmetic in the order that
//! its file states, the order of the kernels, so the results have the same bits as those of [`crate::Simulator`] (a NaN
//! may be another NaN). What decides about numbers is the deployment's profile: it converted the constants, rounds the
//! image as it comes in, and rounds every value that an operator computes as it is stored.

mod activation;
mod channels;
mod convolution;
mod normalisation;
mod padding;
mod pooling;
mod resizing;
mod sums;

use crate::{Deployment, Error};
use boresight_ir::{Conv2d, Filling, Network, Node, NodeId, Op, Resize, Role, Shape, Window};
use boresight_kernels::Planes;
use boresight_numerics::{NumericProfile, PoolingSum};
use boresight_plan::LayerSums;
use convolution::Convolution;
use ndarray::Array3;
use sums::Chain;

/// A feature map `[channels, rows, columns]`.
type Map = Array3<f32>;

/// Logits `[classes, height, width]` of one image of raw sensor counts `[bands, height, width]`.
///
/// # Errors
/// [`Error::UnknownOperator`] when the network has an operator that the reference does not know.
///
/// # Panics
/// When `counts` has another length than the network's input.
pub fn logits(deployment: &Deployment, counts: &[f32]) -> Result<Vec<f32>, Error> {
    Ok(maps(deployment, counts)?.last().map_or_else(Vec::new, flat))
}

/// What every node of the network stores, `[channels, height, width]` each, the input first; otherwise as [`logits`].
///
/// # Errors
/// As [`logits`].
///
/// # Panics
/// As [`logits`].
pub fn feature_maps(deployment: &Deployment, counts: &[f32]) -> Result<Vec<Vec<f32>>, Error> {
    Ok(maps(deployment, counts)?.iter().map(flat).collect())
}

/// What each node of `deployment` stores when it reads what the nodes before it stored in `maps`, of another execution of the
/// same network: `[channels, height, width]` each, the input first.
pub(crate) fn node_by_node(
    deployment: &Deployment,
    counts: &[f32],
    maps: &[Vec<f32>],
) -> Result<Vec<Vec<f32>>, Error> {
    let network = deployment.network();
    let sums = deployment.projection().sums(deployment.constants());
    let mut made = vec![flat(&image(deployment, counts))];
    for (id, node) in network.iter().skip(1) {
        let inputs: Vec<Map> = node
            .inputs
            .iter()
            .map(|input| shaped(network.node(*input).shape, &maps[input.index()]))
            .collect();
        let constants = Constants { deployment, network, node: id, sums: &sums };
        let mut map = evaluate(node, &inputs.iter().collect::<Vec<_>>(), &constants)?;
        if computes(&node.op) {
            store(deployment, &mut map);
        }
        made.push(flat(&map));
    }
    Ok(made)
}

fn shaped(shape: Shape, values: &[f32]) -> Map {
    let Shape { channels, height, width } = shape;
    Map::from_shape_fn((channels, height, width), |(channel, row, column)| {
        values[(channel * height + row) * width + column]
    })
}

fn flat(map: &Map) -> Vec<f32> {
    map.iter().copied().collect()
}

fn maps(deployment: &Deployment, counts: &[f32]) -> Result<Vec<Map>, Error> {
    let network = deployment.network();
    let sums = deployment.projection().sums(deployment.constants());
    let mut maps = vec![image(deployment, counts)];
    for (id, node) in network.iter().skip(1) {
        let inputs: Vec<&Map> = node.inputs.iter().map(|input| &maps[input.index()]).collect();
        let constants = Constants { deployment, network, node: id, sums: &sums };
        let mut map = evaluate(node, &inputs, &constants)?;
        if computes(&node.op) {
            store(deployment, &mut map);
        }
        maps.push(map);
    }
    Ok(maps)
}

/// What the first operators read: counts, normalised where the deployment says so, rounded as they come in.
fn image(deployment: &Deployment, counts: &[f32]) -> Map {
    let Shape { channels, height, width } = deployment.network().input_shape();
    assert_eq!(counts.len(), channels * height * width, "counts must have the shape of the network's input");
    let mut values = counts.to_vec();
    deployment.projection().images(Planes { batch: 1, channels, height, width }, &mut values);
    Map::from_shape_fn((channels, height, width), |(channel, row, column)| {
        values[(channel * height + row) * width + column]
    })
}

/// Whether an operator makes new values; the others move values that were rounded when they were stored.
const fn computes(op: &Op) -> bool {
    !matches!(
        op,
        Op::MaxPool(_)
            | Op::Upsample { resize: Resize::Nearest, .. }
            | Op::Concat
            | Op::Slice { .. }
            | Op::Pad { .. }
            | Op::ZeroStuff { .. }
            | Op::Dropout { .. }
    )
}

/// Rounds a map as the device keeps it.
fn store(deployment: &Deployment, map: &mut Map) {
    let mut values = flat(map);
    deployment.projection().profile().round_activations(&mut values);
    for (value, stored) in map.iter_mut().zip(values) {
        *value = stored;
    }
}

/// The constants that a device holds for one node.
struct Constants<'a> {
    deployment: &'a Deployment,
    network: &'a Network,
    node: NodeId,
    /// How each convolution is summed, by the number of its node.
    sums: &'a [(usize, LayerSums)],
}

impl<'a> Constants<'a> {
    fn profile(&self) -> &'a NumericProfile {
        self.deployment.projection().profile()
    }

    /// How the products of a convolution of this shape are summed.
    fn chain(&self, conv: Conv2d, inputs: usize) -> Chain {
        let taps = conv.kernel[0] * conv.kernel[1];
        let layer = self.sums.iter().find(|(node, _)| *node == self.node.index());
        let LayerSums { scale, part } = layer.map_or(LayerSums::PLAIN, |(_, sums)| *sums);
        Chain::new(self.profile(), scale, part * taps, inputs / conv.groups * taps)
    }

    /// One tensor of the node; empty where it has none.
    fn get(&self, role: Role) -> &'a [f32] {
        self.of(self.node, role)
    }

    /// What lies beyond the edge of `source`, for each channel: zero, but for the network's input.
    fn border(&self, source: NodeId) -> &'a [f32] {
        self.of(source, Role::Border)
    }

    fn of(&self, node: NodeId, role: Role) -> &'a [f32] {
        let range = self.network.layout().range(node, role).unwrap_or(0..0);
        &self.deployment.constants()[range]
    }
}

/// What `node` makes of `inputs`, before it is stored.
fn evaluate(node: &Node, inputs: &[&Map], constants: &Constants<'_>) -> Result<Map, Error> {
    let x = inputs[0];
    Ok(match node.op {
        Op::Conv2d(conv) => {
            let [weight, bias] = [Role::Weight, Role::Bias].map(|role| constants.get(role));
            let chain = constants.chain(conv, x.dim().0);
            let border = constants.border(node.inputs[0]);
            Convolution { conv, weight, bias, border, chain }.apply(x, node.shape)
        }
        Op::BatchNorm { epsilon } => {
            let statistics = [Role::Scale, Role::Shift, Role::Mean, Role::Variance];
            normalisation::batch_norm(x, epsilon, statistics.map(|role| constants.get(role)))
        }
        Op::ScaleShift => {
            normalisation::scale_shift(x, constants.get(Role::Scale), constants.get(Role::Shift))
        }
        Op::Relu => x.mapv(activation::relu),
        Op::Relu6 => x.mapv(activation::relu6),
        Op::Gelu => x.mapv(|x| activation::gelu(x, constants.profile().functions)),
        Op::Sigmoid => x.mapv(|x| activation::sigmoid(x, constants.profile().functions)),
        Op::LeakyRelu { slope } => x.mapv(|x| activation::leaky_relu(x, slope)),
        Op::Clip { low, high } => x.mapv(|x| activation::clip(x, low, high)),
        Op::Softmax => activation::softmax(x),
        Op::MaxPool(window) => pooling::max(window, x, node.shape),
        Op::AvgPool(window) => match constants.profile().pooling {
            PoolingSum::Wide => pooling::average(window, x, node.shape),
            PoolingSum::F16 => pooling::narrow_average(window, x, node.shape, constants.profile()),
        },
        Op::GlobalAvgPool => match constants.profile().squeeze {
            PoolingSum::Wide => pooling::global_average(x),
            PoolingSum::F16 => {
                let (_, height, width) = x.dim();
                let window = Window { kernel: [height, width], stride: [1, 1] };
                pooling::narrow_average(window, x, node.shape, constants.profile())
            }
        },
        Op::Upsample { resize: Resize::Nearest, size } => resizing::nearest(x, size),
        Op::Upsample { resize: Resize::Bilinear, size } => resizing::bilinear(x, size),
        Op::Concat => channels::concat(inputs, node.shape),
        Op::Add => channels::add(x, inputs[1]),
        Op::Mul => channels::mul(x, inputs[1]),
        Op::ChannelScale => channels::scale(x, inputs[1]),
        Op::Slice { start, .. } => channels::slice(x, start, node.shape),
        Op::Pad { rows, columns, filling } => {
            let border = constants.border(node.inputs[0]);
            padding::pad(x, rows[0], columns[0], node.shape, |channel| match filling {
                Filling::Zero => border.get(channel).copied().unwrap_or(0.0),
                Filling::Lowest => f32::NEG_INFINITY,
            })
        }
        Op::ZeroStuff { stride } => padding::zero_stuff(x, stride, node.shape),
        // Dropout is for training.
        Op::Dropout { .. } => x.clone(),
        op => return Err(Error::UnknownOperator { node: node.name.clone(), op: op.name() }),
    })
}
