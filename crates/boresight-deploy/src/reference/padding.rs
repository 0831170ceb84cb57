//! Rows and columns around a map and between its pixels.

use super::Map;
use boresight_ir::Shape;

/// A map of `shape` in which `x` begins behind `rows` rows and `columns` columns; what surrounds it holds what `filling`
/// says of the channel.
pub(super) fn pad(x: &Map, rows: usize, columns: usize, shape: Shape, filling: impl Fn(usize) -> f32) -> Map {
    let (_, height, width) = x.dim();
    Map::from_shape_fn((shape.channels, shape.height, shape.width), |(channel, row, column)| {
        let inside = (rows..rows + height).contains(&row) && (columns..columns + width).contains(&column);
        if inside { x[[channel, row - rows, column - columns]] } else { filling(channel) }
    })
}

/// A map of `shape` in which every `stride`-th row and column is one of `x`; the others are zero.
pub(super) fn zero_stuff(x: &Map, stride: [usize; 2], shape: Shape) -> Map {
    Map::from_shape_fn((shape.channels, shape.height, shape.width), |(channel, row, column)| {
        let is_pixel = row % stride[0] == 0 && column % stride[1] == 0;
        if is_pixel { x[[channel, row / stride[0], column / stride[1]]] } else { 0.0 }
    })
}
