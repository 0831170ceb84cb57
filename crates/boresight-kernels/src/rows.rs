//! Loops over rows of numbers, with the modes decided outside the loop so that they become vector code.

#![expect(clippy::inline_always, reason = "the loops must take on their caller's instruction set")]

use crate::{Store, Write};
use boresight_numerics::round_f16;

/// Partial sums that a reduction keeps side by side: so many that the loop over them stays a loop, and becomes vector
/// code.
const LANES: usize = 128;

/// y = f(x), stored.
///
/// The loops here are `for` loops and not `for_each`: a closure around a long `f` would not be inlined, and would be
/// compiled for the wrong instruction set.
#[inline(always)]
pub(crate) fn map(store: Store, x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    match store {
        Store::F32 => {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = f(x);
            }
        }
        Store::F16 => {
            for (y, &x) in y.iter_mut().zip(x) {
                *y = round_f16(f(x));
            }
        }
    }
}

/// y = f(y), stored.
#[inline(always)]
pub(crate) fn map_in_place(store: Store, y: &mut [f32], f: impl Fn(f32) -> f32) {
    match store {
        Store::F32 => {
            for y in y {
                *y = f(*y);
            }
        }
        Store::F16 => {
            for y in y {
                *y = round_f16(f(*y));
            }
        }
    }
}

/// y = f(x, z), stored.
#[inline(always)]
pub(crate) fn map_pairs(store: Store, x: &[f32], z: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    let each = y.iter_mut().zip(x).zip(z);
    match store {
        Store::F32 => {
            for ((y, &x), &z) in each {
                *y = f(x, z);
            }
        }
        Store::F16 => {
            for ((y, &x), &z) in each {
                *y = round_f16(f(x, z));
            }
        }
    }
}

/// Writes f(g) into `gradient`.
#[inline(always)]
pub(crate) fn pass(write: Write, g: &[f32], gradient: &mut [f32], f: impl Fn(f32) -> f32) {
    match write {
        Write::Set => {
            for (d, &g) in gradient.iter_mut().zip(g) {
                *d = f(g);
            }
        }
        Write::Add => {
            for (d, &g) in gradient.iter_mut().zip(g) {
                *d += f(g);
            }
        }
    }
}

/// Writes f(x, g) into `gradient`.
#[inline(always)]
pub(crate) fn pass_pairs(
    write: Write,
    x: &[f32],
    g: &[f32],
    gradient: &mut [f32],
    f: impl Fn(f32, f32) -> f32,
) {
    let each = gradient.iter_mut().zip(x).zip(g);
    match write {
        Write::Set => {
            for ((d, &x), &g) in each {
                *d = f(x, g);
            }
        }
        Write::Add => {
            for ((d, &x), &g) in each {
                *d += f(x, g);
            }
        }
    }
}

/// A sum in binary64 with one order on every machine: value `i` of each row goes to partial sum `i % 128`,
/// and at the end the halves are added pairwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sum([f64; LANES]);

impl Sum {
    pub(crate) const ZERO: Self = Self([0.0; LANES]);

    /// Adds f(x) of every number of a row.
    #[inline(always)]
    pub(crate) fn add(&mut self, row: &[f32], f: impl Fn(f64) -> f64) {
        for block in row.chunks(LANES) {
            for (lane, &x) in self.0.iter_mut().zip(block) {
                *lane += f(f64::from(x));
            }
        }
    }

    /// The total.
    #[inline(always)]
    pub(crate) fn total(self) -> f64 {
        total(self.0)
    }
}

/// Partial sums of [`PairSums`]: four vectors of the widest kind.
const PAIR_LANES: usize = 64;

/// Pairs that are summed in binary32 before their sums are added in binary64.
const STRETCH: usize = 16 * PAIR_LANES;

/// Two sums over the pairs of two rows, with one order on every machine: pair `i` of a stretch goes to partial sum
/// `i % 64` in binary32, at most sixteen to each; partial sums are added up in binary64.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairSums([[f64; PAIR_LANES]; 2]);

impl PairSums {
    pub(crate) const ZERO: Self = Self([[0.0; PAIR_LANES]; 2]);

    /// Adds both results of f(x, g) for every pair of numbers.
    #[inline(always)]
    pub(crate) fn add(&mut self, x: &[f32], g: &[f32], f: impl Fn(f32, f32) -> (f32, f32)) {
        for (x, g) in x.chunks(STRETCH).zip(g.chunks(STRETCH)) {
            let (mut first, mut second) = ([0.0_f32; PAIR_LANES], [0.0_f32; PAIR_LANES]);
            let ((x, last_x), (g, last_g)) = (x.as_chunks::<PAIR_LANES>(), g.as_chunks::<PAIR_LANES>());
            for (x, g) in x.iter().zip(g) {
                for lane in 0..PAIR_LANES {
                    let (a, b) = f(x[lane], g[lane]);
                    first[lane] += a;
                    second[lane] += b;
                }
            }
            for (lane, (&x, &g)) in last_x.iter().zip(last_g).enumerate() {
                let (a, b) = f(x, g);
                first[lane] += a;
                second[lane] += b;
            }
            for (sums, partial) in self.0.iter_mut().zip([&first, &second]) {
                for (sum, &partial) in sums.iter_mut().zip(partial) {
                    *sum += f64::from(partial);
                }
            }
        }
    }

    /// Both totals.
    #[inline(always)]
    pub(crate) fn totals(self) -> (f64, f64) {
        let [first, second] = self.0;
        (total(first), total(second))
    }
}

/// The sum of all lanes, halves added to each other until one is left.
#[inline(always)]
fn total<const N: usize>(mut lanes: [f64; N]) -> f64 {
    let mut half = N / 2;
    while half > 0 {
        for at in 0..half {
            lanes[at] += lanes[at + half];
        }
        half /= 2;
    }
    lanes[0]
}
