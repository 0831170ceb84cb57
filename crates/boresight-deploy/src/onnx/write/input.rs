//! What the network's input becomes: itself, itself less its border, or counts by their deviation.

use super::graph::{Call, Graph};
use super::{INPUT, Writer, effective};
use crate::Band;
use crate::onnx::Error;
use boresight_ir::{Conv2d, Network, NodeId, Role, Weights};

/// The input, and the names of what was made of it.
pub(super) struct Input {
    /// What counts are multiplied with.
    rates: Option<Vec<f32>>,
    /// What convolutions of the input read beyond its edge.
    border: Vec<f32>,
    /// Input less border.
    shifted: Option<String>,
    /// The value that the network calls its input, where the file's input is another.
    normalised: Option<String>,
}

impl Input {
    /// Both constants are what the file will hold of them, so that what is made of them fits together: away from the edges
    /// nothing is left of a border's rounding, and a count at the mean is exactly zero.
    pub(super) fn new(
        network: &Network,
        weights: &Weights,
        bands: Option<&[Band]>,
        graph: &Graph,
    ) -> Result<Self, Error> {
        let (rates, border) = if let Some(bands) = bands {
            check(network, bands)?;
            let rates: Vec<f32> = bands.iter().map(|band| 1.0 / band.deviation).collect();
            let rates = graph.held(&rates);
            let border = bands.iter().zip(&rates).map(|(band, rate)| -band.mean * rate).collect();
            (Some(rates), border)
        } else {
            (None, graph.held(weights.get(network.input(), Role::Border).unwrap_or_default()))
        };
        Ok(Self { rates, border, shifted: None, normalised: None })
    }
}

fn check(network: &Network, bands: &[Band]) -> Result<(), Error> {
    let expected = network.input_shape().channels;
    if bands.len() != expected {
        return Err(boresight_ir::Error::BandCount { expected, found: bands.len() }.into());
    }
    let is_wrong = |band: &Band| !(band.deviation > 0.0 && band.deviation.is_finite());
    if let Some(band) = bands.iter().position(is_wrong) {
        let value = bands[band].deviation.to_string();
        return Err(boresight_ir::Error::Deviation { band, value }.into());
    }
    Ok(())
}

impl Writer<'_> {
    /// Name under which `id` is read.
    pub(super) fn read(&mut self, id: NodeId) -> Result<String, Error> {
        if effective(self.network, id) == self.network.input() {
            return self.plain_input();
        }
        Ok(self.names[id.index()].clone())
    }

    fn plain_input(&mut self) -> Result<String, Error> {
        if self.input.rates.is_none() {
            return Ok(INPUT.to_owned());
        }
        if let Some(name) = &self.input.normalised {
            return Ok(name.clone());
        }
        let shifted = self.shifted_input()?;
        let border = self.input.border.clone();
        let name = self.input_call("Add", shifted, "normalised", &border)?;
        self.input.normalised = Some(name.clone());
        Ok(name)
    }

    /// Whether the file's input padded with zero is not what the network makes of its input.
    pub(super) fn has_border(&self) -> bool {
        self.input.rates.is_some() || self.input.border.iter().any(|&border| border != 0.0)
    }

    /// Whether a convolution reads the input less its border.
    pub(super) fn reads_shifted(&self, conv: Conv2d, source: NodeId) -> bool {
        let is_padded = conv.padding != [0, 0] && self.has_border();
        source == self.network.input() && (self.input.rates.is_some() || is_padded)
    }

    /// The border, as a constant of a node.
    pub(super) fn border_constant(&mut self, node: &str) -> Result<String, Error> {
        let border = &self.input.border;
        self.graph.weight(&format!("{node}.border"), &[1, border.len(), 1, 1], border)
    }

    /// Name of the input less its border.
    pub(super) fn shifted_input(&mut self) -> Result<String, Error> {
        if let Some(name) = &self.input.shifted {
            return Ok(name.clone());
        }
        let name = if let Some(rates) = self.input.rates.clone() {
            // Count zero, the border, stays zero.
            self.input_call("Mul", INPUT.to_owned(), "scaled", &rates)?
        } else {
            let shift: Vec<f32> = self.input.border.iter().map(|border| -border).collect();
            self.input_call("Add", INPUT.to_owned(), "shifted", &shift)?
        };
        self.input.shifted = Some(name.clone());
        Ok(name)
    }

    fn input_call(
        &mut self,
        op_type: &'static str,
        read: String,
        what: &str,
        bands: &[f32],
    ) -> Result<String, Error> {
        let constant = self.graph.weight(&format!("input.{what}"), &[1, bands.len(), 1, 1], bands)?;
        let output = self.graph.value_name(&format!("input/{what}"));
        let name = self.graph.node_name(&format!("input/{what}"));
        let call = Call {
            op_type,
            name,
            inputs: vec![read, constant],
            attributes: Vec::new(),
            output: output.clone(),
        };
        self.graph.add(call, self.network.input_shape());
        Ok(output)
    }

    /// `bias` of a convolution that reads the input less its border, for the `weight` that the file holds.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "constants are stored in f32: this is the one rounding"
    )]
    pub(super) fn corrected_bias(&self, conv: Conv2d, weight: &[f32], bias: &[f32]) -> Vec<f32> {
        let border = &self.input.border;
        let (group_channels, group_outputs) = (border.len() / conv.groups, conv.out_channels / conv.groups);
        let taps = conv.kernel[0] * conv.kernel[1];
        let corrected = |(output, weight): (usize, &[f32])| {
            let start = output / group_outputs * group_channels;
            let first = f64::from(bias.get(output).copied().unwrap_or_default());
            let terms = weight.chunks_exact(taps).zip(&border[start..]);
            terms.fold(first, |sum, (taps, &border)| {
                taps.iter().fold(sum, |sum, &tap| f64::from(tap).mul_add(border.into(), sum))
            }) as f32
        };
        weight.chunks_exact(group_channels * taps).enumerate().map(corrected).collect()
    }
}
