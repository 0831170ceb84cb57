//! Scenes, tile by tile.

use crate::{TILE, dataset, network};
use boresight_core::Seed;
use boresight_data::{Labels, Scene};
use boresight_deploy::{Band, Deployment, Simulator};
use boresight_eval::{Error, Measure, Scaled, Score, SimulatedRunner, confusion, predict};
use boresight_ir::{InputForm, Weights};
use boresight_metrics::Confusion;
use boresight_numerics::NumericProfile;

/// An untrained network of `classes`, deployed.
fn simulator(classes: usize, batch: usize) -> Simulator {
    let network = network(classes);
    let weights = Weights::initial(&network, Seed::new(4));
    let bands = [Band { mean: 3_000.0, deviation: 2_000.0 }; 2];
    let profile = NumericProfile::myriad_x_optimistic();
    let deployment = Deployment::convert(&network, &weights, &bands, InputForm::Counts, &profile).unwrap();
    Simulator::new(deployment, batch).unwrap()
}

/// The label map of a scene.
pub(crate) fn map(simulator: &Simulator, scene: &Scene) -> Result<Vec<u8>, Error> {
    predict(&mut SimulatedRunner::new(simulator.clone()), scene, &mut Vec::new())
}

/// The first pixel of the tile that answers for a pixel: tiles of `TILE` from the start, the last at the edge.
fn tile_start(at: usize, side: usize) -> usize {
    (at / TILE * TILE).min(side - TILE)
}

/// The label of one pixel from the logits of its tile alone, by its own arithmetic.
fn label(simulator: &Simulator, scene: &Scene, [row, column]: [usize; 2]) -> u8 {
    let (y, x) = (tile_start(row, scene.height), tile_start(column, scene.width));
    let counts: Vec<f32> = scene.crop(y, x, TILE).unwrap().counts.into_iter().map(f32::from).collect();
    let mut memory = simulator.memory();
    let logits = simulator.logits(&counts, &mut memory);
    let pixel = (row - y) * TILE + column - x;
    let score = |class: u8| logits[usize::from(class) * TILE * TILE + pixel];
    (1..4).fold(0, |best, class| if score(class) > score(best) { class } else { best })
}

#[test]
fn each_pixel_is_labelled_once_by_the_tile_that_answers_for_it() {
    let dataset = dataset(Labels::Surfaces);
    let simulator = simulator(4, 1);
    let scene = &dataset.test[0];
    assert!(!scene.height.is_multiple_of(TILE) && !scene.width.is_multiple_of(TILE));
    let map = map(&simulator, scene).unwrap();
    let pixels = (0..scene.height).flat_map(|row| (0..scene.width).map(move |column| [row, column]));
    let expected: Vec<u8> = pixels.map(|pixel| label(&simulator, scene, pixel)).collect();
    assert_eq!(map, expected);
    assert!(map.iter().any(|&label| label != map[0]), "the map tells pixels apart");
}

#[test]
fn a_map_does_not_depend_on_the_batch() {
    let scene = &dataset(Labels::Surfaces).test[0];
    let single = map(&simulator(4, 1), scene).unwrap();
    for batch in [2, 5, 64] {
        assert_eq!(map(&simulator(4, batch), scene).unwrap(), single, "batches of {batch}");
    }
}

#[test]
fn a_scaled_runner_reads_the_counts_of_another_full_scale() {
    let scene = dataset(Labels::Surfaces).test.remove(0);
    let halved = Scene { counts: scene.counts.iter().map(|count| count / 2).collect(), ..scene.clone() };
    let doubled = Scene { counts: halved.counts.iter().map(|count| count * 2).collect(), ..scene };
    let mut scaled = Scaled::new(SimulatedRunner::new(simulator(4, 1)), 2.0);
    let found = predict(&mut scaled, &halved, &mut Vec::new()).unwrap();
    assert_eq!(found, map(&simulator(4, 1), &doubled).unwrap());
    assert_ne!(found, map(&simulator(4, 1), &halved).unwrap());
}

#[test]
fn every_labelled_pixel_is_counted_once() {
    let mut dataset = dataset(Labels::Surfaces);
    dataset.train[0].mask[..100].fill(255);
    let counts = confusion(&mut SimulatedRunner::new(simulator(4, 1)), &dataset, &dataset.train).unwrap();
    for class in 0..4 {
        let labelled = dataset.train.iter().flat_map(|scene| &scene.mask).filter(|&&label| label == class);
        assert_eq!(counts.labelled(class), labelled.count() as u64, "class {class}");
    }
    let ignored = dataset.train.iter().flat_map(|scene| &scene.mask).filter(|&&label| label == 255).count();
    assert_eq!(counts.pixels(), (2 * 40 * 56 - ignored) as u64);
}

#[test]
fn a_scene_without_vessels_in_which_none_are_found_scores_one() {
    let score = |counts: [u64; 4]| Score::of(&Confusion::from_counts(2, &counts).unwrap());
    assert_eq!(score([9, 0, 0, 0]), Score { miou: 1.0, vessel_iou: 1.0 });
    // One pixel of nine is a false alarm: IoU 8/9 of the background and 0 of vessels.
    let Score { miou, vessel_iou } = score([8, 1, 0, 0]);
    assert!((miou - 4.0 / 9.0).abs() < 1e-12 && vessel_iou.abs() < 1e-12, "{miou} {vessel_iou}");
}

#[test]
fn scenes_that_the_network_cannot_read_are_refused() {
    let scene = dataset(Labels::Vessels).test.remove(0);
    let pixels = scene.pixels();
    let one_band = Scene { counts: scene.counts[..pixels].to_vec(), ..scene.clone() };
    let refused = map(&simulator(2, 1), &one_band);
    assert!(matches!(refused, Err(Error::SceneBands { bands: 2, .. })), "{refused:?}");
    let flat = Scene { height: 8, width: 16, counts: scene.counts[..256].to_vec(), ..scene };
    let message = map(&simulator(2, 1), &flat).unwrap_err().to_string();
    assert_eq!(message, "tiles of 16 x 16 pixels do not fit an image of 16 x 8");
}

#[test]
fn measures_are_known_by_their_names() {
    for measure in Measure::ALL {
        assert_eq!(measure.name().parse::<Measure>().unwrap(), measure);
        assert_eq!(measure.objective().name, measure.to_string());
    }
    let error = "accuracy".parse::<Measure>().unwrap_err().to_string();
    let known = "miou, vessel_iou, latency, fps, parameters, macs, peak_memory, energy, \
                 ddr_traffic, nce_utilisation";
    assert_eq!(error, format!("'accuracy' is no objective; known are {known}"));
}
