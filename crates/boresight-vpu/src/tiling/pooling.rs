//! Cutting poolings, which see each channel by itself.

use super::{Search, Tiling};
use crate::axis::{Span, Spans};
use crate::nce::line_bytes;

impl Search<'_> {
    pub(super) fn pool(&self) -> Option<Tiling> {
        let [rows, columns] = self.best_pool()?;
        let mut tiling = Tiling {
            grid: [columns.len(), rows.len(), 1],
            nce: None,
            cycles: 0,
            pixels: 0,
            stages: rows.len() * columns.len(),
            sums: 0,
            copies: 0,
            copy_bytes: 0,
            tile_bytes: 0,
        };
        for row in &rows {
            for column in &columns {
                tiling.pixels += (column.output * row.output) as u64;
                tiling.count(self, [row, column], self.conv.in_channels);
            }
        }
        Some(tiling)
    }

    pub(super) fn best_pool(&self) -> Option<[Spans; 2]> {
        let whole = [self.spans(0, self.conv.height)?, self.spans(1, self.conv.width)?];
        if self.pool_cost(&whole[0], &whole[1]).is_some() {
            // Each further tile costs as much again.
            return Some(whole);
        }
        let row_cuts = self.pool_cuts(0, self.conv.kernel[0]);
        let column_cuts = self.pool_cuts(1, self.rules.min_pool_width.max(self.conv.kernel[1]));
        let mut best = None;
        let mut spans = None;
        for (width_parts, columns) in &column_cuts {
            for (height_parts, rows) in &row_cuts {
                let parts = width_parts * height_parts;
                let least = self.pool_tile_cost() * (rows.len() * columns.len()) as u64;
                if best.is_some_and(|key| (least, parts) >= key) {
                    continue;
                }
                let Some(cost) = self.pool_cost(rows, columns) else { continue };
                if best.is_none_or(|key| (cost, parts) < key) {
                    best = Some((cost, parts));
                    spans = Some([rows, columns]);
                }
            }
        }
        spans.map(|spans| spans.map(Clone::clone))
    }

    /// The cuts of one axis of a pooling, by the number of parts.
    fn pool_cuts(&self, dimension: usize, least: usize) -> Vec<(usize, Spans)> {
        (1..=self.rules.max_tiles)
            .map(|parts| (parts, self.part(dimension, parts)))
            .take_while(|&(parts, lines)| parts == 1 || lines >= least)
            .filter_map(|(parts, lines)| Some((parts, self.spans(dimension, lines)?)))
            .collect()
    }

    /// What the compiler's measure counts for each tile of a pooling.
    fn pool_tile_cost(&self) -> u64 {
        let block = self.nce.modes.iter().map(|row| row.inputs).max().unwrap_or(1);
        (self.conv.in_channels / block * self.conv.kernel[0] * self.conv.kernel[1]) as u64
    }

    /// Whether padding of this tile would have to repeat more lines than the engine can.
    fn replicates_too_much(&self, row: &Span, column: &Span) -> bool {
        let conv = self.conv;
        let after = |at: usize, span: &Span| {
            let wanted = (span.output - 1) * conv.stride + conv.kernel[at];
            wanted.saturating_sub(span.input + conv.padding[at])
        };
        let (right, bottom) = (after(1, column), after(0, row));
        let bytes = line_bytes(column.input) * (row.input + conv.kernel[0]).saturating_sub(2);
        let limit = self.rules.padded_pool_bytes[usize::from(bottom == 0)];
        (conv.padding[1] > 0 || right > 0 || bottom > 0) && bytes > limit
    }

    /// The compiler's measure of a cut of a pooling; `None` where a tile does not fit.
    fn pool_cost(&self, rows: &[Span], columns: &[Span]) -> Option<u64> {
        let conv = self.conv;
        let mut sum = 0;
        for row in rows {
            for column in columns {
                let tile = self.conv_tile(conv.in_channels, row, column);
                if self.tile_bytes(row, column) > self.limit
                    || !self.nce.pools(&tile)
                    || self.replicates_too_much(row, column)
                {
                    return None;
                }
                sum += self.pool_tile_cost();
                if !column.output_start.is_multiple_of(8) {
                    sum += (column.output * row.output * conv.out_channels) as u64;
                }
                if !column.input_start.is_multiple_of(8) {
                    sum += (column.input * row.input * conv.in_channels) as u64;
                }
            }
        }
        Some(sum)
    }
}
