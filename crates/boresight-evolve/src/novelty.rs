//! What was proposed before.

use boresight_core::{Genotype, SearchSpace};
use std::collections::HashSet;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// The bytes that equal candidates share, such as the canonical hash of a network.
pub type CanonicalKey = [u8; 32];

type KeyOf<G> = Arc<dyn Fn(&G) -> Option<CanonicalKey> + Send + Sync>;

/// The genotypes that were proposed, so that none is proposed twice.
///
/// Two genotypes are one candidate when they are equal; with [`Novelty::by`], when they share a key: genotypes that
/// decode to the same network are then measured once.
#[derive(Clone)]
pub struct Novelty<G> {
    seen: HashSet<G>,
    keys: HashSet<CanonicalKey>,
    key: Option<KeyOf<G>>,
}

impl<G> Default for Novelty<G> {
    fn default() -> Self {
        Self { seen: HashSet::new(), keys: HashSet::new(), key: None }
    }
}

impl<G: Genotype> Novelty<G> {
    /// Tells candidates apart by a key, such as the canonical hash of what a genotype decodes to.
    pub fn by(key: impl Fn(&G) -> CanonicalKey + Send + Sync + 'static) -> Self {
        Self { key: Some(Arc::new(move |genotype| Some(key(genotype)))), ..Self::default() }
    }

    /// Tells candidates apart by a key of what they decode to, such as the canonical hash of a network; what `space` cannot
    /// decode, by its genotype alone.
    pub fn of_phenotypes<S>(
        space: S,
        key: impl Fn(&S::Phenotype) -> CanonicalKey + Send + Sync + 'static,
    ) -> Self
    where
        S: SearchSpace<Genotype = G> + 'static,
    {
        let key = move |genotype: &G| space.decode(genotype).ok().map(|phenotype| key(&phenotype));
        Self { key: Some(Arc::new(key)), ..Self::default() }
    }

    /// The same, but `genotypes` count as proposed: those of an earlier run, say.
    #[must_use]
    pub fn knowing(mut self, genotypes: impl IntoIterator<Item = G>) -> Self {
        for genotype in genotypes {
            self.admit(&genotype);
        }
        self
    }

    /// Whether nothing equal to `genotype` was admitted before; it is then admitted.
    pub fn admit(&mut self, genotype: &G) -> bool {
        if self.seen.contains(genotype) {
            return false;
        }
        self.seen.insert(genotype.clone());
        let key = self.key.as_ref().and_then(|key| key(genotype));
        key.is_none_or(|key| self.keys.insert(key))
    }
}

impl<G> Debug for Novelty<G> {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Novelty").field("seen", &self.seen.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::benchmarks::{Categorical, CategoricalSpace};

    #[test]
    fn nothing_is_new_twice() {
        let mut novelty = Novelty::default().knowing([3_u8]);
        assert_eq!([1, 2, 1, 3].map(|number: u8| novelty.admit(&number)), [true, true, false, false]);
    }

    #[test]
    fn equal_keys_are_one_candidate() {
        let mut novelty = Novelty::by(|number: &u8| [number % 10; 32]);
        assert_eq!([1, 11, 12, 2].map(|number| novelty.admit(&number)), [true, false, true, false]);
    }

    #[test]
    fn what_decodes_alike_is_one_candidate() {
        let space = CategoricalSpace::new(vec![4, 4]).unwrap();
        let sum = |genes: &Categorical| [genes.0.iter().sum::<u16>().to_le_bytes()[0]; 32];
        let mut novelty = Novelty::of_phenotypes(space, sum);
        let mut admit = |genes: &[u16]| novelty.admit(&Categorical(genes.to_vec()));
        assert!(admit(&[1, 2]) && !admit(&[2, 1]) && !admit(&[1, 2]) && admit(&[2, 2]));
        // No member, so that only an equal genotype is the same.
        assert!(admit(&[4, 0]) && admit(&[3]) && !admit(&[3]));
    }
}
