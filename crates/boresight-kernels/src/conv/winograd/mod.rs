//! Winograd's minimal filtering for 3x3 kernels with stride 1: tiles of 4x4 results from 36 products instead of 144.
//!
//! A feature map is cut into patches of 6x6 values that overlap by two. Seen as a polynomial, a patch is evaluated at
//! six points; there a convolution is one product for each of the 36 positions, and the sum over channels is a matrix
//! product. The points are 0, 3/4, -3/4, 3/2, -3/2 and infinity: their coefficients are exact in binary32, and the
//! error of a result, relative to the root of its mean square, is about twice that of the plain sum.
//!
//! Lanes are channels, every result is one chain of operations, and so it has the same bits on every processor; but
//! not the bits of the plain sum, which is why the device's arithmetic never comes here.
//!
//! # Source
//! Lavin and Gray, *Fast algorithms for convolutional neural networks*, 2015; the choice of points after Barabasz et
//! al., *Error analysis and improving the accuracy of Winograd convolution for deep neural networks*, 2020.

mod correlate;
mod gradient;
mod pixels;
#[cfg(test)]
mod tests;
mod transform;

use super::ConvShape;
use super::band::Grid;

pub(super) use correlate::{WinogradCorrelation, scratch_len as correlation_scratch};
pub(super) use gradient::{WinogradGradient, scratch_len as gradient_scratch};

/// Side of a tile of results.
const TILE: usize = 4;

/// Side of a patch, and points of evaluation along a side.
const PATCH: usize = 6;

/// Positions of a patch.
const POSITIONS: usize = PATCH * PATCH;

/// Tiles of an image from which on evaluating the weights is worth it.
const FEWEST_TILES: usize = 16;

/// Whether a correlation of this many channels to this many is faster this way.
///
/// The answer depends on neither the batch nor the processor, so that results do not.
pub(super) fn pays(grid: &Grid, channels: [usize; 2]) -> bool {
    // A plain sum costs five times what a product at one position does, evaluating a channel of a tile twenty times.
    fits(grid) && saved(channels, 5) > 0
}

/// Whether the weight gradient of this convolution is faster this way; the plain one is slower than a correlation.
pub(super) fn pays_for_weights(shape: &ConvShape) -> bool {
    let channels = [shape.depth(), shape.group_outputs()];
    shape.groups == 1 && fits(&shape.grid()) && saved(channels, 7) > 0
}

/// Whether the kernel is one for which these transforms are, and the image large enough.
fn fits(grid: &Grid) -> bool {
    let tiles: usize = grid.size.iter().map(|size| size.div_ceil(TILE)).product();
    // With more padding than a kernel is wide, the input's gradient reads the slope from its inside on.
    let begins_outside = grid.origin.iter().all(|&origin| origin <= 0);
    grid.kernel == [3, 3] && grid.stride == [1, 1] && begins_outside && tiles >= FEWEST_TILES
}

/// What is saved for each tile, in products, when a plain sum costs `plain` times a product; measured with AVX-512.
fn saved([depth, outputs]: [usize; 2], plain: usize) -> isize {
    let [wide_depth, wide_outputs] = [depth, outputs].map(|count| count.next_multiple_of(16));
    let cost = depth * wide_outputs + 20 * (wide_depth + wide_outputs);
    (plain * depth * outputs).cast_signed() - cost.cast_signed()
}
