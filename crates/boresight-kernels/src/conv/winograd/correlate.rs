//! The forward direction and the gradient of the input.
//!
//! As in the gradient of the weights, lanes are channels: some tiles are evaluated, multiplied and transformed back
//! while they are in a cache, and whole rows of tiles are written to their planes.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]
#![expect(
    clippy::needless_range_loop,
    reason = "plain loops over constant ranges are unrolled, iterators are not always"
)]

use super::super::band::Grid;
use super::super::correlate::{Correlation, Finish};
use super::super::lanes::{Job, Lanes};
use super::pixels::{BLOCK, PixelCopy, pitch};
use super::transform::{kernel, patch, tile};
use super::{PATCH, POSITIONS, TILE};
use crate::Write;
use crate::buffer::parts_len;
use std::ops::Range;

/// Values of both copies that leave the second-level cache room for the evaluated tiles and weights.
const COPY_BUDGET: usize = 96 * 1024;

/// Values of evaluated tiles and products that half of the second-level cache holds.
const STRETCH_BUDGET: usize = 192 * 1024;

/// Tiles that one block of the matrix product takes.
const ROWS: usize = 8;

/// A correlation with 3x3 kernels and one group of channels.
pub(in super::super) struct WinogradCorrelation<'a>(pub(in super::super) Correlation<'a>);

/// How the work is divided, and where things lie.
struct Room {
    tiles: [usize; 2],
    /// Rows of tiles that the copies hold.
    rows: usize,
    /// Tiles that go the whole way together, a multiple of `ROWS`.
    stretch: usize,
    input: PixelCopy,
    output: PixelCopy,
    /// Values from one position of the evaluated tiles, and of the products, to the next.
    pitches: [usize; 2],
    sizes: [usize; 7],
}

impl Room {
    fn new(grid: &Grid, [depth, outputs]: [usize; 2], lanes: usize) -> Self {
        let tiles = grid.size.map(|size| size.div_ceil(TILE));
        let [input, output] = [depth, outputs].map(|count| count.next_multiple_of(lanes));
        let columns = tiles[1] * TILE;
        let input = PixelCopy {
            channels: depth,
            padded: input,
            columns: columns + PATCH - TILE,
            before: grid.origin,
        };
        let output = PixelCopy { channels: outputs, padded: output, columns, before: [0, 0] };
        let most = (COPY_BUDGET / (input.row() + output.row()) / TILE).clamp(1, tiles[0]);
        let rows = tiles[0].div_ceil(tiles[0].div_ceil(most));
        let all = (rows * tiles[1]).next_multiple_of(ROWS);
        let fitting = STRETCH_BUDGET / POSITIONS / (input.padded + output.padded) / ROWS * ROWS;
        let stretch = fitting.clamp(ROWS, 64).min(all);
        let pitches = [input.padded, output.padded].map(|padded| pitch(padded * stretch));
        let sizes = [
            BLOCK,
            output.padded,
            POSITIONS * depth * output.padded,
            POSITIONS * pitches[0],
            POSITIONS * pitches[1],
            (rows * TILE + PATCH - TILE) * input.row(),
            rows * TILE * output.row(),
        ];
        Self { tiles, rows, stretch, input, output, pitches, sizes }
    }
}

/// Values of scratch for a correlation between these numbers of channels, on any vectors.
pub(in super::super) fn scratch_len(grid: &Grid, channels: [usize; 2]) -> usize {
    let lengths = [4, 8, 16].map(|lanes| parts_len(&Room::new(grid, channels, lanes).sizes));
    lengths.into_iter().max().unwrap_or(0)
}

impl WinogradCorrelation<'_> {
    /// Writes the evaluated weights in the order (position, source channel, result channel), zeros in the padding.
    #[inline(always)]
    fn pack(&self, padded: usize, packed: &mut [f32]) {
        let (depth, outputs) = (self.0.planes.channels, self.0.place.planes.channels);
        packed.fill(0.0);
        for first in (0..outputs).step_by(8) {
            let some = first..outputs.min(first + 8);
            for channel in 0..depth {
                let evaluated = kernel(&self.kernels(channel, some.clone()));
                for (position, weights) in evaluated.as_flattened().iter().enumerate() {
                    let start = (position * depth + channel) * padded + first;
                    packed[start..start + some.len()].copy_from_slice(&weights[..some.len()]);
                }
            }
        }
    }

    /// The kernels from one source channel to at most eight result channels, zeros after the last.
    #[inline(always)]
    fn kernels(&self, channel: usize, outputs: Range<usize>) -> [[[f32; 8]; 3]; 3] {
        let weights = &self.0.weights;
        let mut kernels = [[[0.0; 8]; 3]; 3];
        for (lane, output) in outputs.enumerate() {
            let origin = weights.first + output * weights.steps[1] + channel * weights.steps[2];
            for row in 0..3_usize {
                for column in 0..3_usize {
                    let [y, x] = [row.cast_signed(), column.cast_signed()];
                    let at = origin.wrapping_add_signed(y * weights.taps[0] + x * weights.taps[1]);
                    kernels[row][column][lane] = weights.values[at];
                }
            }
        }
        kernels
    }
}

impl Job for WinogradCorrelation<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        let Correlation { planes, place, ref grid, .. } = self.0;
        let room = Room::new(grid, [planes.channels, place.planes.channels], V::WIDTH);
        let mut scratch = std::mem::take(self.0.scratch);
        let [block, offsets, packed, patches, products, pixels, results] = scratch.parts(room.sizes);
        self.pack(room.output.padded, packed);
        let write = match self.0.finish {
            Finish::Forward { bias, .. } | Finish::Summed { bias } => {
                offsets.fill(0.0);
                offsets[..bias.len()].copy_from_slice(bias);
                Write::Set
            }
            Finish::Gradient(write) => {
                offsets.fill(0.0);
                write
            }
        };
        for image in 0..planes.batch {
            for first in (0..room.tiles[0]).step_by(room.rows) {
                let rows = room.rows.min(room.tiles[0] - first);
                let (top, bottom) = (first * TILE, (first + rows) * TILE);
                // SAFETY: the parts of the scratch have the sizes of `room`, and the caller vouches for `V`.
                unsafe {
                    let patch_rows = top..bottom + PATCH - TILE;
                    room.input.fill::<V>(
                        planes,
                        image,
                        self.0.source,
                        self.0.border,
                        patch_rows,
                        block,
                        pixels,
                    );
                    let tiles = rows * room.tiles[1];
                    for start in (0..tiles).step_by(room.stretch) {
                        let stretch = start..(start + room.stretch).min(tiles);
                        room.evaluate::<V>(stretch.clone(), pixels, patches);
                        room.multiply::<V>(stretch.len(), planes.channels, [patches, packed], products);
                        room.transform_back::<V>(stretch, offsets, products, results);
                    }
                    let rows = top..bottom.min(place.planes.height);
                    room.output.drain::<V>(place.planes, image, rows, write, block, results, self.0.target);
                }
            }
        }
        *self.0.scratch = scratch;
    }
}

impl Room {
    /// The place of a tile's first pixel in a copy of rows of `row` values, `padded` for each pixel.
    #[inline(always)]
    fn place(&self, copy: &PixelCopy, tile: usize) -> usize {
        tile / self.tiles[1] * TILE * copy.row() + tile % self.tiles[1] * TILE * copy.padded
    }

    /// Evaluates the patches of the tiles `stretch`.
    #[inline(always)]
    unsafe fn evaluate<V: Lanes>(&self, stretch: Range<usize>, pixels: &[f32], patches: &mut [f32]) {
        let taps = self.input.taps();
        for (slot, tile) in stretch.enumerate() {
            let from = &pixels[self.place(&self.input, tile)..];
            let to = &mut patches[slot * self.input.padded..];
            for channel in (0..self.input.padded).step_by(V::WIDTH) {
                // SAFETY: the copy holds the patch, and the target a vector at each position.
                unsafe {
                    let (from, to) = (from.as_ptr().add(channel), to.as_mut_ptr().add(channel));
                    patch::<V>(from, &taps, to, self.pitches[0]);
                }
            }
        }
    }

    /// Sums over the source channels, position by position. Tiles are taken `ROWS` at a time; those after the last
    /// are computed from what stands there and never used.
    #[inline(always)]
    unsafe fn multiply<V: Lanes>(
        &self,
        tiles: usize,
        depth: usize,
        [patches, weights]: [&[f32]; 2],
        products: &mut [f32],
    ) {
        let [input, output] = [self.input.padded, self.output.padded];
        for position in 0..POSITIONS {
            let mut channel = 0;
            while channel < output {
                let vectors = ((output - channel) / V::WIDTH).min(if V::ROWS == 8 { 3 } else { 1 });
                let mut tile = 0;
                while tile < tiles {
                    let product = Product {
                        patches: patches[position * self.pitches[0] + tile * input..].as_ptr(),
                        weights: weights[position * depth * output + channel..].as_ptr(),
                        products: products[position * self.pitches[1] + tile * output + channel..]
                            .as_mut_ptr(),
                        depth,
                        input,
                        output,
                    };
                    // SAFETY: patches and products hold a multiple of `ROWS` tiles at each position.
                    tile += unsafe {
                        match vectors {
                            3 => product.run::<V, ROWS, 3, 1>(),
                            2 => product.run::<V, ROWS, 2, 1>(),
                            _ if V::ROWS == 8 && tiles - tile > ROWS => {
                                product.run::<V, { 2 * ROWS }, 1, 4>()
                            }
                            _ => product.run::<V, ROWS, 1, 4>(),
                        }
                    };
                }
                channel += vectors * V::WIDTH;
            }
        }
    }

    /// Writes the results of the tiles `stretch`.
    #[inline(always)]
    unsafe fn transform_back<V: Lanes>(
        &self,
        stretch: Range<usize>,
        offsets: &[f32],
        products: &[f32],
        results: &mut [f32],
    ) {
        let PixelCopy { padded, .. } = self.output;
        for (slot, tile_at) in stretch.enumerate() {
            let from = &products[slot * padded..];
            let to = &mut results[self.place(&self.output, tile_at)..];
            for channel in (0..padded).step_by(V::WIDTH) {
                // SAFETY: products hold a vector at each position, and the results all pixels of the tile.
                unsafe {
                    let rows = tile::<V>(from.as_ptr().add(channel), self.pitches[1]);
                    let offset = V::load(offsets.as_ptr().add(channel));
                    for row in 0..TILE {
                        for column in 0..TILE {
                            let at = row * self.output.row() + column * padded + channel;
                            rows[row][column].add(offset).store(to.as_mut_ptr().add(at));
                        }
                    }
                }
            }
        }
    }
}

/// A product of patches and weights at one position: `ROWS` tiles by some vectors of result channels.
struct Product {
    patches: *const f32,
    weights: *const f32,
    products: *mut f32,
    depth: usize,
    /// Values from one tile of the patches, and of the products, to the next.
    input: usize,
    output: usize,
}

impl Product {
    /// Computes M tiles by N vectors, K source channels at a time; returns M.
    #[inline(always)]
    unsafe fn run<V: Lanes, const M: usize, const N: usize, const K: usize>(&self) -> usize {
        // SAFETY: the caller vouches for the places.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; M];
            let whole = self.depth / K * K;
            for channel in (0..whole).step_by(K) {
                self.add::<V, M, N, K>(channel, &mut sums);
            }
            for channel in whole..self.depth {
                self.add::<V, M, N, 1>(channel, &mut sums);
            }
            for m in 0..M {
                for n in 0..N {
                    sums[m][n].store(self.products.add(m * self.output + n * V::WIDTH));
                }
            }
        }
        M
    }

    /// Adds the products of K source channels.
    #[inline(always)]
    unsafe fn add<V: Lanes, const M: usize, const N: usize, const K: usize>(
        &self,
        channel: usize,
        sums: &mut [[V; N]; M],
    ) {
        // SAFETY: the caller vouches for the places.
        unsafe {
            let (patches, weights) = (self.patches.add(channel), self.weights.add(channel * self.output));
            for k in 0..K {
                let mut values = [V::splat(0.0); N];
                for n in 0..N {
                    values[n] = V::load(weights.add(k * self.output + n * V::WIDTH));
                }
                for m in 0..M {
                    let factor = V::splat(*patches.add(m * self.input + k));
                    for n in 0..N {
                        sums[m][n] = values[n].mul_add(factor, sums[m][n]);
                    }
                }
            }
        }
    }
}
