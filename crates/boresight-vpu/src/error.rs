//! What can go wrong with a device or with a network on it.

/// Why there is no device, or why a network does not run on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No embedded device has this name.
    #[error("no device is called {name:?}; known are {}", .known.join(", "))]
    UnknownDevice {
        /// The name that was asked for.
        name: String,
        /// Every name that there is.
        known: Vec<&'static str>,
    },
    /// The text is not a device.
    #[error("not a device: {report}")]
    Syntax {
        /// The parser's report: line, field and what was expected there.
        report: String,
    },
    /// A number of the device cannot be true.
    #[error("device {device:?}: {field} is {found}, allowed is {allowed}")]
    Field {
        /// The device.
        device: String,
        /// Which number.
        field: &'static str,
        /// Its value.
        found: String,
        /// What it may be, in words.
        allowed: &'static str,
    },
    /// The device has no resources for this number of streams.
    #[error("device {device:?} does not run {streams} streams; known are {known:?}")]
    Streams {
        /// The device.
        device: String,
        /// Streams that were asked for.
        streams: u32,
        /// Numbers of streams that it runs.
        known: Vec<u32>,
    },
    /// The device has no link of this name.
    #[error("device {device:?} has no link {name:?}; known are {}", .known.join(", "))]
    UnknownLink {
        /// The device.
        device: String,
        /// The name that was asked for.
        name: String,
        /// Every name that there is.
        known: Vec<String>,
    },
    /// A line of a table of measured times is none.
    #[error("line {line} is no layer with its time: {text:?}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// The line.
        text: String,
    },
    /// A table has no line for an operator.
    #[error("node '{node}': no {op} was measured on {device}")]
    NotMeasured {
        /// The device.
        device: String,
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
    },
    /// The device does not run a node.
    #[error("node '{node}' ({op}) does not run on {device}: {reason}")]
    Unsupported {
        /// The device.
        device: String,
        /// The node.
        node: String,
        /// Its operator.
        op: &'static str,
        /// The limit that it breaks.
        reason: Limit,
    },
}

/// A limit of a device that a node breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// A feature map is too large.
    #[error("a map of {found} bytes, the limit is {limit}")]
    Size {
        /// Its bytes.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// The device's compiler refuses the operator, whatever its shape.
    #[error("its compiler refuses this operator")]
    Operator,
    /// Padding with the lowest number that no max pooling takes in.
    #[error("its compiler pads with infinity only inside a max pooling with a larger window")]
    Padding,
    /// The compiler finds no place in the on-chip memory for what a stage needs.
    #[error("its compiler finds no room in the on-chip memory for it")]
    Memory,
}
