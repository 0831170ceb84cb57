//! Memory that begins on a cache line, and slices that several threads write.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};

/// Values of one cache line.
const LINE: usize = 16;

#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
struct Line([f32; LINE]);

/// Numbers that begin on a cache line of 64 bytes; their count is rounded up to whole lines.
#[derive(Clone, Debug, Default)]
pub struct Buffer {
    lines: Vec<Line>,
}

impl Buffer {
    /// At least `len` zeros.
    pub fn new(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)] }
    }

    /// Grows to at least `len` values and cuts one part of each size out of the front; each begins on a cache line.
    pub(crate) fn parts<const N: usize>(&mut self, sizes: [usize; N]) -> [&mut [f32]; N] {
        let total = parts_len(&sizes);
        if self.len() < total {
            self.lines.resize(total.div_ceil(LINE), Line([0.0; LINE]));
        }
        let mut rest: &mut [f32] = self;
        sizes.map(|size| {
            let (part, others) = std::mem::take(&mut rest).split_at_mut(size.next_multiple_of(LINE));
            rest = others;
            &mut part[..size]
        })
    }

    /// Bytes that a buffer of `len` values takes.
    pub const fn bytes(len: usize) -> usize {
        len.div_ceil(LINE) * size_of::<Line>()
    }
}

/// Values that [`Buffer::parts`] takes for parts of these sizes.
pub(crate) fn parts_len(sizes: &[usize]) -> usize {
    sizes.iter().map(|size| size.next_multiple_of(LINE)).sum()
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let lines = self.lines.as_slice();
        // SAFETY: a line is sixteen `f32` without gaps, so the lines are one slice of them; it borrows as `self` does.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LINE) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        let lines = self.lines.as_mut_slice();
        // SAFETY: as above, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LINE) }
    }
}

/// A slice that the threads of a team write, each in places of its own.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'data> {
    start: *mut f32,
    len: usize,
    data: PhantomData<&'data mut [f32]>,
}

// SAFETY: it is a unique borrow of plain numbers, and whoever takes a part promises that no other thread has it.
unsafe impl Send for Shared<'_> {}
// SAFETY: as above.
unsafe impl Sync for Shared<'_> {}

impl<'data> Shared<'data> {
    pub(crate) fn new(slice: &'data mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), data: PhantomData }
    }

    /// The part at `range`.
    ///
    /// # Safety
    /// Nothing else reads or writes this part while the result lives.
    #[inline(always)]
    pub(crate) unsafe fn part(self, range: Range<usize>) -> &'data mut [f32] {
        assert!(range.start <= range.end && range.end <= self.len, "the part leaves the slice");
        // SAFETY: the part lies within the slice that is borrowed for 'data, and the caller has it alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(range.start), range.len()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_begin_on_a_cache_line_and_hold_what_was_asked_for() {
        for len in [0, 1, 16, 17, 1000] {
            let mut buffer = Buffer::new(len);
            assert_eq!(buffer.as_ptr().align_offset(64), 0);
            assert_eq!(buffer.len() * size_of::<f32>(), Buffer::bytes(len));
            assert!(buffer.len() >= len && buffer.iter().all(|value| value.to_bits() == 0));
            buffer.fill(2.0);
            assert!(buffer.iter().all(|value| value.to_bits() == 2_f32.to_bits()));
        }
    }

    #[test]
    fn parts_begin_on_cache_lines_and_do_not_overlap() {
        let mut buffer = Buffer::default();
        let sizes = [5, 0, 16, 33];
        let parts = buffer.parts(sizes);
        assert_eq!(parts.each_ref().map(|part| part.len()), sizes);
        for part in &parts {
            assert_eq!(part.as_ptr().align_offset(64), 0);
        }
        assert_eq!(buffer.len(), parts_len(&sizes));
        assert_eq!(parts_len(&sizes), 16 + 16 + 48);
    }
}
