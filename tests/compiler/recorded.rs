//! What the compiler made of other convolutions, as recorded in `conv_results.csv` of the project's shared data.
//!
//! The records are no part of the repository: `BORESIGHT_MYRIAD_DATA` names their folder, and without it the test says so
//! on the terminal and does nothing.

use boresight::ir::{Builder, Conv2d, Network, Op, Shape};
use boresight::vpu::{Device, Prediction, StageRow, Transfer, Vpu};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

/// Columns of a record.
struct Record<'a>(Vec<&'a str>);

impl Record<'_> {
    /// An empty field is none: the vector cores run the convolution.
    fn number(&self, column: usize) -> usize {
        if self.0[column].is_empty() { 0 } else { self.0[column].parse().expect("a number") }
    }

    fn network(&self) -> Network {
        let [channels, out, kernel, stride, width, height, padding] =
            [1, 2, 3, 4, 5, 6, 7].map(|column| self.number(column));
        let conv = Conv2d {
            kernel: [kernel; 2],
            stride: [stride; 2],
            padding: [padding; 2],
            ..Conv2d::same(out, 1)
        };
        let mut builder = Builder::new(Shape::new(channels, height, width)).unwrap();
        let conv = builder.add("conv", Op::Conv2d(conv), &[builder.input()]).unwrap();
        builder.finish(conv).unwrap()
    }

    /// Stages of the engine, sums of partial results, cycles, modes, descriptors and cost of a pixel.
    fn recorded(&self) -> (usize, usize, usize, [String; 3]) {
        let words = [12, 13, 14].map(|column| self.0[column].to_owned());
        (self.number(8), self.number(10), self.number(17), words)
    }
}

fn predicted(prediction: &Prediction) -> (usize, usize, usize, [String; 3]) {
    let count = |op: &str| prediction.stages.iter().filter(|row| row.op == op).count();
    let distinct = |word: fn(&StageRow) -> Option<String>| {
        prediction
            .stages
            .iter()
            .filter_map(word)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
            .join("|")
    };
    let words = [
        distinct(|row| row.mode.map(|mode| mode.to_string())),
        distinct(|row| row.descriptors.map(|count| count.to_string())),
        distinct(|row| row.cost_cycles.map(|cost| cost.to_string())),
    ];
    let cycles = usize::try_from(prediction.nce_cycles).unwrap();
    (count("CONV"), count("Sum"), cycles, words)
}

#[test]
fn recorded_convolutions_are_predicted_as_they_were_compiled() {
    let Some(folder) = std::env::var_os("BORESIGHT_MYRIAD_DATA") else {
        // Not captured by the test runner, so that it is seen.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED, BORESIGHT_MYRIAD_DATA does not name the recorded convolutions"
        );
        return;
    };
    let text = std::fs::read_to_string(PathBuf::from(folder).join("conv_results.csv")).expect("the records");
    let vpu = Vpu::new(Device::named("myriad-x").unwrap().with_transfer(Transfer::F16));
    let mut compared = 0;
    for line in text.lines().skip(1) {
        let record = Record(line.split(',').collect());
        let prediction = vpu.predict(&record.network()).unwrap();
        assert_eq!(predicted(&prediction), record.recorded(), "{line}");
        compared += 1;
    }
    assert!(compared >= 700, "{compared} records");
}
