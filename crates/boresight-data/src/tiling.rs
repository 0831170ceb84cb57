//! Cutting a scene into tiles so that each pixel is scored once.

use crate::Error;
use std::ops::Range;

/// A tile of a scene and the pixels that it answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileAt {
    /// Its first row in the scene.
    pub y: usize,
    /// Its first column in the scene.
    pub x: usize,
    /// Rows and columns of the scene that it fills; inside the tile, and no other tile's.
    pub open: [Range<usize>; 2],
}

/// Tiles that cover a scene, each pixel being filled by exactly one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// The side of a tile.
    pub tile: usize,
    /// The tiles, row by row.
    pub tiles: Vec<TileAt>,
}

impl Tiling {
    /// Disjoint tiles from the first row and column on. The last row and column of tiles are moved back to the
    /// edge of the scene, and fill only what is still open.
    ///
    /// # Errors
    /// When the scene has fewer than `tile` rows or columns, or `tile` is 0.
    pub fn disjoint(height: usize, width: usize, tile: usize) -> Result<Self, Error> {
        if tile == 0 || tile > height || tile > width {
            return Err(Error::Tiling { tile, height, width });
        }
        let tiles = spans(height, tile).flat_map(|(y, rows)| {
            spans(width, tile).map(move |(x, columns)| TileAt { y, x, open: [rows.clone(), columns] })
        });
        Ok(Self { tile, tiles: tiles.collect() })
    }
}

/// Start and open range of each tile along one side.
fn spans(side: usize, tile: usize) -> impl Iterator<Item = (usize, Range<usize>)> {
    (0..side.div_ceil(tile)).map(move |at| {
        let open = at * tile..((at + 1) * tile).min(side);
        (open.start.min(side - tile), open)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_tiles_are_clamped_to_the_edge() {
        let tiling = Tiling::disjoint(5, 4, 4).unwrap();
        assert_eq!(
            tiling.tiles,
            [TileAt { y: 0, x: 0, open: [0..4, 0..4] }, TileAt { y: 1, x: 0, open: [4..5, 0..4] }]
        );
    }

    #[test]
    fn a_scene_smaller_than_the_tile_is_refused() {
        for (height, width, tile) in [(3, 9, 4), (9, 3, 4), (3, 3, 0)] {
            assert!(Tiling::disjoint(height, width, tile).is_err());
        }
    }

    proptest! {
        #[test]
        fn each_pixel_is_filled_once_by_a_tile_that_holds_it(
            tile in 1_usize..20, more_rows in 0_usize..50, more_columns in 0_usize..50,
        ) {
            let (height, width) = (tile + more_rows, tile + more_columns);
            let mut filled = vec![0_u8; height * width];
            for at in Tiling::disjoint(height, width, tile).unwrap().tiles {
                prop_assert!(at.y + tile <= height && at.x + tile <= width);
                let [rows, columns] = at.open;
                prop_assert!(rows.start >= at.y && rows.end <= at.y + tile);
                prop_assert!(columns.start >= at.x && columns.end <= at.x + tile);
                for y in rows {
                    columns.clone().for_each(|x| filled[y * width + x] += 1);
                }
            }
            prop_assert!(filled.iter().all(|&times| times == 1));
        }
    }
}
