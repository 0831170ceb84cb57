//! What a device refuses, before anything is compiled.

use crate::{Device, Error, Limit};
use boresight_ir::{Filling, Network, Node, Op};

/// Whether `device` takes every operator of `network`; whether its maps are too large, compiling tells.
pub(crate) fn check(network: &Network, device: &Device) -> Result<(), Error> {
    let limits = device.description();
    for node in network.nodes() {
        let refuse = |reason| Err(unsupported(device, node, reason));
        if limits.refused.iter().any(|refused| refused == node.op.name()) {
            return refuse(Limit::Operator);
        }
        if let Op::Pad { filling: Filling::Lowest, .. } = node.op
            && !pooled(network, node)
        {
            return refuse(Limit::Padding);
        }
    }
    Ok(())
}

pub(crate) fn unsupported(device: &Device, node: &Node, reason: Limit) -> Error {
    Error::Unsupported {
        device: device.description().name.clone(),
        node: node.name.clone(),
        op: node.op.name(),
        reason,
    }
}

/// Whether nothing but one max pooling reads `node`, whose padding it becomes.
fn pooled(network: &Network, node: &Node) -> bool {
    let reads = |reader: &&Node| reader.inputs.iter().any(|&input| std::ptr::eq(network.node(input), node));
    let mut readers = network.nodes().iter().filter(reads);
    let first = readers.next();
    first.is_some_and(|reader| matches!(reader.op, Op::MaxPool(_))) && readers.next().is_none()
}
