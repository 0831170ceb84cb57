//! How a candidate is evaluated, as plain data.

use boresight_data::SamplerOptions;
use boresight_ir::InputForm;
use boresight_numerics::NumericProfile;
use boresight_train::TrainSettings;

/// How a candidate is evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationSettings {
    /// Side of a tile in pixels; networks read tiles of this size.
    pub tile: usize,
    /// Training tiles of one epoch.
    pub samples_per_epoch: usize,
    /// How training tiles are drawn.
    pub sampler: SamplerOptions,
    /// FP32 training.
    pub training: TrainSettings,
    /// FP16-aware fine-tuning; `None`: the converted network is what is deployed.
    pub alignment: Option<TrainSettings>,
    /// What the device does to numbers.
    pub profile: NumericProfile,
    /// What the device reads.
    pub input: InputForm,
}
