//! How much scratch the kernels of a convolution need, before they run.

use super::band::{Band, Grid, spread};
use super::{ConvShape, Phase, WeightGradient, axis_size, correlate, gradient, winograd};
use crate::Buffer;
use crate::buffer::parts_len;

/// Lanes and tile rows of the widest vectors; narrower ones need no more.
const WIDEST: usize = 16;
const TALLEST: usize = 8;

impl ConvShape {
    /// Values of scratch with which no kernel of this convolution, nor of one with fewer images, has to grow it.
    ///
    /// # Panics
    /// As [`ConvShape::output`] and [`ConvShape::weight_len`].
    pub fn scratch_len(&self) -> usize {
        self.forward_len().max(self.input_gradient_len()).max(self.weight_gradient_len())
    }

    fn forward_len(&self) -> usize {
        correlation_len(self.grid(), [self.depth(), self.group_outputs()], self.groups)
    }

    fn input_gradient_len(&self) -> usize {
        let phases = [0, 1].map(|axis| self.stride[axis].min(axis_size(self.input, axis)));
        let lengths = (0..phases[0] * phases[1]).map(|phase| {
            let [y, x] = [(0, phase / phases[1]), (1, phase % phases[1])]
                .map(|(axis, first)| Phase::new(self, axis, first));
            let grid = Grid {
                size: [y.size, x.size],
                kernel: [y.taps, x.taps],
                stride: [1, 1],
                origin: [y.origin, x.origin],
            };
            correlation_len(grid, [self.group_outputs(), self.depth()], self.groups)
        });
        lengths.max().unwrap_or(0)
    }

    fn weight_gradient_len(&self) -> usize {
        if winograd::pays_for_weights(self) {
            return winograd::gradient_scratch(self);
        }
        let (grid, depth) = (self.grid(), self.depth());
        let (grad_weight, scratch) = (&mut [], &mut Buffer::default());
        let idle = WeightGradient {
            shape: self,
            grid,
            input: &[],
            border: &[],
            grad_output: &[],
            grad_weight,
            scratch,
        };
        let band = idle.band();
        let longest = band.positions(band.images, band.rows).next_multiple_of(WIDEST);
        parts_len(&[
            gradient::STAGE,
            depth * self.taps(),
            depth * band.channel,
            self.group_outputs() * spread(longest),
        ])
    }
}

/// What a correlation from `depth` to `outputs` channels of each group needs.
fn correlation_len(grid: Grid, [depth, outputs]: [usize; 2], groups: usize) -> usize {
    if groups == 1 && winograd::pays(&grid, [depth, outputs]) {
        return plain_len(grid, [depth, outputs], 1)
            .max(winograd::correlation_scratch(&grid, [depth, outputs]));
    }
    plain_len(grid, [depth, outputs], groups)
}

fn plain_len(grid: Grid, [depth, outputs]: [usize; 2], groups: usize) -> usize {
    let length = depth * grid.kernel[0] * grid.kernel[1];
    let rows = if outputs > 4 { outputs.next_multiple_of(TALLEST) } else { outputs.next_power_of_two() };
    let band = Band::fitting(grid, depth, correlate::BAND_BUDGET);
    parts_len(&[correlate::STAGE, length, groups * rows * length, depth * band.channel])
}

#[cfg(test)]
mod tests {
    use super::super::{forward, input_gradient, weight_gradient};
    use crate::dispatch::Version;
    use crate::{Arithmetic, Buffer, ConvShape, Planes, Store, Write};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scratch_of_the_stated_length_never_grows(
            size in (1_usize..40, 1_usize..40), kernel in (1_usize..6, 1_usize..6), stride in (1_usize..4, 1_usize..4),
            batch in 1_usize..5, groups in 1_usize..4, inputs in 1_usize..10, outputs in 1_usize..20,
        ) {
            let shape = ConvShape {
                input: Planes { batch, channels: groups * inputs, height: size.0, width: size.1 },
                out_channels: groups * outputs,
                kernel: [kernel.0, kernel.1],
                stride: [stride.0, stride.1],
                padding: [kernel.0 / 2, kernel.1 / 2],
                groups,
            };
            let (mut input, mut output) = (vec![0.0; shape.input.len()], vec![0.0; shape.output().len()]);
            let mut weight = vec![0.0; shape.weight_len()];
            for version in Version::all() {
                let mut scratch = Buffer::new(shape.scratch_len());
                let room = scratch.len();
                for arithmetic in [Arithmetic::Fast, Arithmetic::Device(Store::F32)] {
                    forward(version, &shape, &input, &[], &weight, &[], arithmetic, &mut output, &mut scratch);
                }
                input_gradient(version, &shape, &output, &weight, Write::Set, &mut input, &mut scratch);
                weight_gradient(version, &shape, &input, &[], &output, &mut weight, &mut [], &mut scratch);
                prop_assert_eq!(scratch.len(), room);
            }
        }
    }
}
