//! Operators with a backward rule of their own.
//!
//! On a GPU the time of a pass goes with the number of operations more than with the size of their tensors, and
//! Candle's autograd makes a handful of each one that it goes back through. A rule makes the gradients of a whole
//! operator.

use candle_core::backend::BackendStorage;
use candle_core::{
    CpuStorage, CudaStorage, CustomOp1, CustomOp3, Error, Layout, Result, Shape, Storage, Tensor,
};

/// The value of an operator, and what makes the gradients of its inputs of its own gradient.
struct Rule<Backward> {
    value: Tensor,
    backward: Backward,
}

/// `value`, which `backward` leads back to `input`.
pub(super) fn with_rule<Backward>(input: &Tensor, value: &Tensor, backward: Backward) -> Result<Tensor>
where
    Backward: Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
{
    input.apply_op1(Rule { value: compact(value)?, backward })
}

/// `value`, which `backward` leads back to the three inputs.
pub(super) fn with_rule_for_three<Backward>(
    [one, two, three]: [&Tensor; 3],
    value: &Tensor,
    backward: Backward,
) -> Result<Tensor>
where
    Backward: Fn(&Tensor) -> Result<[Tensor; 3]> + Send + Sync + 'static,
{
    one.apply_op3(two, three, Rule { value: compact(value)?, backward })
}

/// The tensor, known to no autograd, from the start of its storage on and without gaps.
fn compact(value: &Tensor) -> Result<Tensor> {
    let value = value.detach();
    let is_compact = value.is_contiguous() && value.layout().start_offset() == 0;
    if is_compact { Ok(value) } else { value.force_contiguous() }
}

impl<Backward> Rule<Backward> {
    fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cpu(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => Err(elsewhere()),
        }
    }

    fn on_gpu(&self) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.value.storage_and_layout();
        match &*storage {
            Storage::Cuda(storage) => Ok((storage.try_clone(layout)?, layout.shape().clone())),
            _ => Err(elsewhere()),
        }
    }
}

fn elsewhere() -> Error {
    Error::msg("a value lies on another device than the inputs that it was made of")
}

impl<Backward: Fn(&Tensor) -> Result<Tensor>> CustomOp1 for Rule<Backward> {
    fn name(&self) -> &'static str {
        "boresight-rule"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.on_gpu()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, slope: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(slope).map(Some)
    }
}

/// Gradients of three inputs.
type OfThree = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

impl<Backward: Fn(&Tensor) -> Result<[Tensor; 3]>> CustomOp3 for Rule<Backward> {
    fn name(&self) -> &'static str {
        "boresight-rule-for-three"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.on_cpu()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.on_gpu()
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, _: &Tensor, _: &Tensor, slope: &Tensor) -> Result<OfThree> {
        let [one, two, three] = (self.backward)(slope)?;
        Ok((Some(one), Some(two), Some(three)))
    }
}
