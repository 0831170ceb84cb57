//! Copies of feature maps with the channels of a pixel side by side.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use super::super::lanes::Lanes;
use crate::{Planes, Write};
use std::ops::Range;

/// Values of a block of as many pixels as channels on the widest vectors.
pub(super) const BLOCK: usize = 16 * 16;

/// An odd number of cache lines that hold `length` values: places that lie so far apart spread over a cache's sets.
pub(super) fn pitch(length: usize) -> usize {
    16 * (length.div_ceil(16) | 1)
}

/// A copy of some rows of one image, `[row, column, channel]`.
pub(super) struct PixelCopy {
    pub(super) channels: usize,
    /// Channels rounded up to whole vectors.
    pub(super) padded: usize,
    pub(super) columns: usize,
    /// Rows and columns of the image that come before the first of the copy.
    pub(super) before: [isize; 2],
}

impl PixelCopy {
    /// Values of one row.
    pub(super) const fn row(&self) -> usize {
        self.columns * self.padded
    }

    /// Distances from the first pixel of a tile to the others.
    pub(super) fn taps<const N: usize>(&self) -> [[usize; N]; N] {
        std::array::from_fn(|row| std::array::from_fn(|column| row * self.row() + column * self.padded))
    }

    /// Copies rows of image `image` of `values` to `target`, with `border` around it and zeros in the padding.
    ///
    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn fill<V: Lanes>(
        &self,
        planes: Planes,
        image: usize,
        values: &[f32],
        border: &[f32],
        rows: Range<usize>,
        block: &mut [f32],
        target: &mut [f32],
    ) {
        let image = &values[image * planes.channels * planes.plane()..][..planes.channels * planes.plane()];
        for (y, line) in rows.zip(target.chunks_exact_mut(self.row())) {
            let y = usize::try_from(y.cast_signed() + self.before[0]).ok().filter(|&y| y < planes.height);
            let Some(y) = y else {
                line.chunks_exact_mut(self.padded).for_each(|pixel| fill_border(border, pixel));
                continue;
            };
            let first = self.before[1].unsigned_abs().min(self.columns);
            let (left, rest) = line.split_at_mut(first * self.padded);
            let inside = (self.columns - first).min(planes.width);
            let (middle, right) = rest.split_at_mut(inside * self.padded);
            left.chunks_exact_mut(self.padded).for_each(|pixel| fill_border(border, pixel));
            right.chunks_exact_mut(self.padded).for_each(|pixel| fill_border(border, pixel));
            // SAFETY: the caller vouches for `V`.
            unsafe { self.fill_line::<V>(planes, &image[y * planes.width..], inside, block, middle) };
        }
    }

    /// Copies `count` pixels of one row, whose channels lie a plane apart in `image`.
    #[inline(always)]
    unsafe fn fill_line<V: Lanes>(
        &self,
        planes: Planes,
        image: &[f32],
        count: usize,
        block: &mut [f32],
        target: &mut [f32],
    ) {
        let plane = planes.plane();
        for channel in (0..self.padded).step_by(V::WIDTH) {
            let channels = V::WIDTH.min(self.channels - channel);
            let image = &image[channel * plane..];
            for start in (0..count).step_by(V::WIDTH) {
                let pixels = V::WIDTH.min(count - start);
                let target = &mut target[start * self.padded + channel..];
                // SAFETY: a whole block of pixels and channels lies within image and target; other blocks are
                // completed with zeros in `block`, which holds as many vectors as a vector has lanes.
                unsafe {
                    if pixels == V::WIDTH && channels == V::WIDTH {
                        V::transpose(image.as_ptr().add(start), plane, target.as_mut_ptr(), self.padded);
                        continue;
                    }
                    for lane in 0..V::WIDTH {
                        let values = if lane < channels {
                            V::load_part(image.as_ptr().add(lane * plane + start), 0..pixels)
                        } else {
                            V::splat(0.0)
                        };
                        values.store(block.as_mut_ptr().add(lane * V::WIDTH));
                    }
                    V::transpose_in_place(block.as_mut_ptr());
                    for pixel in 0..pixels {
                        let values = V::load(block.as_ptr().add(pixel * V::WIDTH));
                        values.store(target.as_mut_ptr().add(pixel * self.padded));
                    }
                }
            }
        }
    }

    /// Writes rows of the copy, which begins with the first of them, to image `image` of `values`.
    ///
    /// # Safety
    /// As for [`Lanes`].
    #[inline(always)]
    pub(super) unsafe fn drain<V: Lanes>(
        &self,
        planes: Planes,
        image: usize,
        rows: Range<usize>,
        write: Write,
        block: &mut [f32],
        source: &[f32],
        values: &mut [f32],
    ) {
        let plane = planes.plane();
        let image = &mut values[image * planes.channels * plane..][..planes.channels * plane];
        for (y, line) in rows.zip(source.chunks_exact(self.row())) {
            for channel in (0..self.padded).step_by(V::WIDTH) {
                let channels = V::WIDTH.min(self.channels - channel);
                let target = &mut image[channel * plane + y * planes.width..];
                for start in (0..planes.width).step_by(V::WIDTH) {
                    let pixels = V::WIDTH.min(planes.width - start);
                    let line = &line[start * self.padded + channel..];
                    // SAFETY: a whole block of pixels and channels lies within line and target; of other blocks only
                    // that part is read and written.
                    unsafe {
                        if pixels == V::WIDTH && channels == V::WIDTH && write == Write::Set {
                            let to = target.as_mut_ptr().add(start);
                            V::transpose(line.as_ptr(), self.padded, to, plane);
                            continue;
                        }
                        for pixel in 0..pixels {
                            let values = V::load(line.as_ptr().add(pixel * self.padded));
                            values.store(block.as_mut_ptr().add(pixel * V::WIDTH));
                        }
                        V::transpose_in_place(block.as_mut_ptr());
                        for lane in 0..channels {
                            let to = target.as_mut_ptr().add(lane * plane + start);
                            let mut values = V::load(block.as_ptr().add(lane * V::WIDTH));
                            if write == Write::Add {
                                values = V::load_part(to, 0..pixels).add(values);
                            }
                            values.store_part(to, 0..pixels);
                        }
                    }
                }
            }
        }
    }
}

/// A pixel beyond the edge: the border value of each channel, and zeros in the padding.
fn fill_border(border: &[f32], pixel: &mut [f32]) {
    pixel.fill(0.0);
    pixel[..border.len()].copy_from_slice(border);
}
