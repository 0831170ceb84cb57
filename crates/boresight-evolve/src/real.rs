//! Vectors of real numbers: a search space, and the field's usual variation of it.

use crate::Error;
use crate::parts::{Crossover, Mutation};
use boresight_core::{Evolvable, SearchSpace, Seed, Stream};
use serde::{Deserialize, Serialize};
use std::hash::{Hash, Hasher};

/// A vector of finite numbers; two are equal when all their bits are.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RealVector(pub Vec<f64>);

impl PartialEq for RealVector {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(left, right)| left.to_bits() == right.to_bits())
    }
}

impl Eq for RealVector {}

impl Hash for RealVector {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|value| value.to_bits().hash(state));
    }
}

/// A box of real vectors.
#[derive(Clone, Debug, PartialEq)]
pub struct RealSpace {
    bounds: Vec<[f64; 2]>,
}

impl RealSpace {
    /// Vectors with each value between its two bounds.
    ///
    /// # Errors
    /// When a bound is not finite or an upper one lies below its lower one.
    pub fn new(bounds: Vec<[f64; 2]>) -> Result<Self, Error> {
        let broken =
            bounds.iter().position(|[low, high]| !(low <= high && low.is_finite() && high.is_finite()));
        match broken {
            Some(index) => Err(Error::Bounds { index, low: bounds[index][0], high: bounds[index][1] }),
            None => Ok(Self { bounds }),
        }
    }

    /// The lower and upper bound of each value.
    pub fn bounds(&self) -> &[[f64; 2]] {
        &self.bounds
    }
}

/// A space of real vectors in a box, itself or behind a reference.
pub trait Bounded: SearchSpace<Genotype = RealVector> {
    /// The lower and upper bound of each value.
    fn limits(&self) -> &[[f64; 2]];
}

impl Bounded for RealSpace {
    fn limits(&self) -> &[[f64; 2]] {
        &self.bounds
    }
}

impl<S: Bounded> Bounded for &S {
    fn limits(&self) -> &[[f64; 2]] {
        (**self).limits()
    }
}

impl SearchSpace for RealSpace {
    type Genotype = RealVector;
    type Phenotype = RealVector;
    type Error = Error;

    fn sample(&self, seed: Seed) -> RealVector {
        let mut stream = seed.stream();
        RealVector(self.bounds.iter().map(|&[low, high]| stream.uniform(low, high)).collect())
    }

    fn decode(&self, genotype: &RealVector) -> Result<RealVector, Error> {
        let (expected, found) = (self.bounds.len(), genotype.0.len());
        if expected != found {
            return Err(Error::Length { expected, found });
        }
        let inside = |(value, [low, high]): (&f64, &[f64; 2])| low <= value && value <= high;
        match genotype.0.iter().zip(&self.bounds).position(|pair| !inside(pair)) {
            Some(index) => Err(Error::Outside { index, value: genotype.0[index].to_string() }),
            None => Ok(genotype.clone()),
        }
    }
}

/// Varies as [`SimulatedBinary`] and [`Polynomial`] do by default.
impl Evolvable for RealSpace {
    fn mutate(&self, genotype: &RealVector, seed: Seed) -> RealVector {
        Polynomial::default().mutate(self, genotype, seed)
    }

    fn crossover(&self, first: &RealVector, second: &RealVector, seed: Seed) -> RealVector {
        let [child, _] = SimulatedBinary::default().cross(self, [first, second], seed);
        child
    }
}

/// Simulated binary crossover within bounds.
///
/// # Source
/// Deb and Agrawal, *Simulated binary crossover for continuous search space*, 1995; the bounds as in Deb, *An efficient
/// constraint handling method for genetic algorithms*, 2000, and its published program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SimulatedBinary {
    /// The probability that parents are crossed at all; children are copies otherwise.
    pub probability: f64,
    /// The distribution index, above 0; more keeps children nearer to their parents.
    pub index: f64,
    /// The probability that a value takes part.
    pub per_value: f64,
}

impl Default for SimulatedBinary {
    fn default() -> Self {
        Self { probability: 0.9, index: 15.0, per_value: 0.5 }
    }
}

impl SimulatedBinary {
    /// The two values that come of two different ones, the lower first.
    fn spread(&self, [low, high]: [f64; 2], [least, most]: [f64; 2], draw: f64) -> [f64; 2] {
        let width = high - low;
        let factor = |room: f64| {
            let alpha = 2.0 - (1.0 + 2.0 * room / width).powf(-(self.index + 1.0));
            let base = if draw <= 1.0 / alpha { draw * alpha } else { 1.0 / (2.0 - draw * alpha) };
            base.powf(1.0 / (self.index + 1.0))
        };
        let middle = low + high;
        [
            (0.5 * (middle - factor(low - least) * width)).clamp(least, most),
            (0.5 * (middle + factor(most - high) * width)).clamp(least, most),
        ]
    }

    fn cross_value(&self, pair: [f64; 2], bounds: [f64; 2], stream: &mut Stream) -> [f64; 2] {
        let [first, second] = pair;
        if (first - second).abs() <= 1e-14 || bounds[1] <= bounds[0] {
            return pair;
        }
        let children = self.spread([first.min(second), first.max(second)], bounds, stream.unit());
        if stream.chance(0.5) { children } else { [children[1], children[0]] }
    }
}

impl<S: Bounded> Crossover<S> for SimulatedBinary {
    fn cross(&self, space: &S, [first, second]: [&RealVector; 2], seed: Seed) -> [RealVector; 2] {
        let mut stream = seed.stream();
        let mut children = [first.clone(), second.clone()];
        if stream.chance(self.probability) {
            for (at, &bounds) in space.limits().iter().enumerate() {
                if stream.chance(self.per_value) {
                    let pair = [first.0[at], second.0[at]];
                    let [one, other] = self.cross_value(pair, bounds, &mut stream);
                    (children[0].0[at], children[1].0[at]) = (one, other);
                }
            }
        }
        children
    }
}

/// Polynomial mutation within bounds.
///
/// # Source
/// Deb and Goyal, *A combined genetic adaptive search for engineering design*, 1996; the bounds as in Deb, *An efficient
/// constraint handling method for genetic algorithms*, 2000, and its published program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    /// The probability that a vector is mutated at all.
    pub probability: f64,
    /// The distribution index, above 0; more makes smaller steps.
    pub index: f64,
    /// The probability that a value of a mutated vector changes; `None`: one over the number of values, at most a half.
    pub per_value: Option<f64>,
}

impl Default for Polynomial {
    fn default() -> Self {
        Self { probability: 0.9, index: 20.0, per_value: None }
    }
}

impl Polynomial {
    fn step(&self, value: f64, [low, high]: [f64; 2], draw: f64) -> f64 {
        let width = high - low;
        let power = self.index + 1.0;
        let share = if draw <= 0.5 {
            let room = 1.0 - (value - low) / width;
            (2.0 * draw + (1.0 - 2.0 * draw) * room.powf(power)).powf(1.0 / power) - 1.0
        } else {
            let room = 1.0 - (high - value) / width;
            1.0 - (2.0 * (1.0 - draw) + 2.0 * (draw - 0.5) * room.powf(power)).powf(1.0 / power)
        };
        (value + share * width).clamp(low, high)
    }
}

impl<S: Bounded> Mutation<S> for Polynomial {
    fn mutate(&self, space: &S, genotype: &RealVector, seed: Seed) -> RealVector {
        let mut stream = seed.stream();
        let mut mutant = genotype.clone();
        if !stream.chance(self.probability) {
            return mutant;
        }
        let per_value = self.per_value.unwrap_or_else(|| (1.0 / genotype.0.len() as f64).min(0.5));
        for (value, &bounds) in mutant.0.iter_mut().zip(space.limits()) {
            if stream.chance(per_value) && bounds[1] > bounds[0] {
                *value = self.step(*value, bounds, stream.unit());
            }
        }
        mutant
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_testkit::evolvable_laws;
    use proptest::prelude::*;

    fn space() -> RealSpace {
        RealSpace::new(vec![[0.0, 1.0], [-5.0, 5.0], [2.0, 2.0], [1e-30, 3.0]]).unwrap()
    }

    #[test]
    fn real_vectors_keep_the_laws_of_spaces() {
        evolvable_laws(&space(), (0..40).map(Seed::new));
    }

    #[test]
    fn what_is_no_member_is_not_decoded() {
        let decode = |values: &[f64]| space().decode(&RealVector(values.to_vec())).is_ok();
        assert!(decode(&[0.5, 0.0, 2.0, 1.0]) && !decode(&[0.5, 0.0, 2.0]));
        assert!(!decode(&[0.5, 6.0, 2.0, 1.0]) && !decode(&[f64::NAN, 0.0, 2.0, 1.0]));
    }

    #[test]
    fn bounds_that_are_none_are_refused() {
        assert!(RealSpace::new(vec![[0.0, 1.0], [2.0, 1.0]]).is_err());
        assert!(
            RealSpace::new(vec![[0.0, f64::INFINITY]]).is_err()
                && RealSpace::new(vec![[f64::NAN, 1.0]]).is_err()
        );
    }

    proptest! {
        #[test]
        fn children_stay_in_the_box(seed: u64) {
            let (space, seed) = (space(), Seed::new(seed));
            let [first, second] = [0, 1].map(|index| space.sample(seed.derive("parent", index)));
            let [one, other] = SimulatedBinary::default().cross(&space, [&first, &second], seed);
            let mutants = [one, other].map(|child| Polynomial { per_value: Some(1.0), ..Polynomial::default() }.mutate(&space, &child, seed));
            for mutant in mutants {
                for (value, [low, high]) in mutant.0.iter().zip(space.bounds()) {
                    prop_assert!(low <= value && value <= high);
                }
            }
        }

        #[test]
        fn without_bounds_in_the_way_crossover_keeps_the_mean(seed: u64) {
            let wide = RealSpace::new(vec![[-1e9, 1e9]]).unwrap();
            let pair = [RealVector(vec![1.0]), RealVector(vec![2.0])];
            let [one, other] = SimulatedBinary::default().cross(&wide, [&pair[0], &pair[1]], Seed::new(seed));
            prop_assert!((one.0[0] + other.0[0] - 3.0).abs() < 1e-6);
        }
    }
}
