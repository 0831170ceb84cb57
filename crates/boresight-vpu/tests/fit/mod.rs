//! Non-negative least squares on relative residuals, and what it is fed with.

use crate::zoo::{self, JOIN};
use boresight_vpu::{Device, StageRow, Transfer, Vpu};

/// Seconds for a unit of each amount of [`StageRow::amounts`].
pub(crate) type Rates = [f64; 5];

/// One published run time and the stages of its network.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) family: &'static str,
    pub(crate) side: usize,
    pub(crate) bands: usize,
    /// Milliseconds.
    pub(crate) latency: f64,
    /// Milliseconds on the link.
    transfer: f64,
    stages: Vec<StageRow>,
}

/// Every published run time whose network can be built.
pub(crate) fn rows() -> Vec<Row> {
    let text = include_str!("../../data/timings.csv");
    text.lines().skip(1).map(row).collect()
}

fn row(line: &str) -> Row {
    let fields: Vec<&str> = line.splitn(9, ',').collect();
    let [name, side, bands, device, link, transfer, latency, ..] = fields[..] else { panic!("{line}") };
    let (side, bands) = (side.parse().unwrap(), bands.parse().unwrap());
    let (family, network) = zoo::network(name, side, bands).unwrap().unwrap_or_else(|| panic!("no {name}"));
    let transfer = match transfer {
        "u8" => Transfer::U8,
        "f32" => Transfer::F32,
        _ => Transfer::F16,
    };
    let device = Device::named(device).unwrap().with_link(link).unwrap().with_transfer(transfer);
    let results = transfer.result_bytes() as f64 / device.link().bytes_per_second;
    let prediction = Vpu::new(device).predict(&network.network).unwrap();
    // Joining outputs into one is none of the network's work.
    let joined = network.network.output_shape().len();
    let surplus = (joined - network.values) as f64;
    let stages = prediction.stages.into_iter().filter(|stage| !stage.name.starts_with(JOIN));
    Row {
        name: name.to_owned(),
        family,
        side,
        bands,
        latency: latency.parse().unwrap(),
        transfer: 1e3 * (prediction.transfer.0 - surplus * results),
        stages: stages.collect(),
    }
}

impl Row {
    /// Amounts of all stages, those beside others by what they add to them at these rates.
    fn amounts(&self, rates: &Rates) -> Rates {
        let mut sum = [0.0; 5];
        let mut host = 0.0;
        for stage in &self.stages {
            let amounts = stage.amounts();
            let time: f64 = amounts.iter().zip(rates).map(|(amount, rate)| amount * rate).sum();
            let share = if stage.beside && time > 0.0 { ((time - host) / time).max(0.0) } else { 1.0 };
            host = time;
            for (sum, amount) in sum.iter_mut().zip(amounts) {
                *sum += share * amount;
            }
        }
        sum
    }

    /// Milliseconds at these rates.
    pub(crate) fn predict(&self, rates: &Rates) -> f64 {
        let amounts = self.amounts(rates);
        self.transfer + 1e3 * amounts.iter().zip(rates).map(|(amount, rate)| amount * rate).sum::<f64>()
    }
}

/// The rates of the device files, which are the same in all.
pub(crate) fn committed() -> Rates {
    Device::named("myriad-x").unwrap().description().unit_seconds()
}

/// Rates with the least sum of squares of relative errors, none of them negative.
pub(crate) fn fit(rows: &[&Row]) -> Rates {
    // Where to start from, and where a rate stays that no row tells about: a SHAVE then multiplies at a tenth of what
    // its 8 lanes could do.
    let mut rates = [1.0 / 700e6, 1e-10, 1e-10, 1.0 / 0.56e9, 1e-5];
    for _ in 0..20 {
        let table: Vec<(Rates, f64)> = rows
            .iter()
            .map(|row| {
                let wanted = row.latency - row.transfer;
                (row.amounts(&rates).map(|amount| 1e3 * amount / row.latency), wanted / row.latency)
            })
            .collect();
        rates = solve(&table, rates);
    }
    rates
}

/// Coordinate descent: each rate in turn takes its best value that is not negative.
fn solve(table: &[(Rates, f64)], mut rates: Rates) -> Rates {
    for _ in 0..20_000 {
        // The clock is known: cycles are not fitted.
        for at in 1..rates.len() {
            let (mut above, mut below) = (0.0, 0.0);
            for (amounts, wanted) in table {
                let others: f64 = (0..rates.len())
                    .filter(|&other| other != at)
                    .map(|other| amounts[other] * rates[other])
                    .sum();
                above += amounts[at] * (wanted - others);
                below += amounts[at] * amounts[at];
            }
            if below > 0.0 {
                rates[at] = (above / below).max(0.0);
            }
        }
    }
    rates
}

/// The median of absolute relative errors of (measured, predicted), and all ratios in order.
pub(crate) fn errors(pairs: &[(f64, f64)]) -> (f64, Vec<f64>) {
    let mut absolute: Vec<f64> =
        pairs.iter().map(|(measured, found)| (found / measured - 1.0).abs()).collect();
    absolute.sort_by(f64::total_cmp);
    let mut ratios: Vec<f64> = pairs.iter().map(|(measured, found)| measured / found).collect();
    ratios.sort_by(f64::total_cmp);
    (absolute[absolute.len() / 2], ratios)
}

/// Spearman's rank correlation.
pub(crate) fn rank_correlation(pairs: &[(f64, f64)]) -> f64 {
    let rank = |value: f64, of: fn(&(f64, f64)) -> f64| {
        let less = pairs.iter().filter(|pair| of(pair) < value).count();
        let equal = pairs.iter().filter(|pair| of(pair).total_cmp(&value).is_eq()).count();
        less as f64 + (equal as f64 - 1.0) / 2.0
    };
    let ranks: Vec<(f64, f64)> = pairs
        .iter()
        .map(|&(first, second)| (rank(first, |pair| pair.0), rank(second, |pair| pair.1)))
        .collect();
    let mean = (pairs.len() as f64 - 1.0) / 2.0;
    let product = |of: fn(f64, f64) -> f64| ranks.iter().map(|&(a, b)| of(a - mean, b - mean)).sum::<f64>();
    product(|a, b| a * b) / (product(|a, _| a * a) * product(|_, b| b * b)).sqrt()
}
