//! Equal candidates are evaluated once.

use boresight_core::{Context, Evaluator, Objective, Outcome, SearchSpace, Trial};
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// An evaluator that remembers verdicts by a key of the phenotype and the fidelity.
///
/// Two workers with equal candidates do not evaluate both: the second one waits for the first one's verdict. Where the
/// first one has none (an error, a panic), the second one evaluates for itself.
///
/// This is only sound where the verdict does not depend on [`Context::seed`] or [`Context::trial`]: the trial that
/// happens to come first decides for all, so otherwise the number of workers would change the search. It is also sound
/// for a strategy that tells candidates apart by the same key, since equal ones then never meet: what
/// [`knowing`](Self::knowing) took over from an earlier run then counts as measured. The memory is not stored: after a
/// resume, candidates of replayed trials are evaluated once more when they come back.
#[derive(Debug)]
pub struct Cached<E, F, K> {
    evaluator: E,
    key: F,
    entries: Mutex<Entries<K>>,
    changed: Condvar,
}

type Entries<K> = BTreeMap<(K, u64), Entry>;

#[derive(Clone, Debug)]
enum Entry {
    Running,
    Known(Outcome),
}

impl<E, F, K: Ord> Cached<E, F, K> {
    /// Remembers what `evaluator` says of candidates with an equal `key`.
    pub const fn new(evaluator: E, key: F) -> Self {
        Self { evaluator, key, entries: Mutex::new(BTreeMap::new()), changed: Condvar::new() }
    }

    /// The same, but the verdicts of these trials are known, so nothing is spent on them again: those of an earlier run
    /// with an equal evaluator. Trials that `space` cannot decode, or that have another number of objective values, are left
    /// out; of equal candidates the first one counts.
    #[must_use]
    pub fn knowing<P, S>(self, space: &S, trials: impl IntoIterator<Item = Trial<S::Genotype>>) -> Self
    where
        E: Evaluator<P>,
        F: Fn(&P) -> K,
        S: SearchSpace<Phenotype = P>,
    {
        let expected = self.evaluator.objectives().len();
        let mut entries = self.entries();
        for Trial { proposal, verdict, .. } in trials {
            let fits = match &verdict {
                Outcome::Measured { objectives, .. } => objectives.len() == expected,
                Outcome::Infeasible { .. } | Outcome::Diverged { .. } => true,
            };
            if let (true, Ok(phenotype)) = (fits, space.decode(&proposal.genotype)) {
                let key = ((self.key)(&phenotype), proposal.fidelity.share().to_bits());
                entries.entry(key).or_insert(Entry::Known(verdict));
            }
        }
        drop(entries);
        self
    }

    /// No panic happens while the lock is held but one of `K`'s own; the map is then whole all the same.
    fn entries(&self) -> MutexGuard<'_, Entries<K>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The known verdict, or `None` when the caller is now the one to find it.
    fn known_or_claim(&self, key: &(K, u64)) -> Option<Outcome>
    where
        K: Clone,
    {
        let mut entries = self.entries();
        loop {
            match entries.get(key) {
                Some(Entry::Known(outcome)) => return Some(outcome.clone()),
                Some(Entry::Running) => {
                    entries = self.changed.wait(entries).unwrap_or_else(PoisonError::into_inner);
                }
                None => {
                    entries.insert(key.clone(), Entry::Running);
                    return None;
                }
            }
        }
    }
}

/// Sets the verdict of a claimed key, or gives the key back when it is dropped without one.
struct Claim<'cache, E, F, K: Ord> {
    cache: &'cache Cached<E, F, K>,
    key: Option<(K, u64)>,
}

impl<E, F, K: Ord> Claim<'_, E, F, K> {
    fn settle(mut self, outcome: Outcome) {
        if let Some(key) = self.key.take() {
            self.cache.entries().insert(key, Entry::Known(outcome));
            self.cache.changed.notify_all();
        }
    }
}

impl<E, F, K: Ord> Drop for Claim<'_, E, F, K> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.cache.entries().remove(&key);
            self.cache.changed.notify_all();
        }
    }
}

impl<P, E, F, K> Evaluator<P> for Cached<E, F, K>
where
    P: ?Sized,
    E: Evaluator<P>,
    F: Fn(&P) -> K + Send + Sync,
    K: Ord + Clone + Send,
{
    type Error = E::Error;

    fn objectives(&self) -> &[Objective] {
        self.evaluator.objectives()
    }

    fn evaluate(&self, phenotype: &P, context: &Context) -> Result<Outcome, Self::Error> {
        let key = ((self.key)(phenotype), context.fidelity.share().to_bits());
        if let Some(outcome) = self.known_or_claim(&key) {
            return Ok(outcome);
        }
        let claim = Claim { cache: self, key: Some(key) };
        let outcome = self.evaluator.evaluate(phenotype, context)?;
        claim.settle(outcome.clone());
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::{Direction, Fidelity, Seed};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Counts its calls; breaks on the first `broken` ones in the way of `how`.
    struct Counting {
        objectives: Vec<Objective>,
        calls: AtomicUsize,
        broken: usize,
        how: fn() -> Result<Outcome, &'static str>,
    }

    impl Counting {
        fn new(broken: usize, how: fn() -> Result<Outcome, &'static str>) -> Self {
            let objectives = vec![Objective::new("value", "1", Direction::Maximise)];
            Self { objectives, calls: AtomicUsize::new(0), broken, how }
        }
    }

    impl Evaluator<u32> for Counting {
        type Error = &'static str;

        fn objectives(&self) -> &[Objective] {
            &self.objectives
        }

        fn evaluate(&self, value: &u32, _: &Context) -> Result<Outcome, Self::Error> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            if call < self.broken { (self.how)() } else { Ok(Outcome::measured(vec![f64::from(*value)])) }
        }
    }

    fn context() -> Context {
        Context::new(Seed::new(1))
    }

    #[test]
    fn equal_candidates_are_evaluated_once_by_many_workers() {
        let inner = Counting::new(0, || Err("never"));
        let cached = Cached::new(&inner, |value: &u32| value % 10);
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for worker in 0..8 {
                let (cached, start) = (&cached, &start);
                scope.spawn(move || {
                    start.wait();
                    assert!(cached.evaluate(&(10 * worker + 3), &context()).is_ok());
                });
            }
        });
        assert_eq!(inner.calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn another_key_or_fidelity_is_evaluated_anew() {
        let inner = Counting::new(0, || Err("never"));
        let cached = Cached::new(&inner, |value: &u32| *value);
        let half = Context { fidelity: Fidelity::new(0.5).unwrap(), ..context() };
        for (value, context) in [(1, &context()), (2, &context()), (1, &half), (1, &context())] {
            cached.evaluate(&value, context).unwrap();
        }
        assert_eq!(inner.calls.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn an_error_is_not_remembered() {
        let inner = Counting::new(1, || Err("disk full"));
        let cached = Cached::new(&inner, |value: &u32| *value);
        assert_eq!(cached.evaluate(&1, &context()), Err("disk full"));
        assert!(cached.evaluate(&1, &context()).is_ok());
    }

    #[test]
    fn a_panic_leaves_the_key_to_the_next() {
        let inner = Counting::new(1, || panic!("broken"));
        let cached = Cached::new(&inner, |value: &u32| *value);
        assert!(catch_unwind(AssertUnwindSafe(|| cached.evaluate(&1, &context()))).is_err());
        assert!(cached.evaluate(&1, &context()).is_ok());
    }

    #[test]
    fn a_cached_evaluator_keeps_the_laws_of_evaluators() {
        let cached = Cached::new(Counting::new(0, || Err("never")), |value: &u32| *value);
        let half = Context { fidelity: Fidelity::new(0.5).unwrap(), ..context() };
        boresight_testkit::evaluator_laws(&cached, &7, [context(), half]);
    }
}
