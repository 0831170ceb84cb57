//! What a workspace allocates, counted by the allocator.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(clippy::cast_possible_truncation, reason = "test data are drawn in f64 and stored in f32")]

#[expect(dead_code, reason = "other tests need the small networks")]
#[path = "../plan/networks.rs"]
mod networks;

use boresight_core::Seed;
use boresight_ir::Network;
use boresight_kernels::{AdamW, Loss, adamw_step, clip_norm, loss_and_gradient};
use boresight_plan::{Arithmetic, Mode, Plan, Store, Team};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    /// Whether what this thread asks for counts. The harness has a thread of its own, and one that starts asks for what
    /// the system keeps for it.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts from now on what the threads of `team` ask for.
fn count_on(team: &Team) {
    let all = Barrier::new(team.threads());
    // None of them is through before all have come, so each has one part.
    team.each(0..team.threads(), |_| {
        COUNTED.set(true);
        all.wait();
    });
}

/// The system's allocator, with the bytes it was asked for by those that count.
struct Counting(AtomicUsize);

#[global_allocator]
static ALLOCATOR: Counting = Counting(AtomicUsize::new(0));

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTED.get() {
            self.0.fetch_add(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(place, layout) }
    }
}

fn asked_for() -> usize {
    ALLOCATOR.0.load(Ordering::Relaxed)
}

/// Bytes that `work` asks for, with what it returns.
fn bytes<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = asked_for();
    let result = work();
    (asked_for() - before, result)
}

const BATCH: usize = 3;

/// Checks one network on `team`: the workspace takes what the plan says, and steps take nothing.
fn check(network: &Network, arithmetic: Arithmetic, team: &Team) {
    let Ok(plan) = Plan::training(network, BATCH, arithmetic) else { return };
    let mut weights = networks::weights(network, Seed::new(1)).values().to_vec();
    let images = networks::normals(Seed::new(2), BATCH * network.input_shape().len());
    let (planes, parameters) = (plan.output_planes(), plan.layout().trainable());
    let labels = vec![0; planes.batch * planes.plane()];
    let [mut gradient, mut first, mut second] = [(); 3].map(|()| vec![0.0; parameters]);
    let (mut slope, loss) = (vec![0.0; planes.len()], Loss { dice: 0.5, ..Loss::default() });

    let expected = plan.peak_bytes_on(NonZeroUsize::new(team.threads()).unwrap());
    let (taken, mut memory) = bytes(|| plan.workspace_on(team));
    assert_eq!(taken, expected, "{network:?}");

    let mut step = |number| {
        let mode = Mode::Train(Seed::new(number));
        let logits = plan.forward(&weights, &images, mode, &mut memory);
        loss_and_gradient(team, &loss, planes, logits, &labels, &mut slope).unwrap();
        plan.backward(&weights, &images, &slope, &mut memory, &mut gradient);
        clip_norm(&mut gradient, 1.0);
        let (settings, parameters) = (AdamW::default(), &mut weights[..parameters]);
        adamw_step(team, parameters, &gradient, &mut first, &mut second, &settings, number, &[]);
        plan.commit_statistics(&memory, 0.1, &mut weights);
    };
    // The first step on a thread makes what the system keeps for it, such as its handle.
    step(1);
    let (taken, ()) = bytes(|| (2..5).for_each(&mut step));
    assert_eq!(taken, 0, "{network:?}");
}

#[test]
fn a_workspace_takes_the_bytes_that_the_plan_tells_and_steps_take_none() {
    // One test, one thread: others would be counted along.
    for threads in [1, 3] {
        let team = Team::new(NonZeroUsize::new(threads).unwrap());
        count_on(&team);
        for number in 0..100 {
            let network = networks::random(Seed::new(number));
            for arithmetic in [Arithmetic::Fast, Arithmetic::Device(Store::F16)] {
                check(&network, arithmetic, &team);
            }
            let plan = Plan::inference(&network, BATCH, Arithmetic::Fast).unwrap();
            let (taken, memory) = bytes(|| plan.workspace());
            assert_eq!(taken, plan.peak_bytes());
            let (taken, copy) = bytes(|| memory.clone());
            assert_eq!(taken, plan.peak_bytes());
            drop(copy);
        }
    }
}
