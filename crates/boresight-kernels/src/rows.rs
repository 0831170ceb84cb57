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
        let mut lanes = self.0;
        let mut half = LANES / 2;
        while half > 0 {
            for at in 0..half {
                lanes[at] += lanes[at + half];
            }
            half /= 2;
        }
        lanes[0]
    }
}

/// Two sums over the pairs of two rows, ordered as [`Sum`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct PairSums(Sum, Sum);

impl PairSums {
    pub(crate) const ZERO: Self = Self(Sum::ZERO, Sum::ZERO);

    /// Adds both results of f(x, g) for every pair of numbers.
    #[inline(always)]
    pub(crate) fn add(&mut self, x: &[f32], g: &[f32], f: impl Fn(f32, f32) -> (f64, f64)) {
        for (x, g) in x.chunks(LANES).zip(g.chunks(LANES)) {
            let lanes = self.0.0.iter_mut().zip(&mut self.1.0);
            for ((first, second), (&x, &g)) in lanes.zip(x.iter().zip(g)) {
                let (a, b) = f(x, g);
                *first += a;
                *second += b;
            }
        }
    }

    /// Both totals.
    #[inline(always)]
    pub(crate) fn totals(self) -> (f64, f64) {
        (self.0.total(), self.1.total())
    }
}
