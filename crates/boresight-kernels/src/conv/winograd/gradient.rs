//! The gradient of the weights: patches of the input with tiles of the gradient, summed at each position over all
//! tiles; one transform of the sums at the end.
//!
//! Lanes are channels here, so that a sum over tiles never has to add lanes: input and gradient are first copied with
//! the channels of a pixel side by side.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]
#![expect(
    clippy::needless_range_loop,
    reason = "plain loops over constant ranges are unrolled, iterators are not always"
)]

use super::super::ConvShape;
use super::super::gradient::WeightGradient;
use super::super::lanes::{Job, Lanes};
use super::pixels::{BLOCK, PixelCopy, pitch};
use super::transform::{kernel_gradient, patch, slope};
use super::{PATCH, POSITIONS, TILE};
use crate::buffer::parts_len;
use std::ops::Range;

/// Values of both copies that leave the second-level cache room for the transformed tiles.
const COPY_BUDGET: usize = 96 * 1024;

/// Transformed values of one position that the first-level cache holds.
const STRETCH_BUDGET: usize = 8 * 1024;

/// The gradient of the weights of a convolution with 3x3 kernels, stride 1 and one group.
pub(in super::super) struct WinogradGradient<'a>(pub(in super::super) WeightGradient<'a>);

/// How the work is divided, and where things lie.
struct Room {
    tiles: [usize; 2],
    /// Rows of tiles that the copies hold.
    rows: usize,
    /// Tiles that are transformed before they are summed.
    stretch: usize,
    input: PixelCopy,
    slope: PixelCopy,
    /// Values from one position of the transformed tiles to the next.
    pitches: [usize; 2],
    sizes: [usize; 6],
}

impl Room {
    fn new(shape: &ConvShape, lanes: usize) -> Self {
        let output = shape.output();
        let tiles = [output.height, output.width].map(|size| size.div_ceil(TILE));
        let [depth, outputs] =
            [shape.depth(), shape.group_outputs()].map(|count| count.next_multiple_of(lanes));
        let before = shape.padding.map(|padding| -padding.cast_signed());
        let columns = tiles[1] * TILE;
        let input =
            PixelCopy { channels: shape.depth(), padded: depth, columns: columns + PATCH - TILE, before };
        let slope = PixelCopy { channels: shape.group_outputs(), padded: outputs, columns, before: [0, 0] };
        let row = input.row() + slope.row();
        let most = (COPY_BUDGET / row / TILE).clamp(1, tiles[0]);
        let rows = tiles[0].div_ceil(tiles[0].div_ceil(most));
        let stretch = (STRETCH_BUDGET / (depth + outputs)).clamp(8, 64).min(rows * tiles[1]);
        let pitches = [depth, outputs].map(|padded| pitch(padded * stretch));
        let sizes = [
            BLOCK,
            POSITIONS * depth * outputs,
            POSITIONS * pitches[0],
            POSITIONS * pitches[1],
            (rows * TILE + PATCH - TILE) * input.row(),
            rows * TILE * slope.row(),
        ];
        Self { tiles, rows, stretch, input, slope, pitches, sizes }
    }
}

/// Values of scratch for the weight gradient of a convolution, on any vectors.
pub(in super::super) fn scratch_len(shape: &ConvShape) -> usize {
    [4, 8, 16].map(|lanes| parts_len(&Room::new(shape, lanes).sizes)).into_iter().max().unwrap_or(0)
}

impl Job for WinogradGradient<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let WeightGradient { shape, input, border, grad_output, grad_weight, scratch, .. } = self.0;
        let room = Room::new(shape, V::WIDTH);
        let mut memory = std::mem::take(scratch);
        let [block, sums, patches, slopes, pixels, gradients] = memory.parts(room.sizes);
        sums.fill(0.0);
        for image in 0..shape.input.batch {
            for first in (0..room.tiles[0]).step_by(room.rows) {
                let rows = room.rows.min(room.tiles[0] - first);
                let (top, bottom) = (first * TILE, (first + rows) * TILE);
                // SAFETY: the parts of the scratch have the sizes of `room`, and the caller vouches for `V`.
                unsafe {
                    let patch_rows = top..bottom + PATCH - TILE;
                    room.input.fill::<V>(shape.input, image, input, border, patch_rows, block, pixels);
                    room.slope.fill::<V>(
                        shape.output(),
                        image,
                        grad_output,
                        &[],
                        top..bottom,
                        block,
                        gradients,
                    );
                    let tiles = rows * room.tiles[1];
                    for start in (0..tiles).step_by(room.stretch) {
                        let stretch = start..(start + room.stretch).min(tiles);
                        room.transform::<V>(stretch.clone(), [pixels, gradients], patches, slopes);
                        room.multiply::<V>(stretch.len(), [patches, slopes], sums);
                    }
                }
            }
        }
        room.finish(sums, grad_weight);
        *scratch = memory;
    }
}

impl Room {
    /// Transforms the tiles `stretch` of input and gradient.
    #[inline(always)]
    unsafe fn transform<V: Lanes>(
        &self,
        stretch: Range<usize>,
        [pixels, gradients]: [&[f32]; 2],
        patches: &mut [f32],
        slopes: &mut [f32],
    ) {
        let (taps, slope_taps) = (self.input.taps(), self.slope.taps());
        for (slot, tile) in stretch.enumerate() {
            let (y, x) = (tile / self.tiles[1] * TILE, tile % self.tiles[1] * TILE);
            let from = &pixels[y * self.input.row() + x * self.input.padded..];
            let to = &mut patches[slot * self.input.padded..];
            for channel in (0..self.input.padded).step_by(V::WIDTH) {
                // SAFETY: the copy holds the patch, and the target a vector at each position.
                unsafe {
                    let (from, to) = (from.as_ptr().add(channel), to.as_mut_ptr().add(channel));
                    patch::<V>(from, &taps, to, self.pitches[0]);
                }
            }
            let from = &gradients[y * self.slope.row() + x * self.slope.padded..];
            let to = &mut slopes[slot * self.slope.padded..];
            for channel in (0..self.slope.padded).step_by(V::WIDTH) {
                // SAFETY: as above.
                unsafe {
                    let (from, to) = (from.as_ptr().add(channel), to.as_mut_ptr().add(channel));
                    slope::<V>(from, &slope_taps, to, self.pitches[1]);
                }
            }
        }
    }

    /// Adds the products of `tiles` tiles to the sums `[position, output, input channel]`.
    #[inline(always)]
    unsafe fn multiply<V: Lanes>(&self, tiles: usize, [patches, slopes]: [&[f32]; 2], sums: &mut [f32]) {
        let [depth, outputs] = [self.input.padded, self.slope.padded];
        for (position, sums) in sums.chunks_exact_mut(depth * outputs).enumerate() {
            let mut channel = 0;
            while channel < depth {
                let vectors = ((depth - channel) / V::WIDTH).min(3);
                let product = Product {
                    patches: patches[position * self.pitches[0] + channel..].as_ptr(),
                    slopes: slopes[position * self.pitches[1]..].as_ptr(),
                    sums: sums[channel..].as_mut_ptr(),
                    tiles,
                    depth,
                    outputs,
                };
                // SAFETY: patches and slopes hold `tiles` tiles of all channels, and sums one value for each pair.
                unsafe {
                    match vectors {
                        3 => product.run::<V, 3>(self.slope.channels),
                        2 => product.run::<V, 2>(self.slope.channels),
                        _ => product.run::<V, 1>(self.slope.channels),
                    }
                }
                channel += vectors * V::WIDTH;
            }
        }
    }

    /// Turns the sums into the gradient `[output, input channel, 3, 3]`.
    fn finish(&self, sums: &[f32], gradient: &mut [f32]) {
        let [depth, outputs] = [self.input.padded, self.slope.padded];
        for (index, kernel) in gradient.as_chunks_mut::<9>().0.iter_mut().enumerate() {
            let (output, channel) = (index / self.input.channels, index % self.input.channels);
            let mut evaluated = [[0.0; PATCH]; PATCH];
            for (position, value) in evaluated.as_flattened_mut().iter_mut().enumerate() {
                *value = sums[(position * outputs + output) * depth + channel];
            }
            kernel.copy_from_slice(kernel_gradient(&evaluated).as_flattened());
        }
    }
}

/// A product of patches and slopes at one position: some vectors of input channels by all outputs.
struct Product {
    patches: *const f32,
    slopes: *const f32,
    sums: *mut f32,
    tiles: usize,
    depth: usize,
    outputs: usize,
}

impl Product {
    /// Goes through the first `outputs` outputs, as many at a time as the registers hold.
    #[inline(always)]
    unsafe fn run<V: Lanes, const N: usize>(&self, outputs: usize) {
        let mut output = 0;
        while output < outputs {
            // SAFETY: outputs are padded to whole vectors, and a tile never reaches beyond them.
            unsafe {
                output += match outputs - output {
                    9.. if N == 1 && V::ROWS == 8 => self.add::<V, 16, N>(output),
                    5.. if V::ROWS == 8 => self.add::<V, 8, N>(output),
                    _ => self.add::<V, 4, N>(output),
                };
            }
        }
    }

    /// Adds the products of M outputs by N vectors over all tiles; returns M.
    #[inline(always)]
    unsafe fn add<V: Lanes, const M: usize, const N: usize>(&self, output: usize) -> usize {
        // SAFETY: the caller vouches for the places.
        unsafe {
            let place = self.sums.add(output * self.depth);
            let mut sums = [[V::splat(0.0); N]; M];
            for m in 0..M {
                for n in 0..N {
                    sums[m][n] = V::load(place.add(m * self.depth + n * V::WIDTH));
                }
            }
            let (mut patches, mut slopes) = (self.patches, self.slopes.add(output));
            for _ in 0..self.tiles {
                let mut values = [V::splat(0.0); N];
                for n in 0..N {
                    values[n] = V::load(patches.add(n * V::WIDTH));
                }
                for m in 0..M {
                    let factor = V::splat(*slopes.add(m));
                    for n in 0..N {
                        sums[m][n] = values[n].mul_add(factor, sums[m][n]);
                    }
                }
                patches = patches.add(self.depth);
                slopes = slopes.add(self.outputs);
            }
            for m in 0..M {
                for n in 0..N {
                    sums[m][n].store(place.add(m * self.depth + n * V::WIDTH));
                }
            }
        }
        M
    }
}
