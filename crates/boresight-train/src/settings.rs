//! How a network is trained, as plain data.

use crate::Error;
use boresight_kernels::Loss;

/// How a network is trained.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainSettings {
    /// Passes over the examples.
    pub epochs: usize,
    /// Tiles of one step.
    pub batch: usize,
    /// Learning rate at the top of the schedule.
    pub learning_rate: f64,
    /// Share of all steps in which the learning rate rises linearly; afterwards it falls as a cosine.
    pub warm_up: f64,
    /// The learning rate of the last step, as a share of the top.
    pub final_rate: f64,
    /// Decoupled weight decay of AdamW.
    pub weight_decay: f64,
    /// The largest Euclidean norm of a gradient; longer ones are scaled down.
    pub clip: f64,
    /// Share by which running statistics follow each batch.
    pub momentum: f32,
    /// Decay of the average of weights and statistics over the steps, which is what training returns; 0: the last ones.
    pub averaging: f32,
    /// Epochs without a better validation score after which training ends; `None`: never.
    pub patience: Option<usize>,
    /// What is minimised.
    pub loss: Loss,
    /// Share of the epochs of [`SegmentationTrainer::align`](crate::SegmentationTrainer::align) in which batch normalisations
    /// still have the statistics of each batch; then they are frozen and folded. 0: they are folded from the start.
    pub simulated_folding: f64,
    /// How much it costs that a constant or a stored value leaves the format, or that a constant is too small for it; 0:
    /// nothing.
    pub range_penalty: f32,
    /// Whether layers are multiplied by powers of two, chosen from the first weights so that the conversion of constants loses
    /// least, see [`power_scales`](boresight_plan::power_scales).
    pub power_scales: bool,
    /// Weight of the divergence from what the weights that training starts from make in FP32; 0: none.
    pub distillation: f32,
}

impl TrainSettings {
    /// The recipe for FP32 training: AdamW at 4e-3, cross-entropy plus twice Dice, weights averaged over some hundred steps.
    pub fn fp32(epochs: usize) -> Self {
        Self {
            epochs,
            batch: 8,
            learning_rate: 4e-3,
            warm_up: 0.05,
            final_rate: 0.02,
            weight_decay: 0.05,
            clip: 1.0,
            momentum: 0.1,
            averaging: 0.99,
            patience: None,
            loss: Loss { dice: 2.0, ..Loss::default() },
            simulated_folding: 0.0,
            range_penalty: 0.0,
            power_scales: false,
            distillation: 0.0,
        }
    }

    /// The recipe for FP16-aware fine-tuning of a trained network: as for FP32, but at an eighth of the learning rate.
    pub fn finetune(epochs: usize) -> Self {
        Self { learning_rate: 5e-4, ..Self::fp32(epochs) }
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Setting`] names the first that lies outside its range.
    pub fn check(&self) -> Result<(), Error> {
        let rules = [
            ("epochs", self.epochs as f64, self.epochs > 0, "at least 1"),
            ("batch", self.batch as f64, self.batch > 0, "at least 1"),
            ("learning rate", self.learning_rate, self.learning_rate > 0.0, "above 0"),
            ("warm-up", self.warm_up, (0.0..=1.0).contains(&self.warm_up), "between 0 and 1"),
            ("final rate", self.final_rate, (0.0..=1.0).contains(&self.final_rate), "between 0 and 1"),
            ("weight decay", self.weight_decay, self.weight_decay >= 0.0, "at least 0"),
            ("clip", self.clip, self.clip > 0.0, "above 0"),
            ("momentum", self.momentum.into(), (0.0..=1.0).contains(&self.momentum), "between 0 and 1"),
            (
                "simulated folding",
                self.simulated_folding,
                (0.0..=1.0).contains(&self.simulated_folding),
                "between 0 and 1",
            ),
            ("range penalty", self.range_penalty.into(), self.range_penalty >= 0.0, "at least 0"),
            ("distillation", self.distillation.into(), self.distillation >= 0.0, "at least 0"),
            ("averaging", self.averaging.into(), (0.0..1.0).contains(&self.averaging), "at least 0, below 1"),
        ];
        match rules.into_iter().find(|(.., holds, _)| !holds) {
            Some((setting, value, _, rule)) => {
                Err(Error::Setting { setting, value: value.to_string(), rule })
            }
            None => Ok(()),
        }
    }

    /// Learning rate of step `step` (from 0) of `steps`.
    pub fn rate(&self, step: usize, steps: usize) -> f64 {
        let done = (step as f64 + 1.0) / steps as f64;
        let share = if done <= self.warm_up {
            done / self.warm_up
        } else {
            let fallen = (done - self.warm_up) / (1.0 - self.warm_up).max(f64::MIN_POSITIVE);
            let cosine = 0.5 * (1.0 + (std::f64::consts::PI * fallen).cos());
            self.final_rate + (1.0 - self.final_rate) * cosine
        };
        self.learning_rate * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_to_the_top_and_falls_to_its_last_share() {
        let settings = TrainSettings { warm_up: 0.1, final_rate: 0.02, ..TrainSettings::fp32(1) };
        let rates: Vec<f64> = (0..100).map(|step| settings.rate(step, 100)).collect();
        assert!((rates[9] - 4e-3).abs() < 1e-9, "{}", rates[9]);
        assert!((rates[99] - 8e-5).abs() < 1e-9, "{}", rates[99]);
        assert!(rates[..10].windows(2).all(|pair| pair[0] < pair[1]));
        assert!(rates[9..].windows(2).all(|pair| pair[0] > pair[1]));
    }

    #[test]
    fn zero_epochs_are_refused_by_name() {
        let error = TrainSettings::fp32(0).check().unwrap_err();
        assert_eq!(error.to_string(), "epochs is 0, it must be at least 1");
    }
}
