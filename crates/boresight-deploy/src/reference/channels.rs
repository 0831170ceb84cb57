//! Operators that move, join and weigh channels.

use super::Map;
use boresight_ir::Shape;

/// Channels of all `inputs`, one after the other.
pub(super) fn concat(inputs: &[&Map], shape: Shape) -> Map {
    let mut result = Map::zeros((shape.channels, shape.height, shape.width));
    let mut first = 0;
    for input in inputs {
        for ((channel, row, column), &value) in input.indexed_iter() {
            result[[first + channel, row, column]] = value;
        }
        first += input.dim().0;
    }
    result
}

/// The channels from `start` on, as many as `shape` has.
pub(super) fn slice(x: &Map, start: usize, shape: Shape) -> Map {
    Map::from_shape_fn((shape.channels, shape.height, shape.width), |(channel, row, column)| {
        x[[start + channel, row, column]]
    })
}

/// `x + z`, value by value.
pub(super) fn add(x: &Map, z: &Map) -> Map {
    Map::from_shape_fn(x.dim(), |at| x[at] + z[at])
}

/// `x * z`, value by value.
pub(super) fn mul(x: &Map, z: &Map) -> Map {
    Map::from_shape_fn(x.dim(), |at| x[at] * z[at])
}

/// Every channel of `x` times its factor; `factors` has one pixel.
pub(super) fn scale(x: &Map, factors: &Map) -> Map {
    Map::from_shape_fn(x.dim(), |at| x[at] * factors[[at.0, 0, 0]])
}
