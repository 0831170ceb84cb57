//! When a search ends before its strategy does.

use crate::pool::now;
use boresight_core::{Direction, Trial};
use std::fmt::{self, Debug, Formatter};
use std::time::{Duration, Instant};

/// A rule that ends a search. The journal keeps the rule as an event, and the run is a prefix of the longer one: resumed
/// without the rule, it goes on.
///
/// # Examples
/// ```
/// use boresight_core::Direction;
/// use boresight_evolve::Stagnation;
/// use boresight_search::Stop;
/// use std::time::Duration;
///
/// let mut stagnation = Stagnation::new(vec![Direction::Maximise], vec![0.0], 50, 0.001)?;
/// let rules: Vec<Stop<'_, u32>> = vec![
///     Stop::trials(1000),
///     Stop::after(Duration::from_secs(3600)),
///     Stop::target(0, Direction::Maximise, 0.9),
///     Stop::when("50 trials without a gain", |trials| stagnation.stagnates(trials)),
/// ];
/// // `Search::run_until(&mut rules, observer)` takes them.
/// assert_eq!(rules.len(), 4);
/// # Ok::<(), boresight_evolve::Error>(())
/// ```
pub struct Stop<'run, G> {
    rule: String,
    when: When<'run, G>,
}

type Rule<'run, G> = Box<dyn FnMut(&[Trial<G>]) -> bool + 'run>;

enum When<'run, G> {
    Told(Rule<'run, G>),
    Expired(Instant, Duration),
}

impl<'run, G> Stop<'run, G> {
    /// Ends the search when `rule` says so of all trials that were told, in their order: after each batch, or after each
    /// verdict of an asynchronous search.
    pub fn when(name: impl Into<String>, rule: impl FnMut(&[Trial<G>]) -> bool + 'run) -> Self {
        Self { rule: name.into(), when: When::Told(Box::new(rule)) }
    }

    /// Ends the search after the batch that brings so many trials.
    pub fn trials(count: usize) -> Self {
        Self::when(format!("{count} trials"), move |trials| trials.len() >= count)
    }

    /// Ends the search when a trial that breaks no constraint reaches `value` in an objective.
    pub fn target(objective: usize, direction: Direction, value: f64) -> Self {
        let reaches = move |trial: &Trial<G>| {
            let found = trial.verdict.objectives().and_then(|values| values.get(objective));
            found.is_some_and(|&found| found.is_finite() && !direction.prefers(value, found))
        };
        Self::when(format!("objective {objective} reached {value}"), move |trials| trials.iter().any(reaches))
    }

    /// Lets no trial start once so much time has passed from now; running ones are waited for.
    pub fn after(time: Duration) -> Self {
        Self { rule: format!("{} s passed", time.as_secs_f64()), when: When::Expired(now(), time) }
    }

    /// Whether the time is up.
    fn expired(&self) -> bool {
        matches!(self.when, When::Expired(start, time) if start.elapsed() >= time)
    }

    fn reached(&mut self, trials: &[Trial<G>]) -> bool {
        match &mut self.when {
            When::Told(rule) => rule(trials),
            When::Expired(..) => self.expired(),
        }
    }
}

/// The first rule whose time is up.
pub(crate) fn expired<G>(stops: &[Stop<'_, G>]) -> Option<String> {
    stops.iter().find(|stop| stop.expired()).map(|stop| stop.rule.clone())
}

/// The first rule that ends the search after these trials. Every rule sees them.
pub(crate) fn reached<G>(stops: &mut [Stop<'_, G>], trials: &[Trial<G>]) -> Option<String> {
    let mut first = None;
    for stop in stops {
        if stop.reached(trials) && first.is_none() {
            first = Some(stop.rule.clone());
        }
    }
    first
}

impl<G> Debug for Stop<'_, G> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stop").field("rule", &self.rule).finish_non_exhaustive()
    }
}
