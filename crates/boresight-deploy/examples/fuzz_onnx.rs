//! Reads damaged ONNX files for some minutes: `fuzz_onnx [MINUTES] [SEED] [FOLDER]`. With `--profile test` arithmetic that
//! overflows is a panic too.
//!
//! A file that makes the reader panic is written to `FOLDER` (default: the folder for temporary files) and ends the run with
//! exit status 1; put it into `tests/found`, where the tests read it. The slowest file is kept there too.

#![expect(clippy::print_stdout, reason = "an example reports on standard output")]
#![expect(clippy::expect_used, reason = "a panic is what this example looks for")]

#[path = "../tests/laws/onnx/mutation.rs"]
mod mutation;
#[path = "../tests/laws/onnx/reading.rs"]
mod reading;

use boresight_core::Seed;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "the run ends after some time, and slow files are looked for")]
fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let minutes: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let seed: u64 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let corpus = reading::corpus();
    let mut stream = Seed::new(seed).stream();
    let (mut files, mut read, mut slowest) = (0_u64, 0_u64, Duration::ZERO);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60 * minutes) {
        let [file, other] = [0, 1].map(|_| &corpus[stream.below(corpus.len())]);
        let bytes = mutation::mutated(file, other, &mut stream);
        let before = Instant::now();
        let Ok(is_network) = catch_unwind(|| reading::attempt(&bytes)) else {
            let path = folder.join(format!("seed{seed}-{files}.onnx"));
            std::fs::write(&path, &bytes).expect("the file can be kept");
            println!("a panic: {}", path.display());
            return ExitCode::FAILURE;
        };
        let time = before.elapsed();
        files += 1;
        read += u64::from(is_network);
        if time > slowest {
            slowest = time;
            let path = folder.join(format!("slowest-seed{seed}.onnx"));
            std::fs::write(path, &bytes).expect("the file can be kept");
        }
    }
    println!(
        "{files} files of seed {seed}, {read} of them networks, the slowest took {} ms",
        slowest.as_millis()
    );
    ExitCode::SUCCESS
}
