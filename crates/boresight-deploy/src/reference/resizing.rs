//! Resizing to a size.

use super::Map;

/// Row `i` is row `floor(i * rows / new rows)`, and columns alike.
pub(super) fn nearest(x: &Map, size: [usize; 2]) -> Map {
    let (channels, height, width) = x.dim();
    Map::from_shape_fn((channels, size[0], size[1]), |(channel, row, column)| {
        x[[channel, row * height / size[0], column * width / size[1]]]
    })
}

/// Bilinear between half-pixel centres, edges clamped: rows are blended first, then columns.
pub(super) fn bilinear(x: &Map, size: [usize; 2]) -> Map {
    let (channels, height, width) = x.dim();
    Map::from_shape_fn((channels, size[0], size[1]), |(channel, row, column)| {
        let [rows, columns] = [Source::of(row, height, size[0]), Source::of(column, width, size[1])];
        let in_column = |column| rows.blend(x[[channel, rows.low, column]], x[[channel, rows.high, column]]);
        columns.blend(in_column(columns.low), in_column(columns.high))
    })
}

/// The two positions of one axis between which a result lies.
struct Source {
    low: usize,
    high: usize,
    /// Share of the value at `high`.
    weight: f32,
}

impl Source {
    /// Position `at` of `target` lies at `(at + 1/2) * source / target - 1/2`, not before the first position and not
    /// behind the last. In integers, `numerator / (2 * target)`, so the weight is the one thing that is rounded.
    fn of(at: usize, source: usize, target: usize) -> Self {
        let numerator = ((2 * at + 1) * source).saturating_sub(target);
        let low = numerator / (2 * target);
        if low + 1 >= source {
            return Self { low: source - 1, high: source - 1, weight: 0.0 };
        }
        let weight = (numerator % (2 * target)) as f32 / (2 * target) as f32;
        Self { low, high: low + 1, weight }
    }

    /// `(1 - weight) * low + weight * high`; exactly `low` without weight, even beside an infinite value.
    fn blend(&self, low: f32, high: f32) -> f32 {
        if self.weight > 0.0 { (1.0 - self.weight) * low + self.weight * high } else { low }
    }
}
