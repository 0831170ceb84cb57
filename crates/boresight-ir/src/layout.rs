//! Where each parameter stands in the flat buffer.

use crate::{Node, NodeId, Op};
use std::ops::Range;

/// What a slot is to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Convolution weights `[out, in / groups, rows, columns]`.
    Weight,
    /// Convolution bias `[out]`.
    Bias,
    /// Factor for each channel of a batch normalisation or scale-shift.
    Scale,
    /// Addend for each channel of a batch normalisation or scale-shift.
    Shift,
    /// Running mean of a batch normalisation.
    Mean,
    /// Running variance of a batch normalisation.
    Variance,
    /// What convolutions of the input read beyond its edge, for each band: the normalised value of count zero.
    Border,
}

impl Role {
    /// Whether an optimizer changes it.
    pub const fn is_trainable(self) -> bool {
        matches!(self, Self::Weight | Self::Bias | Self::Scale | Self::Shift)
    }

    /// The last part of a slot's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::Scale => "scale",
            Self::Shift => "shift",
            Self::Mean => "running_mean",
            Self::Variance => "running_variance",
            Self::Border => "border",
        }
    }
}

/// One tensor in the flat buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// `node.role`, such as `stage0.conv.weight`.
    pub name: String,
    /// The node that it belongs to.
    pub node: NodeId,
    /// What it is to that node.
    pub role: Role,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its place in the buffer.
    pub range: Range<usize>,
}

/// All slots of a network: trainable ones first, in the order of nodes, then statistics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    slots: Vec<Slot>,
    trainable: usize,
    len: usize,
}

impl Layout {
    pub(crate) fn of(nodes: &[Node]) -> Self {
        let mut slots = Vec::new();
        for (at, node) in nodes.iter().enumerate() {
            let input_channels = node.inputs.first().map_or(0, |input| nodes[input.0].shape.channels);
            for (role, shape) in roles(node, input_channels) {
                let name = format!("{}.{}", node.name, role.name());
                slots.push(Slot { name, node: NodeId(at), role, shape, range: 0..0 });
            }
        }
        slots.sort_by_key(|slot| !slot.role.is_trainable());
        let (mut len, mut trainable) = (0, 0);
        for slot in &mut slots {
            let count: usize = slot.shape.iter().product();
            slot.range = len..len + count;
            len += count;
            if slot.role.is_trainable() {
                trainable = len;
            }
        }
        Self { slots, trainable, len }
    }

    /// Every slot, in the order of the buffer.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Values that an optimizer changes; they stand at the front of the buffer.
    pub const fn trainable(&self) -> usize {
        self.trainable
    }

    /// Values in all.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no values.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The slot of this name.
    pub fn find(&self, name: &str) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.name == name)
    }

    /// Place of a node's tensor; `None` where the node has no such tensor.
    pub fn range(&self, node: NodeId, role: Role) -> Option<Range<usize>> {
        self.slots.iter().find(|slot| slot.node == node && slot.role == role).map(|slot| slot.range.clone())
    }
}

fn roles(node: &Node, input_channels: usize) -> Vec<(Role, Vec<usize>)> {
    let channels = vec![node.shape.channels];
    match node.op {
        Op::Input => vec![(Role::Border, channels)],
        Op::Conv2d(conv) => {
            let [rows, columns] = conv.kernel;
            let weight = vec![conv.out_channels, input_channels / conv.groups, rows, columns];
            let mut roles = vec![(Role::Weight, weight)];
            if conv.bias {
                roles.push((Role::Bias, channels));
            }
            roles
        }
        Op::BatchNorm { .. } => {
            [Role::Scale, Role::Shift, Role::Mean, Role::Variance].map(|role| (role, channels.clone())).into()
        }
        Op::ScaleShift => [Role::Scale, Role::Shift].map(|role| (role, channels.clone())).into(),
        _ => Vec::new(),
    }
}
