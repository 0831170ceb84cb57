//! Choosing parents.

use super::Selection;
use crate::Standing;
use boresight_core::{Seed, Stream};

/// The best of `size` different members, or of all where there are fewer; ties are broken at random.
///
/// Tournaments are drawn from shuffled lists of the members, so over many tournaments each takes part equally often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tournament {
    /// Members of a tournament; 0 counts as 1.
    pub size: usize,
}

impl Selection for Tournament {
    fn select(&self, members: &[Standing], count: usize, seed: Seed) -> Vec<usize> {
        let mut stream = seed.stream();
        let size = self.size.clamp(1, members.len().max(1));
        let mut list: Vec<usize> = Vec::new();
        let mut winners = Vec::with_capacity(count);
        while winners.len() < count && !members.is_empty() {
            if list.len() < size {
                list = (0..members.len()).collect();
                stream.shuffle(&mut list);
            }
            let rivals = list.split_off(list.len() - size);
            winners.extend(best(members, &rivals, &mut stream));
        }
        winners
    }
}

/// The best of `rivals`; which of equal ones is drawn.
fn best(members: &[Standing], rivals: &[usize], stream: &mut Stream) -> Option<usize> {
    let mut best = *rivals.first()?;
    let mut equal = 1;
    for &rival in &rivals[1..] {
        match members[rival].compare(&members[best]) {
            std::cmp::Ordering::Less => (best, equal) = (rival, 1),
            std::cmp::Ordering::Equal => {
                equal += 1;
                if stream.below(equal) == 0 {
                    best = rival;
                }
            }
            std::cmp::Ordering::Greater => {}
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
    fn select(&self, members: &[Standing], count: usize, seed: Seed) -> Vec<usize> {
        let flat: Vec<Standing> =
            members.iter().map(|standing| Standing { layer: standing.tier, ..Standing::default() }).collect();
        Tournament { size: 2 }.select(&flat, count, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(layer: usize, spread: f64) -> Standing {
        Standing { layer, spread, ..Standing::default() }
    }

    #[test]
    fn a_tournament_of_all_has_the_best_win() {
        let members = [standing(1, 9.0), standing(0, 0.5), standing(0, 2.0), standing(2, 0.0)];
        assert_eq!(Tournament { size: 9 }.select(&members, 5, Seed::new(1)), [2; 5]);
    }

    #[test]
    fn each_member_takes_part_equally_often() {
        let members: Vec<Standing> = (0..10).map(|layer| standing(layer, 0.0)).collect();
        let winners = Tournament { size: 2 }.select(&members, 5, Seed::new(3));
        // Each of five pairs of one list has a winner, so all winners differ and the best is one of them.
        let mut sorted = winners.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert!(sorted.len() == 5 && sorted[0] == 0, "{winners:?}");
    }

    #[test]
    fn equals_win_equally_often() {
        let wins = (0..4000)
            .filter(|&seed| Tournament { size: 3 }.select(&[standing(0, 1.0); 3], 1, Seed::new(seed)) == [1]);
        // A third of 4000, within four standard deviations of 30.
        assert!((1213..1454).contains(&wins.count()));
    }

    #[test]
    fn nobody_is_chosen_of_nobody() {
        assert!(Tournament { size: 2 }.select(&[], 3, Seed::new(1)).is_empty());
    }
}
