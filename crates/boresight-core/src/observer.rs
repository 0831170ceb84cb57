//! Watching long work, and stopping it.

use std::ops::ControlFlow;

/// Sees the events of long work and may break it off.
pub trait Observer<E: ?Sized> {
    /// Takes one event; `Break` asks the work to end as soon as its state is whole.
    fn observe(&mut self, event: &E) -> ControlFlow<()>;
}

impl<E: ?Sized, F: FnMut(&E) -> ControlFlow<()>> Observer<E> for F {
    fn observe(&mut self, event: &E) -> ControlFlow<()> {
        self(event)
    }
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ignore;

impl<E: ?Sized> Observer<E> for Ignore {
    fn observe(&mut self, _: &E) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
