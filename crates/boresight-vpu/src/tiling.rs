//! Cutting convolutions and poolings into stages that fit the on-chip memory.
//!
//! The search is the compiler's: every split of the width and of the input channels, with the fewest parts of the
//! height that fit; the cheapest by the compiler's own measure wins, which is not the running time.

mod pooling;

use crate::axis::{Axis, Overhang, Span, Spans};
use crate::nce::{ConvTile, Nce, NceCost, line_bytes};
use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

/// The rules of the search.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Parts into which one dimension may be cut.
    pub max_tiles: usize,
    /// Fewest columns of an input tile when the width is cut; twice as many before a fused pooling.
    pub min_width: usize,
    /// The same for pooling.
    pub min_pool_width: usize,
    /// Most bytes of the lines of a plane that is padded for pooling: with padding below, and without.
    pub padded_pool_bytes: [usize; 2],
    /// Most rows, columns and channels of an input tile.
    pub max_tile: usize,
    /// Widest input of a tile that is pooled in the same stage, by input channels.
    pub pooled_widths: Vec<PooledWidth>,
    /// Shapes whose tiles are fixed.
    pub fixed: Vec<Fixed>,
}

/// Widest input of a tile that is pooled in the same stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PooledWidth {
    /// Fewest channels for which it holds.
    pub min_channels: usize,
    /// Most channels for which it holds.
    pub max_channels: usize,
    /// Columns that the tile may have.
    pub width: usize,
}

/// A shape whose tiles are fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fixed {
    /// The kernel for which it holds; every kernel without.
    #[serde(default)]
    pub kernel: Option<FixedKernel>,
    /// Channels, height and width of the input.
    pub input: [usize; 3],
    /// Channels of the output.
    pub out_channels: usize,
    /// Channels, height and width of an input tile; 0 keeps what the search found.
    pub tile: [usize; 3],
}

/// The kernel of a fixed shape, square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FixedKernel {
    /// Rows and columns.
    pub size: usize,
    /// Step.
    pub stride: usize,
    /// Lines added on each side.
    pub padding: usize,
}

/// What follows a convolution in the same stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fusion {
    /// Nothing that changes its size.
    None,
    /// Max pooling of 2x2 windows; the convolution is 3x3 with stride 1 and padding 1, height and width are even.
    MaxPool2,
}

/// A dense convolution, or a pooling, of a whole feature map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Step in both directions.
    pub stride: usize,
    /// Rows added above and below, columns added left and right.
    pub padding: [usize; 2],
    /// What follows in the same stage.
    pub fusion: Fusion,
}

/// How a convolution or pooling is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Parts of the width, of the height and of the input channels.
    pub grid: [usize; 3],
    /// Mode and cost of the first stage; `None` for pooling.
    pub nce: Option<NceCost>,
    /// Cost times output pixels, surplus lines included, summed over all stages.
    pub cycles: u64,
    /// Output pixels computed, surplus lines included, summed over all stages.
    pub pixels: u64,
    /// Stages on the NCE.
    pub stages: usize,
    /// Stages that add the results of two parts of the input channels, on the SHAVEs.
    pub sums: usize,
    /// Copies that move input tiles to multiples of 16 bytes and output tiles to where they belong.
    pub copies: usize,
    /// Bytes that these copies read and write.
    pub copy_bytes: u64,
    /// Bytes of the largest output tile.
    pub tile_bytes: usize,
}

/// A cut that the search weighs.
struct Candidate {
    cost: u64,
    tile_count: usize,
    input: [usize; 3],
}

/// The cuts of the height that were looked at, by the number of parts; they do not depend on the other cuts.
#[derive(Default)]
struct RowCuts(SmallVec<[RowCut; 1]>);

enum RowCut {
    /// The tiles are too low, and so are those of more parts.
    TooLow,
    /// No tiles come out.
    Impossible,
    /// Rows of an input tile, and the tiles.
    Rows(usize, Spans),
}

/// The tiles of a convolution.
#[derive(Clone, Debug)]
pub(crate) struct Cut {
    /// Tiles along the height.
    pub(crate) rows: Spans,
    /// Tiles along the width.
    pub(crate) columns: Spans,
    /// Parts of the input channels.
    pub(crate) parts: usize,
    /// The cost of each tile, row by row.
    pub(crate) costs: SmallVec<[NceCost; 1]>,
}

impl Conv {
    /// How `rules` cut it so that the engine runs it with output tiles of at most `limit` bytes; `None` where nothing
    /// fits, so that the SHAVEs must run it.
    pub fn tile(&self, nce: &Nce, rules: &Rules, limit: usize) -> Option<Tiling> {
        let search = Search::new(self, nce, rules, limit);
        let best = search.best()?;
        let input = search.fixed(best.input);
        search.layout(input)
    }

    /// The tiles that [`Conv::tile`] counts.
    pub(crate) fn cut(&self, nce: &Nce, rules: &Rules, limit: usize) -> Option<Cut> {
        let search = Search::new(self, nce, rules, limit);
        let [channels, height, width] = search.fixed(search.best()?.input);
        let (rows, columns) = (search.spans(0, height)?, search.spans(1, width)?);
        let tiles = rows.iter().flat_map(|row| columns.iter().map(move |column| (row, column)));
        let costs: Option<SmallVec<[NceCost; 1]>> =
            tiles.map(|(row, column)| search.stage(channels, row, column)).collect();
        let costs = costs?;
        let parts = self.in_channels.div_ceil(costs[0].padded_inputs);
        Some(Cut { rows, columns, parts, costs })
    }

    /// The tiles along height and width that [`Conv::tile_pool`] counts.
    pub(crate) fn cut_pool(&self, nce: &Nce, rules: &Rules, limit: usize) -> Option<[Spans; 2]> {
        Search::new(self, nce, rules, limit).best_pool()
    }

    /// The same for pooling, which sees each channel by itself.
    pub fn tile_pool(&self, nce: &Nce, rules: &Rules, limit: usize) -> Option<Tiling> {
        Search::new(self, nce, rules, limit).pool()
    }

    /// Height and width of the result.
    pub const fn output(&self) -> [usize; 2] {
        let divisor = match self.fusion {
            Fusion::None => 1,
            Fusion::MaxPool2 => 2,
        };
        [self.axis(0).output / divisor, self.axis(1).output / divisor]
    }

    const fn axis(&self, dimension: usize) -> Axis {
        let input = if dimension == 0 { self.height } else { self.width };
        let (kernel, padding) = (self.kernel[dimension], self.padding[dimension]);
        let axis = Axis { input, output: 0, kernel, stride: self.stride, padding };
        Axis { output: axis.output_of(input, Overhang::Floor), ..axis }
    }
}

struct Search<'a> {
    conv: &'a Conv,
    nce: &'a Nce,
    rules: &'a Rules,
    limit: usize,
    axes: [Axis; 2],
    /// Height and width of the result.
    output: [usize; 2],
    overhang: Overhang,
}

impl<'a> Search<'a> {
    fn new(conv: &'a Conv, nce: &'a Nce, rules: &'a Rules, limit: usize) -> Self {
        let axes = [conv.axis(0), conv.axis(1)];
        let is_ceil = axes[0].is_ceil() || axes[1].is_ceil();
        let overhang = if is_ceil { Overhang::Ceil } else { Overhang::Floor };
        Self { conv, nce, rules, limit, axes, output: conv.output(), overhang }
    }
}

impl Search<'_> {
    fn best(&self) -> Option<Candidate> {
        let conv = self.conv;
        let (channel_cuts, factor) = match conv.fusion {
            Fusion::None => (self.rules.max_tiles, 1),
            Fusion::MaxPool2 => (1, 2),
        };
        let [out_height, out_width] = self.output;
        let plane = (out_height * out_width * conv.out_channels) as u64;
        let mut best: Option<Candidate> = None;
        let mut rows = RowCuts::default();
        for channel_parts in 1..=channel_cuts {
            let channels = conv.in_channels.div_ceil(channel_parts);
            if channels > self.rules.max_tile {
                continue;
            }
            // Adding partial results alone costs more than the best cut so far.
            if best.as_ref().is_some_and(|best| plane * (channel_parts as u64 - 1) > best.cost) {
                break;
            }
            let least = self.nce.least_cost(channels, conv.out_channels, conv.kernel[0] * conv.kernel[1]);
            let least = least * channel_parts as u64;
            for width_parts in 1..=self.rules.max_tiles {
                let width = self.part(1, width_parts);
                if width_parts > 1 && width < self.rules.min_width * factor {
                    break;
                }
                if width > self.rules.max_tile {
                    continue;
                }
                // Tiles that cost the least already cost too much.
                let count = self.fewest_spans(1, width) as u64;
                let is_worse = |best: &Candidate| {
                    least * count >= best.cost && channel_parts * width_parts >= best.tile_count
                };
                if best.as_ref().is_some_and(is_worse) {
                    // So do more of them.
                    break;
                }
                let Some(columns) = self.spans(1, width) else { continue };
                let found =
                    self.fewest_rows([channel_parts, width_parts], [channels, width], &columns, &mut rows);
                if let Some(found) = found
                    && best
                        .as_ref()
                        .is_none_or(|best| (found.cost, found.tile_count) < (best.cost, best.tile_count))
                {
                    best = Some(found);
                }
            }
        }
        best
    }

    /// The cut with the fewest parts of the height that fits, for these parts of channels and width.
    fn fewest_rows(
        &self,
        parts: [usize; 2],
        tile: [usize; 2],
        columns: &[Span],
        cuts: &mut RowCuts,
    ) -> Option<Candidate> {
        for height_parts in 1..=self.rules.max_tiles {
            if cuts.0.len() < height_parts {
                cuts.0.push(self.row_cut(height_parts));
            }
            match &cuts.0[height_parts - 1] {
                RowCut::TooLow => return None,
                RowCut::Impossible => {}
                RowCut::Rows(height, rows) => {
                    if let Some(cost) = self.cost(parts[0], tile[0], rows, columns) {
                        let tile_count = parts[0] * parts[1] * height_parts;
                        return Some(Candidate { cost, tile_count, input: [tile[0], *height, tile[1]] });
                    }
                }
            }
        }
        None
    }

    fn row_cut(&self, parts: usize) -> RowCut {
        let factor = if self.conv.fusion == Fusion::MaxPool2 { 2 } else { 1 };
        let mut height = self.part(0, parts);
        if parts > 1 {
            let axis = self.axes[0];
            let wanted = self.output[0].div_ceil(parts);
            if axis.output_of(height, Overhang::Floor) < wanted {
                height = axis.input_of(wanted);
            }
            if height < self.conv.kernel[0] * factor {
                return RowCut::TooLow;
            }
        }
        match self.spans(0, height) {
            Some(rows) if height <= self.rules.max_tile => RowCut::Rows(height, rows),
            _ => RowCut::Impossible,
        }
    }

    /// Input lines of one of `parts` parts, a multiple of the stride when there are several.
    const fn part(&self, dimension: usize, parts: usize) -> usize {
        let lines = self.axes[dimension].input.div_ceil(parts);
        if parts > 1 { lines.next_multiple_of(self.conv.stride) } else { lines }
    }

    /// Lines of the result that a tile may compute whose input has about `lines` lines.
    const fn span_limit(&self, dimension: usize, lines: usize) -> usize {
        let limit = self.axes[dimension].output_of(lines, self.overhang);
        match self.conv.fusion {
            Fusion::None => limit,
            Fusion::MaxPool2 => limit / 2,
        }
    }

    /// How many tiles [`Search::spans`] gives at least.
    fn fewest_spans(&self, dimension: usize, lines: usize) -> usize {
        self.output[dimension].div_ceil(self.span_limit(dimension, lines).max(1))
    }

    /// Tiles along one axis whose input has about `lines` lines.
    fn spans(&self, dimension: usize, lines: usize) -> Option<Spans> {
        let axis = self.axes[dimension];
        let whole = self.output[dimension];
        let limit = self.span_limit(dimension, lines);
        if self.conv.fusion == Fusion::MaxPool2 && limit.min(whole) <= 2 {
            return None;
        }
        if limit >= whole {
            return Some(smallvec![axis.whole(whole)]);
        }
        match self.conv.fusion {
            Fusion::None => axis.split(limit, self.overhang),
            Fusion::MaxPool2 => axis.split_pooled(limit),
        }
    }

    fn stage(&self, channels: usize, row: &Span, column: &Span) -> Option<NceCost> {
        self.nce.cost(&self.conv_tile(channels, row, column))
    }

    const fn conv_tile(&self, channels: usize, row: &Span, column: &Span) -> ConvTile {
        ConvTile {
            in_channels: channels,
            out_channels: self.conv.out_channels,
            height: row.input,
            width: column.input,
            kernel: self.conv.kernel,
            stride: self.conv.stride,
        }
    }

    /// Bytes of an output tile.
    const fn tile_bytes(&self, row: &Span, column: &Span) -> usize {
        line_bytes(column.output) * row.output * self.conv.out_channels
    }

    /// The compiler's measure of a cut; `None` where a tile does not fit.
    fn cost(&self, parts: usize, channels: usize, rows: &[Span], columns: &[Span]) -> Option<u64> {
        let mut sum = 0;
        for row in rows {
            for column in columns {
                if !self.poolable(channels, row, column) || self.tile_bytes(row, column) > self.limit {
                    return None;
                }
                let nce = self.stage(channels, row, column)?;
                let output = (column.output * row.output * self.conv.out_channels) as u64;
                sum += nce.cost * parts as u64 + output * (parts as u64 - 1);
                if !column.output_start.is_multiple_of(8) {
                    sum += output;
                }
                if !column.input_start.is_multiple_of(8) {
                    sum += (column.input * row.input * nce.padded_inputs) as u64;
                }
            }
        }
        Some(sum)
    }

    /// Whether the tile may be pooled in the same stage, where it has to be.
    fn poolable(&self, channels: usize, row: &Span, column: &Span) -> bool {
        let wide = |rule: &PooledWidth| {
            (rule.min_channels..=rule.max_channels).contains(&channels) && column.input > rule.width
        };
        self.conv.fusion == Fusion::None
            || (column.input.is_multiple_of(2)
                && row.input.is_multiple_of(2)
                && column.output.is_multiple_of(2)
                && column.output > 2
                && row.output > 2
                && !self.rules.pooled_widths.iter().any(wide))
    }

    /// The input tile that is fixed for this shape, or the one found.
    fn fixed(&self, found: [usize; 3]) -> [usize; 3] {
        match self.fixed_tile() {
            Some(fixed) => std::array::from_fn(|at| if fixed[at] == 0 { found[at] } else { fixed[at] }),
            None => found,
        }
    }

    /// The input tile that is fixed for this shape.
    fn fixed_tile(&self) -> Option<[usize; 3]> {
        let conv = self.conv;
        let applies = |fixed: &&Fixed| {
            fixed.input == [conv.in_channels, conv.height, conv.width]
                && fixed.out_channels == conv.out_channels
                && fixed.kernel.is_none_or(|kernel| {
                    conv.kernel == [kernel.size; 2]
                        && conv.stride == kernel.stride
                        && conv.padding == [kernel.padding; 2]
                })
        };
        let fixed = self.rules.fixed.iter().find(applies)?;
        (conv.fusion == Fusion::None).then_some(fixed.tile)
    }

    /// The stages that an input tile of these channels, height and width leads to.
    fn layout(&self, [channels, height, width]: [usize; 3]) -> Option<Tiling> {
        let (rows, columns) = (self.spans(0, height)?, self.spans(1, width)?);
        let first = self.stage(channels, &rows[0], &columns[0])?;
        let parts = self.conv.in_channels.div_ceil(first.padded_inputs);
        let mut tiling = Tiling {
            grid: [columns.len(), rows.len(), parts],
            nce: Some(first),
            cycles: 0,
            pixels: 0,
            stages: rows.len() * columns.len() * parts,
            sums: rows.len() * columns.len() * (parts - 1),
            copies: 0,
            copy_bytes: 0,
            tile_bytes: 0,
        };
        for row in &rows {
            for column in &columns {
                let nce = self.stage(channels, row, column)?;
                let pixels = (column.output * row.output * parts) as u64;
                tiling.cycles += nce.cost * pixels;
                tiling.pixels += pixels;
                tiling.count(self, [row, column], nce.padded_inputs * parts);
            }
        }
        Some(tiling)
    }
}

impl Tiling {
    /// Counts the copies of one plane tile and its size.
    fn count(&mut self, search: &Search<'_>, [row, column]: [&Span; 2], in_channels: usize) {
        let parts = self.grid[2];
        if !column.input_start.is_multiple_of(8) {
            self.copies += parts;
            self.copy_bytes += 2 * (line_bytes(column.input) * row.input * in_channels) as u64;
        }
        // Sums write where their result belongs; every other tile of several is copied there.
        let cut = self.grid[0] * self.grid[1] > 1;
        if (cut && parts == 1) || !column.output_start.is_multiple_of(8) {
            self.copies += 1;
            self.copy_bytes += 2 * (line_bytes(column.kept) * row.kept * search.conv.out_channels) as u64;
        }
        self.tile_bytes = self.tile_bytes.max(search.tile_bytes(row, column));
    }
}
