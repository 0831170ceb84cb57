//! The JSON form of a network.

use crate::{Builder, Error, Network, Node, NodeId, Op, Shape};
use serde::{Deserialize, Serialize};

/// What a network looks like in serde's eyes.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    input: Shape,
    nodes: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    op: Op,
    inputs: Vec<usize>,
}

impl From<Network> for Document {
    fn from(network: Network) -> Self {
        let entry = |node: &Node| Entry {
            name: node.name.clone(),
            op: node.op,
            inputs: node.inputs.iter().map(|input| input.0).collect(),
        };
        Self { input: network.input_shape(), nodes: network.nodes[1..].iter().map(entry).collect() }
    }
}

impl TryFrom<Document> for Network {
    type Error = Error;

    fn try_from(document: Document) -> Result<Self, Error> {
        let mut builder = Builder::new(document.input)?;
        let mut last = builder.input();
        for entry in document.nodes {
            let inputs: Vec<NodeId> = entry.inputs.into_iter().map(NodeId).collect();
            last = builder.add(entry.name, entry.op, &inputs)?;
        }
        builder.finish(last)
    }
}

impl Network {
    /// The network as JSON: the input's shape, then every other node with the numbers of what it reads (the input is
    /// number 0, the last node is the output). Weights are not in it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The network that [`Network::to_json`] wrote; everything is checked again.
    ///
    /// # Errors
    /// When the text is not such a document or the network that it describes is not valid.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let document: Document =
            serde_json::from_str(text).map_err(|error| Error::Json { reason: error.to_string() })?;
        document.try_into()
    }
}

/// Bytes that describe a node but for its name.
pub(crate) fn structure(node: &Node) -> Vec<u8> {
    let inputs: Vec<usize> = node.inputs.iter().map(|input| input.0).collect();
    serde_json::to_vec(&(&node.op, inputs, node.shape)).unwrap_or_default()
}
