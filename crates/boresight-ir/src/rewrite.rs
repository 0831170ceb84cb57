//! Rewriting a trained network into the form in which it is deployed.

use crate::{Builder, Conv2d, Error, Network, Node, NodeId, Op, Role, Weights};

/// `network` without batch normalisations, and its weights.
///
/// A normalisation that is the only reader of a convolution is folded into it; any other becomes a
/// [`Op::ScaleShift`]. Running statistics are used. Convolutions of the input have a bias afterwards, so that a
/// [`crate::NormalisationFold`] can follow. The sums are made in f64 and rounded once.
///
/// # Errors
/// When `weights` are not of this network.
pub fn fold_batch_norm(network: &Network, weights: &Weights) -> Result<(Network, Weights), Error> {
    rewrite(Folded::new(network, weights, true)?)
}

/// As [`fold_batch_norm`], but each normalisation becomes a [`Op::ScaleShift`], those behind convolutions too.
///
/// # Errors
/// When `weights` are not of this network.
pub fn separate_batch_norm(network: &Network, weights: &Weights) -> Result<(Network, Weights), Error> {
    rewrite(Folded::new(network, weights, false)?)
}

fn rewrite(mut folded: Folded<'_>) -> Result<(Network, Weights), Error> {
    let Folded { network, weights, .. } = folded;
    for (id, node) in network.iter().skip(1) {
        folded.add(id, node)?;
    }
    let output = folded.place[network.output().index()];
    let network = folded.builder.finish(output)?;
    let mut result = Weights::from_values(&network, vec![0.0; network.layout().len()])?;
    let border = weights.get(NodeId(0), Role::Border).unwrap_or_default();
    result.set_border(border)?;
    for (name, role, values) in folded.tensors {
        let slot = network.layout().find(&format!("{name}.{}", role.name()));
        if let Some(slot) = slot {
            result.values_mut()[slot.range.clone()].copy_from_slice(&values);
        }
    }
    Ok((network, result))
}

struct Folded<'network> {
    network: &'network Network,
    weights: &'network Weights,
    /// Whether convolutions take in what follows them.
    folds: bool,
    builder: Builder,
    /// Where each old node's value is found in the new network.
    place: Vec<NodeId>,
    tensors: Vec<(String, Role, Vec<f32>)>,
}

impl<'network> Folded<'network> {
    fn new(network: &'network Network, weights: &'network Weights, folds: bool) -> Result<Self, Error> {
        if weights.layout() != network.layout() {
            return Err(Error::WeightCount {
                expected: network.layout().len(),
                found: weights.values().len(),
            });
        }
        let builder = Builder::new(network.input_shape())?;
        Ok(Self {
            network,
            weights,
            folds,
            builder,
            place: vec![NodeId(0); network.nodes().len()],
            tensors: Vec::new(),
        })
    }

    fn add(&mut self, id: NodeId, node: &Node) -> Result<(), Error> {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| self.place[input.index()]).collect();
        self.place[id.index()] = match node.op {
            Op::Conv2d(conv) => self.convolution(id, node, conv, &inputs)?,
            Op::BatchNorm { .. } if self.absorber(id).is_some() => inputs[0],
            Op::BatchNorm { .. } => {
                let (scale, shift) = self.affine(id);
                self.keep(node, Role::Scale, &scale);
                self.keep(node, Role::Shift, &shift);
                self.builder.add(&node.name, Op::ScaleShift, &inputs)?
            }
            op => {
                for role in [Role::Scale, Role::Shift] {
                    if let Some(values) = self.weights.get(id, role) {
                        self.tensors.push((node.name.clone(), role, values.to_vec()));
                    }
                }
                self.builder.add(&node.name, op, &inputs)?
            }
        };
        Ok(())
    }

    fn convolution(
        &mut self,
        id: NodeId,
        node: &Node,
        conv: Conv2d,
        inputs: &[NodeId],
    ) -> Result<NodeId, Error> {
        let mut weight: Vec<f64> = self
            .weights
            .get(id, Role::Weight)
            .unwrap_or_default()
            .iter()
            .map(|&value| value.into())
            .collect();
        let mut bias: Vec<f64> = match self.weights.get(id, Role::Bias) {
            Some(bias) => bias.iter().map(|&value| value.into()).collect(),
            None => vec![0.0; conv.out_channels],
        };
        let normalisation = self.reader(id);
        if let Some(reader) = normalisation {
            let (scale, shift) = self.affine(reader);
            let taps = weight.len() / conv.out_channels;
            for (channel, taps) in weight.chunks_exact_mut(taps).enumerate() {
                for tap in taps {
                    *tap *= scale[channel];
                }
                bias[channel] = bias[channel].mul_add(scale[channel], shift[channel]);
            }
        }
        let reads_input = node.inputs[0] == self.network.input();
        let conv = Conv2d { bias: conv.bias || normalisation.is_some() || reads_input, ..conv };
        self.keep(node, Role::Weight, &weight);
        if conv.bias {
            self.keep(node, Role::Bias, &bias);
        }
        self.builder.add(&node.name, Op::Conv2d(conv), inputs)
    }

    /// The batch normalisation that is the only reader of convolution `id`.
    fn reader(&self, id: NodeId) -> Option<NodeId> {
        let mut readers = self.network.consumers(id);
        let reader = readers.next().filter(|_| self.folds && readers.next().is_none())?;
        matches!(self.network.node(reader).op, Op::BatchNorm { .. }).then_some(reader)
    }

    /// The convolution that takes in batch normalisation `id`.
    fn absorber(&self, id: NodeId) -> Option<NodeId> {
        let source = self.network.node(id).inputs[0];
        let is_conv = matches!(self.network.node(source).op, Op::Conv2d(_));
        (is_conv && self.reader(source) == Some(id)).then_some(source)
    }

    /// Scale and shift that batch normalisation `id` amounts to.
    fn affine(&self, id: NodeId) -> (Vec<f64>, Vec<f64>) {
        let get = |role| self.weights.get(id, role).unwrap_or_default().iter().map(|&value| f64::from(value));
        let epsilon = match self.network.node(id).op {
            Op::BatchNorm { epsilon } => f64::from(epsilon),
            _ => 0.0,
        };
        let scale: Vec<f64> = get(Role::Scale)
            .zip(get(Role::Variance))
            .map(|(gamma, variance)| gamma / (variance + epsilon).sqrt())
            .collect();
        let shift = get(Role::Shift)
            .zip(get(Role::Mean))
            .zip(&scale)
            .map(|((beta, mean), scale)| mean.mul_add(-scale, beta))
            .collect();
        (scale, shift)
    }

    fn keep(&mut self, node: &Node, role: Role, values: &[f64]) {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "weights are stored in f32: this is the one rounding"
        )]
        let values = values.iter().map(|&value| value as f32).collect();
        self.tensors.push((node.name.clone(), role, values));
    }
}
