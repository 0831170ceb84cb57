//! Activation functions that are read from a table.

use crate::{Activation, math};
use boresight_numerics::Table;

/// Tables of sigmoid and GELU.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionTables {
    reach: f32,
    /// Intervals between 0 and 1.
    rate: f32,
    sigmoid: Vec<f32>,
    gelu: Vec<f32>,
}

impl FunctionTables {
    /// The tables that `table` describes: this project's own functions at each place, rounded to binary32.
    pub fn new(table: Table) -> Self {
        let places = || (0..=table.intervals.get()).map(move |at| place(table, at));
        Self {
            reach: place(table, table.intervals.get()),
            rate: rate(table),
            sigmoid: places().map(math::sigmoid).collect(),
            gelu: places().map(math::gelu).collect(),
        }
    }

    /// Writes the activation of every value of `x` to `y`: sigmoid and GELU by their tables.
    ///
    /// # Panics
    /// When the slices differ in length.
    pub fn activate(&self, activation: Activation, x: &[f32], y: &mut [f32]) {
        match activation {
            Activation::Sigmoid => self.read(&self.sigmoid, x, y, |x| if x < 0.0 { 0.0 } else { 1.0 }),
            Activation::Gelu => self.read(&self.gelu, x, y, |x| if x < 0.0 { 0.0 } else { x }),
            other => crate::activate(other, crate::Store::F32, x, y),
        }
    }

    fn read(&self, table: &[f32], x: &[f32], y: &mut [f32], beyond: impl Fn(f32) -> f32) {
        assert_eq!(x.len(), y.len(), "input and output differ in length");
        for (y, &x) in y.iter_mut().zip(x) {
            *y = if x.abs() < self.reach {
                let place = (x + self.reach) * self.rate;
                let whole = place.floor();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a place in the table"
                )]
                let at = (whole as usize).min(table.len() - 2);
                (table[at + 1] - table[at]).mul_add(place - at as f32, table[at])
            } else if x.is_nan() {
                x
            } else {
                beyond(x)
            };
        }
    }
}

/// Place `at` of the table.
#[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
fn place(table: Table, at: u32) -> f32 {
    (f64::from(at) * table.step() - f64::from(table.reach.get())) as f32
}

/// Intervals between 0 and 1.
#[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
fn rate(table: Table) -> f32 {
    (1.0 / table.step()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::plain_activation;
    use std::num::NonZeroU32;

    fn table(intervals: u32, reach: u32) -> Table {
        let number = |value| NonZeroU32::new(value).unwrap();
        Table { intervals: number(intervals), reach: number(reach) }
    }

    #[test]
    fn a_table_is_nearly_as_far_off_as_it_says() {
        for (intervals, reach) in [(64, 8), (256, 8), (1000, 12), (7, 3)] {
            let table = table(intervals, reach);
            let tables = FunctionTables::new(table);
            for (activation, stated) in
                [(Activation::Sigmoid, table.sigmoid_error()), (Activation::Gelu, table.gelu_error())]
            {
                let x: Vec<f32> = (-200_000..=200_000_i32).map(|at| at as f32 * 1e-4).collect();
                let mut y = vec![0.0; x.len()];
                tables.activate(activation, &x, &mut y);
                let error = |(x, y): (&f32, &f32)| {
                    (f64::from(*y) - plain_activation(activation, f64::from(*x))).abs()
                };
                let worst = x.iter().zip(&y).map(error).fold(0.0, f64::max);
                assert!(worst <= stated, "{intervals} {reach} {activation:?}: {worst:e} of {stated:e}");
                if intervals >= 64 {
                    assert!(worst >= 0.5 * stated, "{intervals} {activation:?}: {worst:e} of {stated:e}");
                }
            }
        }
    }

    #[test]
    fn beyond_the_table_the_functions_have_come_to_rest() {
        let tables = FunctionTables::new(table(16, 4));
        let x = [-100.0, 100.0, f32::NEG_INFINITY, f32::INFINITY, f32::NAN];
        let mut y = [0.0; 5];
        tables.activate(Activation::Sigmoid, &x, &mut y);
        assert!(y[..4] == [0.0, 1.0, 0.0, 1.0] && y[4].is_nan(), "{y:?}");
        tables.activate(Activation::Gelu, &x, &mut y);
        assert!(y[..4] == [0.0, 100.0, 0.0, f32::INFINITY] && y[4].is_nan(), "{y:?}");
    }
}
