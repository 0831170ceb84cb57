//! The fit of the rates to published run times: refitted here, and held to families that it has not seen.

#![expect(clippy::unwrap_used, reason = "a test may fail in its helpers too")]

mod fit;
mod zoo;

use fit::{Row, errors, fit, rank_correlation, rows};

#[test]
fn the_committed_rates_are_those_of_the_fit() {
    let rows = rows();
    let rates = fit(&rows.iter().collect::<Vec<_>>());
    let committed = fit::committed();
    for (at, (found, committed)) in rates.iter().zip(committed).enumerate() {
        let near = (found - committed).abs() <= 0.01 * committed.max(1e-15);
        assert!(near, "rate {at}: fitted {found:e}, devices/*.toml have {committed:e}; all: {rates:?}");
    }
}

#[test]
fn each_family_is_predicted_from_the_others() {
    let rows = rows();
    let mut families: Vec<&str> = rows.iter().map(|row| row.family).collect();
    families.dedup();
    let mut predicted = Vec::new();
    println!("| network | pixels | bands | measured ms | predicted ms | error % |");
    for family in families {
        let others: Vec<&Row> = rows.iter().filter(|row| row.family != family).collect();
        let rates = fit(&others);
        for row in rows.iter().filter(|row| row.family == family) {
            let milliseconds = row.predict(&rates);
            println!(
                "| {} | {} | {} | {:.1} | {:.1} | {:+.0} |",
                row.name,
                row.side,
                row.bands,
                row.latency,
                milliseconds,
                100.0 * (milliseconds / row.latency - 1.0)
            );
            if family != "layers" {
                predicted.push((row.latency, milliseconds));
            }
        }
    }
    let (median, ratios) = errors(&predicted);
    let spearman = rank_correlation(&predicted);
    println!(
        "median absolute error {:.1} %, rank correlation {spearman:.3}, ratios {ratios:?}",
        100.0 * median
    );
    assert!(median <= 0.15, "median absolute error {median}");
    assert!(spearman >= 0.95, "rank correlation {spearman}");
}
