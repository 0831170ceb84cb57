//! Statistics of the training split, and the map from counts to what networks learn from.

use crate::{Dataset, Scene};
use serde::{Deserialize, Serialize};

/// The standard deviation that a band has at least, in counts; keeps a constant band finite.
const LEAST_STD: f64 = 1.0;

/// Mean and standard deviation of each band, in counts; a count becomes `(count - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// The mean of each band.
    pub mean: Vec<f32>,
    /// The (biased) standard deviation of each band, at least one count.
    pub std: Vec<f32>,
}

impl Normalisation {
    /// The statistics of the training split of `dataset`: exact sums of integers, rounded once.
    pub fn of(dataset: &Dataset) -> Self {
        let (mean, std) = (0..dataset.bands.len()).map(|band| band_statistics(&dataset.train, band)).unzip();
        Self { mean, std }
    }

    /// The value of count zero in each band, `-mean / std`: what pads the borders of images.
    pub fn border(&self) -> Vec<f32> {
        self.mean.iter().zip(&self.std).map(|(&mean, &std)| normalised(0, mean, std)).collect()
    }

    /// Writes the normalised values of `counts`, `[bands, pixels]`, to `values`; both have one length, a multiple of
    /// the number of bands.
    pub fn apply(&self, counts: &[u16], values: &mut [f32]) {
        let pixels = (counts.len() / self.mean.len().max(1)).max(1);
        let planes = counts.chunks_exact(pixels).zip(values.chunks_exact_mut(pixels));
        for ((&mean, &std), (counts, values)) in self.mean.iter().zip(&self.std).zip(planes) {
            for (value, &count) in values.iter_mut().zip(counts) {
                *value = normalised(count, mean, std);
            }
        }
    }
}

fn normalised(count: u16, mean: f32, std: f32) -> f32 {
    (f32::from(count) - mean) / std
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "statistics of counts lie far inside binary32; rounding is wanted"
)]
fn band_statistics(scenes: &[Scene], band: usize) -> (f32, f32) {
    let (mut number, mut sum, mut squares) = (0_u64, 0_u64, 0_u128);
    for scene in scenes {
        let pixels = scene.pixels();
        for row in scene.counts[band * pixels..(band + 1) * pixels].chunks(1 << 16) {
            number += row.len() as u64;
            sum += row.iter().map(|&count| u64::from(count)).sum::<u64>();
            squares += u128::from(row.iter().map(|&count| u64::from(count).pow(2)).sum::<u64>());
        }
    }
    let spread = u128::from(number) * squares - u128::from(sum).pow(2);
    let number = number as f64;
    let std = (spread as f64).sqrt() / number;
    ((sum as f64 / number) as f32, std.max(LEAST_STD) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Description;
    use proptest::prelude::*;

    fn dataset(train: &[(&[u16], usize)], bands: usize) -> Dataset {
        let scene = |&(counts, width): &(&[u16], usize)| Scene {
            name: "s".into(),
            height: counts.len() / bands / width,
            width,
            counts: counts.to_vec(),
            mask: vec![0; counts.len() / bands],
        };
        let description = Description {
            bands: (0..bands).map(|band| format!("b{band}")).collect(),
            class_names: vec!["no".into(), "yes".into()],
            ignore: None,
            full_scale: 26_214.0,
        };
        let other = vec![65_504; bands];
        let rest = || vec![scene(&(&other, 1))];
        Dataset::new(description, [train.iter().map(scene).collect(), rest(), rest()]).unwrap()
    }

    #[test]
    fn statistics_are_those_of_the_training_pixels() {
        // Band 0: 1 3 and 8, mean 4, variance (9 + 1 + 16) / 3. Band 1: constant 100.
        let dataset = dataset(&[(&[1, 3, 100, 100], 2), (&[8, 100], 1)], 2);
        let found = Normalisation::of(&dataset);
        assert_eq!(found.mean, [4.0, 100.0]);
        assert_eq!(found.std, [2.943_920_3, 1.0]);
        assert_eq!(found.border(), [-4.0 / found.std[0], -100.0]);
    }

    proptest! {
        #[test]
        fn count_zero_normalises_to_the_border(counts in prop::collection::vec(0..=65_504_u16, 1..40)) {
            let found = Normalisation::of(&dataset(&[(&counts, 1)], 1));
            let mut value = [0.0];
            found.apply(&[0], &mut value);
            prop_assert_eq!(value[0].to_bits(), found.border()[0].to_bits());
        }

        #[test]
        fn normalised_training_pixels_have_mean_zero(counts in prop::collection::vec(0..=65_504_u16, 2..200)) {
            let found = Normalisation::of(&dataset(&[(&counts, 1)], 1));
            let mut values = vec![0.0; counts.len()];
            found.apply(&counts, &mut values);
            let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / counts.len() as f64;
            // The mean is rounded to binary32: half a unit in its last place, divided by the deviation, plus rounding.
            let bound = f64::from(found.mean[0]) * 6e-8 / f64::from(found.std[0]) + 1e-5;
            prop_assert!(mean.abs() <= bound, "{} {}", mean, bound);
        }
    }
}
