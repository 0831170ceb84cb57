//! Depthwise correlations with stride 1: each channel has one kernel of its own.
//!
//! Lanes are neighbouring results of a row; some rows are summed together, so that what is read serves all of them.
//! Each result is the same chain as in the general way.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]
#![expect(
    clippy::needless_range_loop,
    reason = "plain loops over constant ranges are unrolled, iterators are not always"
)]

use super::band::{Band, Extent};
use super::correlate::{Correlation, Finish};
use super::lanes::{Job, Lanes};
use crate::{Store, Write};

/// Values of a band that keep it in the first-level cache.
const BAND_BUDGET: usize = 8 * 1024;

/// Rows of results that are summed together.
const ROWS: usize = 4;

/// Results of a row from which on vectors along rows are worth it.
const NARROWEST: usize = 16;

/// A correlation that [`Depthwise::fits`].
pub(super) struct Depthwise<'a>(pub(super) Correlation<'a>);

impl<'a> Depthwise<'a> {
    /// Whether a correlation is one of these.
    pub(super) fn fits(correlation: &Correlation<'a>) -> bool {
        let Correlation { planes, groups, ref grid, place, .. } = *correlation;
        [planes.channels, place.planes.channels] == [groups; 2]
            && [[3, 3], [5, 5]].contains(&grid.kernel)
            && [grid.stride, place.step] == [[1, 1]; 2]
            && grid.size[1] >= NARROWEST
    }

    fn band(&self) -> Band {
        Band::fitting(self.0.grid, 1, BAND_BUDGET)
    }

    /// The kernel of a channel, row by row.
    fn kernel<const K: usize>(&self, channel: usize) -> [[f32; K]; K] {
        let weights = &self.0.weights;
        let mut kernel = [[0.0; K]; K];
        for (row, kernel) in kernel.iter_mut().enumerate() {
            for (column, weight) in kernel.iter_mut().enumerate() {
                let [y, x] = [row, column].map(usize::cast_signed);
                let at = weights.first + channel * weights.steps[0];
                *weight = weights.values[at.wrapping_add_signed(y * weights.taps[0] + x * weights.taps[1])];
            }
        }
        kernel
    }
}

impl Job for Depthwise<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: the caller vouches for `V`.
        unsafe { if self.0.grid.kernel[0] == 3 { self.sweep::<V, 3>() } else { self.sweep::<V, 5>() } }
    }
}

impl Depthwise<'_> {
    #[inline(always)]
    unsafe fn sweep<V: Lanes, const K: usize>(self) {
        let band = self.band();
        let Correlation { source, planes, border, finish, .. } = self.0;
        let [rows, columns] = self.0.grid.size;
        let mut scratch = std::mem::take(&mut *self.0.scratch);
        let [padded] = scratch.parts([band.channel]);
        for unit in 0..planes.batch * planes.channels {
            let (image, channel) = (unit / planes.channels, unit % planes.channels);
            let kernel = self.kernel::<K>(channel);
            let bias = match finish {
                Finish::Forward { bias: bias @ [_, ..], .. } => bias[channel],
                _ => 0.0,
            };
            for first in (0..rows).step_by(band.rows) {
                let some = first..(first + band.rows).min(rows);
                let extent =
                    Extent { images: image..image + 1, channels: channel..channel + 1, rows: some.clone() };
                let start = (unit * rows + first) * columns;
                let target = self.0.target[start..start + some.len() * columns].as_mut_ptr();
                let lines = Lines { pitch: band.pitch, columns, bias, finish };
                // SAFETY: the band serves all results of `extent`, the target is theirs, and the caller vouches for `V`.
                unsafe {
                    band.fill::<V>(planes, source, border, &extent, padded);
                    let mut row = 0;
                    while row < some.len() {
                        let (from, to) = (padded.as_ptr().add(row * band.pitch), target.add(row * columns));
                        if some.len() - row >= ROWS {
                            lines.run::<V, K, ROWS>(&kernel, from, to);
                            row += ROWS;
                        } else {
                            lines.run::<V, K, 1>(&kernel, from, to);
                            row += 1;
                        }
                    }
                }
            }
        }
        *self.0.scratch = scratch;
    }
}

/// Rows of results that follow each other.
struct Lines<'a> {
    /// Values from one row of the band to the next.
    pitch: usize,
    columns: usize,
    bias: f32,
    finish: Finish<'a>,
}

impl Lines<'_> {
    /// Computes R rows of results.
    #[inline(always)]
    unsafe fn run<V: Lanes, const K: usize, const R: usize>(
        &self,
        kernel: &[[f32; K]; K],
        from: *const f32,
        to: *mut f32,
    ) {
        for column in (0..self.columns).step_by(V::WIDTH) {
            // SAFETY: the caller vouches for the rows of band and target; vectors of the band may end behind a row.
            unsafe {
                let mut sums = [V::splat(0.0); R];
                for line in 0..R + K - 1 {
                    let line_at = from.add(line * self.pitch + column);
                    let mut values = [V::splat(0.0); K];
                    for k in 0..K {
                        values[k] = V::load(line_at.add(k));
                    }
                    for row in 0..R {
                        // The kernel's row that takes this line to that row of results.
                        let Some(weights) = line.checked_sub(row).and_then(|k| kernel.get(k)) else {
                            continue;
                        };
                        for k in 0..K {
                            sums[row] = values[k].mul_add(V::splat(weights[k]), sums[row]);
                        }
                    }
                }
                for row in 0..R {
                    self.write(sums[row], to.add(row * self.columns + column), self.columns - column);
                }
            }
        }
    }

    /// Writes as many lanes as there are results left in the row.
    #[inline(always)]
    unsafe fn write<V: Lanes>(&self, sum: V, to: *mut f32, left: usize) {
        let lanes = 0..left.min(V::WIDTH);
        // SAFETY: the caller vouches for the lanes.
        unsafe {
            let value = match self.finish {
                Finish::Forward { store: Store::F32, .. } => sum.add(V::splat(self.bias)),
                Finish::Forward { store: Store::F16, .. } => sum.add(V::splat(self.bias)).round_f16(),
                Finish::Summed { .. } | Finish::Gradient(Write::Set) => sum,
                Finish::Gradient(Write::Add) => V::load_part(to, lanes.clone()).add(sum),
            };
            if lanes.len() == V::WIDTH {
                value.store(to);
            } else {
                value.store_part(to, lanes);
            }
        }
    }
}
