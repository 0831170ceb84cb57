//! Laws of costs and tiles for any shape, and of trials for any network.

#![expect(clippy::unwrap_used, reason = "a test may fail in its helpers too")]

use boresight_core::CostModel;
use boresight_ir::{Builder, Conv2d, Network, Op, Resize, Shape, Window};
use boresight_vpu::nce::ConvTile;
use boresight_vpu::tiling::{Conv, Fusion};
use boresight_vpu::{Device, Vpu};
use proptest::prelude::*;

proptest! {
    #[test]
    fn more_output_channels_are_never_cheaper(
        in_channels in 1_usize..300, out_channels in 1_usize..300, kernel in 1_usize..8, size in 1_usize..200,
    ) {
        let nce = &Device::named("myriad-x").unwrap().description().nce.clone();
        let tile = |out_channels| ConvTile {
            in_channels, out_channels, height: size, width: size, kernel: [kernel; 2], stride: 1,
        };
        let (fewer, more) = (nce.cost(&tile(out_channels)), nce.cost(&tile(out_channels + 1)));
        prop_assert_eq!(fewer.is_some(), more.is_some());
        prop_assert!(fewer.zip(more).is_none_or(|(fewer, more)| fewer.cost <= more.cost));
    }

    #[test]
    fn no_mode_beats_the_multipliers(
        in_channels in 1_usize..300, out_channels in 1_usize..300, kernel in 1_usize..8,
    ) {
        let nce = &Device::named("myriad-x").unwrap().description().nce.clone();
        let tile = ConvTile { in_channels, out_channels, height: 32, width: 32, kernel: [kernel; 2], stride: 1 };
        let macs = (in_channels * out_channels * kernel * kernel) as u64;
        prop_assert!(nce.cost(&tile).is_none_or(|found| found.cost * 256 >= macs));
    }

    #[test]
    fn tiles_cover_the_output_and_fit(
        channels in (1_usize..100, 1_usize..100), size in (8_usize..300, 8_usize..300),
        kernel in prop_oneof![Just(1_usize), Just(3), Just(5)], stride in 1_usize..3, pooled: bool,
    ) {
        let device = Device::named("myriad-x").unwrap();
        let fusion = if pooled { Fusion::MaxPool2 } else { Fusion::None };
        let (kernel, stride) = if pooled { (3, 1) } else { (kernel, stride) };
        let even = |size: usize| if pooled { size.next_multiple_of(4) } else { size };
        let conv = Conv {
            in_channels: channels.0, out_channels: channels.1, height: even(size.0), width: even(size.1),
            kernel: [kernel; 2], stride, padding: [kernel / 2; 2], fusion,
        };
        let description = device.description();
        if let Some(tiling) = conv.tile(&description.nce, &description.tiling, device.tiling_limit()) {
            let [height, width] = conv.output();
            let [columns, rows, parts] = tiling.grid;
            prop_assert_eq!(tiling.stages, columns * rows * parts);
            prop_assert_eq!(tiling.sums, columns * rows * (parts - 1));
            prop_assert!(tiling.pixels >= (height * width * parts) as u64);
            prop_assert!(tiling.tile_bytes <= device.tiling_limit());
        }
    }
}

/// A network of these steps, each of one of the values before it: convolutions of all kinds, poolings, limits, sums and
/// joins. Steps that do not fit together are left out, and what no step reads is joined at the end.
fn network(size: usize, steps: &[(usize, usize, usize)]) -> Option<Network> {
    let mut builder = Builder::new(Shape::new(4, size, size)).unwrap();
    let mut values = vec![builder.input()];
    let mut unread = values.clone();
    for (at, &(what, back, channels)) in steps.iter().enumerate() {
        let last = *values.last().unwrap();
        let other = values[values.len().saturating_sub(1 + back)];
        let (op, inputs) = match what {
            0..=3 => (Op::Conv2d(Conv2d::same(channels, 3)), vec![last]),
            4 => (Op::Conv2d(Conv2d::same(channels, 1)), vec![other]),
            5 => (Op::Conv2d(Conv2d::same(channels, 3).strided(2)), vec![other]),
            6 => (Op::MaxPool(Window { kernel: [2; 2], stride: [2; 2] }), vec![last]),
            7 => (Op::Relu, vec![last]),
            8 => (Op::Gelu, vec![last]),
            9 => (Op::Add, vec![last, other]),
            10 | 11 => (Op::Concat, vec![last, other]),
            12 => (Op::Upsample { resize: Resize::Nearest, size: [size; 2] }, vec![last]),
            _ => (Op::Conv2d(Conv2d::same(4, 3).depthwise()), vec![values[0]]),
        };
        if let Ok(made) = builder.add(format!("step{at}"), op, &inputs) {
            unread.retain(|value| !inputs.contains(value));
            unread.push(made);
            values.push(made);
        }
    }
    let resize = Op::Upsample { resize: Resize::Nearest, size: [size; 2] };
    for (at, value) in unread.iter_mut().enumerate() {
        *value = builder.add(format!("end{at}"), resize, &[*value]).ok()?;
    }
    let last = match unread[..] {
        [last] => last,
        _ => builder.add("join", Op::Concat, &unread).ok()?,
    };
    builder.finish(last).ok()
}

/// A device whose slices of on-chip memory have so many bytes.
fn device_with(slice_bytes: usize) -> Device {
    let text = include_str!("../devices/myriad-x.toml");
    let slices = format!("slice_bytes = {slice_bytes}");
    Device::from_toml(&text.replace("slice_bytes = 131_072", &slices)).unwrap()
}

proptest! {
    /// The allocator and the order of execution assert in tests that each trial says what a whole run says; less memory
    /// makes more of them fail.
    #[test]
    fn trials_say_what_whole_runs_say(
        sizes in (2_usize..20, 2_usize..20), slice in 10_u32..18,
        steps in prop::collection::vec((0_usize..14, 0_usize..8, 1_usize..80), 1..40),
    ) {
        let networks = [sizes.0, sizes.1].map(|size| network(8 * size, &steps));
        prop_assume!(networks.iter().all(Option::is_some));
        let networks = networks.map(Option::unwrap);
        let vpu = Vpu::new(device_with(1 << slice));
        let first = vpu.predict(&networks[0]);
        let second = vpu.predict(&networks[1]);
        prop_assert_eq!(vpu.supports(&networks[0]).is_ok(), first.is_ok());
        // An estimate is what a prediction sums up.
        let estimate = vpu.estimate(&networks[0]).map(|cost| {
            (cost.latency, cost.fps, cost.energy, cost.peak_memory, cost.memory_traffic, cost.utilisation)
        });
        let summary = first.as_ref().map(|all| {
            (all.latency, all.fps, all.energy, all.cmx_bytes, Some(all.ddr_traffic), Some(all.utilisation))
        });
        prop_assert_eq!(format!("{estimate:?}"), format!("{summary:?}"));
        // What another network left in the lists does not matter.
        prop_assert_eq!(format!("{first:?}"), format!("{:?}", vpu.predict(&networks[0])));
        prop_assert_eq!(format!("{second:?}"), format!("{:?}", vpu.predict(&networks[1])));
    }
}
