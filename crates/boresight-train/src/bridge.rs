//! A network as one differentiable Candle operation.

use crate::Error;
use boresight_ir::{Layout, Network, Role, Weights};
use boresight_plan::{Arithmetic, Mode, Plan, Workspace};
use candle_core::{CpuStorage, CustomOp2, Device, Shape, Storage, Tensor};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Workspaces that are kept for later passes; more than two passes are rarely open at once.
const IDLE_LIMIT: usize = 2;

/// A network on the CPU as one differentiable operation `(parameters, images) -> logits`.
///
/// Candle sees a single node, so none of its own backward rules is on the path. Parameters are one flat tensor in the
/// order of the network's layout; running statistics and the border are kept here and are no part of it.
///
/// # Examples
/// ```
/// use boresight_core::Seed;
/// use boresight_ir::{Builder, Conv2d, Op, Shape, Weights};
/// use boresight_train::{Arithmetic, CandleNetwork, Mode};
/// use candle_core::{Device, Tensor, Var};
///
/// let mut builder = Builder::new(Shape::new(2, 4, 4))?;
/// let conv = builder.add("conv", Op::Conv2d(Conv2d::same(3, 3)), &[builder.input()])?;
/// let network = builder.finish(conv)?;
/// let weights = Weights::initial(&network, Seed::new(1));
/// let bridge = CandleNetwork::new(&network, &weights, 1, Arithmetic::Fast)?;
///
/// let parameters = &weights.values()[..network.parameter_count()];
/// let parameters = Var::from_tensor(&Tensor::new(parameters, &Device::Cpu)?)?;
/// let images = Tensor::full(1.0_f32, (1, 2, 4, 4), &Device::Cpu)?;
/// let logits = bridge.apply(&parameters, &images, Mode::Train(Seed::new(2)))?;
/// let gradients = logits.sum_all()?.backward()?;
/// assert_eq!(gradients.get(&parameters).map(|gradient| gradient.dims1()).transpose()?, Some(3 * 2 * 9 + 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CandleNetwork {
    plan: Arc<Plan>,
    /// What stands behind the parameters in the flat buffer.
    statistics: Arc<Vec<f32>>,
    shared: Arc<Shared>,
}

impl CandleNetwork {
    /// The operation for batches of `batch` images; running statistics and border are those of `weights`.
    ///
    /// # Errors
    /// When `weights` are not of this network or it cannot be planned.
    pub fn new(
        network: &Network,
        weights: &Weights,
        batch: usize,
        arithmetic: Arithmetic,
    ) -> Result<Self, Error> {
        let layout = network.layout();
        if weights.layout() != layout {
            let (expected, found) = (layout.len(), weights.values().len());
            return Err(boresight_ir::Error::WeightCount { expected, found }.into());
        }
        let plan = Plan::training(network, batch, arithmetic)?;
        let statistics = weights.values()[layout.trainable()..].to_vec();
        Ok(Self { plan: Arc::new(plan), statistics: Arc::new(statistics), shared: Arc::default() })
    }

    /// Logits `[batch, classes, height, width]` of `images` `[batch, channels, height, width]`, both f32 on the CPU.
    ///
    /// `parameters` is `[parameters]`. Each result can be differentiated once, for `parameters` alone. Nothing here
    /// changes: see [`CandleNetwork::commit_statistics`].
    ///
    /// # Errors
    /// When a tensor has another shape, type or device, or `images` depend on a variable: there is no gradient for
    /// them. A second backward through one result is [`Error::SecondBackward`], wrapped by Candle.
    pub fn apply(&self, parameters: &Tensor, images: &Tensor, mode: Mode) -> Result<Tensor, Error> {
        let planes = self.plan.input_planes();
        check("parameters", parameters, &[self.plan.layout().trainable()])?;
        check("images", images, &[planes.batch, planes.channels, planes.height, planes.width])?;
        if images.track_op() {
            return Err(Error::ImageGradient);
        }
        let step = Step {
            plan: Arc::clone(&self.plan),
            statistics: Arc::clone(&self.statistics),
            shared: Arc::clone(&self.shared),
            mode,
            tape: Mutex::new(None),
        };
        Ok(parameters.contiguous()?.apply_op2(&images.contiguous()?, step)?)
    }

    /// Running statistics and border: what stands behind the parameters in the flat buffer.
    pub fn statistics(&self) -> &[f32] {
        &self.statistics
    }

    /// Moves running statistics towards the batch statistics of the last [`CandleNetwork::apply`] in
    /// [`Mode::Train`], as [`Plan::commit_statistics`] does; nothing moves when there was none since the last call.
    pub fn commit_statistics(&mut self, momentum: f32) {
        let Some(batch) = lock(&self.shared.batch).take() else { return };
        let layout = self.plan.layout();
        let statistics = Arc::make_mut(&mut self.statistics);
        for slot in layout.slots().iter().filter(|slot| matches!(slot.role, Role::Mean | Role::Variance)) {
            let start = slot.range.start - layout.trainable();
            for at in start..start + slot.range.len() {
                statistics[at] += momentum * (batch[at] - statistics[at]);
            }
        }
    }
}

/// Refuses a tensor that is not f32 of this shape on the CPU.
fn check(what: &'static str, tensor: &Tensor, expected: &[usize]) -> Result<(), Error> {
    if !tensor.device().is_cpu() {
        return Err(Error::NotOnCpu { what });
    }
    if tensor.dtype() != candle_core::DType::F32 {
        return Err(Error::NotF32 { what, found: tensor.dtype().as_str() });
    }
    if tensor.dims() != expected {
        let (expected, found) = (expected.to_vec(), tensor.dims().to_vec());
        return Err(Error::TensorShape { what, expected, found });
    }
    Ok(())
}

/// What all passes of one network share.
#[derive(Debug, Default)]
struct Shared {
    idle: Mutex<Vec<Memory>>,
    /// Batch statistics of the last training pass, in the order of the running ones.
    batch: Mutex<Option<Vec<f32>>>,
}

/// What one pass works in, and the values that it was made with.
#[derive(Debug)]
struct Memory {
    workspace: Workspace,
    weights: Vec<f32>,
}

/// A poisoned mutex guards memory that the next pass overwrites.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn lease(&self, plan: &Plan) -> Memory {
        let idle = lock(&self.idle).pop();
        idle.unwrap_or_else(|| Memory {
            workspace: plan.workspace(),
            weights: vec![0.0; plan.layout().len()],
        })
    }

    fn give_back(&self, memory: Memory) {
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_LIMIT {
            idle.push(memory);
        }
    }
}

/// One pass: the operation that Candle keeps in its graph. Forward leaves the memory in the tape, backward takes it.
struct Step {
    plan: Arc<Plan>,
    statistics: Arc<Vec<f32>>,
    shared: Arc<Shared>,
    mode: Mode,
    tape: Mutex<Option<Memory>>,
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(memory) = lock(&self.tape).take() {
            self.shared.give_back(memory);
        }
    }
}

impl CustomOp2 for Step {
    fn name(&self) -> &'static str {
        "boresight-plan"
    }

    fn cpu_fwd(
        &self,
        parameters: &CpuStorage,
        parameters_layout: &candle_core::Layout,
        images: &CpuStorage,
        images_layout: &candle_core::Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let parameters = values(parameters, parameters_layout)?;
        let images = values(images, images_layout)?;
        let mut memory = self.shared.lease(&self.plan);
        let (front, back) = memory.weights.split_at_mut(parameters.len());
        front.copy_from_slice(parameters);
        back.copy_from_slice(&self.statistics);
        let logits = self.plan.forward(&memory.weights, images, self.mode, &mut memory.workspace).to_vec();
        if matches!(self.mode, Mode::Train(_)) {
            *lock(&self.shared.batch) = Some(batch_statistics(&self.plan, &memory.workspace));
        }
        *lock(&self.tape) = Some(memory);
        let planes = self.plan.output_planes();
        let shape = Shape::from((planes.batch, planes.channels, planes.height, planes.width));
        Ok((CpuStorage::F32(logits), shape))
    }

    fn bwd(
        &self,
        _parameters: &Tensor,
        images: &Tensor,
        _logits: &Tensor,
        slope: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let memory = lock(&self.tape).take();
        let mut memory = memory.ok_or_else(|| candle_core::Error::wrap(Error::SecondBackward))?;
        let mut gradient = vec![0.0; self.plan.layout().trainable()];
        let slope = slope.contiguous()?;
        with_values(images, |images| {
            with_values(&slope, |slope| {
                let Memory { workspace, weights } = &mut memory;
                self.plan.backward(weights, images, slope, workspace, &mut gradient);
            })
        })??;
        self.shared.give_back(memory);
        let count = gradient.len();
        Ok((Some(Tensor::from_vec(gradient, count, &Device::Cpu)?), None))
    }
}

/// Batch mean and unbiased variance of the last forward pass: where running ones that start at 0 arrive in one step.
fn batch_statistics(plan: &Plan, workspace: &Workspace) -> Vec<f32> {
    let layout: &Layout = plan.layout();
    let mut values = vec![0.0; layout.len()];
    plan.commit_statistics(workspace, 1.0, &mut values);
    values.split_off(layout.trainable())
}

/// The values of a tensor without gaps.
fn values<'storage>(
    storage: &'storage CpuStorage,
    layout: &candle_core::Layout,
) -> candle_core::Result<&'storage [f32]> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::RequiresContiguous { op: "boresight-plan" }.bt())?;
    Ok(&storage.as_slice::<f32>()?[start..end])
}

/// Calls `read` with the values of a tensor on the CPU.
fn with_values<T>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> T) -> candle_core::Result<T> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(read(values(storage, layout)?)),
        _ => Err(candle_core::Error::wrap(Error::NotOnCpu { what: "gradient" })),
    }
}
