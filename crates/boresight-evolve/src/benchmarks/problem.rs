//! Multi-objective test problems of real vectors, as their papers state them; all are minimised.

use crate::{Error, RealSpace, RealVector};
use boresight_core::{Context, Direction, Evaluator, Objective, Outcome, Violation};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

/// Objective values, and constraint values that are broken above 0.
type Values = (Vec<f64>, Vec<f64>);

/// A test problem: an evaluator of vectors of its [`space`](Self::space).
///
/// # Source
/// ZDT: Zitzler, Deb, Thiele, *Comparison of multiobjective evolutionary algorithms*, 2000. DTLZ: Deb, Thiele, Laumanns,
/// Zitzler, *Scalable test problems for evolutionary multiobjective optimization*, 2005, with 3 objectives. MW: Ma and
/// Wang, *Evolutionary constrained multiobjective optimization*, 2019. TNK: Tanaka et al., 1995. BNH: Binh and Korn,
/// 1997. OSY: Osyczka and Kundu, 1995.
#[derive(Clone, Debug)]
pub struct Problem {
    name: &'static str,
    space: RealSpace,
    objectives: Vec<Objective>,
    function: fn(&[f64]) -> Values,
}

/// Name, number of objectives, bounds and function of each problem.
type Entry = (&'static str, usize, fn() -> Vec<[f64; 2]>, fn(&[f64]) -> Values);

const PROBLEMS: &[Entry] = &[
    ("zdt1", 2, || unit(30), |x| zdt(x, x[0], zdt_g(x), |ratio| 1.0 - ratio.sqrt())),
    ("zdt2", 2, || unit(30), |x| zdt(x, x[0], zdt_g(x), |ratio| 1.0 - ratio * ratio)),
    ("zdt3", 2, || unit(30), zdt3),
    ("zdt4", 2, zdt4_bounds, zdt4),
    ("zdt6", 2, || unit(10), zdt6),
    ("dtlz1", 3, || unit(7), dtlz1),
    ("dtlz2", 3, || unit(10), |x| free(sphere(&x[..2].map_to(|x| x * FRAC_PI_2), square_g(x)))),
    ("dtlz3", 3, || unit(10), |x| free(sphere(&x[..2].map_to(|x| x * FRAC_PI_2), rastrigin_g(x)))),
    ("dtlz4", 3, || unit(10), |x| free(sphere(&x[..2].map_to(|x| x.powi(100) * FRAC_PI_2), square_g(x)))),
    ("dtlz5", 3, || unit(12), |x| free(sphere(&curve(x, square_g(x)), square_g(x)))),
    ("dtlz6", 3, || unit(12), |x| free(sphere(&curve(x, root_g(x)), root_g(x)))),
    ("dtlz7", 3, || unit(22), dtlz7),
    ("mw7", 2, || unit(15), mw7),
    ("tnk", 2, || vec![[0.0, PI], [1e-30, PI]], tnk),
    ("bnh", 2, || vec![[0.0, 5.0], [0.0, 3.0]], bnh),
    ("osy", 2, osy_bounds, osy),
];

impl Problem {
    /// The problem of this name, such as `zdt1`.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> Result<Self, Error> {
        let found = PROBLEMS.iter().find(|(known, ..)| *known == name);
        let Some(&(name, objectives, bounds, function)) = found else {
            return Err(Error::UnknownProblem { name: name.to_owned(), known: Self::names().join(", ") });
        };
        let objective = |index| Objective::new(format!("f{index}"), "1", Direction::Minimise);
        let objectives = (1..=objectives).map(objective).collect();
        Ok(Self { name, space: RealSpace::new(bounds())?, objectives, function })
    }

    /// The names of all problems.
    pub fn names() -> Vec<&'static str> {
        PROBLEMS.iter().map(|(name, ..)| *name).collect()
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The vectors that it is defined on.
    pub fn space(&self) -> &RealSpace {
        &self.space
    }
}

impl Evaluator<RealVector> for Problem {
    type Error = Infallible;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, vector: &RealVector, _: &Context) -> Result<Outcome, Infallible> {
        if vector.0.len() != self.space.bounds().len() {
            let reason =
                format!("{} values, {} has {}", vector.0.len(), self.name, self.space.bounds().len());
            return Ok(Outcome::Infeasible { violations: Vec::new(), reason });
        }
        let (objectives, constraints) = (self.function)(&vector.0);
        let broken = constraints.into_iter().enumerate().filter(|(_, amount)| *amount > 0.0);
        let violations = broken
            .map(|(index, amount)| Violation { constraint: format!("g{}", index + 1), amount })
            .collect();
        Ok(Outcome::Measured { objectives, violations, attributes: BTreeMap::new() })
    }
}

trait MapTo {
    fn map_to(&self, map: impl Fn(f64) -> f64) -> Vec<f64>;
}

impl MapTo for [f64] {
    fn map_to(&self, map: impl Fn(f64) -> f64) -> Vec<f64> {
        self.iter().map(|&value| map(value)).collect()
    }
}

fn unit(length: usize) -> Vec<[f64; 2]> {
    vec![[0.0, 1.0]; length]
}

/// Objectives without constraints.
fn free(objectives: Vec<f64>) -> Values {
    (objectives, Vec::new())
}

fn zdt_g(x: &[f64]) -> f64 {
    1.0 + 9.0 * x[1..].iter().sum::<f64>() / (x.len() - 1) as f64
}

fn zdt(_: &[f64], first: f64, g: f64, shape: impl Fn(f64) -> f64) -> Values {
    free(vec![first, g * shape(first / g)])
}

fn zdt3(x: &[f64]) -> Values {
    zdt(x, x[0], zdt_g(x), |ratio| 1.0 - ratio.sqrt() - ratio * (10.0 * PI * x[0]).sin())
}

fn zdt4_bounds() -> Vec<[f64; 2]> {
    [[0.0, 1.0]].into_iter().chain(vec![[-5.0, 5.0]; 9]).collect()
}

fn zdt4(x: &[f64]) -> Values {
    let hills = x[1..].iter().map(|x| x * x - 10.0 * (4.0 * PI * x).cos()).sum::<f64>();
    zdt(x, x[0], 1.0 + 10.0 * (x.len() - 1) as f64 + hills, |ratio| 1.0 - ratio.sqrt())
}

fn zdt6(x: &[f64]) -> Values {
    let first = 1.0 - (-4.0 * x[0]).exp() * (6.0 * PI * x[0]).sin().powi(6);
    let g = 1.0 + 9.0 * (x[1..].iter().sum::<f64>() / (x.len() - 1) as f64).powf(0.25);
    zdt(x, first, g, |ratio| 1.0 - ratio * ratio)
}

/// The distance function of DTLZ1 and DTLZ3.
fn rastrigin_g(x: &[f64]) -> f64 {
    let tail = &x[2..];
    let hills = tail.iter().map(|x| (x - 0.5).powi(2) - (20.0 * PI * (x - 0.5)).cos()).sum::<f64>();
    100.0 * (tail.len() as f64 + hills)
}

/// The distance function of DTLZ2, DTLZ4 and DTLZ5.
fn square_g(x: &[f64]) -> f64 {
    x[2..].iter().map(|x| (x - 0.5).powi(2)).sum()
}

/// The distance function of DTLZ6.
fn root_g(x: &[f64]) -> f64 {
    x[2..].iter().map(|x| x.powf(0.1)).sum()
}

/// The angles of DTLZ5 and DTLZ6, whose front is a curve.
fn curve(x: &[f64], g: f64) -> Vec<f64> {
    vec![x[0] * FRAC_PI_2, FRAC_PI_4 / (1.0 + g) * (1.0 + 2.0 * g * x[1])]
}

/// A point of the sphere of radius 1 + g, by its two angles.
fn sphere(angles: &[f64], g: f64) -> Vec<f64> {
    let ((first_sin, first_cos), (second_sin, second_cos)) = (angles[0].sin_cos(), angles[1].sin_cos());
    let radius = 1.0 + g;
    vec![radius * first_cos * second_cos, radius * first_cos * second_sin, radius * first_sin]
}

fn dtlz1(x: &[f64]) -> Values {
    let half = 0.5 * (1.0 + rastrigin_g(x));
    free(vec![half * x[0] * x[1], half * x[0] * (1.0 - x[1]), half * (1.0 - x[0])])
}

fn dtlz7(x: &[f64]) -> Values {
    let tail = &x[2..];
    let g = 1.0 + 9.0 * tail.iter().sum::<f64>() / tail.len() as f64;
    let waves: f64 = x[..2].iter().map(|f| f / (1.0 + g) * (1.0 + (3.0 * PI * f).sin())).sum();
    free(vec![x[0], x[1], (1.0 + g) * (3.0 - waves)])
}

fn mw7(x: &[f64]) -> Values {
    let bends = x.windows(2).map(|pair| 2.0 * (pair[1] + (pair[0] - 0.5).powi(2) - 1.0).powi(2));
    let g = 1.0 + bends.sum::<f64>();
    let first = g * x[0];
    let second = g * (1.0 - (first / g).powi(2)).max(0.0).sqrt();
    let (square, angle) = (first * first + second * second, 4.0 * second.atan2(first));
    let outer = 1.2 + 0.4 * angle.sin().powi(16);
    let inner = 1.15 - 0.2 * angle.sin().powi(8);
    (vec![first, second], vec![square - outer * outer, inner * inner - square])
}

fn tnk(x: &[f64]) -> Values {
    let waves = 0.1 * (16.0 * (x[0] / x[1]).atan()).cos();
    let constraints =
        vec![1.0 + waves - x[0] * x[0] - x[1] * x[1], (x[0] - 0.5).powi(2) + (x[1] - 0.5).powi(2) - 0.5];
    (x.to_vec(), constraints)
}

fn bnh(x: &[f64]) -> Values {
    let objectives = vec![4.0 * (x[0] * x[0] + x[1] * x[1]), (x[0] - 5.0).powi(2) + (x[1] - 5.0).powi(2)];
    let constraints =
        vec![(x[0] - 5.0).powi(2) + x[1] * x[1] - 25.0, 7.7 - (x[0] - 8.0).powi(2) - (x[1] + 3.0).powi(2)];
    (objectives, constraints)
}

fn osy_bounds() -> Vec<[f64; 2]> {
    vec![[0.0, 10.0], [0.0, 10.0], [1.0, 5.0], [0.0, 6.0], [1.0, 5.0], [0.0, 10.0]]
}

fn osy(x: &[f64]) -> Values {
    let centre = [(25.0, 2.0), (1.0, 2.0), (1.0, 1.0), (1.0, 4.0), (1.0, 1.0)];
    let first: f64 = centre.iter().zip(x).map(|((weight, at), x)| weight * (x - at).powi(2)).sum();
    let second = x.iter().map(|x| x * x).sum();
    let constraints = vec![
        2.0 - x[0] - x[1],
        x[0] + x[1] - 6.0,
        x[1] - x[0] - 2.0,
        x[0] - 3.0 * x[1] - 2.0,
        (x[2] - 3.0).powi(2) + x[3] - 4.0,
        4.0 - (x[4] - 3.0).powi(2) - x[5],
    ];
    (vec![-first, second], constraints)
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::{SearchSpace, Seed};
    use boresight_testkit::evaluator_laws;

    fn values(name: &str, x: &[f64]) -> Values {
        (Problem::named(name).unwrap().function)(x)
    }

    fn close(found: &[f64], expected: &[f64]) -> bool {
        found.len() == expected.len()
            && found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-12)
    }

    /// A vector with `head` and then `tail` repeated.
    fn vector(head: &[f64], tail: f64, length: usize) -> Vec<f64> {
        head.iter().copied().chain(std::iter::repeat(tail)).take(length).collect()
    }

    #[test]
    fn optimal_vectors_lie_on_the_published_fronts() {
        let quarter = vector(&[0.25], 0.0, 30);
        assert!(close(&values("zdt1", &quarter).0, &[0.25, 0.5]));
        assert!(close(&values("zdt2", &quarter).0, &[0.25, 1.0 - 0.0625]));
        assert!(close(&values("zdt3", &quarter).0, &[0.25, 0.25]));
        assert!(close(&values("zdt4", &quarter[..10]).0, &[0.25, 0.5]));
        let six = values("zdt6", &quarter[..10]).0;
        assert!(close(&six, &[1.0 - (-1.0_f64).exp(), 1.0 - (1.0 - (-1.0_f64).exp()).powi(2)]));
        assert!((values("dtlz1", &vector(&[0.3, 0.7], 0.5, 7)).0.iter().sum::<f64>() - 0.5).abs() < 1e-12);
        for (name, tail, length) in [
            ("dtlz2", 0.5, 10),
            ("dtlz3", 0.5, 10),
            ("dtlz4", 0.5, 10),
            ("dtlz5", 0.5, 12),
            ("dtlz6", 0.0, 12),
        ] {
            let point = values(name, &vector(&[0.3, 0.9], tail, length)).0;
            assert!((point.iter().map(|f| f * f).sum::<f64>() - 1.0).abs() < 1e-12, "{name}");
        }
        assert!(close(&values("dtlz7", &vector(&[0.0, 0.0], 0.0, 22)).0, &[0.0, 0.0, 6.0]));
    }

    #[test]
    fn constrained_problems_have_their_hand_computed_values() {
        // g = 1 where every x is what the one before asks for: x2 = 1 - (x1 - 0.5)², and so on.
        let mut x = vec![1.0];
        (1..15).for_each(|at| x.push(1.0 - (x[at - 1] - 0.5_f64).powi(2)));
        let (objectives, constraints) = values("mw7", &x);
        assert!(
            close(&objectives, &[1.0, 0.0]) && close(&constraints, &[1.0 - 1.44, 1.15_f64.powi(2) - 1.0])
        );
        assert!(close(&values("tnk", &[1.0, 1.0]).1, &[1.0 + 0.1 * (4.0 * PI).cos() - 2.0, 0.0]));
        let (objectives, constraints) = values("bnh", &[1.0, 2.0]);
        assert!(close(&objectives, &[20.0, 25.0]) && close(&constraints, &[-5.0, 7.7 - 49.0 - 25.0]));
        let (objectives, constraints) = values("osy", &[5.0, 1.0, 2.0, 0.0, 5.0, 10.0]);
        // 25 x 9 + 1 + 1 + 16 + 16 and 25 + 1 + 4 + 0 + 25 + 100.
        assert!(close(&objectives, &[-259.0, 155.0]));
        assert!(close(&constraints, &[-4.0, 0.0, -6.0, 0.0, -3.0, -10.0]));
    }

    #[test]
    fn every_problem_keeps_the_laws_of_evaluators() {
        for name in Problem::names() {
            let problem = Problem::named(name).unwrap();
            for seed in (0..20).map(Seed::new) {
                evaluator_laws(&problem, &problem.space().sample(seed), [Context::new(seed)]);
            }
        }
        assert!(Problem::named("zdt9").unwrap_err().to_string().contains("zdt1, zdt2"));
    }

    #[test]
    fn a_vector_of_another_length_is_no_member() {
        let problem = Problem::named("bnh").unwrap();
        let verdict = problem.evaluate(&RealVector(vec![1.0]), &Context::new(Seed::new(1))).unwrap();
        assert!(matches!(verdict, Outcome::Infeasible { .. }));
    }
}
