//! What the compiler of a device decides about convolutions.

use boresight::deploy::Mapping;
use boresight::ir::Network;
use boresight::vpu::Vpu;

/// Parts of input channels, and convolutions whose constants are not scaled; nothing of a network that the device refuses, which
/// is told elsewhere.
pub(crate) fn of(vpu: &Vpu, network: &Network) -> Mapping {
    Mapping {
        parts: vpu.channel_parts(network).unwrap_or_default(),
        unscaled: vpu.convolutions_on_shaves(network).unwrap_or_default(),
    }
}
