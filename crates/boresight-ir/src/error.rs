//! What can be wrong with a network.

use crate::Shape;

/// Why a network is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A node breaks a rule of its operator.
    #[error("node '{node}' ({op}): {rule}")]
    Node {
        /// The node's name.
        node: String,
        /// Its operator.
        op: &'static str,
        /// What it breaks.
        rule: Rule,
    },
    /// Two nodes have one name.
    #[error("two nodes are named '{name}'")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// An input refers to a node that comes later or does not exist.
    #[error("node '{node}' reads node number {input}, which does not come before it")]
    Dangling {
        /// The reading node.
        node: String,
        /// What it reads.
        input: usize,
    },
    /// Nothing reads a node, and it is not the output.
    #[error("nothing reads node '{node}'")]
    Unused {
        /// The node.
        node: String,
    },
    /// The network has more nodes than the limit.
    #[error("the network has {count} nodes, the limit is {limit}")]
    TooManyNodes {
        /// How many it has.
        count: usize,
        /// How many it may have.
        limit: usize,
    },
    /// Values of another length than the layout of the network.
    #[error("the network has {expected} values, {found} were given")]
    WeightCount {
        /// Values of the layout.
        expected: usize,
        /// Values given.
        found: usize,
    },
    /// A normalisation for another number of bands than the network reads.
    #[error("the network reads {expected} bands, the normalisation has {found}")]
    BandCount {
        /// Bands that the network reads.
        expected: usize,
        /// Bands of the normalisation.
        found: usize,
    },
    /// A standard deviation by which nothing can be divided.
    #[error("band {band} has a standard deviation of {value}, it must be above 0 and finite")]
    Deviation {
        /// The band, from 0.
        band: usize,
        /// The deviation as text, since NaN equals nothing.
        value: String,
    },
    /// The input is read by an operator into which a normalisation cannot be folded.
    #[error("node '{node}' ({op}) reads the input: a normalisation folds only into convolutions with a bias")]
    CannotFoldNormalisation {
        /// The reading node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// The JSON form is damaged.
    #[error("not a network in JSON: {reason}")]
    Json {
        /// What the parser says.
        reason: String,
    },
}

/// A rule that a node breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// Wrong number of inputs.
    #[error("takes {expected}, reads {found} inputs")]
    InputCount {
        /// How many the operator takes, in words.
        expected: &'static str,
        /// How many there are.
        found: usize,
    },
    /// A size that must be positive is zero, or it exceeds the limit.
    #[error("{what} is {found}, allowed is 1 to {limit}")]
    Size {
        /// Which size.
        what: &'static str,
        /// Its value.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A number that does not divide another.
    #[error("{divisor} groups do not divide {channels} channels")]
    Groups {
        /// The groups.
        divisor: usize,
        /// The channels.
        channels: usize,
    },
    /// A window that does not fit into the padded image.
    #[error("a window of {kernel} does not fit into {size} padded pixels")]
    Window {
        /// Kernel size.
        kernel: usize,
        /// Padded size.
        size: usize,
    },
    /// Inputs whose shapes must agree do not.
    #[error("inputs of {first} and {second} do not go together")]
    Shapes {
        /// The first.
        first: Shape,
        /// The one that does not fit it.
        second: Shape,
    },
    /// A range of channels that the input does not have.
    #[error("channels {start} to {end} of {channels} do not exist")]
    Channels {
        /// First channel.
        start: usize,
        /// One past the last.
        end: usize,
        /// Channels that there are.
        channels: usize,
    },
    /// A real number outside its range.
    #[error("{what} is {found}, which is outside {allowed}")]
    Number {
        /// Which number.
        what: &'static str,
        /// Its value as text.
        found: String,
        /// The range in words.
        allowed: &'static str,
    },
}
