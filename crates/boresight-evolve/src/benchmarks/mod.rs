//! What strategies are measured on: problems with known fronts, and tables of finished evaluations.

mod categorical;
mod csv;
mod problem;
mod table;

pub use categorical::{Categorical, CategoricalSpace, OneGene};
pub use csv::Csv;
pub(crate) use csv::unmarked;
pub use problem::Problem;
pub use table::{Table, TableColumns};
