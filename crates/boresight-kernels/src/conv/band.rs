//! Padded copies of planes, laid out so that vector lanes can run across the ends of rows.
//!
//! A band holds the rows that some rows of a correlation's result read. With a stride, each plane is split into its
//! phases (the positions that are equal modulo the stride), so that every kernel position reads neighbouring values
//! for neighbouring outputs. All phases have one row pitch; the output at row `y`, column `x` and the kernel position
//! with the offset `tap` meet at `y * pitch + x + tap`. The few positions beyond the last column of an output row are
//! computed in vain, which is cheaper than rows that do not fill their vectors.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use super::lanes::{Lanes, copy, copy_even};
use crate::Planes;
use std::ops::Range;

/// Values behind each phase that a vector beginning at the last position may touch.
const SLACK: usize = 16;

/// Geometry of a correlation: which positions of the source each result reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    /// Rows and columns of the result.
    pub(super) size: [usize; 2],
    /// Rows and columns of the kernel.
    pub(super) kernel: [usize; 2],
    /// Step in the source from one result to the next.
    pub(super) stride: [usize; 2],
    /// Position in the source that the first result reads at the first kernel position.
    pub(super) origin: [isize; 2],
}

/// Layout of a padded copy of some rows of some channels, of one or several images.
#[derive(Clone, Copy, Debug)]
pub(super) struct Band {
    grid: Grid,
    /// Images that a full band serves.
    pub(super) images: usize,
    /// Result rows that a full band serves.
    pub(super) rows: usize,
    /// Values from one row to the next, in the band and in the flattened result.
    pub(super) pitch: usize,
    /// Values from one image to the next.
    pub(super) image: usize,
    /// Values of one channel of the band.
    pub(super) channel: usize,
    phases: [usize; 2],
    phase: usize,
}

/// The part of a feature map that a band holds.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    pub(super) images: Range<usize>,
    pub(super) channels: Range<usize>,
    /// Rows of the result.
    pub(super) rows: Range<usize>,
}

impl Band {
    /// A band of `images` images for at most `rows` rows of results.
    pub(super) fn new(grid: Grid, rows: usize, images: usize) -> Self {
        let phases = [0, 1].map(|axis| grid.stride[axis].min(grid.kernel[axis]).max(1));
        let reach = [0, 1].map(|axis| grid.kernel[axis].saturating_sub(1) / grid.stride[axis]);
        let pitch = grid.size[1] + reach[1];
        let image = (rows + reach[0]) * pitch;
        let phase = (images * image + SLACK).next_multiple_of(16);
        let channel = spread(phases[0] * phases[1] * phase);
        Self { grid, images, rows, pitch, image, channel, phases, phase }
    }

    /// The band of one image with the most rows of which `channels` channels fit into `budget` values, at least one.
    pub(super) fn fitting(grid: Grid, channels: usize, budget: usize) -> Self {
        let least = Self::new(grid, 1, 1);
        let planes = least.phases[0] * least.phases[1] * channels.max(1);
        let room = budget.saturating_sub(least.phase * planes) / (least.pitch * planes).max(1) + 1;
        let bands = grid.size[0].div_ceil(room).max(1);
        Self::new(grid, grid.size[0].div_ceil(bands), 1)
    }

    /// Flattened positions from the first result of `images` images of `rows` rows to the last.
    pub(super) fn positions(&self, images: usize, rows: usize) -> usize {
        (images - 1) * self.image + (rows - 1) * self.pitch + self.grid.size[1]
    }

    /// Distance from a result's position to the value it reads at kernel position `(row, column)`.
    pub(super) fn tap(&self, row: usize, column: usize) -> usize {
        let [rows, columns] = self.grid.stride;
        let phase = row % rows * self.phases[1] + column % columns;
        phase * self.phase + row / rows * self.pitch + column / columns
    }

    /// Writes the distances of all (channel, kernel row, kernel column) into `table`, as bit patterns.
    pub(super) fn write_taps(&self, table: &mut [f32]) {
        let [rows, columns] = self.grid.kernel;
        for (index, slot) in table.iter_mut().enumerate() {
            let (channel, tap) = (index / (rows * columns), index % (rows * columns));
            let distance = channel * self.channel + self.tap(tap / columns, tap % columns);
            #[expect(clippy::cast_possible_truncation, reason = "bands are sized to a cache")]
            let bits = distance as u32;
            *slot = f32::from_bits(bits);
        }
    }

    /// Copies `extent` of `values`, a feature map of shape `planes`, into `band`, with `border` around it.
    ///
    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn fill<V: Lanes>(
        &self,
        planes: Planes,
        values: &[f32],
        border: &[f32],
        extent: &Extent,
        band: &mut [f32],
    ) {
        for (slot, channel) in extent.channels.clone().enumerate() {
            let border = border.get(channel).copied().unwrap_or(0.0);
            for phase in 0..self.phases[0] * self.phases[1] {
                let start = slot * self.channel + phase * self.phase;
                let target = &mut band[start..start + self.phase];
                let split = [phase / self.phases[1], phase % self.phases[1]];
                for (index, image) in extent.images.clone().enumerate() {
                    let plane = (image * planes.channels + channel) * planes.plane();
                    let source = Source { planes, plane: &values[plane..plane + planes.plane()], border };
                    let target = &mut target[index * self.image..];
                    // SAFETY: the caller vouches for `V`.
                    unsafe { self.fill_plane::<V>(&source, split, extent.rows.clone(), target) };
                }
                // What vectors read beyond the last row must be finite: the gradient multiplies it by zero.
                let used =
                    (extent.images.len() - 1) * self.image + self.used_rows(extent.rows.len()) * self.pitch;
                target[used..].fill(0.0);
            }
        }
    }

    /// Rows of a phase that `rows` rows of results read.
    fn used_rows(&self, rows: usize) -> usize {
        rows + self.image / self.pitch - self.rows
    }

    #[inline(always)]
    unsafe fn fill_plane<V: Lanes>(
        &self,
        source: &Source<'_>,
        phase: [usize; 2],
        rows: Range<usize>,
        target: &mut [f32],
    ) {
        let step = self.grid.stride[1];
        let place = |axis: usize, index: usize| {
            (index * self.grid.stride[axis] + phase[axis]).cast_signed() + self.grid.origin[axis]
        };
        let first = place(1, 0);
        // Columns from..to of the band lie inside the plane.
        let from = usize::try_from(-first).unwrap_or(0).div_ceil(step).min(self.pitch);
        let inside = usize::try_from(source.planes.width.cast_signed() - first).unwrap_or(0);
        let to = inside.div_ceil(step).clamp(from, self.pitch);
        let count = self.used_rows(rows.len());
        for (row, target) in target.chunks_exact_mut(self.pitch).take(count).enumerate() {
            let y = usize::try_from(place(0, rows.start + row)).ok().filter(|&y| y < source.planes.height);
            let Some(y) = y.filter(|_| from < to) else {
                target.fill(source.border);
                continue;
            };
            let width = source.planes.width;
            let line = &source.plane[y * width..][..width];
            let line = &line[place(1, from).cast_unsigned()..];
            target[..from].fill(source.border);
            let inner = &mut target[from..to];
            match step {
                // SAFETY: the caller vouches for `V`.
                1 => unsafe { copy::<V>(line, inner) },
                // SAFETY: as above.
                2 => unsafe { copy_even::<V>(line, inner) },
                _ => inner.iter_mut().zip(line.iter().step_by(step)).for_each(|(to, from)| *to = *from),
            }
            target[to..].fill(source.border);
        }
    }
}

/// A distance of at least `length`, a multiple of 16, that spreads channels over the sets of the caches.
///
/// An odd number of cache lines; for longer channels half the span of the first-level cache's sets and one line, so
/// that stretches of 512 values of several channels lie side by side.
pub(super) fn spread(length: usize) -> usize {
    let lines = length.div_ceil(16) | 1;
    let lines = if lines > 33 { lines + (33_usize.wrapping_sub(lines) & 63) } else { lines };
    16 * lines
}

/// A plane and the value around it.
struct Source<'a> {
    planes: Planes,
    plane: &'a [f32],
    border: f32,
}
