//! Laws of costs and tiles for any shape.

use boresight_vpu::Device;
use boresight_vpu::nce::ConvTile;
use boresight_vpu::tiling::{Conv, Fusion};
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
