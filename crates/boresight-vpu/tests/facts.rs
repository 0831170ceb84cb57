//! Single facts that were read out of the OpenVINO 2021.4.2 MYRIAD compiler, by hand.

#![expect(clippy::unwrap_used, reason = "a test may fail in its helpers too")]

use boresight_vpu::nce::{ConvTile, NceCost};
use boresight_vpu::tiling::{Conv, Fusion, Tiling};
use boresight_vpu::{Device, Error};

fn device() -> Device {
    Device::named("myriad-x").unwrap()
}

fn cost(channels: [usize; 2], size: [usize; 2], kernel: usize, stride: usize) -> Option<NceCost> {
    let [in_channels, out_channels] = channels;
    let [height, width] = size;
    let tile = ConvTile { in_channels, out_channels, height, width, kernel: [kernel; 2], stride };
    device().description().nce.cost(&tile)
}

/// Mode, descriptors and cycles.
fn told(found: Option<NceCost>) -> (String, usize, u64) {
    let found = found.unwrap();
    (found.mode.to_string(), found.descriptors, found.cost)
}

fn conv(channels: [usize; 2], size: [usize; 2], kernel: usize) -> Conv {
    let ([in_channels, out_channels], [height, width]) = (channels, size);
    let padding = [kernel / 2; 2];
    let kernel = [kernel; 2];
    Conv { in_channels, out_channels, height, width, kernel, stride: 1, padding, fusion: Fusion::None }
}

fn tiled(device: &Device, conv: Conv) -> Option<Tiling> {
    let description = device.description();
    conv.tile(&description.nce, &description.tiling, device.tiling_limit())
}

#[test]
fn single_convolutions_cost_what_the_compiler_says() {
    let square = [64, 64];
    let facts = [
        ([32, 32], 1, "MODE_4_64", 1, 19),
        ([32, 32], 2, "MODE_8_32", 1, 35),
        ([32, 32], 3, "MODE_8_32", 1, 55),
        ([32, 32], 5, "MODE_8_32", 1, 119),
        ([32, 32], 7, "MODE_8_32", 1, 215),
        ([32, 32], 9, "MODE_16_16", 2, 386),
        ([32, 32], 11, "MODE_16_16", 2, 546),
        ([32, 1], 3, "MODE_16_16", 1, 49),
        ([32, 9], 3, "MODE_16_16", 1, 49),
        ([32, 17], 3, "MODE_8_32", 1, 55),
        ([32, 33], 3, "MODE_4_64", 1, 83),
        ([32, 64], 3, "MODE_4_64", 1, 83),
        ([1, 32], 3, "MODE_1_256", 1, 9),
        ([3, 32], 3, "MODE_4_64", 1, 20),
        ([4, 32], 3, "MODE_4_64", 1, 20),
        ([8, 32], 3, "MODE_8_32", 1, 28),
        ([13, 32], 3, "MODE_8_32", 1, 37),
        ([64, 32], 3, "MODE_8_32", 1, 91),
    ];
    for (channels, kernel, mode, descriptors, cycles) in facts {
        let found = told(cost(channels, square, kernel, 1));
        assert_eq!(found, (mode.to_owned(), descriptors, cycles), "{channels:?} {kernel}x{kernel}");
    }
}

#[test]
fn thirteen_channels_cost_as_much_as_sixteen() {
    assert_eq!(cost([13, 32], [64, 64], 3, 1).unwrap().cost, cost([16, 32], [64, 64], 3, 1).unwrap().cost);
    assert_eq!(cost([13, 32], [64, 64], 3, 1).unwrap().padded_inputs, 16);
}

#[test]
fn the_stride_does_not_change_the_cost_of_a_pixel() {
    for stride in [1, 2, 3, 4, 8] {
        assert_eq!(cost([32, 32], [64, 64], 3, stride).unwrap().cost, 55);
    }
}

#[test]
fn wide_flat_inputs_are_refused_but_for_three_channels() {
    assert!(cost([16, 16], [16, 507], 3, 1).is_some());
    assert!(cost([16, 16], [16, 508], 3, 1).is_none());
    assert!(cost([16, 16], [64, 508], 3, 1).is_some());
    assert!(cost([16, 16], [1, 508], 1, 1).is_some());
    assert!(cost([3, 16], [16, 508], 3, 1).is_some());
}

#[test]
fn tiles_are_the_compilers() {
    let facts = [
        // Channels, height and width, kernel -> grid (width, height, channels), cycles of a pixel.
        ([4, 8], [256, 256], 3, [1, 3, 1], 20),
        ([156, 64], [20, 229], 1, [1, 7, 2], 31),
        ([4, 193], [127, 27], 3, [1, 4, 1], 36),
        ([16, 16], [16, 512], 3, [8, 1, 1], 37),
        ([64, 64], [256, 256], 3, [4, 6, 1], 155),
        ([512, 512], [28, 28], 3, [1, 1, 3], 3472),
        ([64, 64], [224, 224], 3, [3, 3, 1], 155),
    ];
    for (channels, size, kernel, grid, cycles) in facts {
        let found = tiled(&device(), conv(channels, size, kernel)).unwrap();
        assert_eq!((found.grid, found.nce.unwrap().cost), (grid, cycles), "{channels:?} {size:?}");
    }
}

#[test]
fn surplus_lines_count() {
    let found = tiled(&device(), conv([4, 193], [127, 27], 3)).unwrap();
    assert_eq!(found.cycles, 129_276);
    assert!(found.pixels > 127 * 27);
    assert_eq!(tiled(&device(), conv([512, 512], [28, 28], 3)).unwrap().cycles, 8_166_144);
}

#[test]
fn what_no_tiling_fits_has_none() {
    assert_eq!(tiled(&device(), conv([118, 244], [241, 156], 3)), None);
}

#[test]
fn one_stream_has_room_for_larger_tiles() {
    let wide = conv([4, 8], [256, 256], 3);
    let one = device().with_streams(1).unwrap();
    assert_eq!((device().tiling_limit(), one.tiling_limit()), (589_824, 1_245_184));
    assert_eq!((tiled(&device(), wide).unwrap().stages, tiled(&one, wide).unwrap().stages), (3, 1));
}

#[test]
fn unknown_names_are_answered_with_the_known_ones() {
    assert_eq!(
        Device::named("myriad-z"),
        Err(Error::UnknownDevice { name: "myriad-z".into(), known: vec!["myriad-x", "rvc2"] })
    );
    assert!(matches!(device().with_streams(3), Err(Error::Streams { known, .. }) if known == [1, 2]));
    assert!(matches!(device().with_link("spi"), Err(Error::UnknownLink { known, .. }) if known.len() == 3));
}

#[test]
fn numbers_that_cannot_be_true_are_refused() {
    let text = include_str!("../devices/myriad-x.toml");
    for (from, to, field) in [
        ("clock_hz = 700e6", "clock_hz = 0.0", "clock_hz"),
        ("stage_seconds = 25.7e-6", "stage_seconds = nan", "stage_seconds"),
        ("inputs = 16,", "inputs = 64,", "inputs of a mode"),
    ] {
        let broken = text.replacen(from, to, 1);
        assert_ne!(broken, text);
        assert!(
            matches!(Device::from_toml(&broken), Err(Error::Field { field: found, .. }) if found == field)
        );
    }
    assert!(matches!(Device::from_toml("name = 3"), Err(Error::Syntax { .. })));
}
