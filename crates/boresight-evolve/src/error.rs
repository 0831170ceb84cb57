//! The rules that settings must keep.

/// Why a strategy cannot be built from its settings.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A population of fewer than two members has nothing to cross.
    #[error("a population needs at least 2 members, not {population}")]
    Population {
        /// The population that was given.
        population: usize,
    },
    /// The first population counts as generation 1, so none at all is no search.
    #[error("a search needs at least 1 generation, not 0")]
    NoGenerations,
    /// The elites fill the population.
    #[error("{elites} elites leave no room for new trials in a population of {population}")]
    Elites {
        /// The elites that were given.
        elites: usize,
        /// The population that was given.
        population: usize,
    },
    /// A share or probability is outside 0..=1.
    #[error("{setting} must be between 0 and 1, {value} is not")]
    Share {
        /// The setting's name.
        setting: &'static str,
        /// What it was given.
        value: f64,
    },
    /// The mating pool is empty.
    #[error("mating_pool must be above 0: without parents there are no children")]
    NoParents,
    /// The target frame rate is not a positive number.
    #[error("the target of {target_fps} frames a second is not a positive number")]
    TargetFps {
        /// The target that was given.
        target_fps: f64,
    },
    /// A weight of the fitness is not a finite number.
    #[error("the fitness weight {weight} must be a finite number, {value} is not")]
    Weight {
        /// The weight's name.
        weight: &'static str,
        /// What it was given.
        value: f64,
    },
    /// One objective is read as both mIoU and frame rate.
    #[error("the fitness reads objective {index} both as mIoU and as frames a second")]
    SameObjective {
        /// The objective's index.
        index: usize,
    },
    /// A Pareto ranking of no objectives.
    #[error("a Pareto ranking needs at least 1 objective")]
    NoObjectives,
    /// A random search that may not try anything.
    #[error("a random search needs a budget of at least 1 trial, not 0")]
    NoBudget,
    /// A population that breeds nothing.
    #[error("a generation needs at least 1 offspring, not 0")]
    NoOffspring,
    /// A strategy that may have no trial waiting can never ask.
    #[error("at least 1 trial must be allowed to wait for its verdict, not 0")]
    NothingWaits,
    /// A setting that must be at least 1 is 0.
    #[error("{setting} must be at least 1, not 0")]
    Zero {
        /// The setting's name.
        setting: &'static str,
    },
    /// A setting that must be at least 2 is less.
    #[error("{setting} must be at least 2")]
    BelowTwo {
        /// The setting's name.
        setting: &'static str,
    },
    /// A rung that everybody passes halves nothing.
    #[error("the reduction must be at least 2, not {reduction}")]
    Reduction {
        /// What was given.
        reduction: usize,
    },
    /// More rungs than fidelities can be told apart.
    #[error("at most 64 rungs are possible, not {rungs}")]
    Rungs {
        /// What was given.
        rungs: u32,
    },
    /// Reference directions that do not make niches.
    #[error(
        "{count} reference directions: they must be some, of one length, finite, not negative and not all zeros"
    )]
    ReferenceDirections {
        /// How many were given.
        count: usize,
    },
    /// Reference directions of another dimension than the objectives.
    #[error("reference directions have {found} values, the ranking has {expected} objectives")]
    DirectionLength {
        /// How many objectives there are.
        expected: usize,
        /// How many values a direction has.
        found: usize,
    },
    /// A part that compares objectives was given a fitness.
    #[error("survival by niches needs a Pareto ranking, not a fitness")]
    NeedsPareto,
    /// Two numbers that bound nothing.
    #[error("value {index} has the bounds {low} and {high}, which are no finite range")]
    Bounds {
        /// The value's index.
        index: usize,
        /// Its lower bound.
        low: f64,
        /// Its upper bound.
        high: f64,
    },
    /// A genotype of another length than its space has.
    #[error("a genotype of {found} values is no member of a space of {expected}")]
    Length {
        /// How many values the space has.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A value that its space does not have.
    #[error("value {index} of a genotype is {value}, which the space does not have")]
    Outside {
        /// The value's index.
        index: usize,
        /// The value.
        value: String,
    },
    /// The name belongs to no test problem.
    #[error("`{name}` is no test problem, choose one of {known}")]
    UnknownProblem {
        /// The name that was given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A gene that cannot be chosen.
    #[error("gene {gene} has no choice")]
    NoChoice {
        /// The gene's index.
        gene: usize,
    },
    /// More different values in a gene column than can be numbered.
    #[error("a gene column has more than 65,535 different values")]
    TooManyChoices,
    /// A table without a first line.
    #[error("the table has no header")]
    NoHeader,
    /// A table without rows, genes or objectives.
    #[error("a table needs at least 1 row, 1 gene and 1 objective")]
    EmptyTable,
    /// Two columns share a name.
    #[error("column `{column}` stands in the header twice")]
    ColumnTwice {
        /// The name.
        column: String,
    },
    /// A column that is asked for is not there.
    #[error("there is no column `{column}`, only {known}")]
    NoColumn {
        /// The name that was given.
        column: String,
        /// Those that there are.
        known: String,
    },
    /// A row is too short or too long.
    #[error("line {line} has {found} fields, the header has {expected}")]
    Fields {
        /// The line, counted from 1.
        line: usize,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A quote is not closed, or something follows it.
    #[error("line {line} has a quote that does not end a field")]
    Quote {
        /// The line, counted from 1.
        line: usize,
    },
    /// A field that must be a number is none.
    #[error("line {line}, column `{column}`: `{text}` is no finite number")]
    NoNumber {
        /// The line, counted from 1.
        line: usize,
        /// The column.
        column: String,
        /// What stands there.
        text: String,
    },
    /// Two rows describe one genotype.
    #[error("line {line} has the genes `{genes}` of an earlier line")]
    RowTwice {
        /// The line, counted from 1.
        line: usize,
        /// The genes.
        genes: String,
    },
    /// The name belongs to no fitness form.
    #[error(
        "`{name}` is no fitness form, choose weighted-exponential, multiplicative, logarithmic, sigmoid or stepwise"
    )]
    UnknownForm {
        /// The name that was given.
        name: String,
    },
}
