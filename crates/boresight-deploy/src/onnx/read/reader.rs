//! The network under construction, and the values of the file that are known so far.

use super::ReadOptions;
use super::call::Call;
use super::constant::{Budget, Constant, count, decode, shown};
use super::graph::Surface;
use crate::onnx::names::Names;
use crate::onnx::{Error, proto};
use boresight_ir::{Builder, Network, NodeId, Op, Role, Shape, Weights};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What a name of the file stands for.
#[derive(Clone)]
pub(super) enum Value {
    /// Values that the network computes.
    Map(Map),
    /// Values that are known.
    Constant(Constant),
    /// A part of a GELU, which a network has only as a whole.
    Erf(Erf),
}

/// How the file sees the values of a node of the network.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Map {
    /// The node.
    pub(super) entry: usize,
    /// Dimensions in the file, batch first: row-major, they have the order of `[batch, channels, rows, columns]`.
    pub(super) dims: Vec<usize>,
    /// Whether they have the order of `[batch, rows, columns, channels]` instead.
    pub(super) channels_last: bool,
}

/// How far a GELU of `of` has come.
#[derive(Clone)]
pub(super) struct Erf {
    pub(super) of: Map,
    pub(super) stage: Stage,
}

/// Parts of `x * 0.5 * (1 + erf(x / sqrt 2))`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// `erf(x / sqrt 2)`.
    Erf,
    /// One more.
    Sum,
    /// Half of the sum.
    Half,
    /// The sum times `x`.
    Product,
}

/// A node of the network to be.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) op: Op,
    pub(super) inputs: Vec<usize>,
    pub(super) tensors: Vec<(Role, Arc<[f32]>)>,
    /// The value of the file that it makes, where no other name stands between.
    pub(super) value: Option<&'a str>,
    /// Whether it is the product of a scale and shift that still lacks its sum.
    pub(super) is_product: bool,
}

/// Reads node after node.
pub(super) struct Reader<'a> {
    pub(super) entries: Vec<Entry<'a>>,
    /// The same nodes under their numbers: infers shapes and checks operators.
    builder: Builder,
    ids: Vec<NodeId>,
    pub(super) batch: usize,
    values: BTreeMap<&'a str, Value>,
    initializers: &'a BTreeMap<&'a str, &'a proto::Tensor>,
    reads: &'a BTreeMap<&'a str, usize>,
    names: Names,
    pub(super) budget: Budget,
    folder: Option<&'a Path>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(surface: &'a Surface<'a>, options: &ReadOptions<'a>) -> Result<Self, Error> {
        let (shape, batch, rank) = surface.input_shape(options.size)?;
        let builder = Builder::new(shape)?;
        let mut names = Names::default();
        let input = Entry {
            name: names.fresh("input"),
            op: Op::Input,
            inputs: Vec::new(),
            tensors: Vec::new(),
            value: Some(&surface.input.name),
            is_product: false,
        };
        let mut reader = Self {
            entries: vec![input],
            ids: vec![builder.input()],
            builder,
            batch,
            values: BTreeMap::new(),
            initializers: &surface.initializers,
            reads: &surface.reads,
            names,
            budget: Budget::new(options.limits.values),
            folder: options.folder,
        };
        let mut map = reader.image(0);
        map.dims.truncate(rank);
        reader.values.insert(&surface.input.name, Value::Map(map));
        Ok(reader)
    }

    /// Shape that an entry makes, for one image.
    pub(super) fn shape(&self, entry: usize) -> Shape {
        self.builder.shape(self.ids[entry])
    }

    /// The map of an entry as `[batch, channels, rows, columns]`.
    pub(super) fn image(&self, entry: usize) -> Map {
        let Shape { channels, height, width } = self.shape(entry);
        Map { entry, dims: vec![self.batch, channels, height, width], channels_last: false }
    }

    /// Whether the values of a map have another order than the network's; one channel or one pixel has one order.
    pub(super) fn is_reordered(&self, map: &Map) -> bool {
        let shape = self.shape(map.entry);
        map.channels_last && shape.channels > 1 && shape.plane() > 1
    }

    /// What an input of a node stands for; `None` where it is absent.
    pub(super) fn input(&mut self, call: Call<'a>, at: usize) -> Result<Option<Value>, Error> {
        let Some(name) = call.input(at) else { return Ok(None) };
        if let Some(value) = self.values.get(name) {
            return Ok(Some(value.clone()));
        }
        let undefined = || Error::Undefined { reader: call.name().to_owned(), value: name.to_owned() };
        let tensor = self.initializers.get(name).ok_or_else(undefined)?;
        let value = Value::Constant(decode(tensor, name, self.folder, &mut self.budget)?);
        self.values.insert(name, value.clone());
        Ok(Some(value))
    }

    /// A map that a node reads.
    pub(super) fn map(&mut self, call: Call<'a>, at: usize) -> Result<Map, Error> {
        let expected = "a map of the network";
        match self.input(call, at)? {
            Some(Value::Map(map)) => Ok(map),
            Some(Value::Constant(constant)) => {
                Err(call.operand_error("an input", constant.to_string(), expected))
            }
            Some(Value::Erf(_)) => Err(call.operand_error("an input", "a part of a GELU".into(), expected)),
            None => Err(call.operand_error("an input", "absent".into(), expected)),
        }
    }

    /// The entry of a map that a node reads as `[batch, channels, rows, columns]`.
    pub(super) fn image_input(&mut self, call: Call<'a>, at: usize) -> Result<usize, Error> {
        let map = self.map(call, at)?;
        if self.is_reordered(&map) || map.dims != self.image(map.entry).dims {
            let found = format!("a map of {}", shown(&map.dims));
            return Err(call.operand_error("an input", found, "[batch, channels, rows, columns]"));
        }
        Ok(map.entry)
    }

    /// A constant that a node reads; `None` where it is absent.
    pub(super) fn constant(
        &mut self,
        call: Call<'a>,
        at: usize,
        operand: &'static str,
    ) -> Result<Option<Constant>, Error> {
        match self.input(call, at)? {
            None => Ok(None),
            Some(Value::Constant(constant)) => Ok(Some(constant)),
            Some(_) => Err(call.operand_error(operand, "computed by the network".into(), "a constant")),
        }
    }

    /// Floating-point constants of these dimensions that become weights.
    pub(super) fn weights(
        &mut self,
        call: Call<'a>,
        at: usize,
        operand: &'static str,
        dims: &[usize],
    ) -> Result<Option<Arc<[f32]>>, Error> {
        let Some(constant) = self.constant(call, at, operand)? else { return Ok(None) };
        if constant.dims != dims {
            let expected = "constants of the dimensions that the operator's other inputs ask for";
            return Err(call.operand_error(operand, constant.to_string(), expected));
        }
        self.as_weights(call, operand, &constant).map(Some)
    }

    /// The values of a constant that becomes weights.
    pub(super) fn as_weights(
        &mut self,
        call: Call<'a>,
        operand: &'static str,
        constant: &Constant,
    ) -> Result<Arc<[f32]>, Error> {
        // A constant may be used many times, and each use has its own weights.
        self.budget.take(constant.len())?;
        match &constant.data {
            super::constant::Data::Floats(values) => Ok(Arc::clone(values)),
            super::constant::Data::Integers(_) => {
                Err(call.operand_error(operand, constant.to_string(), "floating-point numbers"))
            }
        }
    }

    /// Adds the node that stands for `call`.
    pub(super) fn add(
        &mut self,
        call: Call<'a>,
        op: Op,
        inputs: Vec<usize>,
        tensors: Vec<(Role, Arc<[f32]>)>,
    ) -> Result<usize, Error> {
        let entry = self.add_named(call.name(), op, inputs, tensors)?;
        self.entries[entry].value = call.node.output.first().map(String::as_str);
        Ok(entry)
    }

    /// Adds a node that `call` needs besides.
    pub(super) fn add_helper(
        &mut self,
        call: Call<'a>,
        what: &str,
        op: Op,
        inputs: Vec<usize>,
        tensors: Vec<(Role, Arc<[f32]>)>,
    ) -> Result<usize, Error> {
        self.add_named(&format!("{}.{what}", call.name()), op, inputs, tensors)
    }

    pub(super) fn add_named(
        &mut self,
        wanted: &str,
        op: Op,
        inputs: Vec<usize>,
        tensors: Vec<(Role, Arc<[f32]>)>,
    ) -> Result<usize, Error> {
        let name = self.names.fresh(wanted);
        let reads: Vec<NodeId> = inputs.iter().map(|&input| self.ids[input]).collect();
        let entry = self.entries.len();
        let added = self.builder.add(entry.to_string(), op, &reads);
        self.ids.push(added.map_err(|error| named(error, &name))?);
        self.entries.push(Entry { name, op, inputs, tensors, value: None, is_product: false });
        Ok(entry)
    }

    /// Gives an entry the name of the node that completes it.
    pub(super) fn rename(&mut self, entry: usize, call: Call<'a>) {
        self.entries[entry].name = self.names.fresh(call.name());
        self.entries[entry].value = call.node.output.first().map(String::as_str);
    }

    /// Whether an input of a node is an entry's own value and nothing else reads it.
    pub(super) fn is_sole_reader(&self, call: Call<'a>, at: usize, entry: usize) -> bool {
        let name = call.input(at);
        name.is_some()
            && name == self.entries[entry].value
            && name.map(|name| self.reads.get(name)) == Some(Some(&1))
    }

    /// Says what an output of a node stands for.
    pub(super) fn set(&mut self, call: Call<'a>, at: usize, value: Value) {
        if let Some(name) = call.node.output.get(at).filter(|name| !name.is_empty()) {
            self.values.insert(name, value);
        }
    }

    /// Says that a node makes the values of an entry as `[batch, channels, rows, columns]`.
    pub(super) fn set_image(&mut self, call: Call<'a>, entry: usize) {
        let map = self.image(entry);
        self.set(call, 0, Value::Map(map));
    }

    pub(super) const fn folder(&self) -> Option<&'a Path> {
        self.folder
    }

    /// The network that leads to the output.
    pub(super) fn finish(mut self, surface: &Surface<'a>) -> Result<(Network, Weights), Error> {
        let name = surface.output.name.as_str();
        let map = match self.values.remove(name) {
            Some(Value::Map(map)) if !self.is_reordered(&map) => map,
            Some(Value::Map(map)) => {
                let dims = shown(&map.dims);
                let expected = "the channels before rows and columns";
                return Err(Error::Dimensions { tensor: name.to_owned(), dims, expected });
            }
            Some(_) => {
                let (tensor, dims) = (name.to_owned(), "that do not depend on the input".to_owned());
                return Err(Error::Dimensions { tensor, dims, expected: "a map of the network" });
            }
            None => return Err(Error::Undefined { reader: "the output".into(), value: name.to_owned() }),
        };
        surface.check_output(&map.dims)?;
        self.build(map.entry)
    }

    /// The network of the entries that lead to `output`, under their names.
    fn build(self, output: usize) -> Result<(Network, Weights), Error> {
        let mut builder = Builder::new(self.builder.shape(self.builder.input()))?;
        let mut ids = vec![None; self.entries.len()];
        let input = builder.input();
        ids[0] = Some(input);
        let mut is_live = vec![false; self.entries.len()];
        is_live[output] = true;
        for (at, entry) in self.entries.iter().enumerate().rev() {
            for &input in &entry.inputs {
                is_live[input] |= is_live[at];
            }
        }
        let mut tensors = BTreeMap::new();
        for (at, entry) in self.entries.iter().enumerate().skip(1).filter(|&(at, _)| is_live[at]) {
            let inputs: Vec<NodeId> = entry.inputs.iter().filter_map(|&input| ids[input]).collect();
            ids[at] = Some(builder.add(&entry.name, entry.op, &inputs)?);
            tensors.extend(entry.tensors.iter().map(|(role, values)| ((entry.name.as_str(), *role), values)));
        }
        let network = builder.finish(ids[output].unwrap_or(input))?;
        let mut values = Vec::with_capacity(network.layout().len());
        for slot in network.layout().slots() {
            let node = network.node(slot.node).name.as_str();
            match tensors.get(&(node, slot.role)) {
                Some(tensor) => values.extend_from_slice(tensor),
                None => values.resize(slot.range.end, 0.0),
            }
        }
        let weights = Weights::from_values(&network, values)?;
        Ok((network, weights))
    }
}

/// `error` of the builder, whose nodes are called by their numbers, for a node called `name`.
fn named(error: boresight_ir::Error, name: &str) -> Error {
    Error::Network(match error {
        boresight_ir::Error::Node { op, rule, .. } => {
            boresight_ir::Error::Node { node: name.to_owned(), op, rule }
        }
        other => other,
    })
}

/// Whether a map of `shape` has as many values for each image as `dims` behind the batch say.
pub(super) fn holds(dims: &[usize], shape: Shape) -> bool {
    dims.get(1..).and_then(count) == Some(shape.len())
}
