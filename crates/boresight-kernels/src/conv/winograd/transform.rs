//! The linear maps between values and their evaluation at six points, in one dimension and in two.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]
#![expect(
    clippy::needless_range_loop,
    reason = "plain loops over constant ranges are unrolled, iterators are not always"
)]

use super::super::lanes::Lanes;
use super::{PATCH, TILE};

/// The finite points are 0, `NEAR`, -`NEAR`, `FAR` and -`FAR`; the sixth is infinity.
const NEAR: f32 = 0.75;
const FAR: f32 = 1.5;
const NEAR_2: f32 = NEAR * NEAR;
const FAR_2: f32 = FAR * FAR;
const NEAR_3: f32 = NEAR * NEAR_2;
const FAR_3: f32 = FAR * FAR_2;
/// Coefficients of the polynomial whose roots are the points other than 0 and infinity.
const PRODUCT: f32 = NEAR_2 * FAR_2;
const SUM: f32 = NEAR_2 + FAR_2;

/// Reciprocals of the Lagrange denominators of the finite points, in the order of the points.
const SHARES: [f32; 3] =
    [1.0 / PRODUCT, 1.0 / (2.0 * NEAR_2 * (NEAR_2 - FAR_2)), 1.0 / (2.0 * FAR_2 * (FAR_2 - NEAR_2))];

/// A patch's six values along one side, transformed.
///
/// # Safety
/// As for [`Lanes`]; so for all functions of this file.
#[inline(always)]
unsafe fn patch_line<V: Lanes>(d: [V; PATCH]) -> [V; PATCH] {
    // SAFETY: the caller vouches for `V`.
    unsafe {
        let zero = d[0].mul_add(V::splat(PRODUCT), d[2].mul_add(V::splat(-SUM), d[4]));
        let infinity = d[1].mul_add(V::splat(PRODUCT), d[3].mul_add(V::splat(-SUM), d[5]));
        let (even, odd) = (d[2].mul_add(V::splat(-FAR_2), d[4]), d[1].mul_add(V::splat(-FAR_2), d[3]));
        let near = [odd.mul_add(V::splat(NEAR), even), odd.mul_add(V::splat(-NEAR), even)];
        let (even, odd) = (d[2].mul_add(V::splat(-NEAR_2), d[4]), d[1].mul_add(V::splat(-NEAR_2), d[3]));
        let far = [odd.mul_add(V::splat(FAR), even), odd.mul_add(V::splat(-FAR), even)];
        [zero, near[0], near[1], far[0], far[1], infinity]
    }
}

/// The four values along one side of a tile of results, from six products.
#[inline(always)]
unsafe fn tile_line<V: Lanes>(m: [V; PATCH]) -> [V; TILE] {
    // SAFETY: the caller vouches for `V`.
    unsafe {
        let (near, near_odd) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (far, far_odd) = (m[3].add(m[4]), m[3].sub(m[4]));
        let zero = V::splat(0.0);
        [
            m[0].add(near).add(far),
            far_odd.mul_add(V::splat(FAR), near_odd.mul_add(V::splat(NEAR), zero)),
            far.mul_add(V::splat(FAR_2), near.mul_add(V::splat(NEAR_2), zero)),
            far_odd.mul_add(V::splat(FAR_3), near_odd.mul_add(V::splat(NEAR_3), m[5])),
        ]
    }
}

/// Four values along one side of a tile of gradients, evaluated at the six points.
#[inline(always)]
unsafe fn slope_line<V: Lanes>(g: [V; TILE]) -> [V; PATCH] {
    // SAFETY: the caller vouches for `V`.
    unsafe {
        let (even, odd) = (g[2].mul_add(V::splat(NEAR_2), g[0]), g[3].mul_add(V::splat(NEAR_2), g[1]));
        let near = [odd.mul_add(V::splat(NEAR), even), odd.mul_add(V::splat(-NEAR), even)];
        let (even, odd) = (g[2].mul_add(V::splat(FAR_2), g[0]), g[3].mul_add(V::splat(FAR_2), g[1]));
        let far = [odd.mul_add(V::splat(FAR), even), odd.mul_add(V::splat(-FAR), even)];
        [g[0], near[0], near[1], far[0], far[1], g[3]]
    }
}

/// The patches whose values at row `r` and column `c` stand at `taps[r][c]`; position `(i, j)` of the result goes to
/// `to + (6 i + j) * pitch`.
#[inline(always)]
pub(super) unsafe fn patch<V: Lanes>(
    from: *const f32,
    taps: &[[usize; PATCH]; PATCH],
    to: *mut f32,
    pitch: usize,
) {
    // SAFETY: the caller vouches for `V` and for the places.
    unsafe {
        let mut lines = [[V::splat(0.0); PATCH]; PATCH];
        for column in 0..PATCH {
            let mut line = [V::splat(0.0); PATCH];
            for row in 0..PATCH {
                line[row] = V::load(from.add(taps[row][column]));
            }
            let line = patch_line(line);
            for row in 0..PATCH {
                lines[row][column] = line[row];
            }
        }
        for row in 0..PATCH {
            let line = patch_line(lines[row]);
            for column in 0..PATCH {
                line[column].store(to.add((row * PATCH + column) * pitch));
            }
        }
    }
}

/// The tiles of results whose products at position `(i, j)` stand at `from + (6 i + j) * pitch`, row by row.
#[inline(always)]
pub(super) unsafe fn tile<V: Lanes>(from: *const f32, pitch: usize) -> [[V; TILE]; TILE] {
    // SAFETY: the caller vouches for `V` and for the places.
    unsafe {
        let mut lines = [[V::splat(0.0); PATCH]; TILE];
        for column in 0..PATCH {
            let mut line = [V::splat(0.0); PATCH];
            for row in 0..PATCH {
                line[row] = V::load(from.add((row * PATCH + column) * pitch));
            }
            let line = tile_line(line);
            for row in 0..TILE {
                lines[row][column] = line[row];
            }
        }
        [tile_line(lines[0]), tile_line(lines[1]), tile_line(lines[2]), tile_line(lines[3])]
    }
}

/// The tiles of gradients at `taps`, evaluated; places as for [`patch`].
#[inline(always)]
pub(super) unsafe fn slope<V: Lanes>(
    from: *const f32,
    taps: &[[usize; TILE]; TILE],
    to: *mut f32,
    pitch: usize,
) {
    // SAFETY: the caller vouches for `V` and for the places.
    unsafe {
        let mut lines = [[V::splat(0.0); TILE]; PATCH];
        for column in 0..TILE {
            let mut line = [V::splat(0.0); TILE];
            for row in 0..TILE {
                line[row] = V::load(from.add(taps[row][column]));
            }
            let line = slope_line(line);
            for row in 0..PATCH {
                lines[row][column] = line[row];
            }
        }
        for row in 0..PATCH {
            let line = slope_line(lines[row]);
            for column in 0..PATCH {
                line[column].store(to.add((row * PATCH + column) * pitch));
            }
        }
    }
}

/// Weights of eight kernels side by side.
type Eight = [f32; 8];

/// Three weights along one side of a kernel, evaluated and divided by the Lagrange denominators.
#[inline(always)]
fn kernel_line(g: [Eight; 3]) -> [Eight; PATCH] {
    let [zero, near, far] = SHARES;
    let mut line = [[0.0; 8]; PATCH];
    for lane in 0..8 {
        let [low, middle, high] = [g[0][lane], g[1][lane], g[2][lane]];
        line[0][lane] = low * zero;
        line[1][lane] = (low + high * NEAR_2 + middle * NEAR) * near;
        line[2][lane] = (low + high * NEAR_2 - middle * NEAR) * near;
        line[3][lane] = (low + high * FAR_2 + middle * FAR) * far;
        line[4][lane] = (low + high * FAR_2 - middle * FAR) * far;
        line[5][lane] = high;
    }
    line
}

/// Eight 3x3 kernels, evaluated at the 36 pairs of points.
#[inline(always)]
pub(super) fn kernel(g: &[[Eight; 3]; 3]) -> [[Eight; PATCH]; PATCH] {
    let rows = [kernel_line(g[0]), kernel_line(g[1]), kernel_line(g[2])];
    let mut evaluated = [[[0.0; 8]; PATCH]; PATCH];
    for column in 0..PATCH {
        let line = kernel_line([rows[0][column], rows[1][column], rows[2][column]]);
        for row in 0..PATCH {
            evaluated[row][column] = line[row];
        }
    }
    evaluated
}

/// The gradient of a 3x3 kernel from the sums at the 36 pairs of points.
#[inline(always)]
pub(super) fn kernel_gradient(sums: &[[f32; PATCH]; PATCH]) -> [[f32; 3]; 3] {
    let mut lines = [[0.0; PATCH]; 3];
    for column in 0..PATCH {
        let mut line = [0.0; PATCH];
        for row in 0..PATCH {
            line[row] = sums[row][column];
        }
        let line = gradient_line(line);
        for row in 0..3 {
            lines[row][column] = line[row];
        }
    }
    [gradient_line(lines[0]), gradient_line(lines[1]), gradient_line(lines[2])]
}

#[inline(always)]
fn gradient_line(s: [f32; PATCH]) -> [f32; 3] {
    let [zero, near, far] = SHARES;
    let (near_even, near_odd) = ((s[1] + s[2]) * near, (s[1] - s[2]) * near);
    let (far_even, far_odd) = ((s[3] + s[4]) * far, (s[3] - s[4]) * far);
    [
        s[0] * zero + (near_even + far_even),
        far_odd * FAR + near_odd * NEAR,
        far_even * FAR_2 + (near_even * NEAR_2 + s[5]),
    ]
}
