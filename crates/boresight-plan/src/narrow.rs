//! What a plan does on a device that rounds elsewhere than a binary16 store does.

use crate::step::{Kind, Step, TensorId};
use crate::{Arithmetic, Mode, Plan, Store, Workspace};
use boresight_ir::Resize;
use boresight_kernels::{FunctionTables, Machine};
use boresight_numerics::{Accumulator, Format, Functions, Overflow, PoolingSum, Rounding};

/// How the sums of one convolution stand on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LayerSums {
    /// The power of two by which the device multiplies weights and bias, and divides results.
    pub scale: f32,
    /// Input channels of a group that are summed apart; 0: all together.
    pub part: usize,
}

impl LayerSums {
    /// No scale, one part.
    pub const PLAIN: Self = Self { scale: 1.0, part: 0 };
}

/// What a plan for training does besides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrainingExtras {
    /// Batch normalisations stay, with the statistics of the batch, and a convolution that one alone reads is stored behind
    /// it: what becomes of the folded network. Sums are binary32.
    pub simulates_folding: bool,
    /// What large activations cost.
    pub penalty: Option<Penalty>,
}

/// The cost of stored values that come near the end of a format: for each feature map, `weight` times the mean over its
/// values of `max(|value| / limit - 1, 0)^2`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Penalty {
    /// The magnitude from which values cost.
    pub limit: f32,
    /// How much.
    pub weight: f32,
}

impl Penalty {
    /// What one map adds to the loss.
    fn of(self, values: &[f32]) -> f64 {
        let beyond = values.iter().map(|value| f64::from((value.abs() / self.limit - 1.0).max(0.0)));
        f64::from(self.weight) * beyond.map(|beyond| beyond * beyond).sum::<f64>() / values.len() as f64
    }

    fn add_gradient(self, values: &[f32], slope: &mut [f32]) {
        let factor = 2.0 * self.weight / (self.limit * values.len() as f32);
        for (slope, value) in slope.iter_mut().zip(values) {
            let beyond = value.abs() / self.limit - 1.0;
            if beyond > 0.0 {
                *slope += factor * beyond.copysign(*value);
            }
        }
    }
}

/// What a plan on such a device needs besides its steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Narrow {
    pub(crate) tables: Option<FunctionTables>,
    /// Tensors that are never stored: a batch normalisation takes them in.
    pub(crate) unstored: Vec<bool>,
    pub(crate) penalty: Option<Penalty>,
    /// The magnitude at which stored values have been cut, so that no gradient passes.
    pub(crate) cut: Option<f32>,
}

/// The arithmetic of a plan for training with extras: they need to see each value that is stored.
pub(crate) fn with_extras(arithmetic: Arithmetic, extras: TrainingExtras) -> Arithmetic {
    if extras == TrainingExtras::default() {
        return arithmetic;
    }
    let machine = match arithmetic {
        Arithmetic::Narrow(machine) => machine,
        other => Machine {
            stores: Rounding::ieee(if other.store() == Store::F16 { Format::F16 } else { Format::F32 }),
            accumulator: Accumulator::F32,
            sums: Rounding::ieee(Format::F32),
            pooling: PoolingSum::Wide,
            squeeze: PoolingSum::Wide,
            functions: Functions::Exact,
        },
    };
    let accumulator = if extras.simulates_folding { Accumulator::F32 } else { machine.accumulator };
    Arithmetic::Narrow(Machine { accumulator, ..machine })
}

impl Narrow {
    /// What a plan for training or inference of these steps needs.
    pub(crate) fn new(
        arithmetic: Arithmetic,
        steps: &[Step],
        tensors: usize,
        extras: TrainingExtras,
    ) -> Self {
        let Arithmetic::Narrow(machine) = arithmetic else { return Self::default() };
        let mut unstored = vec![false; tensors];
        if extras.simulates_folding {
            for step in steps.iter().filter(|step| matches!(step.kind, Kind::Convolve { .. })) {
                unstored[step.output] = is_taken_in(steps, step.output);
            }
        }
        Self {
            tables: match machine.functions {
                Functions::Exact => None,
                Functions::Table(table) => Some(FunctionTables::new(table)),
            },
            unstored,
            penalty: extras.penalty,
            cut: (machine.stores.overflow == Overflow::Saturate).then(|| machine.stores.format.largest()),
        }
    }

    /// Whether the way back looks at what was stored.
    pub(crate) const fn looks_back(&self) -> bool {
        self.penalty.is_some() || self.cut.is_some()
    }
}

/// Whether a batch normalisation alone reads the result of a convolution.
fn is_taken_in(steps: &[Step], tensor: TensorId) -> bool {
    let mut readers = steps.iter().filter(|step| step.inputs.contains(&tensor));
    let reader = readers.next().filter(|_| readers.next().is_none());
    reader.is_some_and(|step| matches!(step.kind, Kind::Normalise(_)))
}

impl Plan {
    /// Whether a step makes new values that the device rounds as it stores them.
    pub(crate) fn stores(&self, step: &Step, mode: Mode) -> bool {
        let makes = match step.kind {
            Kind::MaxPool(_)
            | Kind::Upsample(Resize::Nearest)
            | Kind::Concat
            | Kind::Slice { .. }
            | Kind::Pad { .. }
            | Kind::ZeroStuff { .. } => false,
            Kind::Dropout { .. } => matches!(mode, Mode::Train(_)),
            _ => true,
        };
        makes && !self.narrow.unstored.get(step.output).copied().unwrap_or(false)
    }

    /// Rounds what a step has made, image by image.
    pub(crate) fn store(&self, step: &Step, memory: &Workspace, output: &mut [f32]) {
        if let Arithmetic::Narrow(machine) = self.arithmetic
            && self.stores(step, memory.mode)
        {
            let images = output.chunks_exact_mut(self.image_len(step.output));
            self.team_for(step, &memory.team).each(images, |image| machine.stores.tensor(image));
        }
    }

    /// What the stored values of the last forward pass add to the loss, see [`Penalty`].
    pub fn penalty(&self, memory: &Workspace) -> f64 {
        let Some(penalty) = self.narrow.penalty else { return 0.0 };
        let stored = self.steps.iter().filter(|step| self.stores(step, memory.mode));
        stored.map(|step| penalty.of(self.kept(step, memory))).sum()
    }

    /// Adds to the gradient of a step's result what the penalty asks for, and takes away what was cut off.
    pub(crate) fn look_back(&self, step: &Step, memory: &Workspace, slope: &mut [f32]) {
        if !self.narrow.looks_back() || !self.stores(step, memory.mode) {
            return;
        }
        let values = self.kept(step, memory);
        if let Some(largest) = self.narrow.cut {
            for (slope, _) in slope.iter_mut().zip(values).filter(|(_, value)| value.abs() >= largest) {
                *slope = 0.0;
            }
        }
        if let Some(penalty) = self.narrow.penalty {
            penalty.add_gradient(values, slope);
        }
    }

    /// What a step has stored.
    fn kept<'memory>(&self, step: &Step, memory: &'memory Workspace) -> &'memory [f32] {
        let tensor = self.tensors[step.output];
        &memory.slots[tensor.slot][..tensor.planes.len()]
    }
}
