//! Numeric profiles from the command line.

use boresight::numerics::NumericProfile;
use std::error::Error;
use std::path::Path;

/// The embedded profile of this name, or that of a TOML file.
pub(crate) fn read(name: &str) -> Result<NumericProfile, Box<dyn Error>> {
    if is_file(name) {
        let text = std::fs::read_to_string(name).map_err(|error| format!("--profile {name}: {error}"))?;
        return Ok(NumericProfile::from_toml(&text).map_err(|error| format!("--profile {name}: {error}"))?);
    }
    let known =
        NumericProfile::named(name).map_err(|error| format!("--profile: {error}; or give a file .toml"))?;
    Ok(known)
}

/// Whether a name is that of a file.
pub(crate) fn is_file(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "toml")
}
