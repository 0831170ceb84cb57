//! The folder of an artifact: whole, or not there.

use boresight::deploy::onnx::Form;
use sha2::{Digest, Sha256};
use std::error::Error;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Name of the checksums.
const CHECKSUMS: &str = "SHA256SUMS";

/// Name of the network in a form.
pub(crate) fn onnx_name(form: Form) -> String {
    format!("network-{form}.onnx")
}

/// An artifact under construction, beside the place where it will be.
pub(crate) struct Staging {
    folder: PathBuf,
    out: PathBuf,
}

impl Staging {
    pub(crate) fn new(out: &Path) -> Result<Self, Box<dyn Error>> {
        if out.exists() {
            return Err(format!("--out {}: it exists already", out.display()).into());
        }
        let mut name = out.file_name().ok_or("--out: a folder needs a name")?.to_owned();
        name.push(".partial");
        let folder = out.with_file_name(name);
        if folder.exists() {
            // What an interrupted run left.
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder).map_err(|error| format!("--out {}: {error}", out.display()))?;
        Ok(Self { folder, out: out.to_owned() })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let path = self.path(name);
        Ok(std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?)
    }

    /// Adds the checksums of all files and gives the folder its name.
    pub(crate) fn finish(self) -> Result<(), Box<dyn Error>> {
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        let mut sums = String::new();
        for name in names {
            let digest = Sha256::digest(std::fs::read(self.path(&name))?);
            digest.iter().try_for_each(|byte| write!(sums, "{byte:02x}"))?;
            // As sha256sum writes it, so that `sha256sum --check` reads it.
            writeln!(sums, "  {name}")?;
        }
        self.write(CHECKSUMS, sums.as_bytes())?;
        Ok(std::fs::rename(&self.folder, &self.out)?)
    }
}

impl Drop for Staging {
    /// After a failure nothing stays; after [`Staging::finish`] there is nothing to remove.
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.folder).unwrap_or_default();
    }
}
