//! The found network as two files of a run folder, or of the artifact that is made of it.

use crate::Error;
use boresight_data::Dataset;
use boresight_deploy::{Band, Deployment};
use boresight_ir::{InputForm, Network, Weights};
use boresight_numerics::NumericProfile;
use boresight_train::read_weights;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What `best.json` of a run folder and `network.json` of an artifact hold; `best.safetensors` and `weights.safetensors`
/// beside it have the master values of its network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// Code of the genotype.
    pub code: String,
    /// Trial of the search that found it.
    pub trial: u64,
    /// The network without batch normalisation, as it was fine-tuned; it reads normalised tiles.
    pub network: Network,
    /// Name and statistics of each band.
    pub bands: Vec<BandStatistics>,
    /// Name of each class.
    pub class_names: Vec<String>,
    /// The label of pixels that count for nothing.
    pub ignore: Option<u8>,
    /// The sensor count that the value 255 of an 8-bit image stands for.
    pub full_scale: f64,
    /// What the deployed network reads.
    pub input: InputForm,
    /// What the device does to numbers.
    pub profile: NumericProfile,
}

/// A band by name, with the statistics of its counts over the training split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandStatistics {
    /// Name, such as `B08`.
    pub name: String,
    /// Mean, in counts.
    pub mean: f32,
    /// Standard deviation, in counts.
    pub deviation: f32,
}

impl BandStatistics {
    /// The bands of `dataset` with their statistics.
    pub fn of(dataset: &Dataset, bands: &[Band]) -> Vec<Self> {
        let named = dataset.bands.iter().zip(bands);
        named
            .map(|(name, band)| Self { name: name.clone(), mean: band.mean, deviation: band.deviation })
            .collect()
    }
}

impl Artifact {
    /// Name of the description in a run folder.
    pub const DESCRIPTION: &str = "best.json";
    /// Name of the weights in a run folder.
    pub const WEIGHTS: &str = "best.safetensors";

    /// Name of the description in an artifact.
    pub const NETWORK: &str = "network.json";
    /// Name of the weights in an artifact.
    pub const NETWORK_WEIGHTS: &str = "weights.safetensors";

    /// Whether `folder` is an artifact or a run folder with a winner in it.
    pub fn lies_in(folder: &Path) -> bool {
        [Self::NETWORK, Self::DESCRIPTION].iter().any(|name| folder.join(name).is_file())
    }

    /// The network of an artifact or of a run folder, with its weights.
    ///
    /// # Errors
    /// When a file is missing or damaged, or the two do not go together.
    pub fn read(folder: &Path) -> Result<(Self, Weights), Error> {
        let (description, weights) = if folder.join(Self::NETWORK).is_file() {
            (Self::NETWORK, Self::NETWORK_WEIGHTS)
        } else {
            (Self::DESCRIPTION, Self::WEIGHTS)
        };
        let path = folder.join(description);
        let text =
            std::fs::read_to_string(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        let artifact: Self =
            serde_json::from_str(&text).map_err(|source| Error::Description { path, source })?;
        let weights = read_weights(&folder.join(weights), &artifact.network)?;
        Ok((artifact, weights))
    }

    /// The statistics of the bands.
    pub fn statistics(&self) -> Vec<Band> {
        self.bands.iter().map(|band| Band { mean: band.mean, deviation: band.deviation }).collect()
    }

    /// The network as the device holds it.
    ///
    /// # Errors
    /// When weights or bands do not fit the network.
    pub fn deploy(&self, weights: &Weights) -> Result<Deployment, Error> {
        Ok(Deployment::convert(&self.network, weights, &self.statistics(), self.input, &self.profile)?)
    }
}
