//! Finished evaluations as an evaluator: a tabular benchmark.

use super::{Categorical, CategoricalSpace, Csv};
use crate::Error;
use boresight_core::{Context, Direction, Evaluator, Objective, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

/// Which columns of a table say what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableColumns {
    /// The column that names a row, for reports; the genes name it where there is none.
    pub key: Option<String>,
    /// The columns of the genes: what differs in them are the choices, in ascending order.
    pub genes: Vec<String>,
    /// The columns to maximise.
    pub maximise: Vec<String>,
    /// The columns to minimise; they come behind those to maximise.
    pub minimise: Vec<String>,
}

/// A tabular benchmark: the space of its genes, and the values of each row. A combination that has no row is
/// infeasible.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    space: CategoricalSpace,
    objectives: Vec<Objective>,
    rows: BTreeMap<Categorical, Row>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    key: String,
    values: Vec<f64>,
}

impl Table {
    /// The benchmark in a table with a column for each gene, such as one made of NAS-Bench-201.
    ///
    /// # Errors
    /// When a column is missing, there are no genes, objectives or rows, a value is no finite number, or two rows have
    /// the same genes.
    pub fn new(csv: &Csv, columns: &TableColumns) -> Result<Self, Error> {
        let index =
            |names: &[String]| names.iter().map(|name| csv.column(name)).collect::<Result<Vec<_>, _>>();
        let (genes, key) =
            (index(&columns.genes)?, columns.key.as_deref().map(|key| csv.column(key)).transpose()?);
        let values = [index(&columns.maximise)?, index(&columns.minimise)?].concat();
        let names = columns.maximise.iter().map(|name| (name, Direction::Maximise));
        let names = names.chain(columns.minimise.iter().map(|name| (name, Direction::Minimise)));
        let objectives = names.map(|(name, direction)| Objective::new(name, "1", direction)).collect();
        let genotypes = csv.rows().iter().map(|row| genes.iter().map(|&gene| row[gene].clone()).collect());
        let genotypes: Vec<Vec<String>> = genotypes.collect();
        Self::of(csv, &genotypes, key, &values, objectives)
    }

    /// NAS-Bench-Macro: eight genes of three choices, which are the digits of column `arch`; mean accuracy of three
    /// trainings, in percent, to be maximised.
    ///
    /// # Source
    /// Su et al., *Prioritized architecture sampling with Monto-Carlo tree search*, 2021, table of all 6,561 networks.
    ///
    /// # Errors
    /// When a column is missing, a value is no finite number, or architectures have different lengths or stand twice.
    pub fn nas_bench_macro(csv: &Csv) -> Result<Self, Error> {
        let (arch, accuracy) = (csv.column("arch")?, csv.column("mean_acc")?);
        let digits = |row: &Vec<String>| row[arch].chars().map(String::from).collect::<Vec<String>>();
        let objectives = vec![Objective::new("mean_acc", "%", Direction::Maximise)];
        let genotypes: Vec<Vec<String>> = csv.rows().iter().map(digits).collect();
        Self::of(csv, &genotypes, Some(arch), &[accuracy], objectives)
    }

    fn of(
        csv: &Csv,
        genotypes: &[Vec<String>],
        key: Option<usize>,
        columns: &[usize],
        objectives: Vec<Objective>,
    ) -> Result<Self, Error> {
        let length = genotypes.first().map_or(0, Vec::len);
        if length == 0 || objectives.is_empty() {
            return Err(Error::EmptyTable);
        }
        if let Some(row) = genotypes.iter().position(|genes| genes.len() != length) {
            return Err(Error::Fields { line: csv.line(row), expected: length, found: genotypes[row].len() });
        }
        let choices = (0..length).map(|gene| genotypes.iter().map(|genes| genes[gene].as_str()).collect());
        let choices: Vec<BTreeSet<&str>> = choices.collect();
        let counts = choices.iter().map(|names| u16::try_from(names.len()));
        let counts = counts.collect::<Result<_, _>>().map_err(|_| Error::TooManyChoices)?;
        let numbered = choices.into_iter().map(|names| names.into_iter().zip(0_u16..).collect());
        let choices: Vec<BTreeMap<&str, u16>> = numbered.collect();
        let mut rows = BTreeMap::new();
        for (row, genes) in genotypes.iter().enumerate() {
            let genotype =
                Categorical(genes.iter().zip(&choices).map(|(gene, names)| names[gene.as_str()]).collect());
            let values = columns.iter().map(|&column| csv.number(row, column)).collect::<Result<_, _>>()?;
            let key = key.map_or_else(|| genes.join(" "), |key| csv.rows()[row][key].clone());
            if rows.insert(genotype, Row { key, values }).is_some() {
                return Err(Error::RowTwice { line: csv.line(row), genes: genes.join(" ") });
            }
        }
        Ok(Self { space: CategoricalSpace::new(counts)?, objectives, rows })
    }

    /// The combinations of its genes.
    pub fn space(&self) -> &CategoricalSpace {
        &self.space
    }

    /// How the table names a genotype, if it has it.
    pub fn key(&self, genotype: &Categorical) -> Option<&str> {
        self.rows.get(genotype).map(|row| row.key.as_str())
    }

    /// The values of every row, in the order of the genes.
    pub fn values(&self) -> impl Iterator<Item = &[f64]> {
        self.rows.values().map(|row| row.values.as_slice())
    }
}

impl Evaluator<Categorical> for Table {
    type Error = Infallible;

    fn objectives(&self) -> &[Objective] {
        &self.objectives
    }

    fn evaluate(&self, genotype: &Categorical, _: &Context) -> Result<Outcome, Infallible> {
        Ok(match self.rows.get(genotype) {
            Some(row) => Outcome::measured(row.values.clone()),
            None => {
                Outcome::Infeasible { violations: Vec::new(), reason: "the table has no such row".into() }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::Seed;

    const TEXT: &str = "name,op1,op2,acc,ms\nx,conv,skip,90,2\ny,conv,pool,80,1\nz,skip,skip,70,0.5\n";

    fn columns() -> TableColumns {
        TableColumns {
            key: Some("name".into()),
            genes: vec!["op1".into(), "op2".into()],
            maximise: vec!["acc".into()],
            minimise: vec!["ms".into()],
        }
    }

    fn verdict(table: &Table, genes: &[u16]) -> Outcome {
        table.evaluate(&Categorical(genes.to_vec()), &Context::new(Seed::new(1))).unwrap()
    }

    #[test]
    fn a_table_answers_what_stands_in_it() {
        let table = Table::new(&Csv::parse(TEXT).unwrap(), &columns()).unwrap();
        assert_eq!(table.space().choices(), [2, 2]);
        // conv is 0 and skip 1; pool is 0 and skip 1.
        assert_eq!(verdict(&table, &[0, 1]).objectives(), Some(&[90.0, 2.0][..]));
        assert!(matches!(verdict(&table, &[1, 0]), Outcome::Infeasible { .. }));
        assert_eq!(table.key(&Categorical(vec![1, 1])), Some("z"));
        let wanted = [Direction::Maximise, Direction::Minimise];
        assert!(table.objectives().iter().map(|objective| objective.direction).eq(wanted));
    }

    #[test]
    fn digits_are_the_genes_of_nas_bench_macro() {
        let text = "arch,mean_acc\n00000020,90.5\n10000000,91.5\n";
        let table = Table::nas_bench_macro(&Csv::parse(text).unwrap()).unwrap();
        assert_eq!(table.space().choices(), [2, 1, 1, 1, 1, 1, 2, 1]);
        assert_eq!(verdict(&table, &[0, 0, 0, 0, 0, 0, 1, 0]).objectives(), Some(&[90.5][..]));
    }

    #[test]
    fn tables_that_break_a_rule_are_refused() {
        let parse = |text: &str| Csv::parse(text).unwrap();
        let twice = format!("{TEXT}w,conv,skip,1,1\n");
        let refused = Table::new(&parse(&twice), &columns()).unwrap_err();
        assert_eq!(refused.to_string(), "line 5 has the genes `conv skip` of an earlier line");
        let unknown = TableColumns { genes: vec!["op3".into()], ..columns() };
        assert!(Table::new(&parse(TEXT), &unknown).is_err());
        assert_eq!(
            Table::new(&parse(TEXT), &TableColumns { genes: vec![], ..columns() }),
            Err(Error::EmptyTable)
        );
        assert_eq!(Table::new(&parse("name,op1,op2,acc,ms\n"), &columns()), Err(Error::EmptyTable));
        let many: Vec<String> = (0..65_536).map(|name| format!("{name},1")).collect();
        let one = TableColumns {
            genes: vec!["op".into()],
            maximise: vec!["acc".into()],
            ..TableColumns::default()
        };
        assert_eq!(
            Table::new(&parse(&format!("op,acc\n{}", many.join("\n"))), &one),
            Err(Error::TooManyChoices)
        );
    }
}
