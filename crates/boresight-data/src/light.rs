//! Scenes in another light, to see what a device's numerics make of them.

use crate::{Dataset, Description, Error, MAX_COUNT, Scene, Split};

/// Another light on the same scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// Behind a veil: half of the full scale, and a sixteenth of each count above it. Means are large beside
    /// deviations, so that a normalisation that is folded into constants becomes a difference of large numbers.
    LowContrast,
    /// The square of each count over the full scale: few pixels are very bright, and most are very dark.
    HighRange,
}

impl Light {
    /// What a count becomes, rounded to a whole one; at most [`MAX_COUNT`].
    fn of(self, count: u16, full_scale: f64) -> u16 {
        let count = f64::from(count);
        whole(match self {
            Self::LowContrast => full_scale / 2.0 + count / 16.0,
            Self::HighRange => count * count / full_scale,
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 65504")]
fn whole(count: f64) -> u16 {
    count.round().clamp(0.0, f64::from(MAX_COUNT)) as u16
}

impl Dataset {
    /// The same scenes in another light.
    ///
    /// # Errors
    /// None that a data set could still cause: it was checked when it was made.
    pub fn in_light(&self, light: Light) -> Result<Self, Error> {
        self.counted(self.full_scale, |count| light.of(count, self.full_scale))
    }

    /// The same scenes as a sensor counts them whose full scale is `full_scale`, 1 to 65504.
    ///
    /// # Errors
    /// When the full scale is out of range.
    pub fn in_scale(&self, full_scale: f64) -> Result<Self, Error> {
        let factor = full_scale / self.full_scale;
        self.counted(full_scale, |count| whole(f64::from(count) * factor))
    }

    fn counted(&self, full_scale: f64, count: impl Fn(u16) -> u16) -> Result<Self, Error> {
        let scene = |scene: &Scene| Scene {
            counts: scene.counts.iter().map(|&before| count(before)).collect(),
            ..scene.clone()
        };
        let description = Description {
            bands: self.bands.clone(),
            class_names: self.class_names.clone(),
            ignore: self.ignore,
            full_scale,
        };
        Self::new(description, Split::ALL.map(|split| self.split(split).iter().map(scene).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(counts: &[u16]) -> Dataset {
        let description = Description {
            bands: vec!["B08".into()],
            class_names: vec!["background".into(), "vessel".into()],
            ignore: None,
            full_scale: 10_000.0,
        };
        let scene = Scene {
            name: "s".into(),
            height: 1,
            width: counts.len(),
            counts: counts.to_vec(),
            mask: vec![0; counts.len()],
        };
        Dataset::new(description, [(); 3].map(|()| vec![scene.clone()])).unwrap()
    }

    #[test]
    fn a_veil_leaves_a_sixteenth_and_squares_spread() {
        let day = dataset(&[0, 160, 10_000, 65_504]);
        let counts = |light| day.in_light(light).unwrap().test[0].counts.clone();
        assert_eq!(counts(Light::LowContrast), [5_000, 5_010, 5_625, 9_094]);
        assert_eq!(counts(Light::HighRange), [0, 3, 10_000, 65_504]);
    }

    #[test]
    fn another_sensor_counts_in_proportion() {
        let day = dataset(&[0, 161, 10_000, 65_504]);
        let coarse = day.in_scale(1_000.0).unwrap();
        assert_eq!(coarse.train[0].counts, [0, 16, 1_000, 6_550]);
        assert_eq!(coarse.full_scale.to_bits(), 1_000.0_f64.to_bits());
        assert_ne!(coarse.fingerprint, day.fingerprint);
        assert_eq!(day.in_scale(10_000.0).unwrap(), day);
        assert!(day.in_scale(0.5).is_err());
    }
}
