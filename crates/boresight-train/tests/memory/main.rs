//! What a step of the trainer allocates, counted by the allocator.

#![expect(unsafe_code, reason = "an allocator that counts is an unsafe trait")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use boresight_core::{Context, Fit, Seed, TrainEvent, Trainer};
use boresight_ir::{Builder, Conv2d, InputForm, Network, Op, Shape, Weights, Window, fold_batch_norm};
use boresight_numerics::NumericProfile;
use boresight_train::{Examples, SegmentationTrainer, TrainSettings};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether threads that begin now count.
static COUNTING: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether what this thread asks for counts, as its first request decides: that of the harness came too early.
    static COUNTED: Cell<Option<bool>> = const { Cell::new(None) };
}

fn counts() -> bool {
    let counted = COUNTED.get().unwrap_or_else(|| COUNTING.load(Ordering::Relaxed));
    COUNTED.set(Some(counted));
    counted
}

/// The system's allocator, with the bytes it was asked for by threads that count.
struct Counting(AtomicUsize);

#[global_allocator]
static ALLOCATOR: Counting = Counting(AtomicUsize::new(0));

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if counts() {
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

/// Tiles whose making allocates nothing.
struct Stripes;

impl Examples for Stripes {
    fn count(&self) -> usize {
        30
    }

    fn fill(&self, _epoch: Seed, index: usize, counts: &mut [f32], labels: &mut [u8]) {
        for (at, count) in counts.iter_mut().enumerate() {
            *count = if (at + index).is_multiple_of(5) { 3000.0 } else { 1000.0 };
        }
        for (at, label) in labels.iter_mut().enumerate() {
            *label = u8::from((at + index).is_multiple_of(5));
        }
    }
}

fn network() -> Network {
    let mut builder = Builder::new(Shape::new(2, 32, 32)).unwrap();
    let mut last = builder.input();
    for (name, op) in [
        ("first", Op::Conv2d(Conv2d::same(8, 3))),
        ("norm", Op::BatchNorm { epsilon: 1e-5 }),
        ("relu", Op::Relu),
        ("drop", Op::Dropout { rate: 0.1 }),
        ("depthwise", Op::Conv2d(Conv2d::same(8, 3).depthwise())),
        ("pool", Op::MaxPool(Window::square(2))),
        ("up", Op::Upsample { resize: boresight_ir::Resize::Bilinear, size: [32, 32] }),
        ("last", Op::Conv2d(Conv2d::same(2, 1))),
    ] {
        last = builder.add(name, op, &[last]).unwrap();
    }
    builder.finish(last).unwrap()
}

/// Bytes that each step but the first asks for.
fn bytes_of_steps(trainer: &SegmentationTrainer<'_>, network: &Network) -> Vec<usize> {
    let mut marks = Vec::with_capacity(64);
    let mut observer = |event: &TrainEvent| {
        if matches!(event, TrainEvent::Step { .. }) {
            marks.push(ALLOCATOR.0.load(Ordering::Relaxed));
        }
        ControlFlow::Continue(())
    };
    let fit = trainer.train(network, &Context::new(Seed::new(1)), &mut observer).unwrap();
    assert!(matches!(fit, Fit::Trained(_)), "{fit:?}");
    assert!(marks[0] > 0, "what the first step takes was not counted");
    marks.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn a_steady_step_allocates_nothing() {
    COUNTING.store(true, Ordering::Relaxed);
    COUNTED.set(Some(true));
    let network = network();
    let (folded, start) = fold_batch_norm(&network, &Weights::initial(&network, Seed::new(1))).unwrap();
    let (f32, f16) = (NumericProfile::f32(), NumericProfile::myriad_x_optimistic());
    let settings = TrainSettings { batch: 5, ..TrainSettings::fp32(1) };
    for threads in [1, 2] {
        let fp32 = SegmentationTrainer {
            settings: &settings,
            examples: &Stripes,
            mean: &[1400.0, 1400.0],
            deviation: &[800.0, 800.0],
            profile: &f32,
            input: InputForm::Normalised,
            start: None,
            threads: NonZeroUsize::new(threads).unwrap(),
            validation: None,
        };
        let fp16 =
            SegmentationTrainer { profile: &f16, input: InputForm::Counts, start: Some(&start), ..fp32 };
        for (trainer, network) in [(fp32, &network), (fp16, &folded)] {
            assert_eq!(bytes_of_steps(&trainer, network), [0; 5], "{threads} threads, {trainer:?}");
        }
    }
}
