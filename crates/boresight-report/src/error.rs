//! What can go wrong with a picture.

use std::path::PathBuf;

/// Why a picture could not be drawn or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A buffer does not have the length that the picture's size asks for.
    #[error("{what} of {width} x {height} pixels need {expected} values, {found} are given")]
    Length {
        /// What the buffer holds.
        what: &'static str,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// How many values are needed.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A picture could not be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
}
