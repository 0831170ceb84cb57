//! What can go wrong with a profile.

/// Why there is no numeric profile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No embedded profile has this name.
    #[error("no numeric profile is called {name:?}; known are {}", .known.join(", "))]
    UnknownProfile {
        /// The name that was asked for.
        name: String,
        /// Every name that there is.
        known: Vec<&'static str>,
    },
    /// The text is not a profile.
    #[error("not a numeric profile: {report}")]
    Syntax {
        /// The parser's report: line, field and what was expected there.
        report: String,
    },
}
