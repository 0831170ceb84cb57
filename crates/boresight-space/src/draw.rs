//! Drawing genes: whole genotypes, single genes, mutation and crossover, before any limit is looked at.

use crate::genotype::{COEFFICIENT, DEPTH, DROPOUT_LIMIT, EXPANSION, REDUCTION, WIDTH_STEP};
use crate::{Block, BlockKind, ChannelRule, SpaceSettings, Stage, UnetGenotype};
use boresight_core::Stream;

/// Genes of a stage, in the order of [`Draw::redraw_in_stage`].
const STAGE_GENES: usize = 6;

/// A source of genes of one space.
pub(crate) struct Draw<'space> {
    pub(crate) settings: &'space SpaceSettings,
    pub(crate) stream: Stream,
}

impl Draw<'_> {
    /// A genotype of which only the genes are known to be right.
    pub(crate) fn genotype(&mut self) -> UnetGenotype {
        let count = self.stage_count();
        let stages = (0..count).map(|_| self.stage()).collect();
        let upsampling = choose(&mut self.stream, &self.settings.upsamplings);
        UnetGenotype { rule: self.settings.rule, stages, upsampling }
    }

    /// Redraws each gene with the space's probability, and one at least.
    pub(crate) fn mutate(&mut self, genotype: &mut UnetGenotype) {
        let genes = genotype.stages.len() * STAGE_GENES + 2;
        let drawn: Vec<usize> = (0..genes).filter(|_| self.stream.chance(self.settings.mutation)).collect();
        let one = self.stream.below(genes);
        for gene in if drawn.is_empty() { vec![one] } else { drawn } {
            self.redraw(genotype, gene);
        }
    }

    /// The first stages of `first`, the others and the upsampling of `second`.
    pub(crate) fn cross(&mut self, first: &UnetGenotype, second: &UnetGenotype) -> UnetGenotype {
        let shorter = first.stages.len().min(second.stages.len());
        let cut = 1 + self.stream.below(shorter.saturating_sub(1).max(1));
        let head = first.stages.iter().take(cut);
        let stages = head.chain(second.stages.iter().skip(cut)).cloned().collect();
        UnetGenotype { stages, ..second.clone() }
    }

    fn redraw(&mut self, genotype: &mut UnetGenotype, gene: usize) {
        let (at, part) = (gene / STAGE_GENES, gene % STAGE_GENES);
        if let Some(stage) = genotype.stages.get_mut(at) {
            self.redraw_in_stage(stage, part);
        } else if part == 0 {
            genotype.upsampling = choose(&mut self.stream, &self.settings.upsamplings);
        } else {
            self.redraw_length(&mut genotype.stages);
        }
    }

    fn redraw_in_stage(&mut self, stage: &mut Stage, part: usize) {
        match part {
            0 => {
                let had_coefficient = stage.block.kind().multiplies();
                stage.block = self.block();
                let kind = stage.block.kind();
                if self.settings.rule == ChannelRule::Multiply && kind.multiplies() != had_coefficient {
                    stage.size = self.size(kind);
                }
            }
            1 => stage.block = self.numbers(stage.block.kind()),
            2 => stage.size = self.size(stage.block.kind()),
            3 => stage.activation = choose(&mut self.stream, &self.settings.activations),
            4 => stage.dropout = self.dropout(),
            _ => stage.pool = choose(&mut self.stream, &self.settings.pools),
        }
    }

    /// Removes stages or adds drawn ones, each anywhere, until their number is a drawn one.
    fn redraw_length(&mut self, stages: &mut Vec<Stage>) {
        let count = self.stage_count();
        while stages.len() > count {
            stages.remove(self.stream.below(stages.len()));
        }
        while stages.len() < count {
            let at = self.stream.below(stages.len() + 1);
            let stage = self.stage();
            stages.insert(at, stage);
        }
    }

    fn stage_count(&mut self) -> usize {
        let [fewest, most] = self.settings.stages;
        fewest + self.stream.below(most - fewest + 1)
    }

    fn stage(&mut self) -> Stage {
        let block = self.block();
        Stage {
            block,
            size: self.size(block.kind()),
            activation: choose(&mut self.stream, &self.settings.activations),
            dropout: self.dropout(),
            pool: choose(&mut self.stream, &self.settings.pools),
        }
    }

    fn block(&mut self) -> Block {
        let kind = choose(&mut self.stream, &self.settings.blocks);
        self.numbers(kind)
    }

    /// A block of this kind with drawn numbers.
    pub(crate) fn numbers(&mut self, kind: BlockKind) -> Block {
        match kind {
            BlockKind::ConvAct => Block::ConvAct,
            BlockKind::ConvBnAct => Block::ConvBnAct,
            BlockKind::ConvSe => Block::ConvSe,
            BlockKind::MbConv => Block::MbConv { expansion: self.number(EXPANSION) },
            BlockKind::MbConvResidual => Block::MbConvResidual { expansion: self.number(EXPANSION) },
            BlockKind::DenseNet => Block::DenseNet,
            BlockKind::ResNet => Block::ResNet { reduction: self.number(REDUCTION) },
            BlockKind::CspConv => Block::CspConv { depth: self.number(DEPTH) },
            BlockKind::CspMbConv => {
                Block::CspMbConv { depth: self.number(DEPTH), expansion: self.number(EXPANSION) }
            }
        }
    }

    fn size(&mut self, kind: BlockKind) -> Option<u16> {
        match self.settings.rule {
            ChannelRule::Width => {
                let [narrowest, widest] = self.settings.widths.map(|width| width / WIDTH_STEP);
                Some(WIDTH_STEP * self.between([narrowest, widest]))
            }
            ChannelRule::Multiply => kind.multiplies().then(|| self.between(COEFFICIENT)),
        }
    }

    /// Mostly none, so that a network of four stages has one about every second time; else one to five tenths.
    fn dropout(&mut self) -> u8 {
        if self.stream.chance(0.85) { 0 } else { self.number([1, DROPOUT_LIMIT]) }
    }

    fn number(&mut self, [least, most]: [u8; 2]) -> u8 {
        u8::try_from(self.between([least.into(), most.into()])).unwrap_or(most)
    }

    fn between(&mut self, [least, most]: [u16; 2]) -> u16 {
        let drawn = self.stream.below(usize::from(most - least) + 1);
        u16::try_from(drawn).map_or(most, |drawn| least + drawn)
    }
}

/// One of `items`, of which a checked setting has at least one.
pub(crate) fn choose<T: Copy>(stream: &mut Stream, items: &[T]) -> T {
    items[stream.below(items.len())]
}
