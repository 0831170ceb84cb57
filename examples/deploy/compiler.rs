//! The compiler of the target.

use crate::files::{Staging, onnx_name};
use boresight::deploy::onnx::Form;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};

/// The script that runs it.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tools/myriad/compile.py");

/// Name of the blob that is made of a form.
pub(crate) fn blob_name(form: Form) -> String {
    format!("network-{form}.blob")
}

/// The real compiler for Myriad X.
pub(crate) struct Compiler<'path> {
    folder: Option<&'path Path>,
}

/// What it made of a network.
#[derive(Debug, Deserialize)]
pub(crate) struct Compiled {
    #[serde(skip)]
    pub(crate) form: Form,
    /// Its name and version.
    pub(crate) compiler: String,
    pub(crate) memory: BTreeMap<String, u64>,
    pub(crate) totals: BTreeMap<String, u64>,
}

impl<'path> Compiler<'path> {
    /// The compiler in `folder`, or where the script looks for it.
    pub(crate) const fn new(folder: Option<&'path Path>) -> Self {
        Self { folder }
    }

    /// Compiles the file of a form; blob and report go to the artifact.
    pub(crate) fn compile(&self, form: Form, staging: &Staging) -> Result<Compiled, Box<dyn Error>> {
        let report = staging.path(&format!("compiler-{form}.json"));
        let mut command = Command::new("python3");
        command.arg(SCRIPT).arg(staging.path(&onnx_name(form))).stdin(Stdio::null());
        command.args(["--form", &form.to_string()]).arg("--blob").arg(staging.path(&blob_name(form)));
        command.arg("--json").arg(&report);
        if let Some(folder) = self.folder {
            command.arg("--cache").arg(folder);
        }
        let output = command.output().map_err(|error| format!("python3 cannot be started: {error}"))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let last = last.trim();
            return Err(format!("myriad-x: {}", last.strip_prefix("error: ").unwrap_or(last)).into());
        }
        let text = std::fs::read_to_string(&report)?;
        let compiled: Compiled =
            serde_json::from_str(&text).map_err(|error| format!("{}: {error}", report.display()))?;
        Ok(Compiled { form, ..compiled })
    }
}
