//! What was proposed before.

use boresight_core::Genotype;
use std::collections::HashSet;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// The bytes that equal candidates share, such as the canonical hash of a network.
pub type CanonicalKey = [u8; 32];

type KeyOf<G> = Arc<dyn Fn(&G) -> CanonicalKey + Send + Sync>;

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
        self.key.as_ref().is_none_or(|key| self.keys.insert(key(genotype)))
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
}
