//! Which U-Nets belong to a space.

use crate::genotype::{COEFFICIENT, DROPOUT_LIMIT, WIDTH_LIMIT, WIDTH_STEP};
use crate::{Activation, BlockKind, ChannelRule, Error, Pool, Stage, UnetGenotype};
use boresight_ir::Resize;
use serde::{Deserialize, Serialize};

/// Which U-Nets belong to a space; the defaults are the paper's but for [`ChannelRule::Width`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpaceSettings {
    /// Bands of the input, 1 to 1024.
    pub bands: usize,
    /// Rows and columns of the input: at least 2 to the power of the most stages.
    pub tile: usize,
    /// Classes of the output, 2 to 255.
    pub classes: usize,
    /// The fewest and the most stages, 1 to 12.
    pub stages: [usize; 2],
    /// How channels follow from genes.
    pub rule: ChannelRule,
    /// The smallest and the largest width of [`ChannelRule::Width`]: multiples of 8 up to 1024.
    pub widths: [u16; 2],
    /// Trainable parameters that a network may have.
    pub max_parameters: usize,
    /// Kernel of the encoder's spatial convolutions, odd, 1 to 15; the decoder's is 3.
    pub kernel: usize,
    /// Blocks to choose from.
    pub blocks: Vec<BlockKind>,
    /// Activations to choose from.
    pub activations: Vec<Activation>,
    /// Poolings to choose from.
    pub pools: Vec<Pool>,
    /// Upsamplings to choose from.
    pub upsamplings: Vec<Resize>,
    /// Probability that a mutation redraws a gene, in `[0, 1]`; at least one gene is redrawn in any case.
    pub mutation: f64,
}

impl Default for SpaceSettings {
    fn default() -> Self {
        Self {
            bands: 4,
            tile: 128,
            classes: 2,
            stages: [3, 5],
            rule: ChannelRule::Width,
            widths: [8, 64],
            max_parameters: 100_000,
            kernel: 3,
            blocks: BlockKind::ALL.to_vec(),
            activations: vec![Activation::Relu, Activation::Gelu],
            pools: vec![Pool::Max, Pool::Average],
            upsamplings: vec![Resize::Nearest, Resize::Bilinear],
            mutation: 0.2,
        }
    }
}

impl SpaceSettings {
    /// The same settings, but widened so that their rule, numbers of stages, widths and parameters admit `genotype`, of
    /// which the network is wanted and not a space around it.
    ///
    /// # Examples
    /// ```
    /// use boresight_core::SearchSpace;
    /// use boresight_space::{SpaceSettings, UnetGenotype, UnetSpace, supports_everything};
    ///
    /// let wide: UnetGenotype = "u1;w;n;cba16r-x;cba128r-x".parse()?;
    /// let settings = SpaceSettings::default();
    /// assert!(UnetSpace::new(settings.clone(), supports_everything)?.decode(&wide).is_err());
    /// assert!(UnetSpace::new(settings.admitting(&wide), supports_everything)?.decode(&wide).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn admitting(self, genotype: &UnetGenotype) -> Self {
        Self {
            rule: genotype.rule,
            stages: [genotype.stages.len(); 2],
            widths: [WIDTH_STEP, WIDTH_LIMIT],
            max_parameters: usize::MAX,
            ..self
        }
    }

    /// Checks the rules that the fields state.
    ///
    /// # Errors
    /// Names the first setting that breaks its rule.
    pub fn check(&self) -> Result<(), Error> {
        let [fewest, most] = self.stages;
        let [narrowest, widest] = self.widths;
        let width_fits = |width| width_is_legal(width) && narrowest <= widest;
        require((1..=1024).contains(&self.bands), "bands", &self.bands, "1 to 1024")?;
        require((2..=255).contains(&self.classes), "classes", &self.classes, "2 to 255")?;
        let range = format!("{fewest} to {most}");
        require(1 <= fewest && fewest <= most && most <= 12, "stages", &range, "a range within 1 to 12")?;
        let range = format!("{narrowest} to {widest}");
        let rule = "a range of multiples of 8 within 8 to 1024";
        require(width_fits(narrowest) && width_fits(widest), "widths", &range, rule)?;
        let odd = self.kernel % 2 == 1 && self.kernel <= 15;
        require(odd, "kernel", &self.kernel, "odd and at most 15")?;
        require((0.0..=1.0).contains(&self.mutation), "mutation", &self.mutation, "between 0 and 1")?;
        let lists = [
            ("blocks", self.blocks.len()),
            ("activations", self.activations.len()),
            ("pools", self.pools.len()),
            ("upsamplings", self.upsamplings.len()),
        ];
        for (setting, len) in lists {
            require(len > 0, setting, &"empty", "a list of at least one")?;
        }
        if self.tile < 1 << most || self.tile > 1 << 16 {
            return Err(Error::Tile { tile: self.tile, stages: most });
        }
        Ok(())
    }

    /// Checks everything about `genotype` that its network need not be built for.
    pub(crate) fn check_genes(&self, genotype: &UnetGenotype) -> Result<(), Error> {
        if genotype.rule != self.rule {
            return Err(Error::Rule { expected: self.rule, found: genotype.rule });
        }
        let [fewest, most] = self.stages;
        let found = genotype.stages.len();
        if !(fewest..=most).contains(&found) {
            return Err(Error::StageCount { found, fewest, most });
        }
        if !self.upsamplings.contains(&genotype.upsampling) {
            return Err(Error::Upsampling { found: genotype.upsampling });
        }
        for (at, stage) in genotype.stages.iter().enumerate() {
            if let Some((gene, found)) = self.foreign_gene(stage) {
                return Err(Error::Gene { stage: at, gene, found });
            }
        }
        Ok(())
    }

    fn foreign_gene(&self, stage: &Stage) -> Option<(&'static str, String)> {
        let kind = stage.block.kind();
        if !self.blocks.contains(&kind) {
            return Some(("block", format!("{kind:?}")));
        }
        if let Some((name, number)) = stage.block.number_out_of_range() {
            return Some((name, number.to_string()));
        }
        if !self.size_fits(kind, stage.size) {
            return Some(("size", stage.size.map_or("missing".into(), |size| size.to_string())));
        }
        if !self.activations.contains(&stage.activation) {
            return Some(("activation", format!("{:?}", stage.activation)));
        }
        if stage.dropout > DROPOUT_LIMIT {
            return Some(("dropout", format!("{} tenths", stage.dropout)));
        }
        (!self.pools.contains(&stage.pool)).then(|| ("pool", format!("{:?}", stage.pool)))
    }

    fn size_fits(&self, kind: BlockKind, size: Option<u16>) -> bool {
        let [narrowest, widest] = self.widths;
        match (self.rule, size) {
            (ChannelRule::Width, Some(width)) => {
                width_is_legal(width) && (narrowest..=widest).contains(&width)
            }
            (ChannelRule::Width, None) => false,
            (ChannelRule::Multiply, Some(coefficient)) => {
                kind.multiplies() && (COEFFICIENT[0]..=COEFFICIENT[1]).contains(&coefficient)
            }
            (ChannelRule::Multiply, None) => !kind.multiplies(),
        }
    }
}

/// Whether some space has this width.
pub(crate) const fn width_is_legal(width: u16) -> bool {
    width > 0 && width.is_multiple_of(WIDTH_STEP) && width <= WIDTH_LIMIT
}

fn require(
    holds: bool,
    setting: &'static str,
    found: &dyn std::fmt::Display,
    rule: &'static str,
) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Setting { setting, found: found.to_string(), rule }) }
}
