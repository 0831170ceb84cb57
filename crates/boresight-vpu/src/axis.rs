//! Cutting one axis of a convolution into tiles.
//!
//! A tile that starts in the middle of the image still gets the padding of the whole convolution on both sides, since
//! the engine pads every tile alike. It therefore computes surplus lines at its edges, which are cut off afterwards.

use smallvec::SmallVec;

/// One axis, height or width, of a convolution or pooling.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    /// Lines of the input.
    pub(crate) input: usize,
    /// Lines of the output, before pooling.
    pub(crate) output: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    /// Lines added on either side.
    pub(crate) padding: usize,
}

/// Tiles along one axis, in place where there is one.
pub(crate) type Spans = SmallVec<[Span; 1]>;

/// A tile along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First line that it reads.
    pub(crate) input_start: usize,
    /// Lines that it reads.
    pub(crate) input: usize,
    /// First line of the result that it contributes.
    pub(crate) output_start: usize,
    /// Lines that it computes, surplus ones included.
    pub(crate) output: usize,
    /// Lines that it contributes.
    pub(crate) kept: usize,
}

/// How a last window that hangs over the edge counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Overhang {
    /// It is dropped.
    Floor,
    /// It is a line of the output.
    Ceil,
}

impl Axis {
    /// Lines that `input` lines give.
    pub(crate) const fn output_of(self, input: usize, overhang: Overhang) -> usize {
        let room = (input + 2 * self.padding).saturating_sub(self.kernel);
        match overhang {
            Overhang::Floor => room / self.stride + 1,
            Overhang::Ceil => room.div_ceil(self.stride) + 1,
        }
    }

    /// Input lines that `output` lines need, padding on both sides taken off.
    pub(crate) const fn input_of(self, output: usize) -> usize {
        ((output - 1) * self.stride + self.kernel).saturating_sub(2 * self.padding)
    }

    /// Whether the windows reach the last line exactly or the output counts the overhanging one.
    pub(crate) const fn is_ceil(self) -> bool {
        self.output == self.output_of(self.input, Overhang::Ceil)
    }

    /// The whole axis as one tile that makes `output` lines.
    pub(crate) const fn whole(self, output: usize) -> Span {
        Span { input_start: 0, input: self.input, output_start: 0, output, kept: output }
    }

    /// The tile that contributes output lines `start..end`.
    fn span(self, start: usize, end: usize) -> Span {
        let (input_start, surplus_before) = match (start * self.stride).checked_sub(self.padding) {
            None => (0, start),
            Some(first) => {
                let before = first % self.stride;
                (first - before, (before + self.padding) / self.stride)
            }
        };
        let wanted = ((end - 1) * self.stride + self.kernel).saturating_sub(self.padding);
        let hang = wanted.saturating_sub(self.input);
        let surplus_after = self.padding.saturating_sub(hang) / self.stride;
        Span {
            input_start,
            input: wanted.min(self.input).saturating_sub(input_start),
            output_start: start,
            output: surplus_before + (end - start) + surplus_after,
            kept: end - start,
        }
    }

    /// Tiles that compute at most `limit` lines each; `None` where surplus lines leave no room for others.
    pub(crate) fn split(self, limit: usize, overhang: Overhang) -> Option<Spans> {
        let reachable = self.output_of(self.input, overhang);
        let mut spans = Spans::new();
        let mut start = 0;
        while start < self.output {
            let mut end = self.output.min(start + limit).min(reachable);
            let span = loop {
                if end <= start {
                    return None;
                }
                let span = self.span(start, end);
                if span.output <= limit {
                    break span;
                }
                end -= 1;
            };
            start = end;
            spans.push(span);
        }
        Some(spans)
    }

    /// Tiles of a 3x3 convolution that is pooled 2x2 in the same stage, each with at most `limit` pooled lines.
    pub(crate) fn split_pooled(self, limit: usize) -> Option<Spans> {
        let pooled = self.input / 2;
        let limit = if pooled > limit && limit.is_multiple_of(2) { limit - 1 } else { limit };
        if limit < 3 {
            return None;
        }
        let mut spans = Spans::new();
        let (mut input_start, mut output_start) = (0, 0);
        loop {
            let input_end = (input_start + 2 * limit).min(self.input);
            let output_end = (output_start + limit).min(pooled);
            let surplus_before = usize::from(output_start > 0);
            let surplus_after = usize::from(output_end < pooled);
            let output = output_end - output_start;
            spans.push(Span {
                input_start,
                input: input_end - input_start,
                output_start: output_start + surplus_before,
                output,
                kept: output - surplus_before - surplus_after,
            });
            if surplus_after == 0 {
                return Some(spans);
            }
            input_start = input_end - 4;
            output_start = output_end - 2;
        }
    }
}
