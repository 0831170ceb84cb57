//! Buffers in one kind of memory, each in one piece.

/// A buffer or a hole, in blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    offset: u32,
    size: u32,
}

impl Span {
    pub(crate) const fn end(self) -> u32 {
        self.offset + self.size
    }
}

/// One kind of memory.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) holes: Vec<Span>,
    /// Everything from this block on is free.
    pub(crate) end: u32,
    /// Whether holes changed since this was said to be not so.
    pub(crate) changed: bool,
}

impl Pool {
    pub(crate) fn clear(&mut self) {
        self.holes.clear();
        self.end = 0;
    }

    /// The end of the smallest hole that is large enough, else the end of the pool if that stays within `limit`.
    pub(crate) fn allocate(&mut self, size: u32, limit: u32) -> Option<Span> {
        match self.smallest_hole(size) {
            Some(at) => Some(self.fill(at, size)),
            None if size == 0 || size > limit.saturating_sub(self.end) => None,
            None => {
                let offset = self.end;
                self.end += size;
                Some(Span { offset, size })
            }
        }
    }

    fn smallest_hole(&self, size: u32) -> Option<usize> {
        let mut found = None;
        let mut smallest = u32::MAX;
        for (at, hole) in self.holes.iter().enumerate() {
            // Of equal ones the first.
            if hole.size >= size && (found.is_none() || hole.size < smallest) {
                (found, smallest) = (Some(at), hole.size);
            }
        }
        found
    }

    fn fill(&mut self, at: usize, size: u32) -> Span {
        self.changed = true;
        let hole = &mut self.holes[at];
        hole.size -= size;
        let found = Span { offset: hole.end(), size };
        if hole.size == 0 {
            self.holes.remove(at);
        }
        found
    }

    /// Makes a hole of a buffer and of the holes beside it.
    pub(crate) fn free(&mut self, mut span: Span) {
        while let Some(at) =
            self.holes.iter().position(|hole| span.end() == hole.offset || hole.end() == span.offset)
        {
            let hole = self.holes.remove(at);
            self.changed = true;
            span = Span { offset: span.offset.min(hole.offset), size: span.size + hole.size };
        }
        if span.end() == self.end {
            self.end = span.offset;
        } else {
            self.changed = true;
            self.holes.push(span);
        }
    }
}
