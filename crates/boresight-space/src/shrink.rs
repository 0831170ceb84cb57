//! Making a genotype smaller, one random gene at a time.

use crate::draw::{Draw, choose};
use crate::genotype::{COEFFICIENT, WIDTH_STEP};
use crate::{Block, BlockKind, ChannelRule, Stage, UnetGenotype};

/// Parameters of a network against a limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excess {
    pub(crate) found: usize,
    pub(crate) limit: usize,
}

impl Draw<'_> {
    /// Makes `genotype` smaller by one step: a narrower stage or a smaller coefficient; when there is none, smaller
    /// numbers in a block; at last a stage less. Whether there was a step left.
    pub(crate) fn shrink(&mut self, genotype: &mut UnetGenotype, excess: Excess) -> bool {
        let stages = &mut genotype.stages;
        let narrowed = match genotype.rule {
            ChannelRule::Width => self.narrow(stages, excess),
            ChannelRule::Multiply => self.lower_coefficient(stages),
        };
        narrowed || self.simplify(stages) || self.shorten(stages)
    }

    /// A step of 8 channels, or half of the width while the network has more than twice the limit.
    fn narrow(&mut self, stages: &mut [Stage], excess: Excess) -> bool {
        let narrowest = self.settings.widths[0];
        let far = excess.found / 2 > excess.limit;
        let wide = places(stages, |stage| stage.size > Some(narrowest));
        let Some(stage) = self.one(stages, &wide) else { return false };
        let width = stage.size.unwrap_or(narrowest);
        let next = if far { width / 2 / WIDTH_STEP * WIDTH_STEP } else { width - WIDTH_STEP };
        stage.size = Some(next.max(narrowest));
        true
    }

    /// One less for a random coefficient. Where several stages multiply, one of them gives it up half of the time: a
    /// product of two coefficients is soon too large whatever they are.
    fn lower_coefficient(&mut self, stages: &mut [Stage]) -> bool {
        let multiplying = places(stages, |stage| stage.size.is_some());
        if multiplying.len() > 1 && self.stream.chance(0.5) && self.keep_channels(stages, &multiplying) {
            return true;
        }
        let high = places(stages, |stage| stage.size > Some(COEFFICIENT[0]));
        let Some(stage) = self.one(stages, &high) else { return self.keep_channels(stages, &multiplying) };
        stage.size = stage.size.map(|coefficient| coefficient - 1);
        true
    }

    /// Replaces a multiplying block by one that keeps the channels, where the space has one.
    fn keep_channels(&mut self, stages: &mut [Stage], multiplying: &[usize]) -> bool {
        let keeping: Vec<BlockKind> =
            self.settings.blocks.iter().copied().filter(|kind| !kind.multiplies()).collect();
        if keeping.is_empty() {
            return false;
        }
        let kind = choose(&mut self.stream, &keeping);
        let block = self.numbers(kind);
        let Some(stage) = self.one(stages, multiplying) else { return false };
        *stage = Stage { block, size: None, ..stage.clone() };
        true
    }

    /// The smallest numbers for a random block that has larger ones.
    fn simplify(&mut self, stages: &mut [Stage]) -> bool {
        let large = places(stages, |stage| stage.block != Block::smallest(stage.block.kind()));
        let Some(stage) = self.one(stages, &large) else { return false };
        stage.block = Block::smallest(stage.block.kind());
        true
    }

    fn shorten(&mut self, stages: &mut Vec<Stage>) -> bool {
        let can = stages.len() > self.settings.stages[0];
        if can {
            stages.remove(self.stream.below(stages.len()));
        }
        can
    }

    fn one<'stages>(&mut self, stages: &'stages mut [Stage], places: &[usize]) -> Option<&'stages mut Stage> {
        let &at = self.stream.pick(places)?;
        stages.get_mut(at)
    }
}

fn places(stages: &[Stage], holds: impl Fn(&Stage) -> bool) -> Vec<usize> {
    (0..stages.len()).filter(|&at| holds(&stages[at])).collect()
}
