//! A search space of your own: plain chains of convolutions, searched by the paper's genetic algorithm.
//!
//! A space is a genotype, a way to draw one, and `decode` to a `Network`; trainer, device and search need no more.
//! Nothing is trained here: the search asks how far such a chain can see, and in what time on the device, so it ends at
//! once. For a search by accuracy put `boresight::eval::SegmentationEvaluator` in the place of `Reach`.
//! `cargo run --release --example custom_space`.
#![expect(clippy::print_stdout, reason = "an example reports to a person")]

use boresight::core::{
    Context, CostModel, Direction, Evaluator, Evolvable, Ignore, Memory, Objective, Outcome, SearchSpace,
    Seed, Stream, Trial,
};
use boresight::evolve::{GeneticAlgorithm, GeneticSettings, Ranking, pareto};
use boresight::ir::{self, Builder, Conv2d, Network, Op, Resize, Shape};
use boresight::search::{Search, Settings};
use boresight::vpu::{Device, Vpu};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::error::Error;

/// The genotype: anything that can be compared, hashed, printed and stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Chain {
    /// The first layer makes the map so many times smaller; the end makes it large again.
    stride: usize,
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Layer {
    width: usize,
    kernel: usize,
}

/// Chains of one to `depth` layers for images of 4 bands and `tile` x `tile` pixels.
struct Chains {
    tile: usize,
    depth: usize,
}

fn one_of(stream: &mut Stream, choices: [usize; 3]) -> usize {
    choices[stream.below(choices.len())]
}

fn draw_layer(stream: &mut Stream) -> Layer {
    Layer { width: 8 * (1 + stream.below(6)), kernel: one_of(stream, [1, 3, 5]) }
}

impl SearchSpace for Chains {
    type Genotype = Chain;
    type Phenotype = Network;
    type Error = ir::Error;

    fn sample(&self, seed: Seed) -> Chain {
        let mut stream = seed.stream();
        let depth = 1 + stream.below(self.depth);
        let stride = one_of(&mut stream, [1, 2, 4]);
        Chain { stride, layers: (0..depth).map(|_| draw_layer(&mut stream)).collect() }
    }

    fn decode(&self, chain: &Chain) -> Result<Network, ir::Error> {
        let mut builder = Builder::new(Shape::new(4, self.tile, self.tile))?;
        let mut map = builder.input();
        for (at, layer) in chain.layers.iter().enumerate() {
            let stride = if at == 0 { chain.stride } else { 1 };
            let conv = Conv2d::same(layer.width, layer.kernel).strided(stride).without_bias();
            map = builder.add(format!("conv{at}"), Op::Conv2d(conv), &[map])?;
            map = builder.add(format!("norm{at}"), Op::BatchNorm { epsilon: 1e-5 }, &[map])?;
            map = builder.add(format!("relu{at}"), Op::Relu, &[map])?;
        }
        map = builder.add("classes", Op::Conv2d(Conv2d::same(2, 1)), &[map])?;
        if chain.stride > 1 {
            let size = [self.tile; 2];
            map = builder.add("enlarge", Op::Upsample { resize: Resize::Bilinear, size }, &[map])?;
        }
        builder.finish(map)
    }
}

/// Children of members are members: that is all that a genetic algorithm needs.
impl Evolvable for Chains {
    fn mutate(&self, chain: &Chain, seed: Seed) -> Chain {
        let (mut stream, mut child) = (seed.stream(), chain.clone());
        let at = stream.below(child.layers.len());
        match stream.below(4) {
            0 => child.stride = one_of(&mut stream, [1, 2, 4]),
            1 if child.layers.len() < self.depth => child.layers.insert(at, draw_layer(&mut stream)),
            2 if child.layers.len() > 1 => drop(child.layers.remove(at)),
            _ => child.layers[at] = draw_layer(&mut stream),
        }
        child
    }

    fn crossover(&self, first: &Chain, second: &Chain, seed: Seed) -> Chain {
        let cut = 1 + seed.stream().below(first.layers.len());
        let layers = first.layers.iter().take(cut).chain(second.layers.iter().skip(cut));
        Chain { stride: first.stride, layers: layers.cloned().collect() }
    }
}

/// How far a chain can see, and the time that it takes on the device.
struct Reach {
    device: Vpu,
    objectives: [Objective; 2],
}

impl Evaluator<Network> for Reach {
    type Error = Infallible;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, network: &Network, _: &Context) -> Result<Outcome, Infallible> {
        let (mut field, mut step) = (1, 1);
        for node in network.nodes() {
            if let Op::Conv2d(conv) = node.op {
                field += (conv.kernel[0] - 1) * step;
                step *= conv.stride[0];
            }
        }
        Ok(match self.device.estimate(network) {
            Ok(cost) => Outcome::measured(vec![field as f64, cost.latency.0]),
            Err(error) => Outcome::Infeasible { violations: Vec::new(), reason: error.to_string() },
        })
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let space = Chains { tile: 128, depth: 6 };
    let seed = Seed::new(1);
    let directions = vec![Direction::Maximise, Direction::Minimise];
    let objectives = [
        Objective::new("receptive_field", "px", Direction::Maximise),
        Objective::new("latency", "s", Direction::Minimise),
    ];
    let strategy = GeneticAlgorithm::new(
        &space,
        GeneticSettings { population: 30, generations: 12, ..GeneticSettings::default() },
        Ranking::Pareto { directions: directions.clone() },
        seed.derive("strategy", 0),
    )?;
    let evaluator = Reach { device: Vpu::new(Device::named("myriad-x")?), objectives };
    let (store, settings) = (&mut Memory::new(), &Settings::new(seed));
    let report = Search { space: &space, strategy, evaluator, store, settings }.run(&mut Ignore)?;

    println!("{} chains, of which none sees as far in less time as:", report.trials.len());
    let mut front = pareto::front(&report.trials, &directions);
    let field = |trial: &Trial<Chain>| trial.verdict.objectives().map_or(0.0, |values| values[0]);
    front.sort_by(|first, second| field(first).total_cmp(&field(second)));
    for trial in front {
        if let Some(&[field, latency]) = trial.verdict.objectives() {
            let layers = &trial.proposal.genotype.layers;
            let layers: Vec<String> = layers.iter().map(|at| format!("{}x{}", at.width, at.kernel)).collect();
            let stride = trial.proposal.genotype.stride;
            println!("{field:3} px in {:6.3} ms: stride {stride}, {}", 1e3 * latency, layers.join(" "));
        }
    }
    Ok(())
}
