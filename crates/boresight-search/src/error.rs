//! Why a search, its journal or its folder refuses to go on.

use boresight_core::{TellError, TrialId};
use std::path::PathBuf;

/// An error of somebody else's code: an evaluator's or a store's.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried, such as `read`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// A second process, or a second handle in this one, holds the journal.
    #[error("journal {} is in use by another run", .path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// A journal to be created is there already.
    #[error("journal {} exists already; resume it or choose another folder", .path.display())]
    Exists {
        /// The journal.
        path: PathBuf,
    },
    /// A line of the journal that is not the torn last one cannot be trusted.
    #[error("journal {} is damaged in line {line}: {reason}", .path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        reason: Damage,
    },
    /// The journal was written in another format.
    #[error("journal {} has format {found}, this version reads format {known}", .path.display())]
    Format {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The format that can be read.
        known: u64,
    },
    /// A record would break a rule of the journal and was not written.
    #[error("a record was not written to journal {}: {reason}", .path.display())]
    Refused {
        /// The journal.
        path: PathBuf,
        /// The rule.
        reason: Damage,
    },
    /// A folder to be filled holds something already.
    #[error("folder {} is not empty", .path.display())]
    FolderInUse {
        /// The folder.
        path: PathBuf,
    },
    /// A run to be resumed has no journal.
    #[error("folder {} holds no journal.jsonl to resume from", .path.display())]
    NoJournal {
        /// The folder.
        path: PathBuf,
    },
    /// The records of a store do not begin with their one header.
    #[error("the stored records do not begin with exactly one header")]
    NoHeader,
    /// A search is resumed with other settings than it was started with.
    #[error("cannot resume with another {name}: the journal has {recorded}, this run has {given}")]
    OtherSettings {
        /// The setting: `format`, `seed`, `batch` or a path such as `configuration/epochs`.
        name: String,
        /// Its value in the journal, as JSON.
        recorded: String,
        /// Its value now, as JSON.
        given: String,
    },
    /// A store holds two verdicts on one trial.
    #[error("trial {} is stored twice", .0.0)]
    Duplicate(TrialId),
    /// While resuming, the strategy proposed something else than the journal tells.
    #[error("trial {} was {recorded} in the journal, the strategy now proposes {proposed}", .trial.0)]
    OtherProposal {
        /// The trial.
        trial: TrialId,
        /// The recorded proposal.
        recorded: String,
        /// The proposal that was made now.
        proposed: String,
    },
    /// While resuming, the strategy ended before it had proposed every recorded trial.
    #[error("trial {} is in the journal, the strategy ended after {asked} trials", .trial.0)]
    Surplus {
        /// The first trial that was not proposed again.
        trial: TrialId,
        /// How many trials the strategy proposed.
        asked: usize,
    },
    /// A limit on something that is not measured.
    #[error("the limit on `{name}` names no objective of the evaluator")]
    UnknownLimit {
        /// The name.
        name: String,
    },
    /// An asynchronous run is to be resumed from records in which a trial was never asked for, or is asked for out of
    /// its order.
    #[error("trial {} stands in the records without its ask in its place", .0.0)]
    NotAsked(TrialId),
    /// The evaluator has no verdict.
    #[error("trial {} has no verdict", .trial.0)]
    Evaluator {
        /// The trial.
        trial: TrialId,
        /// The evaluator's error.
        source: Failure,
    },
    /// The space or the evaluator panicked.
    #[error("trial {} panicked: {message}", .trial.0)]
    Panicked {
        /// The trial.
        trial: TrialId,
        /// What the panic said.
        message: String,
    },
    /// A verdict has another number of objectives than its evaluator names.
    #[error("trial {} has {found} objective values, the evaluator names {expected}", .trial.0)]
    ObjectiveCount {
        /// The trial.
        trial: TrialId,
        /// How many the evaluator names.
        expected: usize,
        /// How many the verdict has.
        found: usize,
    },
    /// A verdict holds a number that is NaN or infinite.
    #[error("trial {} has {name} = {value}, which is not finite", .trial.0)]
    NotFinite {
        /// The trial.
        trial: TrialId,
        /// The objective, violation or attribute.
        name: String,
        /// The number.
        value: f64,
    },
    /// The strategy refused a verdict.
    #[error("the strategy refused a verdict")]
    Tell(#[from] TellError),
    /// The store refused a record.
    #[error("the store of the search cannot go on")]
    Store {
        /// The store's error.
        source: Failure,
    },
    /// No worker thread could be started.
    #[error("cannot start a worker thread")]
    Thread {
        /// What the operating system says.
        source: std::io::Error,
    },
}

/// What is wrong with a line of a journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// It is not the JSON of a record.
    #[error("column {column}: {message}")]
    Syntax {
        /// The column, counted from 1; 0 where it is not known.
        column: usize,
        /// What was expected.
        message: String,
    },
    /// It is not exactly one of header, trial, ask and event.
    #[error("a line is exactly one of header, trial, ask and event")]
    Kind,
    /// The first line is no header.
    #[error("the first line is no header")]
    HeaderMissing,
    /// A header stands behind the first line.
    #[error("a header stands on the first line only")]
    HeaderMisplaced,
    /// The trial has a verdict already.
    #[error("trial {} is there already", .0.0)]
    Duplicate(TrialId),
    /// A number is NaN or infinite; JSON has no word for it.
    #[error("{0} is not finite")]
    NotFinite(String),
}

impl Damage {
    /// `serde_json`'s error without the line, which is always the first of one.
    pub(crate) fn syntax(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        Self::Syntax {
            column: error.column(),
            message: text.strip_suffix(&place).unwrap_or(&text).to_owned(),
        }
    }
}
