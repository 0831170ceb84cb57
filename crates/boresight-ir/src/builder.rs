//! Building a network node by node.

use crate::infer::{check, infer};
use crate::layout::Layout;
use crate::network::conv_macs;
use crate::{Error, Network, Node, NodeId, Op, Shape};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Nodes that a network may have.
const NODE_LIMIT: usize = 100_000;

/// Builds a [`Network`]; every node is checked as it is added.
///
/// # Examples
/// ```
/// use boresight_ir::{Builder, Conv2d, Op, Shape};
/// let mut builder = Builder::new(Shape::new(4, 64, 64))?;
/// let conv = builder.add("conv", Op::Conv2d(Conv2d::same(8, 3)), &[builder.input()])?;
/// let relu = builder.add("relu", Op::Relu, &[conv])?;
/// let network = builder.finish(relu)?;
/// assert_eq!(network.parameter_count(), 8 * 4 * 9 + 8);
/// # Ok::<(), boresight_ir::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Builder {
    nodes: Vec<Node>,
    names: BTreeSet<String>,
}

impl Builder {
    /// A network that reads images of this shape; its input is a node named `input`.
    ///
    /// # Errors
    /// When a size is zero or beyond the limits.
    pub fn new(input: Shape) -> Result<Self, Error> {
        let name = "input".to_owned();
        let shape = check(input).map_err(|rule| Error::Node { node: name.clone(), op: "input", rule })?;
        let names = BTreeSet::from([name.clone()]);
        Ok(Self { nodes: vec![Node { name, op: Op::Input, inputs: Vec::new(), shape }], names })
    }

    /// The input.
    pub const fn input(&self) -> NodeId {
        NodeId(0)
    }

    /// Shape of a node that was added.
    ///
    /// # Panics
    /// When `id` comes from another builder.
    pub fn shape(&self, id: NodeId) -> Shape {
        self.nodes[id.0].shape
    }

    /// Adds a node.
    ///
    /// # Errors
    /// When the name is taken, an input does not exist, or the operator does not take such inputs.
    pub fn add(&mut self, name: impl Into<String>, op: Op, inputs: &[NodeId]) -> Result<NodeId, Error> {
        let name = name.into();
        if self.nodes.len() == NODE_LIMIT {
            return Err(Error::TooManyNodes { count: NODE_LIMIT + 1, limit: NODE_LIMIT });
        }
        if let Some(missing) = inputs.iter().find(|input| input.0 >= self.nodes.len()) {
            return Err(Error::Dangling { node: name, input: missing.0 });
        }
        let shapes: Vec<Shape> = inputs.iter().map(|&input| self.shape(input)).collect();
        let shape =
            infer(&op, &shapes).map_err(|rule| Error::Node { node: name.clone(), op: op.name(), rule })?;
        if !self.names.insert(name.clone()) {
            return Err(Error::DuplicateName { name });
        }
        self.nodes.push(Node { name, op, inputs: inputs.to_vec(), shape });
        Ok(NodeId(self.nodes.len() - 1))
    }

    /// The network whose output is `output`.
    ///
    /// # Errors
    /// When `output` does not exist or a node does not lead to it.
    pub fn finish(self, output: NodeId) -> Result<Network, Error> {
        if output.0 >= self.nodes.len() {
            return Err(Error::Dangling { node: "the output".into(), input: output.0 });
        }
        let order = canonical_order(&self.nodes, output);
        let mut place = vec![None; self.nodes.len()];
        for (at, id) in order.iter().enumerate() {
            place[id.0] = Some(NodeId(at));
        }
        if let Some(unused) = self.nodes.iter().zip(&place).find(|(_, place)| place.is_none()) {
            return Err(Error::Unused { node: unused.0.name.clone() });
        }
        let nodes: Vec<Node> = order
            .iter()
            .map(|id| {
                let node = &self.nodes[id.0];
                Node {
                    inputs: node.inputs.iter().filter_map(|input| place[input.0]).collect(),
                    ..node.clone()
                }
            })
            .collect();
        let macs = count_macs(&nodes);
        Ok(Network { layout: Arc::new(Layout::of(&nodes)), nodes, macs })
    }
}

/// Nodes that lead to `output`, inputs before readers, depth first in the order of inputs; the network's input first.
fn canonical_order(nodes: &[Node], output: NodeId) -> Vec<NodeId> {
    let mut seen = vec![false; nodes.len()];
    seen[0] = true;
    let mut order = vec![NodeId(0)];
    let mut path = vec![(output, 0)];
    while let Some((id, next)) = path.pop() {
        match nodes[id.0].inputs.get(next) {
            Some(&input) => {
                path.push((id, next + 1));
                if !seen[input.0] {
                    path.push((input, 0));
                }
            }
            None if !seen[id.0] => {
                seen[id.0] = true;
                order.push(id);
            }
            None => {}
        }
    }
    order
}

fn count_macs(nodes: &[Node]) -> u64 {
    nodes.iter().fold(0, |sum, node| match node.op {
        Op::Conv2d(conv) => sum.saturating_add(conv_macs(conv, nodes[node.inputs[0].0].shape, node.shape)),
        _ => sum,
    })
}
