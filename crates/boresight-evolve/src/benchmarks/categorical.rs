//! Genotypes of named choices: those of a table's gene columns.

use crate::Error;
use crate::parts::Neighbourhood;
use boresight_core::{Evolvable, SearchSpace, Seed};
use serde::{Deserialize, Serialize};

/// One choice for each gene, by its index.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Categorical(pub Vec<u16>);

/// All combinations of so many choices for each gene.
///
/// A mutant differs in one gene; a child has each gene from either parent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoricalSpace {
    choices: Vec<u16>,
}

impl CategoricalSpace {
    /// Genes with so many choices each.
    ///
    /// # Errors
    /// When there is no gene, or one without a choice.
    pub fn new(choices: Vec<u16>) -> Result<Self, Error> {
        match choices.iter().position(|&count| count == 0) {
            None if !choices.is_empty() => Ok(Self { choices }),
            gene => Err(Error::NoChoice { gene: gene.unwrap_or(0) }),
        }
    }

    /// How many choices each gene has.
    pub fn choices(&self) -> &[u16] {
        &self.choices
    }

    /// How many combinations there are; `None` above what a `u64` holds.
    pub fn size(&self) -> Option<u64> {
        self.choices.iter().try_fold(1_u64, |size, &count| size.checked_mul(u64::from(count)))
    }

    /// Every genotype that differs from `genotype` in one gene, by gene and choice.
    pub fn neighbours(&self, genotype: &Categorical) -> Vec<Categorical> {
        let changed = |(gene, &count): (usize, &u16)| {
            let own = genotype.0[gene];
            (0..count).filter(move |choice| *choice != own).map(move |choice| {
                let mut neighbour = genotype.clone();
                neighbour.0[gene] = choice;
                neighbour
            })
        };
        self.choices.iter().enumerate().flat_map(changed).collect()
    }

    /// A genotype as numbers: for each gene one 1 among zeros.
    pub fn one_hot(&self, genotype: &Categorical) -> Vec<f64> {
        let genes = genotype.0.iter().zip(&self.choices);
        genes.flat_map(|(&own, &count)| (0..count).map(move |at| f64::from(u8::from(at == own)))).collect()
    }
}

/// All that differ from a genotype in one gene, as neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OneGene;

impl Neighbourhood<CategoricalSpace> for OneGene {
    fn neighbours(&self, space: &CategoricalSpace, genotype: &Categorical, _: Seed) -> Vec<Categorical> {
        space.neighbours(genotype)
    }
}

impl Neighbourhood<&CategoricalSpace> for OneGene {
    fn neighbours(&self, space: &&CategoricalSpace, genotype: &Categorical, _: Seed) -> Vec<Categorical> {
        space.neighbours(genotype)
    }
}

impl SearchSpace for CategoricalSpace {
    type Genotype = Categorical;
    type Phenotype = Categorical;
    type Error = Error;

    fn sample(&self, seed: Seed) -> Categorical {
        let mut stream = seed.stream();
        let choose = |count: &u16| u16::try_from(stream.below(usize::from(*count))).unwrap_or(0);
        Categorical(self.choices.iter().map(choose).collect())
    }

    fn decode(&self, genotype: &Categorical) -> Result<Categorical, Error> {
        let (expected, found) = (self.choices.len(), genotype.0.len());
        if expected != found {
            return Err(Error::Length { expected, found });
        }
        match genotype.0.iter().zip(&self.choices).position(|(choice, count)| choice >= count) {
            Some(index) => Err(Error::Outside { index, value: genotype.0[index].to_string() }),
            None => Ok(genotype.clone()),
        }
    }
}

impl Evolvable for CategoricalSpace {
    fn mutate(&self, genotype: &Categorical, seed: Seed) -> Categorical {
        let mut stream = seed.stream();
        let open: Vec<usize> = (0..self.choices.len()).filter(|&gene| self.choices[gene] > 1).collect();
        let mut mutant = genotype.clone();
        if let Some(&gene) = stream.pick(&open) {
            let others = usize::from(self.choices[gene]) - 1;
            let choice = u16::try_from(stream.below(others)).unwrap_or(0);
            mutant.0[gene] = choice + u16::from(choice >= genotype.0[gene]);
        }
        mutant
    }

    fn crossover(&self, first: &Categorical, second: &Categorical, seed: Seed) -> Categorical {
        let mut stream = seed.stream();
        let pairs = first.0.iter().zip(&second.0);
        Categorical(pairs.map(|(&one, &other)| if stream.chance(0.5) { one } else { other }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_testkit::evolvable_laws;

    fn space() -> CategoricalSpace {
        CategoricalSpace::new(vec![3, 1, 2]).unwrap()
    }

    #[test]
    fn choices_keep_the_laws_of_spaces() {
        evolvable_laws(&space(), (0..40).map(Seed::new));
    }

    #[test]
    fn neighbours_differ_in_one_gene_and_mutants_are_among_them() {
        let genotype = Categorical(vec![1, 0, 1]);
        let neighbours = space().neighbours(&genotype);
        let expected = [[0, 0, 1], [2, 0, 1], [1, 0, 0]].map(|genes| Categorical(genes.to_vec()));
        assert_eq!(neighbours, expected);
        assert!((0..50).all(|seed| neighbours.contains(&space().mutate(&genotype, Seed::new(seed)))));
    }

    #[test]
    fn each_gene_becomes_one_among_zeros() {
        assert_eq!(space().one_hot(&Categorical(vec![2, 0, 1])), [0.0, 0.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(space().size(), Some(6));
    }

    #[test]
    fn what_is_no_member_is_not_decoded() {
        let decode = |genes: &[u16]| space().decode(&Categorical(genes.to_vec()));
        assert_eq!(decode(&[2, 0]), Err(Error::Length { expected: 3, found: 2 }));
        assert_eq!(decode(&[2, 1, 0]), Err(Error::Outside { index: 1, value: "1".into() }));
        assert!(decode(&[2, 0, 1]).is_ok());
    }

    #[test]
    fn genes_without_a_choice_are_refused() {
        assert!(CategoricalSpace::new(vec![]).is_err() && CategoricalSpace::new(vec![2, 0]).is_err());
    }
}
