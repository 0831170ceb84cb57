//! Gradients that are passed on in place.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use crate::buffer::Shared;
use std::ops::Range;

/// The gradient of an operator's result, which becomes that of its input, or a sum that the latter is added to.
///
/// A result's gradient is read by its own operator alone, so its place is free afterwards: what is passed on needs no
/// memory of its own, and what is read and written lies in one place.
#[derive(Clone, Copy)]
pub(crate) struct Gradient<'data> {
    pub(crate) place: Shared<'data>,
    sum: Option<Shared<'data>>,
}

impl<'data> Gradient<'data> {
    /// # Panics
    /// When the sum has another length.
    pub(crate) fn new(place: &'data mut [f32], sum: Option<&'data mut [f32]>) -> Self {
        if let Some(sum) = &sum {
            assert_eq!(place.len(), sum.len(), "a gradient and the sum that it is added to differ in length");
        }
        Self { place: Shared::new(place), sum: sum.map(Shared::new) }
    }

    /// Turns the gradient g at `range` into f(x, g), and adds it to the sum if there is one.
    ///
    /// # Safety
    /// Nothing else reads or writes this part meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn pass(self, range: Range<usize>, x: &[f32], f: impl Fn(f32, f32) -> f32) {
        // SAFETY: the caller vouches for the part, and the two are different slices.
        let (place, sum) = unsafe { (self.place.part(range.clone()), self.sum.map(|sum| sum.part(range))) };
        if let Some(sum) = sum {
            for ((sum, &g), &x) in sum.iter_mut().zip(&*place).zip(x) {
                *sum += f(x, g);
            }
        } else {
            for (g, &x) in place.iter_mut().zip(x) {
                *g = f(x, *g);
            }
        }
    }
}
