//! Pooling with sums that are rounded to binary16 on the way.

use crate::Planes;
use boresight_numerics::Rounding;

/// The mean of every window as a device with binary16 sums finds it: the sum is rounded after each value, row by row, and
/// divided by the window's size in binary32.
///
/// # Panics
/// When a slice's length does not fit, or a window leaves its plane.
pub fn avg_pool_narrow(
    planes: Planes,
    kernel: [usize; 2],
    stride: [usize; 2],
    rounding: Rounding,
    x: &[f32],
    y: &mut [f32],
) {
    let [height, width] =
        [(planes.height - kernel[0]) / stride[0] + 1, (planes.width - kernel[1]) / stride[1] + 1];
    assert_eq!(x.len(), planes.len(), "a feature map does not fill its planes");
    assert_eq!(
        y.len(),
        planes.batch * planes.channels * height * width,
        "a feature map does not fill its planes"
    );
    let size = (kernel[0] * kernel[1]) as f32;
    for (x, y) in x.chunks_exact(planes.plane()).zip(y.chunks_exact_mut(height * width)) {
        for (at, y) in y.iter_mut().enumerate() {
            let corner = at / width * stride[0] * planes.width + at % width * stride[1];
            let rows = (0..kernel[0]).map(|row| &x[corner + row * planes.width..][..kernel[1]]);
            *y = rows.flatten().fold(0.0, |sum, &value| rounding.apply(sum + value)) / size;
        }
    }
}

/// The mean of every plane as a device with binary16 sums finds it: as [`avg_pool_narrow`] with one window.
///
/// # Panics
/// When a slice's length does not fit.
pub fn global_avg_pool_narrow(planes: Planes, rounding: Rounding, x: &[f32], y: &mut [f32]) {
    avg_pool_narrow(planes, [planes.height, planes.width], [1, 1], rounding, x, y);
}
