//! The number of threads changes no bit.

use crate::networks::{self, normals};
use boresight_core::Seed;
use boresight_ir::{Builder, Conv2d, Filling, Network, Op, Shape};
use boresight_kernels::{AdamW, adamw_step};
use boresight_plan::{Arithmetic, Mode, Plan, Store, Team};
use std::num::NonZeroUsize;

/// No number of threads that is tested divides it.
const BATCH: usize = 7;

fn team(threads: usize) -> Team {
    Team::new(NonZeroUsize::new(threads).unwrap())
}

/// Bits of logits and gradients of three steps, and of the weights and running statistics after them.
fn three_steps(plan: &Plan, weights: &[f32], images: &[f32], team: &Team) -> Vec<u32> {
    let mut memory = plan.workspace_on(team);
    let (mut weights, parameters) = (weights.to_vec(), plan.layout().trainable());
    let [mut gradient, mut first, mut second] = [(); 3].map(|()| vec![0.0; parameters]);
    let slope = normals(Seed::new(6), plan.output_planes().len());
    let mut seen = Vec::new();
    for step in 1..=3 {
        seen.extend_from_slice(plan.forward(&weights, images, Mode::Train(Seed::new(step)), &mut memory));
        plan.backward(&weights, images, &slope, &mut memory, &mut gradient);
        seen.extend_from_slice(&gradient);
        let (settings, parameters) = (AdamW::default(), &mut weights[..parameters]);
        adamw_step(team, parameters, &gradient, &mut first, &mut second, &settings, step, &[]);
        plan.commit_statistics(&memory, 0.1, &mut weights);
    }
    seen.extend_from_slice(plan.forward(&weights, images, Mode::Evaluate, &mut memory));
    seen.extend(weights);
    seen.into_iter().map(f32::to_bits).collect()
}

fn check(network: &Network, arithmetic: Arithmetic, teams: &[Team]) {
    let Ok(plan) = Plan::training(network, BATCH, arithmetic) else { return };
    let weights = networks::weights(network, Seed::new(1));
    let images = normals(Seed::new(2), BATCH * network.input_shape().len());
    let expected = three_steps(&plan, weights.values(), &images, &Team::alone());
    for team in teams {
        let found = three_steps(&plan, weights.values(), &images, team);
        assert!(found == expected, "{team:?}: {network:?}");
    }
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let teams = [2, 3, 5].map(team);
    for number in 0..60 {
        let network = networks::random(Seed::new(number));
        for arithmetic in [Arithmetic::Fast, Arithmetic::Device(Store::F16)] {
            check(&network, arithmetic, &teams);
        }
    }
}

#[test]
fn steps_that_are_worth_help_give_the_same_bits() {
    let mut builder = Builder::new(Shape::new(3, 37, 41)).unwrap();
    let mut last = builder.input();
    for (at, op) in [
        Op::Conv2d(Conv2d::same(9, 3).without_bias()),
        Op::BatchNorm { epsilon: 1e-5 },
        Op::Gelu,
        Op::Dropout { rate: 0.2 },
        Op::Conv2d(Conv2d::same(9, 3).depthwise().strided(2)),
        Op::ScaleShift,
        Op::Relu,
        Op::ZeroStuff { stride: [2, 1] },
        Op::Pad { rows: [1, 0], columns: [0, 2], filling: Filling::Zero },
        Op::Conv2d(Conv2d::same(9, 3)),
        Op::LeakyRelu { slope: 0.1 },
    ]
    .into_iter()
    .enumerate()
    {
        last = builder.add(format!("{}{at}", op.name()), op, &[last]).unwrap();
    }
    let shares = builder.add("shares", Op::Softmax, &[last]).unwrap();
    let product = builder.add("product", Op::Mul, &[last, shares]).unwrap();
    let square = builder.add("square", Op::Mul, &[product, product]).unwrap();
    last = builder.add("last", Op::Conv2d(Conv2d::same(2, 1)), &[square]).unwrap();
    check(&builder.finish(last).unwrap(), Arithmetic::Fast, &[2, 3, 5, 9].map(team));
}

#[test]
fn two_workspaces_may_share_a_team() {
    let network = networks::random(Seed::new(3));
    let plan = Plan::training(&network, BATCH, Arithmetic::Fast).unwrap();
    let weights = networks::weights(&network, Seed::new(1));
    let images = normals(Seed::new(2), BATCH * network.input_shape().len());
    let expected = three_steps(&plan, weights.values(), &images, &Team::alone());
    let team = team(3);
    std::thread::scope(|scope| {
        let run = || three_steps(&plan, weights.values(), &images, &team) == expected;
        let handles = [scope.spawn(run), scope.spawn(run)];
        assert!(handles.into_iter().all(|handle| handle.join().unwrap()));
    });
}
