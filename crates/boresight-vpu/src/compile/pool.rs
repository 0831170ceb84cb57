//! Buffers in one kind of memory, each in one piece.

/// A buffer or a hole, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    offset: usize,
    size: usize,
}

impl Span {
    const fn end(self) -> usize {
        self.offset + self.size
    }
}

/// One kind of memory.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) holes: Vec<Span>,
    /// Everything from here on is free.
    pub(crate) end: usize,
    /// The furthest byte that was in use.
    pub(crate) peak: usize,
}

impl Pool {
    pub(crate) fn clear(&mut self) {
        self.holes.clear();
        (self.end, self.peak) = (0, 0);
    }

    /// The end of the smallest hole that is large enough, else the end of the pool if that stays within `limit`.
    pub(crate) fn allocate(&mut self, size: usize, limit: usize) -> Option<Span> {
        let found = match self.smallest_hole(size) {
            Some(at) => self.fill(at, size),
            None if size == 0 || size > limit.saturating_sub(self.end) => return None,
            None => {
                let offset = self.end;
                self.end += size;
                Span { offset, size }
            }
        };
        self.peak = self.peak.max(found.end());
        Some(found)
    }

    fn smallest_hole(&self, size: usize) -> Option<usize> {
        let large = self.holes.iter().enumerate().filter(|(_, hole)| hole.size >= size);
        large.min_by_key(|(_, hole)| hole.size).map(|(at, _)| at)
    }

    fn fill(&mut self, at: usize, size: usize) -> Span {
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
            span = Span { offset: span.offset.min(hole.offset), size: span.size + hole.size };
        }
        if span.end() == self.end {
            self.end = span.offset;
        } else {
            self.holes.push(span);
        }
    }
}
