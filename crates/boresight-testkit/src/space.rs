//! Laws of search spaces.

use crate::json::survives_json;
use boresight_core::{Evolvable, SearchSpace, Seed};
use std::fmt::Debug;

/// Laws of sampling: equal seeds give equal members, members decode, a genotype survives JSON.
///
/// # Panics
/// With the name of the first law that is broken, the seed and the genotype.
#[track_caller]
pub fn space_laws<S: SearchSpace>(space: &S, seeds: impl IntoIterator<Item = Seed>) {
    for seed in seeds {
        let member = space.sample(seed);
        assert_eq!(space.sample(seed), member, "equal seeds give equal members: broken at {seed:?}");
        decodes(space, &member, "a sampled member decodes", seed);
        survives_json("a genotype", &member);
    }
}

/// Laws of variation, on top of [`space_laws`]: mutation and crossover are closed and functions of their seed,
/// leave the parents as they are, and do something for at least one of the seeds.
///
/// `seeds` should hold ten or more: a mutation may return its parent now and then, not always.
///
/// # Panics
/// With the name of the first law that is broken, the seed and the genotypes.
#[track_caller]
pub fn evolvable_laws<S: Evolvable>(space: &S, seeds: impl IntoIterator<Item = Seed>) {
    let seeds: Vec<Seed> = seeds.into_iter().collect();
    space_laws(space, seeds.iter().copied());
    let mut changed = false;
    for &seed in &seeds {
        let (first, second) = (space.sample(seed), space.sample(seed.derive("second parent", 0)));
        let (first_before, second_before) = (first.clone(), second.clone());

        let mutant = space.mutate(&first, seed);
        assert_eq!(space.mutate(&first, seed), mutant, "equal seeds give equal mutants: broken at {seed:?}");
        decodes(space, &mutant, "mutation is closed", seed);

        let child = space.crossover(&first, &second, seed);
        let again = space.crossover(&first, &second, seed);
        assert_eq!(again, child, "equal seeds give equal children: broken at {seed:?}");
        decodes(space, &child, "crossover is closed", seed);

        let unchanged = first == first_before && second == second_before;
        assert!(unchanged, "parents stay as they are: broken at {seed:?} for {first_before:?}");
        changed |= mutant != first;
    }
    assert!(
        changed || seeds.is_empty(),
        "mutation mutates: broken, no seed of {} changed anything",
        seeds.len()
    );
}

/// Law of decoding, for phenotypes that can be compared: equal genotypes give equal phenotypes, also after a detour
/// over JSON.
///
/// # Panics
/// With the name of the law and the seed at which it is broken.
#[track_caller]
pub fn decode_laws<S>(space: &S, seeds: impl IntoIterator<Item = Seed>)
where
    S: SearchSpace,
    S::Phenotype: PartialEq + Debug,
{
    for seed in seeds {
        let member = space.sample(seed);
        let text = serde_json::to_string(&member);
        let stored: S::Genotype = match text.and_then(|text| serde_json::from_str(&text)) {
            Ok(stored) => stored,
            Err(error) => panic!("a genotype survives JSON: broken at {seed:?} for {member:?}: {error}"),
        };
        let first = decodes(space, &member, "a sampled member decodes", seed);
        for again in [&member, &stored] {
            let second = decodes(space, again, "a stored member decodes", seed);
            assert_eq!(first, second, "equal genotypes give equal phenotypes: broken at {seed:?}");
        }
    }
}

#[track_caller]
fn decodes<S: SearchSpace>(space: &S, member: &S::Genotype, law: &str, seed: Seed) -> S::Phenotype {
    match space.decode(member) {
        Ok(phenotype) => phenotype,
        Err(error) => panic!("{law}: broken at {seed:?}, {member:?} is refused: {error}"),
    }
}
