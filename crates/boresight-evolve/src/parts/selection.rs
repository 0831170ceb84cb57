//! Choosing parents.

use super::{Rival, Selection};
use crate::Ranking;
use boresight_core::{Seed, Stream};
use std::cmp::Ordering;

/// The best of `size` different members, or of all where there are fewer; ties are broken at random.
///
/// Of two members, the one that breaks constraints less is better, then the one that dominates the other or has the
/// better fitness, then the one with more room around it. Layers do not count: a member that does not dominate another
/// may not beat it for standing in a better layer, which keeps small parts of a front alive. Tournaments are drawn from
/// shuffled lists of the members, so over many tournaments each takes part equally often.
///
/// # Source
/// Deb's published program of NSGA-II, whose tournament differs from the paper in that it looks at dominance, not layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tournament {
    /// Members of a tournament; 0 counts as 1.
    pub size: usize,
}

impl Selection for Tournament {
    fn select(&self, ranking: &Ranking, members: &[Rival<'_>], count: usize, seed: Seed) -> Vec<usize> {
        tournaments(members, self.size, count, seed, |left, right| {
            let (one, other) = (left.standing, right.standing);
            let spread = || other.spread.total_cmp(&one.spread);
            one.tier.cmp(&other.tier).then_with(|| {
                if ranking.prefers(left.candidate.verdict, right.candidate.verdict) {
                    Ordering::Less
                } else if ranking.prefers(right.candidate.verdict, left.candidate.verdict) {
                    Ordering::Greater
                } else {
                    spread()
                }
            })
        })
    }
}

fn tournaments(
    members: &[Rival<'_>],
    size: usize,
    count: usize,
    seed: Seed,
    compare: impl Fn(&Rival<'_>, &Rival<'_>) -> Ordering,
) -> Vec<usize> {
    let mut stream = seed.stream();
    let size = size.clamp(1, members.len().max(1));
    let mut list: Vec<usize> = Vec::new();
    let mut winners = Vec::with_capacity(count);
    while winners.len() < count && !members.is_empty() {
        if list.len() < size {
            list = (0..members.len()).collect();
            stream.shuffle(&mut list);
        }
        let rivals = list.split_off(list.len() - size);
        winners.extend(best(&rivals, &mut stream, |&left, &right| compare(&members[left], &members[right])));
    }
    winners
}

/// The best of `rivals`; which of equal ones is drawn.
fn best(
    rivals: &[usize],
    stream: &mut Stream,
    compare: impl Fn(&usize, &usize) -> Ordering,
) -> Option<usize> {
    let mut best = *rivals.first()?;
    let mut equal = 1;
    for &rival in &rivals[1..] {
        match compare(&rival, &best) {
            Ordering::Less => (best, equal) = (rival, 1),
            Ordering::Equal => {
                equal += 1;
                if stream.below(equal) == 0 {
                    best = rival;
                }
            }
            Ordering::Greater => {}
        }
    }
    Some(best)
}

/// Two random members, of which the one that breaks constraints less wins; among those that break none, either.
///
/// # Source
/// Deb and Jain, NSGA-III, part II (constraints), 2014, algorithm 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uniform;

impl Selection for Uniform {
    fn select(&self, _: &Ranking, members: &[Rival<'_>], count: usize, seed: Seed) -> Vec<usize> {
        tournaments(members, 2, count, seed, |left, right| left.standing.tier.cmp(&right.standing.tier))
    }
}

/// Pairs of different members, each equally likely; a lone member is paired with itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pairs;

impl Selection for Pairs {
    fn select(&self, _: &Ranking, members: &[Rival<'_>], count: usize, seed: Seed) -> Vec<usize> {
        let mut stream = seed.stream();
        let mut chosen = Vec::new();
        while chosen.len() < count && !members.is_empty() {
            let first = stream.below(members.len());
            // One of the others, by its place among them.
            let other = if members.len() > 1 { stream.below(members.len() - 1) } else { first };
            let second = if members.len() > 1 && other >= first { other + 1 } else { other };
            chosen.extend([first, second]);
        }
        chosen.truncate(count);
        chosen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Candidate, Standing};
    use boresight_core::{Direction, Outcome, TrialId};

    fn ranking() -> Ranking {
        Ranking::Pareto { directions: vec![Direction::Minimise; 2] }
    }

    /// What wins of members with these values, both minimised, and spreads.
    fn select(size: usize, members: &[([f64; 2], f64)], count: usize, seed: u64) -> Vec<usize> {
        let verdicts: Vec<Outcome> =
            members.iter().map(|(values, _)| Outcome::measured(values.to_vec())).collect();
        let rival = |(verdict, (_, spread)): (_, &([f64; 2], f64))| Rival {
            candidate: Candidate { id: TrialId(0), verdict },
            standing: Standing { spread: *spread, ..Standing::default() },
        };
        let rivals: Vec<Rival<'_>> = verdicts.iter().zip(members).map(rival).collect();
        Tournament { size }.select(&ranking(), &rivals, count, Seed::new(seed))
    }

    #[test]
    fn a_tournament_of_all_has_the_best_win() {
        let members = [([1.0, 1.0], 9.0), ([0.0, 0.5], 0.5), ([0.0, 0.4], 2.0), ([2.0, 2.0], 0.0)];
        assert_eq!(select(9, &members, 5, 1), [2; 5]);
    }

    #[test]
    fn room_decides_where_nobody_dominates() {
        let members = [([1.0, 0.0], 1.0), ([0.0, 1.0], f64::INFINITY)];
        assert_eq!(select(2, &members, 3, 1), [1; 3]);
    }

    #[test]
    fn each_member_takes_part_equally_often() {
        let members: Vec<([f64; 2], f64)> = (0..10).map(|at| ([f64::from(at); 2], 0.0)).collect();
        let winners = select(2, &members, 5, 3);
        // Each of five pairs of one list has a winner, so all winners differ and the best is one of them.
        let mut sorted = winners.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() == 5 && sorted[0] == 0, "{winners:?}");
    }

    #[test]
    fn equals_win_equally_often() {
        let wins = (0..4000).filter(|&seed| select(3, &[([0.0, 1.0], 1.0); 3], 1, seed) == [1]);
        // A third of 4000, within four standard deviations of 30.
        assert!((1213..1454).contains(&wins.count()));
    }

    #[test]
    fn nobody_is_chosen_of_nobody() {
        assert!(select(2, &[], 3, 1).is_empty());
        assert!(Pairs.select(&ranking(), &[], 2, Seed::new(1)).is_empty());
    }

    #[test]
    fn pairs_differ_and_all_are_equally_likely() {
        let verdict = Outcome::measured(vec![0.0, 0.0]);
        let candidate = Candidate { id: TrialId(0), verdict: &verdict };
        let rivals = [Rival { candidate, standing: Standing::default() }; 3];
        let mut counts = [[0; 3]; 3];
        for pair in Pairs.select(&ranking(), &rivals, 6000, Seed::new(1)).chunks(2) {
            counts[pair[0]][pair[1]] += 1;
        }
        for (first, row) in counts.iter().enumerate() {
            for (second, &count) in row.iter().enumerate() {
                // A sixth of 3000, within four standard deviations of 20.
                assert!(if first == second { count == 0 } else { (418..583).contains(&count) }, "{counts:?}");
            }
        }
        assert_eq!(Pairs.select(&ranking(), &rivals[..1], 3, Seed::new(1)), [0, 0, 0]);
    }
}
