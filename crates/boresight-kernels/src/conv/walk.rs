//! The way of vectors through the results of a band.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use super::band::Band;
use super::lanes::Lanes;

/// How vectors follow each other in the results of a band.
#[derive(Clone, Copy)]
pub(super) struct Walk {
    /// Results of this band.
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Values from one row of the band to the next.
    pub(super) pitch: usize,
    /// Whether vectors run across the ends of rows.
    pub(super) across: bool,
    pub(super) vectors: usize,
}

/// Row and column of a vector's first lane.
#[derive(Clone, Copy)]
pub(super) struct Cursor {
    pub(super) row: usize,
    pub(super) column: usize,
}

impl Walk {
    /// Row by row, or across the ends of rows where that takes fewer vectors.
    pub(super) fn new<V: Lanes>(band: &Band, rows: usize, columns: usize) -> Self {
        let by_row = rows * columns.div_ceil(V::WIDTH);
        let across = band.positions(1, rows).div_ceil(V::WIDTH);
        Self { rows, columns, pitch: band.pitch, across: across < by_row, vectors: by_row.min(across) }
    }

    #[inline(always)]
    pub(super) fn advance(&self, mut cursor: Cursor, count: usize) -> Cursor {
        cursor.column += count;
        if self.across {
            while cursor.column >= self.pitch {
                cursor.column -= self.pitch;
                cursor.row += 1;
            }
        } else if cursor.column >= self.columns {
            cursor = Cursor { row: cursor.row + 1, column: 0 };
        }
        cursor
    }
}
