//! Laws of trainers.

use boresight_core::{Context, Fit, TrainEvent, Trainer};
use std::fmt::Debug;
use std::ops::ControlFlow;

/// Laws of a trainer, checked on one network: equal contexts give equal fits and equal events; steps and epochs are
/// counted upwards from 1 and stay within what was planned; an observer that breaks off at the first event is obeyed.
///
/// Trains the network three times, the last time up to the first event: choose a small one.
///
/// # Panics
/// With the name of the first law that is broken, or when training returns an error.
#[track_caller]
pub fn trainer_laws<N: ?Sized, T>(trainer: &T, network: &N, context: &Context)
where
    T: Trainer<N> + ?Sized,
    T::Model: PartialEq + Debug,
    T::Error: Debug,
{
    let (fit, events) = watched(trainer, network, context, usize::MAX);
    let (again, events_again) = watched(trainer, network, context, usize::MAX);
    assert_eq!(again, fit, "equal contexts give equal fits: broken in {context:?}");
    // As text, because the loss of a diverged epoch may be NaN.
    let (told, told_again) = (format!("{events:?}"), format!("{events_again:?}"));
    assert_eq!(told_again, told, "equal contexts give equal events: broken in {context:?}");
    assert!(fit != Fit::Interrupted, "training ends by itself: broken, nobody broke it off");
    check_progress(&events);
    if !events.is_empty() {
        let (stopped, _) = watched(trainer, network, context, 1);
        assert_eq!(stopped, Fit::Interrupted, "an observer that breaks off is obeyed: broken");
    }
}

/// Trains and breaks off at the event of this number, counted from 1.
#[track_caller]
fn watched<N: ?Sized, T>(
    trainer: &T,
    network: &N,
    context: &Context,
    last: usize,
) -> (Fit<T::Model>, Vec<TrainEvent>)
where
    T: Trainer<N> + ?Sized,
    T::Error: Debug,
{
    let mut events = Vec::new();
    let mut observer = |event: &TrainEvent| {
        events.push(event.clone());
        if events.len() >= last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    match trainer.train(network, context, &mut observer) {
        Ok(fit) => (fit, events),
        Err(error) => panic!("the trainer trains the network: broken in {context:?}: {error:?}"),
    }
}

#[track_caller]
fn check_progress(events: &[TrainEvent]) {
    let (mut last_step, mut last_epoch) = (0, 0);
    for event in events {
        let (last, now, planned) = match event {
            TrainEvent::Step { step, steps } => (&mut last_step, *step, *steps),
            TrainEvent::Epoch { epoch, epochs, .. } => (&mut last_epoch, *epoch, *epochs),
            _ => continue,
        };
        assert_eq!(now, *last + 1, "steps and epochs are counted upwards from 1: broken by {event:?}");
        assert!(now <= planned, "progress stays within the plan: broken by {event:?}");
        *last = now;
    }
}
