//! Reading comma-separated values, in memory: no file is opened here.

use crate::Error;

/// A header and rows of as many fields.
///
/// Fields may stand in double quotes, with `""` for a quote, as RFC 4180 has it; lines end with LF or CRLF; empty lines
/// are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The line on which each row starts, counted from 1.
    lines: Vec<usize>,
}

impl Csv {
    /// The table in `text`.
    ///
    /// # Errors
    /// When there is no header, a name stands in it twice, a row has another number of fields, or a quote is not closed.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let mut records = records(unmarked(text))?.into_iter();
        let Some((_, header)) = records.next() else { return Err(Error::NoHeader) };
        if let Some(twice) = (1..header.len()).find(|&at| header[..at].contains(&header[at])) {
            return Err(Error::ColumnTwice { column: header[twice].clone() });
        }
        let (mut rows, mut lines) = (Vec::new(), Vec::new());
        for (line, row) in records {
            if row.len() != header.len() {
                return Err(Error::Fields { line, expected: header.len(), found: row.len() });
            }
            rows.push(row);
            lines.push(line);
        }
        Ok(Self { header, rows, lines })
    }

    /// The table in `text`, which has no header: columns are called `1`, `2` and so on.
    ///
    /// # Errors
    /// When rows have different numbers of fields, or a quote is not closed.
    pub fn parse_headless(text: &str) -> Result<Self, Error> {
        let text = unmarked(text);
        let first = records(text.lines().next().unwrap_or_default())?;
        let count = first.first().map_or(1, |(_, row)| row.len());
        let names: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
        let mut csv = Self::parse(&format!("{}\n{text}", names.join(",")))?;
        csv.lines.iter_mut().for_each(|line| *line -= 1);
        Ok(csv)
    }

    /// The index of a column.
    ///
    /// # Errors
    /// When no column has this name.
    pub fn column(&self, name: &str) -> Result<usize, Error> {
        let found = self.header.iter().position(|column| column == name);
        found.ok_or_else(|| Error::NoColumn { column: name.to_owned(), known: self.header.join(", ") })
    }

    /// The rows, each with as many fields as the header.
    pub fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    /// A field as a finite number.
    ///
    /// # Errors
    /// When it is none.
    pub fn number(&self, row: usize, column: usize) -> Result<f64, Error> {
        let text = self.rows[row][column].trim();
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| Error::NoNumber {
            line: self.lines[row],
            column: self.header[column].clone(),
            text: text.to_owned(),
        })
    }

    /// The line on which a row starts, counted from 1.
    pub fn line(&self, row: usize) -> usize {
        self.lines[row]
    }
}

/// A text without the mark of byte order that some programs put before it.
pub(crate) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// Where a reader stands in a field.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Start,
    Plain,
    Quoted,
    Closed,
}

/// The records of `text` that hold anything, with the line on which each starts.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, Error> {
    let (mut records, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut place, mut line, mut first) = (Place::Start, 1, 1);
    for letter in text.chars().chain((!text.ends_with('\n')).then_some('\n')) {
        match (place, letter) {
            (Place::Quoted, '"') => place = Place::Closed,
            (Place::Quoted, _) => field.push(letter),
            (Place::Closed, '"') => {
                field.push('"');
                place = Place::Quoted;
            }
            (Place::Start, '"') => place = Place::Quoted,
            (_, ',') => {
                fields.push(std::mem::take(&mut field));
                place = Place::Start;
            }
            (_, '\n') => {
                fields.push(std::mem::take(&mut field).trim_end_matches('\r').to_owned());
                let record = std::mem::take(&mut fields);
                if record.len() > 1 || !record[0].is_empty() {
                    records.push((first, record));
                }
                (place, first) = (Place::Start, line + 1);
            }
            (Place::Closed, '\r') => {}
            (Place::Closed, _) => return Err(Error::Quote { line }),
            (Place::Start | Place::Plain, _) => {
                field.push(letter);
                place = Place::Plain;
            }
        }
        line += usize::from(letter == '\n');
    }
    if place == Place::Quoted { Err(Error::Quote { line: first }) } else { Ok(records) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quotes_hold_commas_lines_and_quotes() {
        let csv = Csv::parse("a,b\r\n\"1,5\",\"say \"\"x\"\"\nthen\"\r\n\r\n2,\n").unwrap();
        assert_eq!(csv.rows(), [["1,5", "say \"x\"\nthen"], ["2", ""]]);
        assert_eq!((csv.line(0), csv.line(1)), (2, 5));
        assert!((csv.number(1, 0).unwrap() - 2.0).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_no_table_is_refused_by_line() {
        for (text, sentence) in [
            ("", "the table has no header"),
            ("a,a\n1,2\n", "column `a` stands in the header twice"),
            ("a,b\n1,2\n\n3\n", "line 4 has 1 fields, the header has 2"),
            ("a\n\"x\n", "line 2 has a quote that does not end a field"),
            ("a\n\"x\"y\n", "line 2 has a quote that does not end a field"),
        ] {
            assert_eq!(Csv::parse(text).unwrap_err().to_string(), sentence);
        }
        let csv = Csv::parse("a\nNaN\n").unwrap();
        assert_eq!(
            csv.number(0, 0).unwrap_err().to_string(),
            "line 2, column `a`: `NaN` is no finite number"
        );
        assert_eq!(csv.column("b").unwrap_err().to_string(), "there is no column `b`, only a");
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text: String) {
            let _ = Csv::parse(&text);
        }
    }
}
