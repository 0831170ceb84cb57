//! A validated operator graph.

use crate::json::Document;
use crate::layout::Layout;
use crate::{Conv2d, Op, Shape};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// The place of a node in [`Network::nodes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(crate) usize);

impl NodeId {
    /// Index into [`Network::nodes`].
    pub const fn index(self) -> usize {
        self.0
    }
}

/// One operator with its inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name, unique in the network.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// What it reads; always nodes that come before it.
    pub inputs: Vec<NodeId>,
    /// What it makes, for one image.
    pub shape: Shape,
}

/// 256 bits that are equal for networks of equal structure, whatever their nodes are called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub(crate) [u8; 32]);

impl Hash {
    /// The bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A validated operator graph with one input and one output, made by [`crate::Builder`].
///
/// Nodes stand in one canonical order (depth first from the output), the input first and the output last, so
/// networks of equal structure have equal layouts and equal hashes. Every node's shape is known and within limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Document", into = "Document")]
pub struct Network {
    pub(crate) nodes: Vec<Node>,
    pub(crate) layout: Arc<Layout>,
    pub(crate) macs: u64,
}

impl Network {
    /// All nodes, each after those that it reads; the first is the input, the last the output.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Node with this id.
    ///
    /// # Panics
    /// When `id` comes from another, larger network.
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Every node with its id, in order.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(at, node)| (NodeId(at), node))
    }

    /// Id of the input.
    pub const fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// Id of the output.
    pub fn output(&self) -> NodeId {
        NodeId(self.nodes.len() - 1)
    }

    /// Shape of one input image.
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Shape of the output for one image.
    pub fn output_shape(&self) -> Shape {
        self.nodes[self.nodes.len() - 1].shape
    }

    /// Where each parameter stands in the flat buffer.
    pub const fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Trainable parameters.
    pub fn parameter_count(&self) -> usize {
        self.layout.trainable()
    }

    /// Multiply-accumulate operations of all convolutions for one image (MACs; twice as many FLOPs).
    pub const fn macs(&self) -> u64 {
        self.macs
    }

    /// Nodes that read `id`, in order.
    pub fn consumers(&self, id: NodeId) -> impl Iterator<Item = NodeId> {
        self.iter().filter(move |(_, node)| node.inputs.contains(&id)).map(|(reader, _)| reader)
    }

    /// Hash of the structure: operators, edges and input shape, not names.
    pub fn hash(&self) -> Hash {
        let mut hasher = blake3::Hasher::new();
        for node in &self.nodes {
            hasher.update(&crate::json::structure(node));
            hasher.update(b"\n");
        }
        Hash(*hasher.finalize().as_bytes())
    }
}

/// Multiply-accumulate operations of a convolution from `input` to `output`.
pub(crate) fn conv_macs(conv: Conv2d, input: Shape, output: Shape) -> u64 {
    let taps = (input.channels / conv.groups) as u64 * conv.kernel[0] as u64 * conv.kernel[1] as u64;
    (output.len() as u64).saturating_mul(taps)
}
