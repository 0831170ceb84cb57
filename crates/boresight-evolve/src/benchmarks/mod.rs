//! What strategies are measured on: problems with known fronts, and tables of finished evaluations.
//!
//! # Examples
//! A table of your own is a space and its evaluator:
//! ```
//! use boresight_core::{Context, Evaluator, SearchSpace, Seed};
//! use boresight_evolve::benchmarks::{Csv, Table, TableColumns};
//!
//! let csv = Csv::parse("op1,op2,accuracy,ms\nconv,skip,90,2\nconv,pool,80,1\n")?;
//! let columns = TableColumns {
//!     genes: vec!["op1".into(), "op2".into()],
//!     maximise: vec!["accuracy".into()],
//!     minimise: vec!["ms".into()],
//!     ..TableColumns::default()
//! };
//! let table = Table::new(&csv, &columns)?;
//! let genotype = table.space().sample(Seed::new(1));
//! let Ok(verdict) = table.evaluate(&genotype, &Context::new(Seed::new(1)));
//! assert!(verdict.objectives().is_some_and(|values| values[0] >= 80.0));
//! # Ok::<(), boresight_evolve::Error>(())
//! ```

mod categorical;
mod csv;
mod problem;
mod table;

pub use categorical::{Categorical, CategoricalSpace, OneGene};
pub use csv::Csv;
pub(crate) use csv::unmarked;
pub use problem::Problem;
pub use table::{Table, TableColumns};
