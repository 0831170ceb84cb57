//! Genotypes as numbers, for surrogates.

use crate::{Activation, BlockKind, Pool, UnetGenotype};
use boresight_ir::Resize;

impl UnetGenotype {
    /// The genotype as 17 numbers that are alike where genotypes are: the stages, how many of each of the nine kinds of
    /// block in the order of [`BlockKind::ALL`], the logarithm of one more than the mean size of the stages that have one, the mean size of
    /// the first half and of the rest, the mean dropout rate, and the shares of GELU, of average pooling and of bilinear
    /// upsampling. What has no member, such as a second half of one stage, is 0.
    pub fn features(&self) -> Vec<f64> {
        let kinds = BlockKind::ALL.map(|kind| self.count(|stage| stage.block.kind() == kind));
        let half = self.stages.len().div_ceil(2);
        let size =
            |stages: &[crate::Stage]| mean(stages.iter().filter_map(|stage| stage.size).map(f64::from));
        let count = self.stages.len().max(1) as f64;
        let last = [
            size(&self.stages).ln_1p(),
            size(&self.stages[..half]),
            size(&self.stages[half..]),
            mean(self.stages.iter().map(|stage| 0.1 * f64::from(stage.dropout))),
            self.count(|stage| stage.activation == Activation::Gelu) / count,
            self.count(|stage| stage.pool == Pool::Average) / count,
            f64::from(u8::from(self.upsampling == Resize::Bilinear)),
        ];
        [self.stages.len() as f64].into_iter().chain(kinds).chain(last).collect()
    }

    fn count(&self, holds: impl Fn(&crate::Stage) -> bool) -> f64 {
        self.stages.iter().filter(|stage| holds(stage)).count() as f64
    }
}

/// 0 for nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    if count > 0.0 { sum / count } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use crate::{SpaceSettings, UnetGenotype, UnetSpace, supports_everything};
    use boresight_core::{SearchSpace, Seed};

    #[test]
    fn every_member_has_as_many_finite_numbers() {
        let space = UnetSpace::new(SpaceSettings::default(), supports_everything).unwrap();
        for seed in 0..50 {
            let features = space.sample(Seed::new(seed)).features();
            assert!(features.len() == 17 && features.iter().all(|value| value.is_finite()), "{features:?}");
        }
    }

    #[test]
    fn a_genotype_has_its_hand_made_numbers() {
        let genotype: UnetGenotype = "u1;w;n;cba16r-x;mbr24e3g-a;ca32r-x".parse().unwrap();
        let expected = [
            3.0,
            1.0,
            1.0,
            0.0,
            0.0,
            1.0,
            0.0,
            0.0,
            0.0,
            0.0,
            25_f64.ln(),
            20.0,
            32.0,
            0.0,
            1.0 / 3.0,
            1.0 / 3.0,
            0.0,
        ];
        for (found, expected) in genotype.features().into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
    }
}
