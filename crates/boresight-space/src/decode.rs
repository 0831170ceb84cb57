//! From genes to a network: the encoder's chain and the decoder that mirrors it.

use crate::blocks::Graph;
use crate::{Activation, Pool, SpaceSettings, Stage, UnetGenotype};
use boresight_ir::{Builder, Conv2d, Error, Network, NodeId, Op, Resize, Shape, Window};

/// The network of `genotype`, whose genes were checked.
pub(crate) fn decode(settings: &SpaceSettings, genotype: &UnetGenotype) -> Result<Network, Error> {
    let builder = Builder::new(Shape::new(settings.bands, settings.tile, settings.tile))?;
    let mut graph = Graph { builder, kernel: settings.kernel };
    let mut map = graph.builder.input();
    let mut skips = Vec::with_capacity(genotype.stages.len());
    for (at, stage) in genotype.stages.iter().enumerate() {
        let name = format!("stage{at}");
        let skip = graph.block(&name, genotype.rule, stage, map)?;
        map = graph.descend(&name, stage, skip)?;
        skips.push(skip);
    }
    for (at, &skip) in skips.iter().enumerate().rev() {
        map = graph.ascend(&format!("decoder{at}"), genotype.upsampling, skip, map)?;
    }
    let logits = graph.add("classes".into(), Op::Conv2d(Conv2d::same(settings.classes, 1)), map)?;
    graph.builder.finish(logits)
}

impl Graph {
    /// Dropout and pooling.
    fn descend(&mut self, name: &str, stage: &Stage, block: NodeId) -> Result<NodeId, Error> {
        let mut map = block;
        if stage.dropout > 0 {
            let rate = f32::from(stage.dropout) / 10.0;
            map = self.add(format!("{name}.dropout"), Op::Dropout { rate }, map)?;
        }
        let pool = match stage.pool {
            Pool::Max => Op::MaxPool(Window::square(2)),
            Pool::Average => Op::AvgPool(Window::square(2)),
        };
        self.add(format!("{name}.pool"), pool, map)
    }

    /// 1x1 convolution to the skip's channels, upsampling to its size, concatenation, two convolutions.
    ///
    /// The 1x1 convolution stands before the upsampling: each upsampled pixel is a weighted mean of pixels, so the
    /// two commute, and a quarter of the pixels is a quarter of the work.
    fn ascend(&mut self, name: &str, resize: Resize, skip: NodeId, map: NodeId) -> Result<NodeId, Error> {
        let shape = self.builder.shape(skip);
        let reduce = Op::Conv2d(Conv2d::same(shape.channels, 1));
        let map = self.add(format!("{name}.reduce"), reduce, map)?;
        let size = [shape.height, shape.width];
        let map = self.add(format!("{name}.upsample"), Op::Upsample { resize, size }, map)?;
        let map = self.builder.add(format!("{name}.concat"), Op::Concat, &[map, skip])?;
        let conv = Conv2d::same(shape.channels, 3);
        let map = self.conv_norm_act(&format!("{name}.first"), conv, Activation::Relu, map)?;
        self.conv_norm_act(&format!("{name}.second"), conv, Activation::Relu, map)
    }
}

#[cfg(test)]
mod tests;
