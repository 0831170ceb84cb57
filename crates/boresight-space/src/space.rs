//! The space: what belongs to it, and how members are drawn and varied.

use crate::draw::Draw;
use crate::genotype::COEFFICIENT;
use crate::shrink::Excess;
use crate::{Block, BlockKind, ChannelRule, Error, SpaceSettings, Stage, UnetGenotype, decode};
use boresight_core::{Evolvable, SearchSpace, Seed};
use boresight_ir::Network;
use std::fmt;
use std::sync::Arc;

/// Draws of which one may succeed before the known member stands in.
const SAMPLE_TRIES: u64 = 64;
/// Variations of which one may succeed before something else stands in.
const VARY_TRIES: u64 = 16;
/// Draws that look for a first member when no small network is supported.
const FIRST_TRIES: u64 = 256;
/// Genotypes that are drawn for one random size.
const DRAWS: usize = 6;
/// Steps in which a genotype may be made smaller; twelve stages take fewer.
const SHRINK_STEPS: usize = 512;

/// Refuses nothing: the support predicate of a device that runs every operator.
///
/// # Errors
/// None.
pub const fn supports_everything(_: &Network) -> Result<(), String> {
    Ok(())
}

type Support = Arc<dyn Fn(&Network) -> Result<(), String> + Send + Sync>;

/// The U-Nets that settings describe, that have few enough parameters and that a device supports.
///
/// Variation is closed. A genotype that is too large is made smaller, a random gene at a time. What is still no member
/// is drawn again a bounded number of times; then a known member stands in for a sample, a sample for a mutant, the
/// first parent for a child.
#[derive(Clone)]
pub struct UnetSpace {
    settings: SpaceSettings,
    support: Support,
    smallest: usize,
    known: UnetGenotype,
}

impl fmt::Debug for UnetSpace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UnetSpace")
            .field("settings", &self.settings)
            .field("smallest", &self.smallest)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl UnetSpace {
    /// The space of `settings` whose networks `support` accepts; it says why it refuses one.
    ///
    /// # Errors
    /// When a setting breaks its rule, when even the smallest network has too many parameters, or when `support`
    /// refuses all of several hundred networks.
    pub fn new(
        settings: SpaceSettings,
        support: impl Fn(&Network) -> Result<(), String> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        settings.check()?;
        let small = small_genotypes(&settings)?;
        let limit = settings.max_parameters;
        let smallest = small.first().map_or(usize::MAX, |(parameters, _)| *parameters);
        let fitting = small.first().filter(|(parameters, _)| *parameters <= limit);
        let known = fitting.map(|(_, genotype)| genotype.clone());
        let known = known.ok_or(Error::LimitTooLow { smallest, limit })?;
        let space = Self { settings, support: Arc::new(support), smallest, known };
        let known = space.first_member(small)?;
        Ok(Self { known, ..space })
    }

    /// What it was built from.
    pub const fn settings(&self) -> &SpaceSettings {
        &self.settings
    }

    /// Checks that `genotype` is a member.
    ///
    /// # Errors
    /// Names the rule that it breaks.
    pub fn check(&self, genotype: &UnetGenotype) -> Result<(), Error> {
        self.decode(genotype).map(drop)
    }

    /// A small member that is supported, else any.
    fn first_member(&self, small: Vec<(usize, UnetGenotype)>) -> Result<UnetGenotype, Error> {
        let small = small.into_iter().take_while(|(found, _)| *found <= self.settings.max_parameters);
        let variants = small.flat_map(|(_, genotype)| self.variants(&genotype));
        let drawn = (0..FIRST_TRIES).map(|index| self.draw(Seed::new(0).derive("first member", index)));
        let (mut tried, mut first_reason) = (0, None);
        for genotype in variants.chain(drawn) {
            match self.check(&genotype) {
                Ok(()) => return Ok(genotype),
                Err(Error::Unsupported { reason }) => {
                    tried += 1;
                    first_reason.get_or_insert(reason);
                }
                Err(_) => {}
            }
        }
        Err(Error::NothingSupported { tried, reason: first_reason.unwrap_or_default() })
    }

    /// The same genotype with every activation, pooling and upsampling of the space.
    fn variants(&self, genotype: &UnetGenotype) -> Vec<UnetGenotype> {
        let mut variants = Vec::new();
        for &upsampling in &self.settings.upsamplings {
            for &activation in &self.settings.activations {
                for &pool in &self.settings.pools {
                    let stage = |stage: &Stage| Stage { activation, pool, ..stage.clone() };
                    let stages = genotype.stages.iter().map(stage).collect();
                    variants.push(UnetGenotype { stages, upsampling, ..genotype.clone() });
                }
            }
        }
        variants
    }

    /// A genotype of a random size up to the limit, supported or not.
    ///
    /// Drawn freely and made smaller until it has at most a random number of parameters, so that small and large
    /// networks are about equally likely. Where that leaves it far below, it is drawn again: the closest of a few.
    fn draw(&self, seed: Seed) -> UnetGenotype {
        let mut draw = Draw { settings: &self.settings, stream: seed.stream() };
        let room = self.settings.max_parameters.saturating_sub(self.smallest);
        let limit = self.smallest + draw.stream.below(room.saturating_add(1));
        let distance = |found: usize| (found > limit, found.abs_diff(limit));
        let (mut closest, mut found) = self.shrunk(limit, &mut draw);
        for _ in 1..DRAWS {
            if distance(found) <= (false, limit / 4) {
                break;
            }
            let (genotype, parameters) = self.shrunk(limit, &mut draw);
            if distance(parameters) < distance(found) {
                (closest, found) = (genotype, parameters);
            }
        }
        closest
    }

    /// A drawn genotype, made smaller until it has at most `limit` parameters or cannot be smaller, with its number.
    fn shrunk(&self, limit: usize, draw: &mut Draw<'_>) -> (UnetGenotype, usize) {
        let mut genotype = draw.genotype();
        let found = self.shrink(&mut genotype, limit, draw);
        (genotype, found)
    }

    /// Makes `genotype` smaller until it has at most `limit` parameters or cannot be smaller; its number at the end.
    fn shrink(&self, genotype: &mut UnetGenotype, limit: usize, draw: &mut Draw<'_>) -> usize {
        let mut found = parameters(&self.settings, genotype);
        for _ in 0..SHRINK_STEPS {
            if found <= limit || !draw.shrink(genotype, Excess { found, limit }) {
                break;
            }
            found = parameters(&self.settings, genotype);
        }
        found
    }
}

impl SearchSpace for UnetSpace {
    type Genotype = UnetGenotype;
    type Phenotype = Network;
    type Error = Error;

    fn sample(&self, seed: Seed) -> UnetGenotype {
        (0..SAMPLE_TRIES)
            .map(|attempt| self.draw(seed.derive("sample", attempt)))
            .find(|genotype| self.check(genotype).is_ok())
            .unwrap_or_else(|| self.known.clone())
    }

    fn decode(&self, genotype: &UnetGenotype) -> Result<Network, Error> {
        self.settings.check_genes(genotype)?;
        let network = decode::decode(&self.settings, genotype)?;
        let (found, limit) = (network.parameter_count(), self.settings.max_parameters);
        if found > limit {
            return Err(Error::TooManyParameters { found, limit });
        }
        (self.support)(&network).map_err(|reason| Error::Unsupported { reason })?;
        Ok(network)
    }
}

impl Evolvable for UnetSpace {
    /// Another member, in which each gene was redrawn with the probability of the settings, and one at least.
    fn mutate(&self, genotype: &UnetGenotype, seed: Seed) -> UnetGenotype {
        (0..VARY_TRIES)
            .map(|attempt| {
                let stream = seed.derive("mutate", attempt).stream();
                let mut draw = Draw { settings: &self.settings, stream };
                let mut child = genotype.clone();
                draw.mutate(&mut child);
                self.shrink(&mut child, self.settings.max_parameters, &mut draw);
                child
            })
            .find(|child| child != genotype && self.check(child).is_ok())
            .unwrap_or_else(|| self.sample(seed.derive("mutate", VARY_TRIES)))
    }

    /// Single-point crossover: the first stages of `first`, the later ones and the upsampling of `second`.
    fn crossover(&self, first: &UnetGenotype, second: &UnetGenotype, seed: Seed) -> UnetGenotype {
        (0..VARY_TRIES)
            .map(|attempt| {
                let stream = seed.derive("crossover", attempt).stream();
                let mut draw = Draw { settings: &self.settings, stream };
                let mut child = draw.cross(first, second);
                self.shrink(&mut child, self.settings.max_parameters, &mut draw);
                child
            })
            .find(|child| self.check(child).is_ok())
            .unwrap_or_else(|| first.clone())
    }
}

/// Parameters of a genotype with checked genes; `usize::MAX` where it exceeds what a graph can hold.
fn parameters(settings: &SpaceSettings, genotype: &UnetGenotype) -> usize {
    decode::decode(settings, genotype).map_or(usize::MAX, |network| network.parameter_count())
}

/// The smallest genotypes with one block at the start and one in all other stages, by parameters.
fn small_genotypes(settings: &SpaceSettings) -> Result<Vec<(usize, UnetGenotype)>, Error> {
    let mut small = Vec::new();
    for &first in &settings.blocks {
        for &rest in &settings.blocks {
            let stage = |at| small_stage(settings, if at == 0 { first } else { rest });
            let genotype = UnetGenotype {
                rule: settings.rule,
                stages: (0..settings.stages[0]).map(stage).collect(),
                upsampling: settings.upsamplings[0],
            };
            settings.check_genes(&genotype)?;
            small.push((parameters(settings, &genotype), genotype));
        }
    }
    small.sort_by_key(|(parameters, _)| *parameters);
    Ok(small)
}

fn small_stage(settings: &SpaceSettings, kind: BlockKind) -> Stage {
    let size = match settings.rule {
        ChannelRule::Width => Some(settings.widths[0]),
        ChannelRule::Multiply => kind.multiplies().then_some(COEFFICIENT[0]),
    };
    Stage {
        block: Block::smallest(kind),
        size,
        activation: settings.activations[0],
        dropout: 0,
        pool: settings.pools[0],
    }
}

#[cfg(test)]
mod tests;
