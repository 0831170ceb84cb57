//! Choosing who lives on.

use super::{Survival, Survivor};
use crate::{Candidate, Ranking, Standing};
use boresight_core::Seed;

/// The best live on: by layer and crowding distance for a Pareto ranking, by fitness for the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncation;

impl Survival for Truncation {
    fn survive(
        &mut self,
        ranking: &Ranking,
        candidates: &[Candidate<'_>],
        size: usize,
        _: Seed,
    ) -> Vec<Survivor> {
        let mut survivors = survivors(ranking.standings(candidates));
        survivors.sort_by(|left, right| {
            let ages = candidates[left.index].id.cmp(&candidates[right.index].id);
            left.standing.compare(&right.standing).then(ages)
        });
        survivors.truncate(size);
        survivors
    }
}

/// The youngest live on, whatever they are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldestDies;

impl Survival for OldestDies {
    fn survive(
        &mut self,
        ranking: &Ranking,
        candidates: &[Candidate<'_>],
        size: usize,
        _: Seed,
    ) -> Vec<Survivor> {
        let mut young: Vec<usize> = (0..candidates.len()).collect();
        young.sort_by_key(|&at| std::cmp::Reverse(candidates[at].id));
        young.truncate(size);
        let kept: Vec<Candidate<'_>> = young.iter().map(|&at| candidates[at]).collect();
        let standings = ranking.standings(&kept);
        young.into_iter().zip(standings).map(|(index, standing)| Survivor { index, standing }).collect()
    }
}

fn survivors(standings: Vec<Standing>) -> Vec<Survivor> {
    standings.into_iter().enumerate().map(|(index, standing)| Survivor { index, standing }).collect()
}
