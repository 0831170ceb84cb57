//! Networks whose run times others published, built from their descriptions; weights do not matter for the time.

mod build;
mod classify;
mod detect;
mod segment;

use boresight_ir::Error;
use build::Build;
pub(crate) use build::{Built, JOIN};

/// A family of networks, for leaving it out of a fit.
pub(crate) type Family = &'static str;

/// The network of this name for images of `side` x `side` pixels and `bands` bands, and its family.
///
/// # Errors
/// When a size does not fit, which no published one does.
pub(crate) fn network(name: &str, side: usize, bands: usize) -> Result<Option<(Family, Built)>, Error> {
    let build = Build::new(bands, side)?;
    Ok(Some(match name {
        "ResNet-50" => ("ResNet", classify::resnet50(build)?),
        "MobileOne-S0" => ("MobileOne", classify::mobileone_s0(build)?),
        "YOLOv6n R2" => ("YOLOv6", detect::yolov6n(build)?),
        "YOLOv7t" => ("YOLOv7", detect::yolov7_tiny(build)?),
        "YOLOv8n" => ("YOLOv8", detect::yolov8(build, [16, 32, 64, 128, 256], 1)?),
        "YOLOv8m" => ("YOLOv8", detect::yolov8(build, [48, 96, 192, 384, 576], 2)?),
        "encoder-decoder 8-16-32-64" => ("encoder-decoder", segment::encoder_decoder(build, 8)?),
        "encoder-decoder 16-32-64-128" => ("encoder-decoder", segment::encoder_decoder(build, 16)?),
        "convolution 3x3 86" => ("layers", segment::layer(build, 86, 3)?),
        "convolution 1x1 86" => ("layers", segment::layer(build, 86, 1)?),
        "convolution 3x3 32" => ("layers", segment::layer(build, 32, 3)?),
        _ => return Ok(None),
    }))
}
