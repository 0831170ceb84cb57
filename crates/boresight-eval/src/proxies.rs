//! Scores of untrained networks: cheap enough to filter candidates before training.

use crate::Error;
use boresight_core::{Context, Direction, Evaluator, Objective, Outcome, Seed};
use boresight_data::{Dataset, Normalisation, Sampler, SamplerOptions};
use boresight_ir::{Builder, Network, NodeId, Op, Shape, Weights};
use boresight_kernels::{Loss, Team, loss_and_gradient};
use boresight_plan::{Arithmetic, Mode, Plan};
use std::fmt;
use std::str::FromStr;

/// What is measured of an untrained network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// The natural logarithm of the synaptic flow: parameters times their gradients, for absolute values of all
    /// parameters, an image of ones and the sum of all outputs as the loss. Needs no data.
    ///
    /// # Source
    /// Tanaka et al., *Pruning neural networks without any data*, 2020; as a score of networks in Abdelfattah et al.,
    /// *Zero-cost proxies for lightweight NAS*, 2021.
    Synflow,
    /// The Euclidean norm of the loss's gradient on one batch.
    ///
    /// # Source
    /// Abdelfattah et al., 2021, section 3.1.
    GradientNorm,
    /// How differently the images of a batch switch the network's activations: the logarithm of the determinant of the
    /// matrix that counts, for each two images, the activations whose inputs have the same sign.
    ///
    /// # Source
    /// Mellor et al., *Neural architecture search without training*, 2021, equation 2; here every activation that bends
    /// at zero counts, smooth ones included, so that it is no exact copy.
    Naswot,
    /// Trainable parameters.
    Parameters,
    /// Multiply-accumulate operations for one tile.
    Macs,
}

impl Proxy {
    /// Every proxy.
    pub const ALL: [Self; 5] =
        [Self::Synflow, Self::GradientNorm, Self::Naswot, Self::Parameters, Self::Macs];

    /// Its name on command lines and in journals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Synflow => "synflow",
            Self::GradientNorm => "gradient_norm",
            Self::Naswot => "naswot",
            Self::Parameters => "parameters",
            Self::Macs => "macs",
        }
    }

    /// Name, unit and direction; the three that score networks are maximised.
    pub fn objective(self) -> Objective {
        let direction = match self {
            Self::Parameters | Self::Macs => Direction::Minimise,
            Self::Synflow | Self::GradientNorm | Self::Naswot => Direction::Maximise,
        };
        Objective::new(self.name(), "1", direction)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Proxy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|proxy| proxy.name() == name);
        let known = || Self::ALL.map(Self::name).join(", ");
        found.ok_or_else(|| Error::UnknownMeasure { name: name.to_owned(), known: known() })
    }
}

/// Tiles on which untrained networks are scored.
#[derive(Clone, Debug)]
pub struct ProxyBatch {
    /// Normalised values `[tile, band, height, width]`.
    pub images: Vec<f32>,
    /// A class for each pixel, `[tile, height, width]`.
    pub labels: Vec<u8>,
    /// How many tiles.
    pub tiles: usize,
}

impl ProxyBatch {
    /// So many training tiles of `tile` x `tile` pixels, drawn by `seed` and normalised as for training.
    ///
    /// # Errors
    /// When tiles do not fit the scenes or an option lies outside its range.
    pub fn of(
        dataset: &Dataset,
        tile: usize,
        tiles: usize,
        options: &SamplerOptions,
        seed: Seed,
    ) -> Result<Self, Error> {
        let sampler = Sampler::new(&dataset.train, tile, options)?;
        let normalisation = Normalisation::of(dataset);
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for index in 0..tiles as u64 {
            let drawn = sampler.sample(seed, index);
            let start = images.len();
            images.resize(start + drawn.counts.len(), 0.0);
            normalisation.apply(&drawn.counts, &mut images[start..]);
            labels.extend(drawn.mask);
        }
        Ok(Self { images, labels, tiles })
    }
}

/// An evaluator of untrained networks. Weights are drawn from its own seed, so a verdict depends on the network alone and
/// may be cached; a score that is not finite is [`Outcome::Diverged`].
///
/// Put it before training with `Joint` and `Limited` of boresight-search, or let a strategy search on it alone.
#[derive(Clone, Debug)]
pub struct ProxyEvaluator<'batch> {
    batch: &'batch ProxyBatch,
    loss: Loss,
    seed: Seed,
    proxies: Vec<Proxy>,
    objectives: Vec<Objective>,
}

impl<'batch> ProxyEvaluator<'batch> {
    /// Scores by `proxies` on `batch`, with weights drawn from `seed`; `loss` is that of the gradient norm.
    pub fn new(batch: &'batch ProxyBatch, loss: Loss, proxies: &[Proxy], seed: Seed) -> Self {
        let objectives = proxies.iter().map(|proxy| proxy.objective()).collect();
        Self { batch, loss, seed, proxies: proxies.to_vec(), objectives }
    }

    fn score(&self, network: &Network, proxy: Proxy) -> Result<f64, Error> {
        match proxy {
            Proxy::Synflow => synflow(network, self.seed),
            Proxy::GradientNorm => self.gradient_norm(network),
            Proxy::Naswot => self.naswot(network),
            Proxy::Parameters => Ok(network.parameter_count() as f64),
            Proxy::Macs => Ok(network.macs() as f64),
        }
    }

    fn gradient_norm(&self, network: &Network) -> Result<f64, Error> {
        let ProxyBatch { images, labels, tiles } = self.batch;
        let plan = Plan::training(network, *tiles, Arithmetic::Fast)?;
        let weights = Weights::initial(network, self.seed);
        let mut memory = plan.workspace();
        let mode = Mode::Train(self.seed.derive("dropout", 0));
        let logits = plan.forward(weights.values(), images, mode, &mut memory);
        let mut slope = vec![0.0; logits.len()];
        loss_and_gradient(&Team::alone(), &self.loss, plan.output_planes(), logits, labels, &mut slope)?;
        let mut gradient = vec![0.0; network.parameter_count()];
        plan.backward(weights.values(), images, &slope, &mut memory, &mut gradient);
        let squares: f64 = gradient.iter().map(|&value| f64::from(value).powi(2)).sum();
        Ok(squares.sqrt())
    }

    fn naswot(&self, network: &Network) -> Result<f64, Error> {
        let tiles = self.batch.tiles;
        // A count of one for each tile with itself, so that a network without activations has a score all the same.
        let mut kernel: Vec<Vec<f64>> = (0..tiles).map(|row| unit(row, tiles)).collect();
        let bends = |op: &Op| matches!(op, Op::Relu | Op::Relu6 | Op::Gelu | Op::LeakyRelu { .. });
        for (_, node) in network.iter().filter(|(_, node)| bends(&node.op)) {
            let part = ending_at(network, node.inputs[0])?;
            let plan = Plan::inference(&part, tiles, Arithmetic::Fast)?;
            let weights = Weights::initial(&part, self.seed);
            let mut memory = plan.workspace();
            let values = plan.forward(weights.values(), &self.batch.images, Mode::Evaluate, &mut memory);
            let signs: Vec<&[f32]> = values.chunks_exact(values.len() / tiles.max(1)).collect();
            for (row, one) in kernel.iter_mut().zip(&signs) {
                for (count, other) in row.iter_mut().zip(&signs) {
                    *count +=
                        one.iter().zip(*other).filter(|(a, b)| (**a > 0.0) == (**b > 0.0)).count() as f64;
                }
            }
        }
        Ok(log_determinant(kernel))
    }
}

impl Evaluator<Network> for ProxyEvaluator<'_> {
    type Error = Error;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, network: &Network, _: &Context) -> Result<Outcome, Error> {
        let side = self.batch.labels.len() / self.batch.tiles.max(1);
        let (shape, pixels) = (network.input_shape(), self.batch.images.len() / self.batch.tiles.max(1));
        let (counts, labels, tiles) = (self.batch.images.len(), self.batch.labels.len(), self.batch.tiles);
        if counts != tiles * pixels || labels != tiles * side {
            return Err(Error::SceneBands { counts, pixels: labels, bands: shape.channels });
        }
        if shape.plane() != side || shape.len() != pixels {
            let bands = pixels / side.max(1);
            return Err(Error::Shape { network: shape, data: Shape::new(bands, shape.height, shape.width) });
        }
        let mut objectives = Vec::with_capacity(self.proxies.len());
        for &proxy in &self.proxies {
            let score = self.score(network, proxy)?;
            if !score.is_finite() {
                return Ok(Outcome::Diverged {
                    reason: format!("{proxy} of the untrained network is {score}"),
                });
            }
            objectives.push(score);
        }
        Ok(Outcome::measured(objectives))
    }
}

fn synflow(network: &Network, seed: Seed) -> Result<f64, Error> {
    let plan = Plan::training(network, 1, Arithmetic::Fast)?;
    let mut weights = Weights::initial(network, seed);
    weights.values_mut().iter_mut().for_each(|value| *value = value.abs());
    let ones = vec![1.0; network.input_shape().len()];
    let mut memory = plan.workspace();
    let outputs = plan.forward(weights.values(), &ones, Mode::Evaluate, &mut memory).len();
    let mut gradient = vec![0.0; network.parameter_count()];
    plan.backward(weights.values(), &ones, &vec![1.0; outputs], &mut memory, &mut gradient);
    let flow =
        gradient.iter().zip(weights.values()).map(|(&slope, &value)| f64::from(slope) * f64::from(value));
    Ok(flow.sum::<f64>().ln())
}

/// The part of `network` that leads to `output`; names stay, so its weights are those of the whole.
fn ending_at(network: &Network, output: NodeId) -> Result<Network, Error> {
    let mut needed = vec![false; network.nodes().len()];
    needed[output.index()] = true;
    for (id, node) in network.iter().collect::<Vec<_>>().into_iter().rev() {
        if needed[id.index()] {
            node.inputs.iter().for_each(|input| needed[input.index()] = true);
        }
    }
    let mut builder = Builder::new(network.input_shape())?;
    let mut places: Vec<NodeId> = vec![builder.input(); needed.len()];
    for (id, node) in network.iter().filter(|(id, _)| *id != network.input() && needed[id.index()]) {
        let inputs: Vec<NodeId> = node.inputs.iter().map(|input| places[input.index()]).collect();
        places[id.index()] = builder.add(node.name.clone(), node.op, &inputs)?;
    }
    Ok(builder.finish(places[output.index()])?)
}

fn unit(row: usize, size: usize) -> Vec<f64> {
    (0..size).map(|column| f64::from(u8::from(column == row))).collect()
}

/// The logarithm of the determinant of a symmetric positive definite matrix, by elimination.
fn log_determinant(mut rows: Vec<Vec<f64>>) -> f64 {
    let mut sum = 0.0;
    for column in 0..rows.len() {
        let (done, below) = rows.split_at_mut(column + 1);
        let pivot = &done[column];
        sum += pivot[column].ln();
        for row in below {
            let factor = row[column] / pivot[column];
            row.iter_mut().zip(pivot).for_each(|(value, upper)| *value -= factor * upper);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_ir::Conv2d;
    use boresight_testkit::evaluator_laws;

    fn network(width: usize, middle: Op) -> Network {
        let mut builder = Builder::new(Shape::new(2, 4, 4)).unwrap();
        let first = builder.add("first", Op::Conv2d(Conv2d::same(width, 3)), &[builder.input()]).unwrap();
        let bent = builder.add("middle", middle, &[first]).unwrap();
        let last = builder.add("last", Op::Conv2d(Conv2d::same(2, 1)), &[bent]).unwrap();
        builder.finish(last).unwrap()
    }

    fn batch() -> ProxyBatch {
        let mut stream = Seed::new(1).stream();
        #[expect(clippy::cast_possible_truncation, reason = "any value will do")]
        let images = (0..4 * 2 * 16).map(|_| stream.normal() as f32).collect();
        ProxyBatch { images, labels: (0..4 * 16).map(|at| at % 2).collect(), tiles: 4 }
    }

    fn scores(batch: &ProxyBatch, network: &Network) -> Vec<f64> {
        let evaluator = ProxyEvaluator::new(batch, Loss::default(), &Proxy::ALL, Seed::new(2));
        let verdict = evaluator.evaluate(network, &Context::new(Seed::new(3))).unwrap();
        verdict.objectives().unwrap().to_vec()
    }

    #[test]
    fn the_flow_of_a_linear_chain_counts_each_layer_once() {
        // The sum of outputs is linear in the weights of each of two layers, without biases that differ from 0.
        let network = network(3, Op::Relu);
        let mut weights = Weights::initial(&network, Seed::new(2));
        weights.values_mut().iter_mut().for_each(|value| *value = value.abs());
        let plan = Plan::inference(&network, 1, Arithmetic::Fast).unwrap();
        let mut memory = plan.workspace();
        let outputs = plan.forward(weights.values(), &[1.0; 32], Mode::Evaluate, &mut memory);
        let total: f64 = outputs.iter().map(|&value| f64::from(value)).sum();
        let flow = synflow(&network, Seed::new(2)).unwrap();
        // Binary32 sums of some hundred terms keep five digits.
        assert!((flow - (2.0 * total).ln()).abs() < 1e-5, "{flow} {total}");
    }

    #[test]
    fn wider_networks_flow_more_and_tell_images_apart_better() {
        let batch = batch();
        let (narrow, wide) = (scores(&batch, &network(2, Op::Relu)), scores(&batch, &network(16, Op::Relu)));
        assert!(wide[0] > narrow[0] && wide[2] > narrow[2] && wide[3] > narrow[3] && wide[4] > narrow[4]);
        assert!(narrow.iter().all(|score| score.is_finite()));
    }

    #[test]
    fn the_kernel_of_hand_made_counts_has_its_determinant() {
        // 3 x 2 - 1 x 1.
        assert!((log_determinant(vec![vec![3.0, 1.0], vec![1.0, 2.0]]) - 5.0_f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn proxies_keep_the_laws_of_evaluators() {
        let batch = batch();
        let evaluator = ProxyEvaluator::new(&batch, Loss::default(), &Proxy::ALL, Seed::new(2));
        for middle in [Op::Relu, Op::Gelu, Op::Sigmoid] {
            evaluator_laws(&evaluator, &network(4, middle), [Context::new(Seed::new(1))]);
        }
    }

    #[test]
    fn tiles_of_a_dataset_are_normalised_and_scored() {
        let scenes = boresight_data::SyntheticOptions {
            height: 32,
            width: 32,
            scenes: [2, 1, 1],
            ..boresight_data::SyntheticOptions::default()
        };
        let dataset = boresight_data::synthetic(Seed::new(1), &scenes).unwrap();
        let of = |tile| ProxyBatch::of(&dataset, tile, 3, &SamplerOptions::default(), Seed::new(2));
        let batch = of(16).unwrap();
        let bands = dataset.bands.len();
        assert_eq!((batch.images.len(), batch.labels.len()), (3 * bands * 256, 3 * 256));
        assert!(batch.images.iter().all(|value| value.abs() < 100.0), "counts are in the hundreds and more");
        let mut builder = Builder::new(Shape::new(bands, 16, 16)).unwrap();
        let last = builder.add("last", Op::Conv2d(Conv2d::same(2, 3)), &[builder.input()]).unwrap();
        let network = builder.finish(last).unwrap();
        assert!(scores(&batch, &network).iter().all(|score| score.is_finite()));
        assert!(of(64).is_err());
    }

    #[test]
    fn tiles_of_another_size_are_refused() {
        let batch = ProxyBatch { images: vec![0.0; 9], labels: vec![0; 9], tiles: 1 };
        let evaluator = ProxyEvaluator::new(&batch, Loss::default(), &[Proxy::Synflow], Seed::new(2));
        let refused = evaluator.evaluate(&network(2, Op::Relu), &Context::new(Seed::new(1)));
        assert!(matches!(refused, Err(Error::Shape { .. })));
        let cut = ProxyBatch { images: vec![0.0; 4 * 2 * 16 + 1], ..self::batch() };
        let evaluator = ProxyEvaluator::new(&cut, Loss::default(), &[Proxy::Naswot], Seed::new(2));
        let refused = evaluator.evaluate(&network(2, Op::Relu), &Context::new(Seed::new(1)));
        assert!(matches!(refused, Err(Error::SceneBands { .. })));
        assert!("synflow".parse::<Proxy>().is_ok() && "depth".parse::<Proxy>().is_err());
    }
}
