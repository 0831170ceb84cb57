//! What must hold of every file, whatever is in it.

use boresight_deploy::onnx::{Export, Limits, ReadOptions, read};
use std::fs;
use std::path::Path;

/// Files to begin with: those of PyTorch, the spellings, and what was found once.
pub(crate) fn corpus() -> Vec<Vec<u8>> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut paths = Vec::new();
    for folder in ["goldens", "goldens/spellings", "found"] {
        let entries = fs::read_dir(tests.join(folder)).into_iter().flatten().flatten();
        paths.extend(
            entries
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|end| end == "onnx")),
        );
    }
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// Reads a file that may hold anything; whether it is a network. What is read is written and read again as itself.
///
/// # Panics
/// When that does not hold.
#[expect(clippy::expect_used, reason = "what is not as it should be ends the test")]
pub(crate) fn attempt(bytes: &[u8]) -> bool {
    let limits = Limits { values: 1 << 21, ..Limits::default() };
    let options = ReadOptions { size: None, output: None, folder: None, limits };
    let Ok(model) = read(bytes, &options) else { return false };
    assert_eq!(model.weights.values().len(), model.network.layout().len());
    let written = Export::new(&model.network, &model.weights).write().expect("FP32 holds every weight");
    let limits = Limits { values: 1 << 24, ..Limits::default() };
    let again = read(&written, &ReadOptions { limits, ..options }).expect("what was written is read");
    assert_eq!(again.network.hash(), model.network.hash());
    true
}
