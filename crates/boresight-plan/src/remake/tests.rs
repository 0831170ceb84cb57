//! What is made anew has the bits of what would be kept.

#![expect(clippy::cast_possible_truncation, reason = "test data are drawn in f64 and stored in f32")]

#[expect(dead_code, reason = "other tests need the small networks")]
#[path = "../../tests/plan/networks.rs"]
mod networks;

use crate::place::Purpose;
use crate::{Arithmetic, Mode, Plan, Store};
use boresight_core::Seed;
use boresight_ir::{Builder, Conv2d, Network, Op, Resize, Shape, Window};
use proptest::prelude::*;
use std::collections::BTreeSet;

const BATCH: usize = 3;

/// The same plan with every tensor made anew that can be, or with none.
fn variant(plan: &Plan, remakes: bool) -> Plan {
    let mut plan = plan.clone();
    let made = plan.gradients_made();
    plan.tensors.iter_mut().filter(|tensor| !tensor.deferred).for_each(|tensor| tensor.remade = None);
    if remakes {
        plan.choose_remade(&made);
    }
    plan.place_all(Purpose::Training, &made);
    plan.room = plan.room();
    plan
}

/// Bits of the gradient of one step.
fn gradient(plan: &Plan, network: &Network, mode: Mode) -> Vec<u32> {
    let weights = networks::weights(network, Seed::new(1));
    let images = networks::normals(Seed::new(2), plan.input_planes().len());
    let slope = networks::normals(Seed::new(3), plan.output_planes().len());
    let mut gradient = vec![0.0; plan.layout().trainable()];
    let mut memory = plan.workspace();
    plan.forward(weights.values(), &images, mode, &mut memory);
    plan.backward(weights.values(), &images, &slope, &mut memory, &mut gradient);
    gradient.iter().map(|value| value.to_bits()).collect()
}

/// A U-Net of one stage with a squeeze, normalised everywhere.
fn unet(size: usize) -> Network {
    let mut builder = Builder::new(Shape::new(2, size, size)).unwrap();
    let mut last = builder.input();
    let mut add = |name: &str, op, inputs: &[_]| builder.add(name, op, inputs).unwrap();
    let conv = |channels| Op::Conv2d(Conv2d::same(channels, 3).without_bias());
    for name in ["a", "b", "c", "d"] {
        last = add(&format!("{name}.conv"), conv(8), &[last]);
        last = add(&format!("{name}.norm"), Op::BatchNorm { epsilon: 1e-5 }, &[last]);
        last = add(&format!("{name}.relu"), Op::Relu, &[last]);
    }
    let skip = last;
    let pooled = add("pool", Op::MaxPool(Window::square(2)), &[skip]);
    let deep = add("deep.conv", conv(8), &[pooled]);
    let deep = add("deep.norm", Op::BatchNorm { epsilon: 1e-5 }, &[deep]);
    let mean = add("mean", Op::GlobalAvgPool, &[deep]);
    let factors = add("factors", Op::Conv2d(Conv2d::same(8, 1)), &[mean]);
    let factors = add("sigmoid", Op::Sigmoid, &[factors]);
    let scaled = add("scaled", Op::ChannelScale, &[deep, factors]);
    let narrow = add("narrow", Op::Conv2d(Conv2d::same(8, 1)), &[scaled]);
    let up = add("up", Op::Upsample { resize: Resize::Nearest, size: [size; 2] }, &[narrow]);
    let joined = add("joined", Op::Concat, &[up, skip]);
    let last = add("last.conv", conv(8), &[joined]);
    let last = add("last.norm", Op::BatchNorm { epsilon: 1e-5 }, &[last]);
    let last = add("last.relu", Op::Relu, &[last]);
    let head = add("head", Op::Conv2d(Conv2d::same(2, 1)), &[last]);
    builder.finish(head).unwrap()
}

#[test]
fn in_a_unet_the_results_of_normalisations_are_not_kept() {
    let network = unet(32);
    let plan = Plan::training(&network, BATCH, Arithmetic::Fast).unwrap();
    let all = variant(&plan, true);
    let remade = network.nodes().iter().zip(&all.tensors).filter(|(_, tensor)| tensor.remade.is_some());
    let names: BTreeSet<&str> = remade.map(|(node, _)| node.name.as_str()).collect();
    let expected =
        ["a.relu", "b.relu", "c.relu", "d.relu", "deep.norm", "joined", "last.relu", "scaled", "up"];
    assert_eq!(names, BTreeSet::from(expected));
    let kept = variant(&plan, false);
    let values = |plan: &Plan| plan.slot_sizes.iter().sum::<usize>();
    assert!(values(&plan) * 10 < values(&kept) * 7, "{} {}", values(&plan), values(&kept));
    assert!(values(&plan) <= values(&all));
}

proptest! {
    #[test]
    fn gradients_have_the_bits_of_a_plan_that_keeps_everything(seed: u64, trains: bool) {
        let mode = if trains { Mode::Train(Seed::new(7)) } else { Mode::Evaluate };
        for network in [networks::random(Seed::new(seed)), unet(6)] {
            for arithmetic in [Arithmetic::Fast, Arithmetic::Device(Store::F16)] {
                // Normalisations are folded before a device sees them.
                let Ok(plan) = Plan::training(&network, BATCH, arithmetic) else { continue };
                let kept = gradient(&variant(&plan, false), &network, mode);
                prop_assert!(gradient(&plan, &network, mode) == kept);
                prop_assert!(gradient(&variant(&plan, true), &network, mode) == kept);
            }
        }
    }
}
