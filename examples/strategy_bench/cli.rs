//! The command line: what is measured on what, and the files that it needs.

use crate::bench::{Bench, RealBench, TableBench};
use crate::measures::{Measured, Target};
use boresight::core::{Evaluator, Objective, Seed};
use boresight::evolve::benchmarks::{Csv, Problem, Table, TableColumns};
use boresight::evolve::pareto::read_front;
use clap::{Parser, ValueEnum};
use serde::Deserialize;
use std::error::Error;
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// Measures search strategies on benchmark problems and on tables of finished evaluations.
#[derive(Debug, Parser)]
#[command(name = "strategy_bench", version)]
pub(crate) struct Cli {
    /// zdt1 to zdt4, zdt6, dtlz1 to dtlz7, mw7, tnk, bnh, osy, nas-bench-macro:FILE or table:FILE.
    #[arg(long)]
    problem: String,

    /// What searches.
    #[arg(long, value_enum)]
    pub(crate) strategy: StrategyName,

    /// Evaluations of each run.
    #[arg(long, value_parser = at_least::<1>, value_name = "N")]
    pub(crate) evaluations: usize,

    /// Members that live at once.
    #[arg(long, default_value_t = 100, value_parser = at_least::<2>, value_name = "P")]
    pub(crate) population: usize,

    /// Runs, with the seeds 1 to K.
    #[arg(long, default_value_t = 1, value_parser = at_least::<1>, value_name = "K")]
    seeds: usize,

    /// Members of a tournament of aging evolution; default: 10, at most half of the population.
    #[arg(long, value_parser = at_least::<1>, value_name = "N")]
    pub(crate) sample: Option<usize>,

    /// Trials that wait for their verdict at once: evolution then breeds in a steady state, children one by one.
    /// Default: in generations; aging evolution always breeds one by one.
    #[arg(long, value_parser = at_least::<1>, value_name = "N", verbatim_doc_comment)]
    pub(crate) waiting: Option<usize>,

    /// File with the reference point of each problem: a list of objects with "problem" and "ref".
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,

    /// CSV file with a reference front for IGD+: a point a line, under a header or without.
    /// Default: pf/PROBLEM.csv beside the reference file, if it is there.
    #[arg(long, value_name = "FILE", verbatim_doc_comment)]
    front: Option<PathBuf>,

    /// Numbers of evaluations at which the best value of one objective is noted.
    #[arg(long, value_delimiter = ',', value_name = "N,...")]
    at: Vec<usize>,

    /// Value of one objective that shall be reached. Default: the best of the table.
    #[arg(long, allow_negative_numbers = true, value_name = "VALUE")]
    target: Option<f64>,

    /// Column that names a row.
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,

    /// Categorical columns that are the genes.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    genes: Vec<String>,

    /// Columns to maximise.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    maximise: Vec<String>,

    /// Columns to minimise.
    #[arg(long, value_delimiter = ',', value_name = "COLUMN,...")]
    minimise: Vec<String>,

    /// Prints one object of JSON, with the value of each run.
    #[arg(long)]
    json: bool,
}

/// What searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StrategyName {
    /// The paper's genetic algorithm.
    Ga,
    /// Independent samples.
    Random,
    /// NSGA-II.
    Nsga2,
    /// NSGA-III, with the largest lattice of reference directions that the population covers.
    Nsga3,
    /// Aging evolution.
    Aging,
    /// Local search with restarts.
    Local,
    /// Guided by a Gaussian process.
    Guided,
}

/// An entry of the reference file.
#[derive(Deserialize)]
struct Entry {
    problem: String,
    /// Some problems are listed without one.
    #[serde(rename = "ref")]
    reference: Option<Vec<f64>>,
}

impl Cli {
    /// What is printed.
    pub(crate) fn run(&self) -> Result<String, Box<dyn Error>> {
        match self.problem.split_once(':') {
            Some(("nas-bench-macro", file)) => {
                self.on_table(Table::nas_bench_macro(&csv(Path::new(file))?), file)
            }
            Some(("table", file)) => {
                let columns = TableColumns {
                    key: self.key.clone(),
                    genes: self.genes.clone(),
                    maximise: self.maximise.clone(),
                    minimise: self.minimise.clone(),
                };
                self.on_table(Table::new(&csv(Path::new(file))?, &columns), file)
            }
            _ => {
                let problem = Problem::named(&self.problem).map_err(|error| format!("--problem: {error}"))?;
                let space = problem.space();
                self.measure(&RealBench { space, problem: &problem }, None)
            }
        }
    }

    fn on_table(
        &self,
        table: Result<Table, boresight::evolve::Error>,
        file: &str,
    ) -> Result<String, Box<dyn Error>> {
        let table = table.map_err(|error| format!("--problem: {file}: {error}"))?;
        let objective = &table.objectives()[0];
        let best = table
            .values()
            .map(|values| values[0])
            .reduce(|best, value| if objective.direction.prefers(value, best) { value } else { best });
        self.measure(&TableBench { space: table.space(), table: &table }, best)
    }

    fn measure<B: Bench>(&self, bench: &B, best: Option<f64>) -> Result<String, Box<dyn Error>> {
        let objectives = bench.evaluator().objectives();
        let reference = self.reference_point(objectives.len())?;
        let front = self.reference_front(objectives)?;
        let target = match self.target.or(best) {
            Some(value) if objectives.len() == 1 => Some(Target { value, at: self.at.clone() }),
            _ => None,
        };
        let runs = (1..=self.seeds as u64).map(|seed| bench.run(self, Seed::new(seed)));
        let runs = runs.collect::<Result<Vec<_>, _>>()?;
        let measured =
            Measured::of(&runs, objectives, reference.as_deref(), front.as_deref(), target.as_ref());
        let name = format!("{:?}", self.strategy).to_lowercase();
        if self.json {
            let about = serde_json::json!({
                "problem": self.problem, "strategy": name, "evaluations": self.evaluations,
                "population": self.population, "seeds": self.seeds,
            });
            return Ok(measured.json(about).to_string());
        }
        Ok(format!(
            "{} on {}: {} evaluations, population {}, {} seeds\n{measured}",
            name, self.problem, self.evaluations, self.population, self.seeds
        ))
    }

    fn reference_point(&self, objectives: usize) -> Result<Option<Vec<f64>>, Box<dyn Error>> {
        let Some(path) = &self.reference else { return Ok(None) };
        let about = |error: &dyn Error| format!("--reference: {}: {error}", path.display());
        let text = read_to_string(path).map_err(|error| about(&error))?;
        let entries: Vec<Entry> = serde_json::from_str(&text).map_err(|error| about(&error))?;
        let entry = entries.into_iter().find(|entry| entry.problem == self.problem);
        let Some(point) = entry.and_then(|entry| entry.reference) else {
            return Err(format!("--reference: {} has no point for {}", path.display(), self.problem).into());
        };
        if point.len() != objectives {
            let found = point.len();
            return Err(format!(
                "--reference: {}: {found} values for {objectives} objectives of {}",
                path.display(),
                self.problem
            )
            .into());
        }
        Ok(Some(point))
    }

    fn reference_front(&self, objectives: &[Objective]) -> Result<Option<Vec<Vec<f64>>>, Box<dyn Error>> {
        let beside = self.reference.as_ref().and_then(|path| path.parent());
        let beside = beside.map(|folder| folder.join("pf").join(format!("{}.csv", self.problem)));
        let Some(path) = self.front.clone().or(beside.filter(|path| path.is_file())) else { return Ok(None) };
        let about = |error: &dyn Error| format!("--front: {}: {error}", path.display());
        let text = read_to_string(&path).map_err(|error| about(&error))?;
        Ok(Some(read_front(&text, objectives).map_err(|error| about(&error))?))
    }
}

fn csv(path: &Path) -> Result<Csv, Box<dyn Error>> {
    let text = read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(Csv::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn at_least<const LEAST: usize>(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "it must be a whole number".to_owned())?;
    if number < LEAST { Err(format!("it must be at least {LEAST}")) } else { Ok(number) }
}
