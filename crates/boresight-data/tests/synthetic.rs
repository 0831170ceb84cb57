//! Synthetic scenes: what is promised about them.

#![expect(clippy::unwrap_used, reason = "a test may fail")]

use boresight_core::Seed;
use boresight_data::{Dataset, Labels, SENTINEL2_BANDS, Scene, Split, SyntheticOptions, synthetic};

fn small() -> SyntheticOptions {
    SyntheticOptions { height: 128, width: 160, scenes: [3, 3, 3], ..SyntheticOptions::default() }
}

fn scenes(dataset: &Dataset) -> impl Iterator<Item = &Scene> {
    Split::ALL.into_iter().flat_map(|split| dataset.split(split))
}

/// The mean count of one band over the pixels of one class.
fn level(dataset: &Dataset, band: &str, class: u8) -> f64 {
    let band = dataset.bands.iter().position(|name| name == band).unwrap();
    let mut levels = (0.0, 0.0);
    for scene in scenes(dataset) {
        let plane = &scene.counts[band * scene.pixels()..(band + 1) * scene.pixels()];
        for (&count, _) in plane.iter().zip(&scene.mask).filter(|&(_, &label)| label == class) {
            levels = (levels.0 + f64::from(count), levels.1 + 1.0);
        }
    }
    levels.0 / levels.1
}

#[test]
fn equal_seeds_draw_equal_scenes_and_others_do_not() {
    let first = synthetic(Seed::new(1), &small()).unwrap();
    assert_eq!(first, synthetic(Seed::new(1), &small()).unwrap());
    assert_ne!(first.fingerprint, synthetic(Seed::new(2), &small()).unwrap().fingerprint);
    let names: Vec<&Vec<u16>> = scenes(&first).map(|scene| &scene.counts).collect();
    assert!(names.iter().enumerate().all(|(at, one)| !names[at + 1..].contains(one)));
}

#[test]
fn a_scene_does_not_depend_on_how_many_there_are() {
    let few = synthetic(Seed::new(4), &SyntheticOptions { scenes: [1, 1, 1], ..small() }).unwrap();
    let many = synthetic(Seed::new(4), &small()).unwrap();
    assert_eq!(few.val[0], many.val[0]);
}

#[test]
fn vessels_are_rare_and_in_every_split() {
    for seed in 0..4 {
        let dataset =
            synthetic(Seed::new(seed), &SyntheticOptions { height: 256, width: 256, ..small() }).unwrap();
        for split in Split::ALL {
            let labels = dataset.split(split).iter().flat_map(|scene| &scene.mask);
            let (pixels, vessels) = labels.fold((0, 0), |sum, &label| (sum.0 + 1, sum.1 + u32::from(label)));
            let share = f64::from(vessels) / f64::from(pixels);
            assert!((0.002..0.02).contains(&share), "seed {seed}, {split}: {share}");
        }
    }
}

#[test]
fn surfaces_have_the_spectra_that_tell_them_apart() {
    let options = SyntheticOptions { labels: Labels::Surfaces, ..small() };
    let dataset = synthetic(Seed::new(3), &options).unwrap();
    assert_eq!((dataset.classes, dataset.ignore), (4, Some(255)));
    let [water, vessel, land, cloud] = [0, 1, 2, 3].map(|class| level(&dataset, "B08", class));
    assert!(water * 3.0 < vessel && water * 3.0 < land && land < cloud, "{water} {vessel} {land} {cloud}");
    assert!(
        level(&dataset, "B11", 0) < level(&dataset, "B03", 0),
        "water is darkest in the short-wave infrared"
    );
    // A reflectance of 0.01 to 0.12 in the green.
    assert!((655.0..7864.0).contains(&level(&dataset, "B03", 0)));
    assert!(scenes(&dataset).any(|scene| scene.mask.contains(&255)));
}

#[test]
fn all_thirteen_bands_can_be_drawn_and_coarse_ones_are_coarse() {
    let bands = SENTINEL2_BANDS.map(str::to_owned).to_vec();
    let dataset = synthetic(Seed::new(5), &SyntheticOptions { bands, scenes: [1, 1, 1], ..small() }).unwrap();
    assert_eq!(dataset.bands.len(), 13);
    let step = |band: usize| {
        let scene = &dataset.train[0];
        let plane = &scene.counts[band * scene.pixels()..][..scene.pixels()];
        plane.chunks_exact(2).map(|pair| f64::from(pair[0].abs_diff(pair[1]))).sum::<f64>()
    };
    // Two pixels that share a native pixel of 20 m (B12) differ by noise alone; those of B04 differ more.
    assert!(step(12) * 2.0 < step(3), "{} {}", step(12), step(3));
}

#[test]
fn bands_do_not_change_what_is_drawn() {
    let one = SyntheticOptions { bands: vec!["B08".into()], ..small() };
    let (one, four) = (synthetic(Seed::new(6), &one).unwrap(), synthetic(Seed::new(6), &small()).unwrap());
    assert_eq!(one.train[1].mask, four.train[1].mask);
    let pixels = one.train[1].pixels();
    assert_eq!(one.train[1].counts, four.train[1].counts[2 * pixels..3 * pixels]);
}

#[test]
fn options_outside_their_range_are_refused() {
    let refused = |options: SyntheticOptions| synthetic(Seed::new(0), &options).unwrap_err().to_string();
    assert_eq!(
        refused(SyntheticOptions { height: 31, ..small() }),
        "height is 31; synthetic scenes have 32 to 8192 pixels a side"
    );
    assert!(refused(SyntheticOptions { scenes: [1, 0, 1], ..small() }).contains("1 to 1000"));
    let text = refused(SyntheticOptions { bands: vec!["B99".into()], ..small() });
    assert!(text.starts_with("band 'B99' is unknown; available are B01, B02"), "{text}");
    assert!(refused(SyntheticOptions { bands: vec![], ..small() }).starts_with("no band"));
}

#[test]
fn the_smallest_and_oddest_sizes_can_be_drawn() {
    for (height, width) in [(32, 32), (33, 97), (101, 35)] {
        let options = SyntheticOptions { height, width, ..small() };
        assert!((0..2).all(|seed| synthetic(Seed::new(seed), &options).is_ok()));
    }
}
