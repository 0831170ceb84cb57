//! What can be wrong with settings, genotypes and codes.

/// Why there is no such space, no such member or no such code.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text of a genotype breaks the grammar.
    #[error("column {column}: expected {expected}, found {found}")]
    Code {
        /// Where, in characters counted from 1.
        column: usize,
        /// What may stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A setting is outside its range.
    #[error("{setting} is {found}, it must be {rule}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What it was given.
        found: String,
        /// What it may be.
        rule: &'static str,
    },
    /// An image of this size cannot be halved so often.
    #[error("a tile of {tile} pixels cannot be halved {stages} times, that takes {} pixels or more", least_tile(*stages))]
    Tile {
        /// Rows and columns of the tile.
        tile: usize,
        /// The most stages that the space allows.
        stages: usize,
    },
    /// Even the smallest network exceeds the limit.
    #[error("the smallest network of the space has {smallest} parameters, the limit is {limit}")]
    LimitTooLow {
        /// Parameters of the smallest network.
        smallest: usize,
        /// The limit.
        limit: usize,
    },
    /// The support predicate refused every network that was tried.
    #[error("none of {tried} networks can be deployed: {reason}")]
    NothingSupported {
        /// How many were tried, from the smallest up.
        tried: usize,
        /// What the predicate said of the first.
        reason: String,
    },
    /// The genotype is of the other channel rule.
    #[error("the genotype is of the channel rule {found:?}, the space of {expected:?}")]
    Rule {
        /// The space's rule.
        expected: crate::ChannelRule,
        /// The genotype's.
        found: crate::ChannelRule,
    },
    /// The genotype has too few or too many stages.
    #[error("the genotype has {found} stages, allowed are {fewest} to {most}")]
    StageCount {
        /// How many it has.
        found: usize,
        /// The fewest that the space allows.
        fewest: usize,
        /// The most that the space allows.
        most: usize,
    },
    /// A gene has a value that the space does not have.
    #[error("stage {stage}: {gene} is {found}, which the space does not have")]
    Gene {
        /// The stage, counted from 0.
        stage: usize,
        /// Which of its genes.
        gene: &'static str,
        /// The value.
        found: String,
    },
    /// The space does not have this upsampling.
    #[error("upsampling is {found:?}, which the space does not have")]
    Upsampling {
        /// The upsampling.
        found: boresight_ir::Resize,
    },
    /// The network is too large.
    #[error("the network has {found} parameters, the limit is {limit}")]
    TooManyParameters {
        /// How many it has.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The support predicate refused the network.
    #[error("the network cannot be deployed: {reason}")]
    Unsupported {
        /// What the predicate said.
        reason: String,
    },
    /// The network exceeds what a graph can hold.
    #[error("the genotype does not make a network")]
    Network(#[from] boresight_ir::Error),
}

fn least_tile(stages: usize) -> usize {
    u32::try_from(stages).ok().and_then(|stages| 2_usize.checked_pow(stages)).unwrap_or(usize::MAX)
}
