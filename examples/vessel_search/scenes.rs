//! The scenes of a run: real ones, or synthetic ones drawn from its seed.

use boresight::core::Seed;
use boresight::data::{Dataset, FolderOptions, SyntheticOptions, read_folder, synthetic};
use std::error::Error;
use std::path::Path;

/// The scenes in the folder `data`, or synthetic ones of the run's seed.
pub(crate) fn read(
    data: Option<&Path>,
    bands: Option<Vec<String>>,
    seed: Seed,
) -> Result<Dataset, Box<dyn Error>> {
    if let Some(folder) = data {
        let options = FolderOptions { bands, ..FolderOptions::default() };
        return Ok(read_folder(folder, &options).map_err(|error| about_data(folder, &error))?);
    }
    let plain = SyntheticOptions::default();
    let options = SyntheticOptions { bands: bands.unwrap_or(plain.bands), ..plain };
    Ok(synthetic(seed.derive("scenes", 0), &options).map_err(|error| format!("--bands: {error}"))?)
}

/// Puts the flag before an error that names no file.
fn about_data(folder: &Path, error: &boresight::data::Error) -> String {
    use boresight::data::Error;
    match error {
        Error::UnknownBand { .. }
        | Error::MissingBand { .. }
        | Error::DuplicateBand { .. }
        | Error::NoBands => {
            format!("--bands: {error}")
        }
        Error::EmptySplit { .. } => format!("--data {}: {error}", folder.display()),
        _ => error.to_string(),
    }
}
