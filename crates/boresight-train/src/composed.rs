//! A network made of Candle's tensor operations.

mod operators;
mod rule;

use crate::Error;
use boresight_ir::{Filling, Network, Node, NodeId, Op, Role, Window};
use boresight_plan::{Mode, dropout_mask};
use candle_core::{DType, Device, Tensor};
use operators::Resampling;

/// A network made of Candle's tensor operations, for every device and float type that Candle has.
///
/// It computes what the plan computes, up to rounding, and Candle's autograd gives right gradients: operators whose
/// backward rule is wrong or missing there are made of others, or have a rule of their own. It serves GPUs, where it is
/// tested with the feature `cuda`, and as f64 it is the oracle for the plan. On the CPU it is many times slower than
/// [`crate::CandleNetwork`].
#[derive(Clone, Debug)]
pub struct ComposedNetwork {
    network: Network,
    dtype: DType,
    device: Device,
    /// The constant maps of the nodes that are one.
    resamplings: Vec<Option<Resampling>>,
}

/// What a pass gives.
#[derive(Clone, Debug)]
pub struct ComposedPass {
    /// Logits `[batch, classes, height, width]`.
    pub logits: Tensor,
    /// The statistics that were passed in; after [`Mode::Train`] with the mean and the unbiased variance of this batch
    /// in place of the running ones, so that running ones become `running + momentum * (batch - running)`.
    pub statistics: Tensor,
}

impl ComposedNetwork {
    /// The network for tensors of this float type on this device.
    ///
    /// # Errors
    /// When Candle cannot make the constants.
    pub fn new(network: &Network, dtype: DType, device: &Device) -> Result<Self, Error> {
        let resamplings = network
            .nodes()
            .iter()
            .map(|node| resampling(network, node, dtype, device))
            .collect::<Result<_, _>>()?;
        Ok(Self { network: network.clone(), dtype, device: device.clone(), resamplings })
    }

    /// Logits of `images` `[batch, channels, height, width]`, for any batch.
    ///
    /// `parameters` is the front part of the flat buffer, `[parameters]`; `statistics` the rest of it. Dropout masks
    /// are those that a plan draws from the same seed.
    ///
    /// # Errors
    /// When a tensor has another shape, or another type or device than the network was made for.
    pub fn forward(
        &self,
        parameters: &Tensor,
        statistics: &Tensor,
        images: &Tensor,
        mode: Mode,
    ) -> Result<ComposedPass, Error> {
        let (layout, input) = (self.network.layout(), self.network.input_shape());
        let batch = images.dims().first().copied().unwrap_or(1);
        check("parameters", parameters, &[layout.trainable()])?;
        check("statistics", statistics, &[layout.len() - layout.trainable()])?;
        check("images", images, &[batch, input.channels, input.height, input.width])?;
        let slots = layout.slots().iter().map(|slot| {
            let slice = if slot.role.is_trainable() {
                parameters.narrow(0, slot.range.start, slot.range.len())
            } else {
                statistics.narrow(0, slot.range.start - layout.trainable(), slot.range.len())
            };
            slice?.reshape(slot.shape.as_slice())
        });
        let tensors = slots.collect::<Result<Vec<_>, _>>()?;
        let mut pass = Pass { composed: self, mode, tensors, values: vec![images.clone()] };
        for (id, node) in self.network.iter().skip(1) {
            let value = pass.run(id, node)?;
            pass.values.push(value);
        }
        pass.finish()
    }
}

fn check(what: &'static str, tensor: &Tensor, expected: &[usize]) -> Result<(), Error> {
    if tensor.dims() == expected {
        return Ok(());
    }
    let (expected, found) = (expected.to_vec(), tensor.dims().to_vec());
    Err(Error::TensorShape { what, expected, found })
}

/// The constant map that a node is, if it is one.
fn resampling(
    network: &Network,
    node: &Node,
    dtype: DType,
    device: &Device,
) -> Result<Option<Resampling>, Error> {
    let Some(&source) = node.inputs.first() else { return Ok(None) };
    let before = network.node(source).shape;
    let sizes = [[before.height, before.width], [node.shape.height, node.shape.width]];
    let whole = Window { kernel: sizes[0], stride: sizes[0] };
    Ok(match node.op {
        Op::AvgPool(window) => Some(Resampling::mean(window, sizes, dtype, device)?),
        Op::GlobalAvgPool => Some(Resampling::mean(whole, sizes, dtype, device)?),
        Op::Upsample { resize, .. } => Some(Resampling::resize(resize, sizes, dtype, device)?),
        Op::ZeroStuff { stride } => Some(Resampling::stuff(stride, sizes, dtype, device)?),
        _ => None,
    })
}

/// A forward pass under way.
struct Pass<'network> {
    composed: &'network ComposedNetwork,
    mode: Mode,
    /// The tensor of each slot of the layout; in training, statistics are replaced by those of the batch.
    tensors: Vec<Tensor>,
    /// The value of each node so far.
    values: Vec<Tensor>,
}

impl Pass<'_> {
    fn slot(&self, node: NodeId, role: Role) -> Option<usize> {
        let slots = self.composed.network.layout().slots();
        slots.iter().position(|slot| slot.node == node && slot.role == role)
    }

    fn tensor(&self, node: NodeId, role: Role) -> Option<&Tensor> {
        self.slot(node, role).map(|at| &self.tensors[at])
    }

    /// What lies beyond the edge of what a node reads, for each channel: zero, but for the image.
    fn border(&self, node: &Node) -> Option<&Tensor> {
        let source = node.inputs[0];
        if source == self.composed.network.input() { self.tensor(source, Role::Border) } else { None }
    }

    /// Scale and shift of a node that has both.
    fn affine(&self, id: NodeId, x: &Tensor) -> Result<Tensor, Error> {
        match [Role::Scale, Role::Shift].map(|role| self.tensor(id, role)) {
            [Some(scale), Some(shift)] => Ok(operators::scale_shift(x, scale, shift)?),
            _ => Ok(x.clone()),
        }
    }

    fn run(&mut self, id: NodeId, node: &Node) -> Result<Tensor, Error> {
        let inputs: Vec<Tensor> =
            node.inputs.iter().map(|input| self.values[input.index()].clone()).collect();
        let (x, size) = (&inputs[0], [node.shape.height, node.shape.width]);
        Ok(match node.op {
            Op::Conv2d(conv) => {
                let constants = [Role::Weight, Role::Bias].map(|role| self.tensor(id, role));
                operators::convolve(x, conv, constants, self.border(node), size)?
            }
            Op::BatchNorm { epsilon } => self.batch_norm(id, x, epsilon)?,
            Op::ScaleShift => self.affine(id, x)?,
            Op::Relu => operators::relu(x)?,
            Op::Relu6 => operators::clip(x, 0.0, 6.0)?,
            Op::Gelu => operators::gelu(x)?,
            Op::Sigmoid => operators::sigmoid(x)?,
            Op::LeakyRelu { slope } => operators::leaky_relu(x, slope.into())?,
            Op::Clip { low, high } => operators::clip(x, low.into(), high.into())?,
            Op::Softmax => operators::softmax(x)?,
            Op::MaxPool(window) => operators::max_pool(x, window, size)?,
            Op::Concat => Tensor::cat(&inputs, 1)?,
            Op::Add => (x + &inputs[1])?,
            Op::Mul => (x * &inputs[1])?,
            Op::ChannelScale => x.broadcast_mul(&inputs[1])?,
            Op::Slice { start, channels } => x.narrow(1, start, channels)?,
            Op::Pad { rows, columns, filling: Filling::Zero } => {
                operators::pad(x, [rows, columns], self.border(node))?
            }
            Op::Pad { rows, columns, filling: Filling::Lowest } => {
                let lowest = Tensor::full(f32::NEG_INFINITY, x.dim(1)?, x.device())?.to_dtype(x.dtype())?;
                operators::pad(x, [rows, columns], Some(&lowest))?
            }
            Op::Dropout { rate } => self.dropout(node, rate, x)?,
            op => {
                let unsupported =
                    || boresight_plan::Error::Unsupported { node: node.name.clone(), op: op.name() };
                self.composed.resamplings[id.index()].as_ref().ok_or_else(unsupported)?.apply(x)?
            }
        })
    }

    fn batch_norm(&mut self, id: NodeId, x: &Tensor, epsilon: f32) -> Result<Tensor, Error> {
        let slots = [Role::Mean, Role::Variance, Role::Scale, Role::Shift].map(|role| self.slot(id, role));
        let [Some(mean), Some(variance), Some(scale), Some(shift)] = slots else { return Ok(x.clone()) };
        let affine = [scale, shift].map(|at| &self.tensors[at]);
        if self.mode == Mode::Evaluate {
            let moments = [mean, variance].map(|at| &self.tensors[at]);
            return Ok(operators::normalise(x, moments, affine, epsilon)?);
        }
        let (y, moments) = operators::batch_norm(x, affine, epsilon)?;
        let count = (x.elem_count() / x.dim(1)?) as f64;
        let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
        let [batch_mean, batch_variance] = moments;
        self.tensors[mean] = batch_mean;
        self.tensors[variance] = (batch_variance * unbiased)?;
        Ok(y)
    }

    fn dropout(&self, node: &Node, rate: f32, x: &Tensor) -> Result<Tensor, Error> {
        let Mode::Train(seed) = self.mode else { return Ok(x.clone()) };
        let mut mask = vec![0.0; x.elem_count()];
        let image = mask.len() / x.dim(0)?;
        for (image, mask) in mask.chunks_mut(image).enumerate() {
            dropout_mask(seed, &node.name, image, rate, mask);
        }
        let mask = Tensor::from_vec(mask, x.shape(), &Device::Cpu)?.to_dtype(self.composed.dtype)?;
        Ok((x * mask.to_device(&self.composed.device)?)?)
    }

    fn finish(mut self) -> Result<ComposedPass, Error> {
        let slots = self.composed.network.layout().slots();
        let statistics: Vec<Tensor> = slots
            .iter()
            .zip(&self.tensors)
            .filter(|(slot, _)| !slot.role.is_trainable())
            .map(|(_, tensor)| tensor.flatten_all())
            .collect::<Result<_, _>>()?;
        let statistics = Tensor::cat(&statistics, 0)?;
        let logits = self.values.swap_remove(self.composed.network.output().index());
        Ok(ComposedPass { logits, statistics })
    }
}
