//! One training step of the reference network beside the golden of `golden.py`.
//!
//! Tolerance: 1e-4, what the project asks of single precision wherever two of its ways to compute a network are compared
//! (plan and composition, too). Errors are taken relative to the root mean square of the tensor, so that a value near
//! zero is not asked for more than its neighbours can give.

use super::reference;
use boresight::core::Seed;
use boresight::ir::{Network, Role, Slot, Weights};
use boresight::kernels::{Loss, Team, loss_and_gradient};
use boresight::plan::{Arithmetic, Mode, Plan};
use serde::Deserialize;

const BATCH: usize = 2;
const SIZE: usize = 24;
const TOLERANCE: f64 = 1e-4;

#[derive(Deserialize)]
struct Golden {
    loss: f64,
    train_logits: Vec<f64>,
    evaluate_logits: Vec<f64>,
    gradients: Vec<Summary>,
    statistics: Vec<Summary>,
}

/// A tensor in a few numbers.
#[derive(Deserialize)]
struct Summary {
    name: String,
    count: usize,
    norm: f64,
    /// With the draw of `<name>.probe`.
    dot: f64,
    /// First, middle and last value.
    probes: [f64; 3],
}

impl Summary {
    /// What is wrong with `values`, if anything.
    fn refuse(&self, values: &[f32]) -> Option<String> {
        let dot = |other: &[f64]| -> f64 { values.iter().zip(other).map(|(&x, y)| f64::from(x) * y).sum() };
        let own: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        let direction: Vec<f64> = draw(&format!("{}.probe", self.name), values.len()).collect();
        let typical = self.norm / (self.count as f64).sqrt();
        // A direction of values in [-1, 1) makes products of about the tensor's norm.
        let mut pairs =
            vec![(dot(&own).sqrt(), self.norm, self.norm), (dot(&direction), self.dot, self.norm)];
        let places = [0, self.count / 2, self.count - 1];
        pairs.extend(places.into_iter().zip(self.probes).map(|(at, probe)| (own[at], probe, typical)));
        let wrong = pairs.iter().find(|(found, expected, scale)| !close(*found, *expected, *scale))?;
        Some(format!("{}: found {}, expected {}, typical is {typical}", self.name, wrong.0, wrong.1))
    }
}

/// What the plan makes of the same step.
struct Run {
    network: Network,
    loss: f64,
    train_logits: Vec<f32>,
    evaluate_logits: Vec<f32>,
    gradient: Vec<f32>,
    updated: Weights,
}

impl Run {
    fn new() -> Self {
        let network = reference::network(3, 2, SIZE).unwrap();
        let plan = Plan::training(&network, BATCH, Arithmetic::Fast).unwrap();
        let mut weights = weights(&network);
        let mut memory = plan.workspace();
        let images: Vec<f32> = rounded(draw("images", plan.input_planes().len()).map(|value| 1.7 * value));
        let labels: Vec<u8> =
            draw("labels", BATCH * SIZE * SIZE).map(|value| u8::from(value < 0.0)).collect();
        let evaluate_logits = plan.forward(weights.values(), &images, Mode::Evaluate, &mut memory).to_vec();
        let mode = Mode::Train(Seed::new(1));
        let train_logits = plan.forward(weights.values(), &images, mode, &mut memory).to_vec();
        let mut slope = vec![0.0; train_logits.len()];
        let planes = plan.output_planes();
        let loss =
            loss_and_gradient(&Team::alone(), &Loss::default(), planes, &train_logits, &labels, &mut slope)
                .unwrap();
        let mut gradient = vec![0.0; network.parameter_count()];
        plan.backward(weights.values(), &images, &slope, &mut memory, &mut gradient);
        plan.commit_statistics(&memory, 0.1, weights.values_mut());
        Self { network, loss, train_logits, evaluate_logits, gradient, updated: weights }
    }

    /// Every tensor of `values` that differs from its summary; there is a summary for each tensor that `belongs`.
    fn differences(&self, golden: &[Summary], values: &[f32], belongs: fn(Role) -> bool) -> Vec<String> {
        let slots = self.network.layout().slots();
        let names = |slot: &Slot| golden.iter().any(|summary| summary.name == slot.name);
        let missing = slots.iter().filter(|slot| belongs(slot.role) && !names(slot));
        let missing = missing.map(|slot| format!("{} is not in the golden", slot.name));
        let checked = golden.iter().filter_map(|summary| {
            let slot =
                self.network.layout().find(&summary.name).filter(|slot| slot.range.len() == summary.count);
            slot.map_or_else(
                || Some(format!("{} is not in the network, or of another size", summary.name)),
                |slot| summary.refuse(&values[slot.range.clone()]),
            )
        });
        missing.chain(checked).collect()
    }
}

#[test]
fn logits_and_loss_are_pytorchs() {
    let (golden, run) = (golden(), Run::new());
    assert!(close(run.loss, golden.loss, golden.loss), "{} instead of {}", run.loss, golden.loss);
    for (found, expected) in
        [(&run.train_logits, &golden.train_logits), (&run.evaluate_logits, &golden.evaluate_logits)]
    {
        assert_eq!(found.len(), expected.len());
        let squares: f64 = expected.iter().map(|value| value * value).sum();
        let typical = (squares / expected.len() as f64).sqrt();
        for (at, (&found, &expected)) in found.iter().zip(expected).enumerate() {
            assert!(close(f64::from(found), expected, typical), "value {at}: {found} instead of {expected}");
        }
    }
}

#[test]
fn the_gradient_of_every_tensor_is_pytorchs() {
    let run = Run::new();
    assert_eq!(run.network.parameter_count(), 100_474);
    let differences = run.differences(&golden().gradients, &run.gradient, Role::is_trainable);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn running_statistics_move_as_pytorchs() {
    let run = Run::new();
    let belongs = |role| matches!(role, Role::Mean | Role::Variance);
    let differences = run.differences(&golden().statistics, run.updated.values(), belongs);
    assert!(differences.is_empty(), "{differences:#?}");
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden.json")).unwrap()
}

fn close(found: f64, expected: f64, scale: f64) -> bool {
    (found - expected).abs() <= TOLERANCE * scale.max(expected.abs())
}

/// The weights of `golden.py`.
fn weights(network: &Network) -> Weights {
    let mut weights = Weights::initial(network, Seed::new(1));
    for slot in network.layout().slots() {
        let fan_in: usize = slot.shape[1..].iter().product();
        let (middle, spread) = match slot.role {
            Role::Weight => (0.0, (3.0 / fan_in as f64).sqrt()),
            Role::Scale | Role::Variance => (1.0, 0.5),
            Role::Bias | Role::Shift | Role::Mean => (0.0, 0.25),
            Role::Border => (0.0, 0.0),
        };
        let values = draw(&slot.name, slot.range.len()).map(|value| middle + spread * value);
        weights.values_mut()[slot.range.clone()].copy_from_slice(&rounded(values));
    }
    weights
}

#[expect(clippy::cast_possible_truncation, reason = "both sides round to single precision here")]
fn rounded(values: impl Iterator<Item = f64>) -> Vec<f32> {
    values.map(|value| value as f32).collect()
}

/// Values in [-1, 1) that only depend on a name: FNV-1a of the name, then a hash of each position.
fn draw(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let fold = |seed: u32, byte: u8| (seed ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let mut next = name.bytes().fold(0x811c_9dc5, fold);
    std::iter::repeat_with(move || {
        let bits = hash32(next) >> 8;
        next = next.wrapping_add(1);
        f64::from(bits) / f64::from(1 << 23) - 1.0
    })
    .take(count)
}

const fn hash32(value: u32) -> u32 {
    let value = (value ^ (value >> 16)).wrapping_mul(0x7feb_352d);
    let value = (value ^ (value >> 15)).wrapping_mul(0x846c_a68b);
    value ^ (value >> 16)
}
