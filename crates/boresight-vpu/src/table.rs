//! A device of which nothing is known but measured times of layers.

use crate::Error;
use boresight_core::{Cost, CostModel, Seconds};
use boresight_ir::{Network, Node, Op};
use std::collections::BTreeMap;

/// Operator, input and output channels, height, width, kernel and stride of a layer.
type Layer = (String, [usize; 6]);

/// A cost model that looks up measured times of layers and adds them.
///
/// A layer without a line of its own takes the time of the line of its operator with the nearest amount of work, in
/// proportion to the work. That a network takes the sum of its layers is an assumption.
///
/// # Examples
/// ```
/// use boresight_core::CostModel;
/// use boresight_ir::{Builder, Conv2d, Op, Shape};
/// use boresight_vpu::Table;
/// let csv = "op,in_channels,out_channels,height,width,kernel,stride,milliseconds\nconv2d,4,8,64,64,3,1,0.5\n";
/// let table = Table::from_csv("my-board", csv)?;
/// let mut builder = Builder::new(Shape::new(4, 64, 64))?;
/// let conv = builder.add("conv", Op::Conv2d(Conv2d::same(8, 3)), &[builder.input()])?;
/// assert!((table.estimate(&builder.finish(conv)?)?.latency.0 - 0.5e-3).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    name: String,
    times: BTreeMap<Layer, f64>,
}

impl Table {
    /// The table in `text`: a heading and lines `op,in_channels,out_channels,height,width,kernel,stride,milliseconds`,
    /// sizes being those of the output and operators having the names of [`Op::name`].
    ///
    /// # Errors
    /// Names the first line that is none.
    pub fn from_csv(name: &str, text: &str) -> Result<Self, Error> {
        let mut times = BTreeMap::new();
        for (at, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.trim().is_empty()) {
            let (layer, seconds) =
                parse(line).ok_or_else(|| Error::Line { line: at + 1, text: line.to_owned() })?;
            times.insert(layer, seconds);
        }
        Ok(Self { name: name.to_owned(), times })
    }

    fn seconds(&self, network: &Network, node: &Node) -> Option<f64> {
        let layer = layer(network, node);
        if let Some(seconds) = self.times.get(&layer) {
            return Some(*seconds);
        }
        let wanted = work(&layer.1);
        let of_op = self.times.iter().filter(|(known, _)| known.0 == layer.0);
        let distance = |known: &Layer| (work(&known.1) / wanted).ln().abs();
        let nearest = of_op.min_by(|first, second| distance(first.0).total_cmp(&distance(second.0)));
        nearest.map(|(known, seconds)| seconds * wanted / work(&known.1))
    }
}

fn parse(line: &str) -> Option<(Layer, f64)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [op, sizes @ .., milliseconds] = &fields[..] else { return None };
    let sizes: Vec<usize> = sizes.iter().map(|size| size.parse().ok()).collect::<Option<_>>()?;
    let sizes: [usize; 6] = sizes.try_into().ok()?;
    let milliseconds: f64 = milliseconds.parse().ok()?;
    let valid = milliseconds.is_finite() && milliseconds >= 0.0 && !sizes.contains(&0);
    valid.then(|| (((*op).to_owned(), sizes), milliseconds / 1e3))
}

fn layer(network: &Network, node: &Node) -> Layer {
    let (kernel, stride) = match node.op {
        Op::Conv2d(conv) => (conv.kernel[0], conv.stride[0]),
        Op::MaxPool(window) | Op::AvgPool(window) => (window.kernel[0], window.stride[0]),
        _ => (1, 1),
    };
    let input = node.inputs.first().map_or(node.shape, |&input| network.node(input).shape);
    let shape = node.shape;
    (node.op.name().to_owned(), [input.channels, shape.channels, shape.height, shape.width, kernel, stride])
}

/// What the time of a layer is taken to be proportional to.
fn work(&[inputs, outputs, height, width, kernel, _]: &[usize; 6]) -> f64 {
    [inputs, outputs, height, width, kernel, kernel].iter().map(|&factor| factor as f64).product()
}

impl CostModel<Network> for Table {
    type Error = Error;

    fn device(&self) -> &str {
        &self.name
    }

    fn estimate(&self, network: &Network) -> Result<Cost, Error> {
        let mut latency = 0.0;
        for node in network.nodes().iter().filter(|node| !matches!(node.op, Op::Input | Op::Dropout { .. })) {
            latency += self.seconds(network, node).ok_or_else(|| Error::NotMeasured {
                device: self.name.clone(),
                node: node.name.clone(),
                op: node.op.name(),
            })?;
        }
        let widest = network.nodes().iter().map(|node| 2 * node.shape.len() as u64).max().unwrap_or(0);
        Ok(Cost {
            latency: Seconds(latency),
            fps: 1.0 / latency,
            streams: 1,
            energy: None,
            peak_memory: widest,
            memory_traffic: None,
            utilisation: None,
        })
    }
}
