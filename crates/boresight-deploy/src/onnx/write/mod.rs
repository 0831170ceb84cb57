//! The writer.

mod convolution;
mod graph;
mod input;
mod operators;
#[cfg(test)]
mod tests;

use super::{Error, Form, Opset, proto};
use crate::Band;
use boresight_ir::{Network, Node, NodeId, Op, Role, Weights};
use convolution::Transposed;
use graph::{Call, Graph};
use input::Input;
use prost::Message;
use std::collections::BTreeMap;
use std::ops::Range;

/// Name of the input of every file that is written.
const INPUT: &str = "input";
/// Name of the output of every file that is written.
const OUTPUT: &str = "logits";

/// A network as it is to be written: equal exports make equal bytes.
///
/// The file has fixed shapes `[batch, channels, height, width]`, an input `input`, an output `logits`, and the shape of
/// every value between. Its nodes have the names of the network's nodes; those that one operator needs besides are
/// named `node/Helper`. Batch normalisations are written as they are: fold them first
/// ([`boresight_ir::fold_batch_norm`]) where the device should not fold them in FP16.
///
/// # Borders
/// ONNX pads with zero. Where the network's border is not zero, convolutions that pad the input read `input - border`
/// from an `Add`, and their bias grows by the sum of weight times border: the same in real arithmetic, at the edges too.
/// The sum is made in binary64 of the weights that the file holds, and rounded once.
///
/// # Examples
/// ```
/// use boresight_core::Seed;
/// use boresight_deploy::onnx::{Export, Form, Opset};
/// use boresight_ir::{Builder, Conv2d, Op, Shape, Weights};
/// let mut builder = Builder::new(Shape::new(4, 32, 32))?;
/// let conv = builder.add("conv", Op::Conv2d(Conv2d::same(2, 3)), &[builder.input()])?;
/// let network = builder.finish(conv)?;
/// let weights = Weights::initial(&network, Seed::new(1));
/// let export = Export { form: Form::Fp16, opset: Opset::V13, ..Export::new(&network, &weights) };
/// assert!(export.write()?.len() > 2 * 4 * 2 * 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Export<'a> {
    /// The network.
    pub network: &'a Network,
    /// Its weights.
    pub weights: &'a Weights,
    /// The formats of numbers.
    pub form: Form,
    /// The version of the operators.
    pub opset: Opset,
    /// Images in a batch, at least 1.
    pub batch: usize,
    /// Name of the graph.
    pub name: &'a str,
    /// What else the file tells its reader, by key.
    pub metadata: BTreeMap<String, String>,
    /// With this the file takes raw counts: its first node divides them by each band's deviation, and the convolutions
    /// that read it take the mean into their biases. Beyond the edge they read count zero, as a
    /// [`crate::Deployment`] does, whatever border `weights` have.
    pub normalisation: Option<&'a [Band]>,
}

impl<'a> Export<'a> {
    /// FP32, operators of version 11, one image, no metadata, no normalisation.
    pub fn new(network: &'a Network, weights: &'a Weights) -> Self {
        Self {
            network,
            weights,
            form: Form::default(),
            opset: Opset::default(),
            batch: 1,
            name: "boresight",
            metadata: BTreeMap::new(),
            normalisation: None,
        }
    }

    /// The bytes of the file.
    ///
    /// # Errors
    /// When weights or bands do not fit the network, the batch is empty, or a number does not fit FP16.
    pub fn write(&self) -> Result<Vec<u8>, Error> {
        let mut writer = Writer::new(self)?;
        for (id, node) in self.network.iter().skip(1) {
            if !writer.absorbed[id.index()] {
                writer.operator(id, node)?;
            }
        }
        Ok(self.model(writer.finish()?).encode_to_vec())
    }

    fn model(&self, graph: proto::Graph) -> proto::Model {
        let entry =
            |(key, value): (&String, &String)| proto::Entry { key: key.clone(), value: value.clone() };
        proto::Model {
            ir_version: self.opset.ir_version(),
            producer_name: "boresight".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            graph: Some(graph),
            opset_import: vec![proto::OperatorSet { domain: String::new(), version: self.opset.number() }],
            metadata_props: self.metadata.iter().map(entry).collect(),
        }
    }
}

/// A file under construction.
struct Writer<'a> {
    network: &'a Network,
    values: &'a [f32],
    opset: Opset,
    graph: Graph,
    input: Input,
    /// Name of each node's value in the file.
    names: Vec<String>,
    /// Place of each tensor.
    ranges: BTreeMap<(NodeId, Role), Range<usize>>,
    /// Convolutions that are written as transposed ones.
    transposed: BTreeMap<NodeId, Transposed>,
    /// Nodes that another node takes in.
    absorbed: Vec<bool>,
}

impl<'a> Writer<'a> {
    fn new(export: &Export<'a>) -> Result<Self, Error> {
        let (network, weights) = (export.network, export.weights);
        if weights.layout() != network.layout() {
            let (expected, found) = (network.layout().len(), weights.values().len());
            return Err(boresight_ir::Error::WeightCount { expected, found }.into());
        }
        if export.batch == 0 {
            return Err(Error::EmptyBatch);
        }
        let mut graph = Graph::new(export.name, export.form, export.batch);
        let input = Input::new(network, weights, export.normalisation, &graph)?;
        let names = value_names(network, &mut graph);
        graph.set_input(INPUT, network.input_shape());
        for node in network.nodes() {
            graph.node_name(&node.name);
        }
        let ranges = network
            .layout()
            .slots()
            .iter()
            .map(|slot| ((slot.node, slot.role), slot.range.clone()))
            .collect();
        let mut writer = Self {
            network,
            values: weights.values(),
            opset: export.opset,
            graph,
            input,
            names,
            ranges,
            transposed: BTreeMap::new(),
            absorbed: vec![false; network.nodes().len()],
        };
        writer.absorb();
        Ok(writer)
    }

    /// One tensor of a node; empty where it has none.
    fn tensor(&self, id: NodeId, role: Role) -> &'a [f32] {
        self.ranges.get(&(id, role)).map_or(&[], |range| &self.values[range.clone()])
    }

    /// Adds a node under the name of its network's node, reading and making values by their names.
    fn call(
        &mut self,
        op_type: &'static str,
        node: &Node,
        inputs: Vec<String>,
        attributes: Vec<graph::Attribute>,
        output: String,
    ) {
        let call = Call { op_type, name: node.name.clone(), inputs, attributes, output };
        self.graph.add(call, node.shape);
    }

    /// Adds a node that an operator needs besides; the name of what it makes, a map of the operator's shape.
    fn helper(&mut self, op_type: &'static str, node: &Node, inputs: Vec<String>) -> String {
        self.helper_with(op_type, node, inputs, Vec::new())
    }

    /// The same with attributes.
    fn helper_with(
        &mut self,
        op_type: &'static str,
        node: &Node,
        inputs: Vec<String>,
        attributes: Vec<graph::Attribute>,
    ) -> String {
        let name = self.graph.node_name(&format!("{}/{op_type}", node.name));
        let output = self.graph.value_name(&name);
        let call = Call { op_type, name, inputs, attributes, output: output.clone() };
        self.graph.add(call, node.shape);
        output
    }

    fn finish(mut self) -> Result<proto::Graph, Error> {
        // Nothing made the output where the network, but for dropout, hands on its input.
        let output = effective(self.network, self.network.output());
        if output == self.network.input() {
            let read = self.read(output)?;
            let call = Call {
                op_type: "Identity",
                name: self.graph.node_name("input/Identity"),
                inputs: vec![read],
                attributes: Vec::new(),
                output: OUTPUT.to_owned(),
            };
            self.graph.add(call, self.network.output_shape());
        }
        self.graph.set_output(OUTPUT);
        Ok(self.graph.finish())
    }
}

/// The node whose value `id` has in a file: dropout has that of what it reads.
fn effective(network: &Network, mut id: NodeId) -> NodeId {
    while let Op::Dropout { .. } = network.node(id).op {
        id = network.node(id).inputs[0];
    }
    id
}

/// Name of each node's value.
fn value_names(network: &Network, graph: &mut Graph) -> Vec<String> {
    graph.value_name(INPUT);
    graph.value_name(OUTPUT);
    let output = effective(network, network.output());
    let mut names: Vec<String> = Vec::with_capacity(network.nodes().len());
    for (id, node) in network.iter() {
        let name = match node.op {
            Op::Input => INPUT.to_owned(),
            Op::Dropout { .. } => names[node.inputs[0].index()].clone(),
            _ if id == output => OUTPUT.to_owned(),
            _ => graph.value_name(&node.name),
        };
        names.push(name);
    }
    names
}
