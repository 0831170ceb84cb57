//! The forward direction: products of a padded feature map with a kernel, summed over channels and kernel positions.
//!
//! Lanes are neighbouring results of one channel; a tile of several channels by several vectors stays in registers
//! over the whole sum, so every result is one chain of fused multiply-adds whatever the tile and the instruction set.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use super::band::{Band, Extent, Grid};
use super::lanes::{Job, Lanes};
use super::walk::{Cursor, Walk};
use crate::{Buffer, Planes, Store, Write};
use std::ops::Range;

/// Values of a band that keep it in the second-level cache.
pub(super) const BAND_BUDGET: usize = 96 * 1024;

/// Room for the widest tile.
pub(super) const STAGE: usize = 8 * 3 * 16;

/// A correlation of a feature map with a kernel, group by group.
pub(super) struct Correlation<'a> {
    pub(super) source: &'a [f32],
    pub(super) planes: Planes,
    /// Value around each source channel; may be empty.
    pub(super) border: &'a [f32],
    pub(super) grid: Grid,
    pub(super) groups: usize,
    pub(super) weights: Weights<'a>,
    pub(super) finish: Finish<'a>,
    pub(super) target: &'a mut [f32],
    pub(super) place: Place,
    pub(super) scratch: &'a mut Buffer,
}

/// Where the weight of (group, result channel, source channel, kernel row, kernel column) stands.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) values: &'a [f32],
    /// Distance between groups, between result channels and between source channels.
    pub(super) steps: [usize; 3],
    /// Position of the first kernel position.
    pub(super) first: usize,
    /// Distance between kernel rows and between kernel columns.
    pub(super) taps: [isize; 2],
}

/// Where results go: rows and columns `first + index * step` of a feature map.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) planes: Planes,
    pub(super) first: [usize; 2],
    pub(super) step: [usize; 2],
}

/// What becomes of a sum.
#[derive(Clone, Copy)]
pub(super) enum Finish<'a> {
    /// Plus the bias of its channel (empty: zero), then rounded.
    Forward { bias: &'a [f32], store: Store },
    /// Written as it is: the bias was a part of the sum.
    Summed { bias: &'a [f32] },
    /// Written as a gradient.
    Gradient(Write),
}

/// Some result channels, with their first weight and the first values of their planes.
struct Block {
    rows: usize,
    bias: [f32; 8],
    target: *mut f32,
}

/// How the products of a result are summed.
pub(super) trait Summing: Copy {
    /// Sums M channels by N vectors in registers.
    ///
    /// # Safety
    /// As for [`Lanes`]; there are M weights for each tap, and the bands cover a vector at each tap's distance.
    unsafe fn sum<V: Lanes, const M: usize, const N: usize>(
        self,
        taps: &[f32],
        weight: *const f32,
        bands: [*const f32; N],
        bias: &[f32; 8],
    ) -> [[V; N]; M];
}

/// One chain of fused multiply-adds for each result; the bias comes later.
#[derive(Clone, Copy)]
pub(super) struct Exact;

impl Summing for Exact {
    #[inline(always)]
    unsafe fn sum<V: Lanes, const M: usize, const N: usize>(
        self,
        taps: &[f32],
        mut weight: *const f32,
        bands: [*const f32; N],
        _: &[f32; 8],
    ) -> [[V; N]; M] {
        // SAFETY: the caller promises M weights per tap and bands that cover a vector at each tap's distance.
        unsafe {
            let mut sums = [[V::splat(0.0); N]; M];
            for distance in taps {
                let pixels = bands.map(|band| V::load(band.add(distance.to_bits() as usize)));
                for (m, sums) in sums.iter_mut().enumerate() {
                    let factor = V::splat(*weight.add(m));
                    for (sum, pixel) in sums.iter_mut().zip(pixels) {
                        *sum = pixel.mul_add(factor, *sum);
                    }
                }
                weight = weight.add(M);
            }
            sums
        }
    }
}

/// A run over the results of one band.
struct Sweep<'a, S> {
    summing: S,
    band: *const f32,
    taps: &'a [f32],
    weights: *const f32,
    stage: *mut f32,
    walk: Walk,
    place: Place,
    finish: Finish<'a>,
}

/// Channels of the next tile when `left` remain.
fn tile_rows(left: usize, most: usize) -> usize {
    match left {
        5.. => most,
        3 | 4 => 4,
        _ => left,
    }
}

impl Correlation<'_> {
    fn depth(&self) -> usize {
        self.planes.channels / self.groups
    }

    /// Products of one sum.
    fn taps(&self) -> usize {
        self.depth() * self.grid.kernel[0] * self.grid.kernel[1]
    }

    fn outputs(&self) -> usize {
        self.place.planes.channels / self.groups
    }

    /// Copies the weights into the order in which tiles read them: (group, tile, source channel, tap, tile row).
    fn pack(&self, most: usize, packed: &mut [f32]) {
        let mut packed = packed.iter_mut();
        for group in 0..self.groups {
            let mut output = 0;
            while output < self.outputs() {
                let rows = tile_rows(self.outputs() - output, most);
                let left = (self.outputs() - output).min(rows);
                for index in 0..self.taps() {
                    let base = self.weight_index(group, index) + output * self.weights.steps[1];
                    for (row, slot) in packed.by_ref().take(rows).enumerate() {
                        let at = base + row * self.weights.steps[1];
                        *slot = if row < left { self.weights.values[at] } else { 0.0 };
                    }
                }
                output += rows;
            }
        }
    }

    /// Position of the weight number `index`, over (source channel, kernel row, kernel column), of the first channel.
    fn weight_index(&self, group: usize, index: usize) -> usize {
        let [rows, columns] = self.grid.kernel;
        let (channel, tap) = (index / (rows * columns), index % (rows * columns));
        let origin = self.weights.first + group * self.weights.steps[0] + channel * self.weights.steps[2];
        let [y, x] = [tap / columns, tap % columns].map(usize::cast_signed);
        origin.wrapping_add_signed(y * self.weights.taps[0] + x * self.weights.taps[1])
    }

    /// Result channels of a group, rounded up to whole tiles.
    fn padded_outputs(&self, most: usize) -> usize {
        let mut output = 0;
        while output < self.outputs() {
            output += tile_rows(self.outputs() - output, most);
        }
        output
    }

    /// Whether each result reads one position alone, its own, so that planes can be read where they stand.
    fn is_pointwise(&self) -> bool {
        let Grid { size, kernel, stride, origin } = self.grid;
        let [source, target] = [self.planes, self.place.planes].map(|planes| [planes.height, planes.width]);
        kernel == [1, 1]
            && stride == [1, 1]
            && origin == [0, 0]
            && (self.place.step, size, source) == ([1, 1], target, target)
            && self.planes.plane().is_multiple_of(16)
    }

    /// The channels from `output` of `group` on, in `image`, from position `offset` of their planes on.
    fn block(&mut self, image: usize, group: usize, output: usize, offset: usize) -> Block {
        let outputs = self.outputs();
        let channel = group * outputs + output;
        let rows = (outputs - output).min(8);
        let mut bias = [0.0; 8];
        if let Finish::Forward { bias: given @ [_, ..], .. } | Finish::Summed { bias: given @ [_, ..] } =
            self.finish
        {
            bias[..rows].copy_from_slice(&given[channel..channel + rows]);
        }
        let planes = self.place.planes;
        let start = (image * planes.channels + channel) * planes.plane() + offset;
        Block { rows, bias, target: self.target[start..].as_mut_ptr() }
    }
}

impl Job for Correlation<'_> {
    #[inline(always)]
    unsafe fn run<V: Lanes>(self) {
        // SAFETY: the caller vouches for `V`.
        unsafe { self.run_by::<V, Exact>(Exact) }
    }
}

impl Correlation<'_> {
    /// Runs with these sums.
    ///
    /// # Safety
    /// As [`Job::run`].
    #[inline(always)]
    pub(super) unsafe fn run_by<V: Lanes, S: Summing>(self, summing: S) {
        // SAFETY: the caller vouches for `V`.
        unsafe {
            if self.is_pointwise() {
                self.run_pointwise::<V, S>(summing);
            } else {
                self.run_banded::<V, S>(summing);
            }
        }
    }

    #[inline(always)]
    unsafe fn run_banded<V: Lanes, S: Summing>(mut self, summing: S) {
        let (depth, length) = (self.depth(), self.taps());
        let band = Band::fitting(self.grid, depth, BAND_BUDGET);
        let group_weights = self.padded_outputs(V::ROWS) * length;
        let sizes = [STAGE, length, group_weights * self.groups, band.channel * depth];
        let mut scratch = std::mem::take(self.scratch);
        let [stage, taps, packed, padded] = scratch.parts(sizes);
        band.write_taps(taps);
        self.pack(V::ROWS, packed);
        for unit in 0..self.planes.batch * self.groups {
            let (image, group) = (unit / self.groups, unit % self.groups);
            for first_row in (0..self.grid.size[0]).step_by(band.rows) {
                let rows = first_row..(first_row + band.rows).min(self.grid.size[0]);
                let walk = Walk::new::<V>(&band, rows.len(), self.grid.size[1]);
                let channels = group * depth..(group + 1) * depth;
                let extent = Extent { images: image..image + 1, channels, rows };
                let Place { planes, first, step } = self.place;
                let offset = (first[0] + first_row * step[0]) * planes.width + first[1];
                // SAFETY: the band serves all results of `extent`, the packed weights those of `group`, and the
                // caller vouches for `V`.
                unsafe {
                    band.fill::<V>(self.planes, self.source, self.border, &extent, padded);
                    let sweep = Sweep {
                        summing,
                        band: padded.as_ptr(),
                        taps,
                        weights: packed[group * group_weights..].as_ptr(),
                        stage: stage.as_mut_ptr(),
                        walk,
                        place: self.place,
                        finish: self.finish,
                    };
                    self.each_block::<V, S>(sweep, image, group, offset);
                }
            }
        }
        *self.scratch = scratch;
    }

    /// As [`Correlation::run_banded`], with planes for bands: some positions of all channels at a time.
    #[inline(always)]
    unsafe fn run_pointwise<V: Lanes, S: Summing>(mut self, summing: S) {
        let (depth, plane) = (self.depth(), self.planes.plane());
        let group_weights = self.padded_outputs(V::ROWS) * depth;
        let mut scratch = std::mem::take(self.scratch);
        let [stage, taps, packed] = scratch.parts([STAGE, depth, group_weights * self.groups]);
        for (channel, slot) in taps.iter_mut().enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "an image holds less than 2^32 values")]
            let distance = (channel * plane) as u32;
            *slot = f32::from_bits(distance);
        }
        self.pack(V::ROWS, packed);
        // A multiple of the vectors of every tile.
        let some = (BAND_BUDGET / depth / 96 * 96).max(96);
        for unit in 0..self.planes.batch * self.groups {
            let (image, group) = (unit / self.groups, unit % self.groups);
            for offset in (0..plane).step_by(some) {
                let columns = some.min(plane - offset);
                let start = (image * self.planes.channels + group * depth) * plane + offset;
                let walk = Walk {
                    rows: 1,
                    columns,
                    pitch: plane,
                    across: false,
                    vectors: columns.div_ceil(V::WIDTH),
                };
                // SAFETY: planes hold whole vectors, the packed weights those of `group`, and the caller vouches for `V`.
                unsafe {
                    let sweep = Sweep {
                        summing,
                        band: self.source[start..].as_ptr(),
                        taps,
                        weights: packed[group * group_weights..].as_ptr(),
                        stage: stage.as_mut_ptr(),
                        walk,
                        place: self.place,
                        finish: self.finish,
                    };
                    self.each_block::<V, S>(sweep, image, group, offset);
                }
            }
        }
        *self.scratch = scratch;
    }

    /// Runs `sweep` for all result channels of `group`.
    #[inline(always)]
    unsafe fn each_block<V: Lanes, S: Summing>(
        &mut self,
        mut sweep: Sweep<'_, S>,
        image: usize,
        group: usize,
        offset: usize,
    ) {
        let (outputs, length) = (self.outputs(), self.taps());
        let mut output = 0;
        while output < outputs {
            let tile = tile_rows(outputs - output, V::ROWS);
            let block = self.block(image, group, output, offset);
            let block = Block { rows: block.rows.min(tile), ..block };
            // SAFETY: the packed weights hold `length` values for each row of the tile, the target's rows lie in its
            // slice, and the caller vouches for the rest.
            unsafe {
                match tile {
                    8 => sweep.run::<V, 8>(&block),
                    4 => sweep.run::<V, 4>(&block),
                    2 => sweep.run::<V, 2>(&block),
                    _ => sweep.run::<V, 1>(&block),
                }
                sweep.weights = sweep.weights.add(tile * length);
            }
            output += tile;
        }
    }
}

impl<S: Summing> Sweep<'_, S> {
    /// Computes all results of one block of channels.
    #[inline(always)]
    unsafe fn run<V: Lanes, const M: usize>(&self, block: &Block) {
        let widest = match M {
            8 => 3,
            4 => V::COLUMNS_OF_FOUR,
            _ => 6,
        };
        let mut cursor = Cursor { row: 0, column: 0 };
        let mut left = self.walk.vectors;
        while left > 0 {
            // SAFETY: as promised by the caller; a tile ends at the last vector.
            unsafe {
                cursor = match left.min(widest) {
                    6.. => self.tile::<V, M, 6>(block, cursor, &mut left),
                    3.. => self.tile::<V, M, 3>(block, cursor, &mut left),
                    2 => self.tile::<V, M, 2>(block, cursor, &mut left),
                    _ => self.tile::<V, M, 1>(block, cursor, &mut left),
                };
            }
        }
    }

    /// Computes M channels by N vectors from `cursor` on; returns where the next vector begins.
    #[inline(always)]
    unsafe fn tile<V: Lanes, const M: usize, const N: usize>(
        &self,
        block: &Block,
        mut cursor: Cursor,
        left: &mut usize,
    ) -> Cursor {
        let mut cursors = [cursor; N];
        for slot in &mut cursors {
            *slot = cursor;
            cursor = self.walk.advance(cursor, V::WIDTH);
        }
        // SAFETY: the caller promises a band that covers these vectors, and their places in the target.
        unsafe {
            let bands = cursors.map(|at| self.band.add(at.row * self.walk.pitch + at.column));
            let sums: [[V; N]; M] = self.summing.sum::<V, M, N>(self.taps, self.weights, bands, &block.bias);
            let [first, last] = [cursors[0], cursors[N - 1]];
            let whole = first.row == last.row && last.column + V::WIDTH <= self.walk.columns;
            if whole && self.place.step[1] == 1 && first.row < self.walk.rows {
                let start = first.row * self.place.step[0] * self.place.planes.width + first.column;
                self.write_whole(block, sums, start);
            } else {
                for (m, sums) in sums.into_iter().enumerate() {
                    for (n, sum) in sums.into_iter().enumerate() {
                        sum.store(self.stage.add((m * N + n) * V::WIDTH));
                    }
                }
                for (n, &at) in cursors.iter().enumerate() {
                    self.write::<V>(block, self.stage.add(n * V::WIDTH), N * V::WIDTH, at);
                }
            }
        }
        *left -= N;
        cursor
    }

    /// Writes N whole vectors of each channel of `block`, which follow each other from position `start` on.
    #[inline(always)]
    unsafe fn write_whole<V: Lanes, const M: usize, const N: usize>(
        &self,
        block: &Block,
        sums: [[V; N]; M],
        start: usize,
    ) {
        // SAFETY: the caller vouches for the places of all channels of the block.
        unsafe {
            for (m, sums) in sums.into_iter().enumerate() {
                if m >= block.rows {
                    return;
                }
                let target = block.target.add(m * self.place.planes.plane() + start);
                let bias = V::splat(block.bias[m]);
                for (n, sum) in sums.into_iter().enumerate() {
                    let target = target.add(n * V::WIDTH);
                    let value = match self.finish {
                        Finish::Forward { store: Store::F32, .. } => sum.add(bias),
                        Finish::Forward { store: Store::F16, .. } => sum.add(bias).round_f16(),
                        Finish::Summed { .. } | Finish::Gradient(Write::Set) => sum,
                        Finish::Gradient(Write::Add) => V::load(target).add(sum),
                    };
                    value.store(target);
                }
            }
        }
    }

    /// Writes one vector of each channel of `block`, found `step` apart in the stage, to its place in the result.
    #[inline(always)]
    unsafe fn write<V: Lanes>(&self, block: &Block, stage: *const f32, step: usize, mut cursor: Cursor) {
        let Place { planes, step: stride, .. } = self.place;
        let mut lane = 0;
        while lane < V::WIDTH && cursor.row < self.walk.rows {
            let lanes = lane..V::WIDTH.min(lane + self.walk.columns.saturating_sub(cursor.column));
            let start = cursor.row * stride[0] * planes.width + cursor.column * stride[1];
            for row in 0..block.rows {
                let target = block.target.wrapping_add(row * planes.plane() + start);
                // SAFETY: the stage holds a vector for each row of the block; `lanes` are results of this image row,
                // which begin at `target`.
                unsafe { self.put_row::<V>(stage.add(row * step), block.bias[row], target, lanes.clone()) };
            }
            if !self.walk.across {
                return;
            }
            let next = V::WIDTH.min(lane + self.walk.pitch - cursor.column);
            cursor = self.walk.advance(cursor, next - lane);
            lane = next;
        }
    }

    /// Writes the lanes `lanes` of the vector at `sums` to `target` and on, the column step apart.
    #[inline(always)]
    unsafe fn put_row<V: Lanes>(&self, sums: *const f32, bias: f32, target: *mut f32, lanes: Range<usize>) {
        let lane = lanes.start;
        // SAFETY: the caller vouches for the vector and for the places of its lanes.
        unsafe {
            match self.place.step[1] {
                1 => self.put(V::load(sums), bias, target.wrapping_sub(lane), lanes),
                2 => self.put_even(V::load(sums), target.wrapping_sub(2 * lane), lanes),
                _ => self.scatter(std::slice::from_raw_parts(sums.add(lane), lanes.len()), target),
            }
        }
    }

    /// Finishes the lanes `lanes` of `sums` and writes them to `target + lane`.
    #[inline(always)]
    unsafe fn put<V: Lanes>(&self, sums: V, bias: f32, target: *mut f32, lanes: Range<usize>) {
        // SAFETY: the caller vouches for the lanes of `target`.
        unsafe {
            let values = match self.finish {
                Finish::Forward { store: Store::F32, .. } => sums.add(V::splat(bias)),
                Finish::Forward { store: Store::F16, .. } => sums.add(V::splat(bias)).round_f16(),
                Finish::Summed { .. } | Finish::Gradient(Write::Set) => sums,
                Finish::Gradient(Write::Add) => V::load_part(target, lanes.clone()).add(sums),
            };
            if lanes.len() == V::WIDTH {
                values.store(target);
            } else {
                values.store_part(target, lanes);
            }
        }
    }

    /// Writes the lanes `lanes` of a gradient to `target + 2 lane`.
    #[inline(always)]
    unsafe fn put_even<V: Lanes>(&self, sums: V, target: *mut f32, lanes: Range<usize>) {
        let (start, end) = (2 * lanes.start, (2 * lanes.end).saturating_sub(1));
        // SAFETY: the caller vouches for the lanes, two apart; what lies between them is read but not written.
        unsafe {
            for (half, values) in sums.spread().into_iter().enumerate() {
                let first = half * V::WIDTH;
                let lanes =
                    start.clamp(first, first + V::WIDTH) - first..end.clamp(first, first + V::WIDTH) - first;
                if lanes.is_empty() {
                    continue;
                }
                let target = target.wrapping_add(first);
                let values = match self.finish {
                    Finish::Gradient(Write::Add) => V::load_part(target, lanes.clone()).add(values),
                    _ => values,
                };
                values.store_even(target, lanes);
            }
        }
    }

    /// Writes a gradient's values the column stride apart.
    #[inline(always)]
    unsafe fn scatter(&self, values: &[f32], target: *mut f32) {
        let write = if matches!(self.finish, Finish::Gradient(Write::Add)) { Write::Add } else { Write::Set };
        for (index, &value) in values.iter().enumerate() {
            // SAFETY: the caller vouches for as many places as values.
            unsafe {
                let slot = target.add(index * self.place.step[1]);
                *slot = write.apply(*slot, value);
            }
        }
    }
}
