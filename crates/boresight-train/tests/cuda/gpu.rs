//! The GPU that the tests share.

use candle_core::Device;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

static GPU: Mutex<Option<Device>> = Mutex::new(None);

/// Runs `test` on the first GPU, one test at a time; where there is none, says on standard error that nothing was
/// tested.
pub(crate) fn on_gpu(test: impl FnOnce(&Device)) {
    // A test that failed leaves a device that works.
    let mut gpu = GPU.lock().unwrap_or_else(PoisonError::into_inner);
    if gpu.is_none() {
        match Device::new_cuda(0) {
            Ok(device) => *gpu = Some(device),
            Err(error) => {
                // Of a test that passes, what `eprintln` prints is not shown.
                let mut stderr = std::io::stderr();
                let message = error.to_string();
                let reason = message.lines().next().unwrap_or_default();
                writeln!(stderr, "SKIPPED, there is no GPU: {reason}").unwrap();
            }
        }
    }
    if let Some(device) = &*gpu {
        test(device);
    }
}
