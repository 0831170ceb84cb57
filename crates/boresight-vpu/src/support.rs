//! What a device refuses, before anything is compiled.

use crate::{Device, Error, Limit};
use boresight_ir::{Filling, Network, Node, NodeId, Op};

/// Whether `device` takes every operator of `network`; whether its maps are too large, compiling tells.
pub(crate) fn check(network: &Network, device: &Device) -> Result<(), Error> {
    let limits = device.description();
    for node in network.nodes() {
        let refuse = |reason| Err(unsupported(device, node, reason));
        if limits.refused.iter().any(|refused| refused == node.op.name()) {
            return refuse(Limit::Operator);
        }
        if let Op::Pad { rows, columns, filling: Filling::Lowest } = node.op
            && !pooled(network, node, [rows, columns])
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

/// Whether nothing but one max pooling reads `node`, whose padding it becomes: that takes fewer lines than its window has.
fn pooled(network: &Network, node: &Node, pads: [[usize; 2]; 2]) -> bool {
    let is_node = |id: NodeId| std::ptr::eq(network.node(id), node);
    let reads = |reader: &&Node| reader.inputs.iter().any(|&input| is_node(input));
    let mut readers = network.nodes().iter().filter(reads);
    let takes = |reader: &Node| match reader.op {
        Op::MaxPool(window) => {
            pads.iter().zip(window.kernel).all(|(lines, kernel)| lines.iter().all(|&lines| lines < kernel))
        }
        _ => false,
    };
    readers.next().is_some_and(takes) && readers.next().is_none() && !is_node(network.output())
}
