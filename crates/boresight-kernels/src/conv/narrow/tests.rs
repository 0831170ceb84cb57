use super::*;
use crate::Planes;
use crate::testing::{bits, numbers};
use boresight_numerics::round_f16;
use proptest::prelude::*;
use std::num::NonZeroU32;

/// One result after the other, every rounding written out.
fn plainly(
    shape: &ConvShape,
    x: &[f32],
    border: &[f32],
    weight: &[f32],
    bias: &[f32],
    sums: &NarrowSums,
) -> Vec<f32> {
    let output = shape.output();
    let depth = shape.input.channels / shape.groups;
    let mut values = Vec::with_capacity(output.len());
    let round = |value: f32| sums.rounding.apply(value);
    for at in 0..output.len() {
        let (column, row) = (at % output.width, at / output.width % output.height);
        let (channel, image) = (at / output.plane() % output.channels, at / output.plane() / output.channels);
        let group = channel / (output.channels / shape.groups);
        let (mut sum, mut total, mut number) = (0.0_f32, -0.0_f32, 0);
        for depth_at in 0..depth {
            for ky in 0..shape.kernel[0] {
                for kx in 0..shape.kernel[1] {
                    let source = group * depth + depth_at;
                    let y = (row * shape.stride[0] + ky).wrapping_sub(shape.padding[0]);
                    let z = (column * shape.stride[1] + kx).wrapping_sub(shape.padding[1]);
                    let pixel = if y < shape.input.height && z < shape.input.width {
                        x[((image * shape.input.channels + source) * shape.input.height + y)
                            * shape.input.width
                            + z]
                    } else {
                        border[source]
                    };
                    let taps = shape.kernel[0] * shape.kernel[1];
                    let index = (channel * depth + depth_at) * taps + ky * shape.kernel[1] + kx;
                    let factor = weight[index] * sums.scale;
                    number += 1;
                    match sums.accumulator {
                        Accumulator::F16Product => sum = round(sum + round(pixel * factor)),
                        _ => sum = pixel.mul_add(factor, sum),
                    }
                    match sums.accumulator {
                        Accumulator::F16Fused => sum = round(sum),
                        Accumulator::F16Block(block) if number % block.get() as usize == 0 => {
                            sum = round(sum);
                        }
                        _ => {}
                    }
                }
            }
            let ends = (depth_at + 1) % sums.part.max(1) == 0 || depth_at + 1 == depth;
            if sums.accumulator == Accumulator::F16Splits && sums.part < depth && ends {
                total = round(total + round(sum));
                sum = 0.0;
            }
        }
        if matches!(sums.accumulator, Accumulator::F16Block(_)) {
            sum = round(sum);
        }
        let wide = sums.accumulator == Accumulator::F32
            || (sums.accumulator == Accumulator::F16Splits && sums.part >= depth);
        if sums.accumulator == Accumulator::F16Splits && !wide {
            sum = total;
        }
        sum += bias[channel] * sums.scale;
        values.push(if wide { sum } else { round(sum) } / sums.scale);
    }
    values
}

fn accumulators() -> [Accumulator; 6] {
    let block = |products| Accumulator::F16Block(NonZeroU32::new(products).unwrap());
    [
        Accumulator::F32,
        Accumulator::F16Product,
        Accumulator::F16Fused,
        block(5),
        block(16),
        Accumulator::F16Splits,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_accumulator_does_what_is_written_on_every_instruction_set(
        seed: u64,
        size in [1_usize..12, 1_usize..40],
        [kernel, stride, padding] in [1_usize..4, 1_usize..3, 0_usize..2],
        [groups, inputs, outputs] in [1_usize..3, 1_usize..9, 1_usize..10],
        [flush, saturate] in [any::<bool>(), any::<bool>()],
        shift in 0_i32..9,
        part in 1_usize..9,
        gain in prop::sample::select(vec![1.0_f32, 1e-3, 3e3]),
    ) {
        let shape = ConvShape {
            input: Planes { batch: 2, channels: groups * inputs, height: size[0].max(kernel), width: size[1].max(kernel) },
            out_channels: groups * outputs,
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding.min(kernel - 1); 2],
            groups,
        };
        let halves = |seed, len| -> Vec<f32> { numbers(seed, len).into_iter().map(|value| round_f16(value * gain)).collect() };
        let (x, border) = (halves(seed, shape.input.len()), halves(seed ^ 1, shape.input.channels));
        let (weight, bias) = (halves(seed ^ 2, shape.weight_len()), halves(seed ^ 3, shape.out_channels));
        for accumulator in accumulators() {
            let rounding = Rounding {
                format: Format::F16,
                subnormals: if flush { Subnormals::Flush } else { Subnormals::Keep },
                overflow: if saturate { Overflow::Saturate } else { Overflow::Infinity },
            };
            let sums = NarrowSums { accumulator, rounding, scale: 2.0_f32.powi(shift), part };
            let expected = plainly(&shape, &x, &border, &weight, &bias, &sums);
            for version in Version::all() {
                let mut found = vec![f32::NAN; expected.len()];
                narrow(version, &shape, &x, &border, &weight, &bias, &sums, &mut found, &mut Buffer::default());
                let clean = |values: &[f32]| -> Vec<u32> {
                    bits(values).into_iter().zip(values).map(|(bits, value)| if value.is_nan() { 1 } else { bits }).collect()
                };
                prop_assert_eq!(clean(&found), clean(&expected), "{:?} {:?}", version, accumulator);
            }
        }
    }
}
