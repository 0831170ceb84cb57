//! Times inference and training steps of the reference network: 128 by 128 pixels, 3 bands, batches of 8.
//!
//! `cargo bench -p boresight-bench --bench steps`; throughput is in images.

#[path = "../examples/training_step/reference.rs"]
mod reference;

use boresight::core::Seed;
use boresight::ir::{InputForm, Network, Weights, fold_batch_norm};
use boresight::kernels::{AdamW, Loss, Team, adamw_step, clip_norm, loss_and_gradient};
use boresight::numerics::NumericProfile;
use boresight::plan::{Arithmetic, Mode, Plan, Projection, Store, Workspace};
use criterion::{Criterion, Throughput};
use std::error::Error;
use std::time::Duration;

const BATCH: usize = 8;
const BANDS: usize = 3;
const SIZE: usize = 128;

fn main() -> Result<(), Box<dyn Error>> {
    let network = reference::network(BANDS, 2, SIZE)?;
    let weights = Weights::initial(&network, Seed::new(1));
    let (folded, folded_weights) = fold_batch_norm(&network, &weights)?;
    let half = NumericProfile::myriad_x_optimistic();
    let mut fp32 = Training::new(&network, weights.clone(), &NumericProfile::f32())?;
    let mut fp16 = Training::new(&folded, folded_weights.clone(), &half)?;

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("reference");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    for (name, network, weights, arithmetic) in [
        ("inference", &network, &weights, Arithmetic::Fast),
        ("inference on the device", &folded, &folded_weights, Arithmetic::Device(Store::F16)),
    ] {
        let plan = Plan::inference(network, BATCH, arithmetic)?;
        let (images, mut memory) = (images(plan.input_planes().len()), plan.workspace());
        group.bench_function(name, |bencher| {
            bencher.iter(|| plan.forward(weights.values(), &images, Mode::Evaluate, &mut memory)[0]);
        });
    }
    group.bench_function("training step", |bencher| bencher.iter(|| fp32.step()));
    group.bench_function("FP16-aware training step", |bencher| bencher.iter(|| fp16.step()));
    group.finish();
    criterion.final_summary();
    Ok(())
}

/// What a training step works on.
struct Training {
    plan: Plan,
    projection: Projection,
    memory: Workspace,
    weights: Weights,
    device: Vec<f32>,
    gradient: Vec<f32>,
    moments: [Vec<f32>; 2],
    images: Vec<f32>,
    labels: Vec<u8>,
    slope: Vec<f32>,
    steps: u64,
}

impl Training {
    fn new(network: &Network, weights: Weights, profile: &NumericProfile) -> Result<Self, Box<dyn Error>> {
        let projection =
            Projection::new(network, profile, InputForm::Normalised, &[0.0; BANDS], &[1.0; BANDS])?;
        let plan = Plan::training(network, BATCH, projection.training())?;
        let parameters = network.parameter_count();
        let output = plan.output_planes();
        Ok(Self {
            images: images(plan.input_planes().len()),
            labels: (0..BATCH * output.plane()).map(|pixel| u8::from(pixel.is_multiple_of(97))).collect(),
            slope: vec![0.0; output.len()],
            memory: plan.workspace(),
            device: vec![0.0; weights.values().len()],
            gradient: vec![0.0; parameters],
            moments: [vec![0.0; parameters], vec![0.0; parameters]],
            steps: 0,
            plan,
            projection,
            weights,
        })
    }

    /// What the trainer does with a loaded batch.
    fn step(&mut self) -> Option<f64> {
        self.projection.constants(self.weights.values(), &mut self.device);
        let mode = Mode::Train(Seed::new(self.steps));
        let logits = self.plan.forward(&self.device, &self.images, mode, &mut self.memory);
        let loss = Loss { dice: 1.0, ..Loss::default() };
        let (team, planes) = (Team::alone(), self.plan.output_planes());
        let loss = loss_and_gradient(&team, &loss, planes, logits, &self.labels, &mut self.slope).ok()?;
        self.plan.backward(&self.device, &self.images, &self.slope, &mut self.memory, &mut self.gradient);
        self.projection.adjoint(&self.device, &mut self.gradient);
        clip_norm(&mut self.gradient, 1.0);
        self.steps += 1;
        let [first, second] = &mut self.moments;
        let parameters = &mut self.weights.values_mut()[..self.gradient.len()];
        let optimizer = AdamW::default();
        adamw_step(&team, parameters, &self.gradient, first, second, &optimizer, self.steps, &[]);
        self.plan.commit_statistics(&self.memory, 0.1, self.weights.values_mut());
        Some(loss)
    }
}

fn images(count: usize) -> Vec<f32> {
    let mut stream = Seed::new(7).stream();
    #[expect(clippy::cast_possible_truncation, reason = "any value will do")]
    let draw = |_| stream.uniform(-1.7, 1.7) as f32;
    (0..count).map(draw).collect()
}
