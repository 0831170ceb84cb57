//! Which buffer each value and each gradient lies in.

use crate::slots::Slots;
use crate::step::{Kind, Step};
use crate::{Arithmetic, Plan};
use std::slice;

/// What a plan is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Training,
    Inference,
}

/// When a tensor's value is read for the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastRead {
    /// By this step, forward.
    Forward(usize),
    /// By this step, on the way back.
    Backward(usize),
    /// By the caller.
    Caller,
}

impl Plan {
    /// Gives every tensor its slots, and decides which are made anew on the way back: those whose room is needed where
    /// the plan needs most.
    pub(crate) fn place(&mut self, purpose: Purpose) {
        let made = match purpose {
            Purpose::Training => self.gradients_made(),
            Purpose::Inference => vec![false; self.tensors.len()],
        };
        // A narrow device rounds each value where it is kept.
        let remakes = !matches!(self.arithmetic, Arithmetic::Narrow(_));
        if remakes {
            self.defer_upsampling();
        }
        if remakes && purpose == Purpose::Training {
            self.choose_remade(&made);
        }
        self.place_all(purpose, &made);
        // What was made last is needed first, so it is the likeliest to be free.
        for tensor in (0..self.tensors.len()).rev() {
            let Some(maker) = self.tensors[tensor].remade.filter(|_| !self.tensors[tensor].deferred) else {
                continue;
            };
            self.tensors[tensor].remade = None;
            let before = self.slot_sizes.clone();
            self.place_all(purpose, &made);
            if self.slot_sizes.iter().sum::<usize>() > before.iter().sum() {
                self.tensors[tensor].remade = Some(maker);
                self.slot_sizes = before;
            }
        }
        self.place_all(purpose, &made);
        self.room = self.room();
    }

    /// Time runs through the steps forward, then back: a value lives from its maker to its last reader, a gradient from
    /// the last reader's step back to the maker's.
    pub(crate) fn place_all(&mut self, purpose: Purpose, made: &[bool]) {
        self.tensors.iter_mut().for_each(|tensor| tensor.gradient = None);
        let last = self.last_reads(made);
        let mut slots = Slots::default();
        for at in 0..self.steps.len() {
            let output = self.steps[at].output;
            if self.tensors[output].deferred {
                continue;
            }
            self.tensors[output].slot = slots.take(self.tensors[output].planes.len());
            self.release(LastRead::Forward(at), &last, &mut slots);
        }
        if purpose == Purpose::Training {
            self.place_gradients(made, &last, &mut slots);
        }
        self.slot_sizes = slots.into_sizes();
    }

    fn release(&self, now: LastRead, last: &[LastRead], slots: &mut Slots) {
        // The image, tensor 0, is the caller's.
        for (tensor, _) in last.iter().enumerate().skip(1).filter(|(_, read)| **read == now) {
            slots.release(self.tensors[tensor].slot);
        }
    }

    fn last_reads(&self, made: &[bool]) -> Vec<LastRead> {
        let mut last = vec![LastRead::Caller; self.tensors.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for &input in &step.inputs {
                let deferred = self.tensors[input].remade.filter(|_| self.tensors[input].deferred);
                let read = deferred.map_or(slice::from_ref(&input), |maker| &self.steps[maker].inputs);
                for &input in read {
                    last[input] = LastRead::Forward(at);
                }
            }
        }
        for (at, step) in self.steps.iter().enumerate().rev() {
            if made[step.output] && step.backward_reads_inputs() {
                for &input in &step.inputs {
                    self.makings(input, &mut |kept| last[kept] = LastRead::Backward(at));
                }
            }
        }
        if self.narrow.looks_back() {
            for (at, step) in self.steps.iter().enumerate().filter(|(_, step)| made[step.output]) {
                last[step.output] = LastRead::Backward(at);
            }
        }
        last[self.output] = LastRead::Caller;
        last
    }

    fn place_gradients(&mut self, made: &[bool], last: &[LastRead], slots: &mut Slots) {
        self.tensors[self.output].gradient = Some(slots.take(self.tensors[self.output].planes.len()));
        for at in (0..self.steps.len()).rev() {
            let step = &self.steps[at];
            let (output, first) = (step.output, step.inputs[0]);
            let own = self.tensors[output].gradient;
            let in_place = step.passes_on_in_place() && made[first] && self.tensors[first].gradient.is_none();
            if in_place {
                self.tensors[first].gradient = own;
            }
            for &input in &self.steps[at].inputs {
                let tensor = &mut self.tensors[input];
                if made[input] && tensor.gradient.is_none() {
                    tensor.gradient = Some(slots.take(tensor.planes.len()));
                }
            }
            if let Some(slot) = own.filter(|_| !in_place) {
                slots.release(slot);
            }
            self.release(LastRead::Backward(at), last, slots);
        }
    }

    /// Which tensors' gradients are made: where a parameter lies before them, or a rule makes them with others.
    pub(crate) fn gradients_made(&self) -> Vec<bool> {
        let mut wanted = vec![false; self.tensors.len()];
        for step in &self.steps {
            let own =
                matches!(step.kind, Kind::Convolve { .. } | Kind::Normalise(_) | Kind::ScaleShift { .. });
            wanted[step.output] = own || step.inputs.iter().any(|&input| wanted[input]);
        }
        let mut made = wanted.clone();
        for step in self.steps.iter().filter(|step| wanted[step.output]) {
            // These rules make all their gradients at once.
            if matches!(step.kind, Kind::Normalise(_) | Kind::ScaleShift { .. } | Kind::ChannelScale) {
                step.inputs.iter().for_each(|&input| made[input] = true);
            }
        }
        made[self.output] = true;
        made
    }
}

impl Step {
    /// Whether the rule turns the gradient of the result into that of the first operand where it stands.
    fn passes_on_in_place(&self) -> bool {
        match self.kind {
            Kind::Normalise(_)
            | Kind::ScaleShift { .. }
            | Kind::Activate(_)
            | Kind::Softmax
            | Kind::ChannelScale => true,
            // A tensor that is added to itself, or multiplied with itself, collects two gradients.
            Kind::Add(_) | Kind::Mul => !self.inputs[1..].contains(&self.inputs[0]),
            _ => false,
        }
    }

    /// Whether the rule of the gradient needs what the step has read.
    pub(crate) const fn backward_reads_inputs(&self) -> bool {
        match self.kind {
            Kind::Convolve { .. }
            | Kind::Normalise(_)
            | Kind::ScaleShift { .. }
            | Kind::Activate(_)
            | Kind::Softmax
            | Kind::MaxPool(_)
            | Kind::Mul
            | Kind::ChannelScale => true,
            Kind::AvgPool(_)
            | Kind::GlobalAvgPool
            | Kind::Upsample(_)
            | Kind::Concat
            | Kind::Add(_)
            | Kind::Slice { .. }
            | Kind::Pad { .. }
            | Kind::ZeroStuff { .. }
            | Kind::Dropout { .. } => false,
        }
    }
}
