//! What a search tells while it works, and what it leaves.

use boresight_core::{Proposal, Trial, TrialId};

/// Where a verdict comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was read from the store of an earlier, unfinished run.
    Replayed,
    /// It was evaluated now.
    Fresh,
}

/// What a search tells its observer, always from the thread that called [`Search::run`](crate::Search::run).
///
/// `Break` as the answer to any of them ends the search when the running trials have ended and are stored.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SearchEvent<'run, G> {
    /// The strategy proposed a batch. It is a generation where the strategy works in generations
    /// that are no larger than [`Settings::batch`](crate::Settings::batch).
    Asked {
        /// The batch, counted from 1.
        batch: usize,
        /// Its proposals in the order of their trials.
        proposals: &'run [(TrialId, Proposal<G>)],
    },
    /// The evaluation of a trial starts; replayed trials never start.
    Started {
        /// The trial.
        trial: TrialId,
        /// What is evaluated.
        proposal: &'run Proposal<G>,
    },
    /// A trial has its verdict, and the store has it too.
    Finished {
        /// The trial.
        trial: &'run Trial<G>,
        /// Whether it was evaluated now.
        origin: Origin,
        /// How long its evaluation took, in seconds.
        wall_s: f64,
    },
    /// The strategy was told a whole batch: the moment to delete what trials left behind that can no longer win.
    Told {
        /// The batch, counted from 1.
        batch: usize,
        /// All trials that were told so far, in order.
        trials: &'run [Trial<G>],
    },
    /// The search ends because the observer broke it off; the answer to this event does not matter.
    Interrupted,
    /// The search ends because of a rule; the answer to this event does not matter.
    Stopped {
        /// The rule, in its own words.
        rule: &'run str,
    },
}

/// What a search leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Report<G> {
    /// Every trial with a verdict, in the order of their numbers. After an interruption the last batch may have gaps.
    pub trials: Vec<Trial<G>>,
    /// Whether the strategy has ended; `false` after an interruption or a stop.
    pub finished: bool,
    /// The rule that stopped the search, if one did.
    pub stopped: Option<String>,
    /// How many of the trials were read from the store instead of being evaluated now.
    pub replayed: usize,
}

impl<G> Default for Report<G> {
    fn default() -> Self {
        Self { trials: Vec::new(), finished: false, stopped: None, replayed: 0 }
    }
}
