//! Laws of counts and scores.

use boresight_core::{Accumulate, Metric};
use std::fmt::Debug;

/// Laws of counts: merging shards equals counting the whole, wherever the samples are cut; the order of a merge does
/// not matter; merging empty counts changes nothing.
///
/// `empty` has counted nothing; every one of `samples` must be one that it accepts.
///
/// # Panics
/// With the name of the first law that is broken, or when a sample or a merge is refused.
#[track_caller]
pub fn accumulate_laws<S, A>(empty: &A, samples: &[S])
where
    A: Accumulate<S> + Clone + PartialEq + Debug,
    A::Error: Debug,
{
    let whole = counted(empty, samples);
    for cut in 0..=samples.len() {
        let (left, right) = samples.split_at(cut);
        let (left, right) = (counted(empty, left), counted(empty, right));
        assert_eq!(merged(&left, &right), whole, "merging shards equals the whole: broken at cut {cut}");
        assert_eq!(merged(&right, &left), whole, "the order of a merge does not matter: broken at cut {cut}");
    }
    assert_eq!(merged(&whole, empty), whole, "merging empty counts changes nothing: broken");
    let one_by_one = samples.chunks(1).map(|sample| counted(empty, sample));
    let rebuilt = one_by_one.fold(empty.clone(), |total, shard| merged(&total, &shard));
    assert_eq!(rebuilt, whole, "merging shards equals the whole: broken for shards of one sample");
}

/// Law of refusal: `counts` must refuse `sample` and then stand as before.
///
/// # Panics
/// When the sample is accepted, or when anything of it was counted.
#[track_caller]
pub fn refusal_laws<S: ?Sized, A>(counts: &A, sample: &S)
where
    A: Accumulate<S> + Clone + PartialEq + Debug,
{
    let mut after = counts.clone();
    assert!(after.update(sample).is_err(), "a bad sample is refused: broken, it was counted");
    assert_eq!(&after, counts, "after an error nothing of the sample is counted: broken");
}

/// Laws of a score: it is `None` or finite, equal counts give equal scores, and its objective has a name and a unit.
///
/// # Panics
/// With the name of the first law that is broken.
#[track_caller]
pub fn metric_laws<'counts, S, M>(metric: &M, counts: impl IntoIterator<Item = &'counts S>)
where
    S: ?Sized + Debug + 'counts,
    M: Metric<S> + ?Sized,
{
    let objective = metric.objective();
    let named = !objective.name.is_empty() && !objective.unit.is_empty();
    assert!(named, "an objective has a name and a unit: broken by {objective:?}");
    assert_eq!(metric.objective(), objective, "an objective never changes: broken");
    for counts in counts {
        let score = metric.score(counts);
        assert!(
            score.is_none_or(f64::is_finite),
            "a score is none or finite: broken, {score:?} for {counts:?}"
        );
        let again = metric.score(counts);
        let equal = again.map(f64::to_bits) == score.map(f64::to_bits);
        assert!(equal, "equal counts give equal scores: broken, {score:?} and {again:?} for {counts:?}");
    }
}

#[track_caller]
fn counted<S, A>(empty: &A, samples: &[S]) -> A
where
    A: Accumulate<S> + Clone,
    A::Error: Debug,
{
    let mut counts = empty.clone();
    for (at, sample) in samples.iter().enumerate() {
        if let Err(error) = counts.update(sample) {
            panic!("good samples are counted: broken, number {at} is refused: {error:?}");
        }
    }
    counts
}

#[track_caller]
fn merged<S, A>(left: &A, right: &A) -> A
where
    A: Accumulate<S> + Clone,
    A::Error: Debug,
{
    let mut counts = left.clone();
    if let Err(error) = counts.merge(right) {
        panic!("counts of one kind merge: broken: {error:?}");
    }
    counts
}
