//! The gradient of the weights: products of the padded input with the gradient of the output, summed over positions.
//!
//! Lanes are neighbouring positions; a tile of some output channels by some weights keeps its partial sums in
//! registers over a stretch of positions, then the lanes are added. The gradient is laid out at the pitch of the band
//! with zeros in the gaps, so that positions computed in vain add nothing.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use super::ConvShape;
use super::band::{Band, Extent, Grid, spread};
use super::lanes::{Job, Lanes, copy};
use crate::Buffer;
use std::ops::Range;

/// Values of a band that keep it in the second-level cache.
const BAND_BUDGET: usize = 64 * 1024;

/// Positions of several small images that make a band worth its sums.
const BAND_POSITIONS: usize = 1024;

/// Positions of one stretch: eight channels of gradients and the input stay in the first-level cache.
const STRETCH: usize = 512;

/// Room for the largest tile of 24 vectors, rounded up to twice sixteen.
pub(super) const STAGE: usize = 32 * 16;

/// The gradient of the weights of a convolution; overwrites.
pub(super) struct WeightGradient<'a> {
    pub(super) shape: &'a ConvShape,
    pub(super) grid: Grid,
    pub(super) input: &'a [f32],
    pub(super) border: &'a [f32],
    pub(super) grad_output: &'a [f32],
    pub(super) grad_weight: &'a mut [f32],
    pub(super) scratch: &'a mut Buffer,
}

/// Weights that one tile works on, and the stretch of positions it adds.
struct Tile<'a> {
    /// Gradient of the first output channel at the first position, and the distance between channels.
    slopes: *const f32,
    channel: usize,
    /// Output channels of the tile.
    rows: usize,
    /// Input at the first position, and where each weight of the tile reads it.
    input: *const f32,
    taps: &'a [f32],
    vectors: usize,
    stage: *mut f32,
}

/// Layout of the gradient at the pitch of a band.
struct Slopes {
    channel: usize,
    positions: usize,
}

impl WeightGradient<'_> {
    /// Some rows of one image, or several small images.
    pub(super) fn band(&self) -> Band {
        let band = Band::fitting(self.grid, self.shape.depth(), BAND_BUDGET);
        let images = (BAND_POSITIONS / band.image).clamp(1, self.shape.input.batch.max(1));
        if band.rows == self.grid.size[0] { Band::new(self.grid, band.rows, images) } else { band }
    }

    /// Copies the gradient of some channels at the pitch of `band`, zeros in the gaps.
    #[inline(always)]
    unsafe fn fill_slopes<V: Lanes>(
        &self,
        band: &Band,
        extent: &Extent,
        slopes: &Slopes,
        target: &mut [f32],
    ) {
        let planes = self.shape.output();
        for (slot, channel) in extent.channels.clone().enumerate() {
            let target = &mut target[slot * slopes.channel..(slot + 1) * slopes.channel];
            target.fill(0.0);
            for (index, image) in extent.images.clone().enumerate() {
                let plane = (image * planes.channels + channel) * planes.plane();
                let rows = &self.grad_output[plane + extent.rows.start * planes.width..];
                let rows = rows.chunks_exact(planes.width).take(extent.rows.len());
                let lines = target[index * band.image..].chunks_mut(band.pitch);
                for (row, line) in rows.zip(lines) {
                    // SAFETY: the caller vouches for `V`.
                    unsafe { copy::<V>(row, &mut line[..planes.width]) };
                }
            }
        }
    }
}

impl Job for WeightGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let (depth, outputs) = (self.shape.depth(), self.shape.group_outputs());
        let columns = depth * self.shape.taps();
        let band = self.band();
        let longest = band.positions(band.images, band.rows).next_multiple_of(V::WIDTH);
        let channel = spread(longest);
        let sizes = [STAGE, columns, depth * band.channel, outputs * channel];
        let mut scratch = std::mem::take(self.scratch);
        let [stage, taps, padded, gradient] = scratch.parts(sizes);
        band.write_taps(taps);
        self.grad_weight.fill(0.0);
        for group in 0..self.shape.groups {
            for image in (0..self.shape.input.batch).step_by(band.images) {
                let images = image..(image + band.images).min(self.shape.input.batch);
                for row in (0..self.grid.size[0]).step_by(band.rows) {
                    let rows = row..(row + band.rows).min(self.grid.size[0]);
                    let slopes = Slopes { channel, positions: band.positions(images.len(), rows.len()) };
                    let mut extent =
                        Extent { images: images.clone(), channels: group * depth..(group + 1) * depth, rows };
                    let sums = group * outputs * columns..(group + 1) * outputs * columns;
                    // SAFETY: band and gradient cover all positions, rounded up to whole vectors; the caller
                    // vouches for `V`.
                    unsafe {
                        band.fill::<V>(self.shape.input, self.input, self.border, &extent, padded);
                        extent.channels = group * outputs..(group + 1) * outputs;
                        self.fill_slopes::<V>(&band, &extent, &slopes, gradient);
                        let sums = &mut self.grad_weight[sums];
                        add_products::<V>(
                            slopes.channel,
                            slopes.positions,
                            padded,
                            gradient,
                            taps,
                            stage,
                            sums,
                        );
                    }
                }
            }
        }
        *self.scratch = scratch;
    }
}

/// Adds the products of gradients and input to `sums`, `[outputs, columns]`: over `positions` positions, which are
/// rounded up to whole vectors. The gradients of two channels lie `channel` values apart, `taps` says where each
/// column reads the input.
///
/// # Safety
/// As for [`Lanes`]; gradients and input hold all positions of each channel and column.
#[inline(always)]
unsafe fn add_products<V: Lanes>(
    channel: usize,
    positions: usize,
    padded: &[f32],
    gradient: &[f32],
    taps: &[f32],
    stage: &mut [f32],
    sums: &mut [f32],
) {
    let (columns, outputs) = (taps.len(), sums.len() / taps.len());
    let stretches = positions.div_ceil(STRETCH);
    let stretch = positions.div_ceil(stretches).next_multiple_of(16);
    for start in (0..positions).step_by(stretch) {
        let length = stretch.min(positions - start);
        let mut output = 0;
        while output < outputs {
            let (rows, width) = tile_size(outputs - output, V::ROWS);
            for column in (0..columns).step_by(width) {
                let end = columns.min(column + width);
                let tile = Tile {
                    slopes: gradient[output * channel + start..].as_ptr(),
                    channel,
                    rows: rows.min(outputs - output),
                    input: padded[start..].as_ptr(),
                    taps: &taps[column..end],
                    vectors: length.div_ceil(V::WIDTH),
                    stage: stage.as_mut_ptr(),
                };
                // SAFETY: as the caller promises.
                unsafe {
                    match rows {
                        8 => tile.run::<V, 8, 3>(),
                        4 => tile.run::<V, 4, 3>(),
                        2 => tile.run::<V, 2, 6>(),
                        _ => tile.run::<V, 1, 9>(),
                    }
                    tile.add_lanes::<V>(width, &mut sums[output * columns..], column..end, columns);
                }
            }
            output += rows;
        }
    }
}

/// Output channels and weights of the next tile when `left` channels remain.
fn tile_size(left: usize, most: usize) -> (usize, usize) {
    match left {
        5.. => (most, 3),
        3 | 4 => (4, 3),
        2 => (2, 6),
        _ => (1, 9),
    }
}

impl Tile<'_> {
    /// Sums M channels by N weights in registers and leaves the lanes in the stage.
    ///
    /// Rows and columns that the tile does not have repeat the last one.
    #[inline(always)]
    unsafe fn run<V: Lanes, const M: usize, const N: usize>(&self) {
        // SAFETY: the caller promises gradients and input for all vectors.
        unsafe {
            let slopes: [*const f32; M] =
                std::array::from_fn(|m| self.slopes.add(m.min(self.rows - 1) * self.channel));
            let inputs: [*const f32; N] = std::array::from_fn(|n| {
                self.input.add(self.taps[n.min(self.taps.len() - 1)].to_bits() as usize)
            });
            let mut sums = [[V::splat(0.0); N]; M];
            for vector in 0..self.vectors {
                let at = vector * V::WIDTH;
                let inputs = inputs.map(|input| V::load(input.add(at)));
                for (sums, slope) in sums.iter_mut().zip(slopes) {
                    let slope = V::load(slope.add(at));
                    for (sum, input) in sums.iter_mut().zip(inputs) {
                        *sum = input.mul_add(slope, *sum);
                    }
                }
            }
            for (m, sums) in sums.into_iter().enumerate() {
                for (n, sum) in sums.into_iter().enumerate() {
                    sum.store(self.stage.add((m * N + n) * V::WIDTH));
                }
            }
        }
    }

    /// Adds the lanes' totals to the columns `columns` of the rows of `sums`, which lie `pitch` apart.
    #[inline(always)]
    unsafe fn add_lanes<V: Lanes>(
        &self,
        width: usize,
        sums: &mut [f32],
        columns: Range<usize>,
        pitch: usize,
    ) {
        let mut totals = [0.0; STAGE / 16];
        for (group, totals) in totals.chunks_exact_mut(16).enumerate().take((self.rows * width).div_ceil(16))
        {
            // SAFETY: the stage holds twice sixteen vectors, and `run` left the sums of all rows in the first ones.
            let sums = unsafe { V::totals(self.stage.add(group * 16 * V::WIDTH)) };
            totals.copy_from_slice(&sums);
        }
        for (row, totals) in totals.chunks_exact(width).take(self.rows).enumerate() {
            let slots = &mut sums[row * pitch..][columns.clone()];
            slots.iter_mut().zip(totals).for_each(|(slot, total)| *slot += total);
        }
    }
}
