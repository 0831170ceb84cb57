//! Cost estimates of random networks of the search space, on one thread; the compiler itself makes about 10 a second.
//!
//! One iteration estimates 200 different networks, each from its graph; no network is remembered, only how shapes of
//! layers are cut. They are those that `vessel_search` draws by default (4 bands, 3 to 5 stages, at most 100,000
//! parameters, 128 pixels; 83 nodes on average), and the same at 256 pixels. `predict` names and lists every stage too.

use boresight::core::{CostModel, SearchSpace, Seed};
use boresight::ir::Network;
use boresight::space::{SpaceSettings, UnetSpace, supports_everything};
use boresight::vpu::{Device, Vpu};
use criterion::{Criterion, Throughput};
use std::error::Error;

fn networks(size: usize) -> Result<Vec<Network>, Box<dyn Error>> {
    let settings = SpaceSettings { tile: size, ..SpaceSettings::default() };
    let space = UnetSpace::new(settings, supports_everything)?;
    let draw = |at| Ok(space.decode(&space.sample(Seed::new(1).derive("network", at)))?);
    (0..200).map(draw).collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let vpu = Vpu::new(Device::named("myriad-x")?);
    let mut criterion = Criterion::default().configure_from_args();
    for size in [128, 256] {
        let networks = networks(size)?;
        networks.iter().try_for_each(|network| vpu.supports(network))?;
        let mut group = criterion.benchmark_group(format!("{}_networks_{size}px", networks.len()));
        group.throughput(Throughput::Elements(networks.len() as u64));
        group.bench_function("estimate", |bencher| {
            bencher.iter(|| networks.iter().filter(|network| vpu.estimate(network).is_ok()).count());
        });
        group.bench_function("predict", |bencher| {
            bencher.iter(|| networks.iter().filter(|network| vpu.predict(network).is_ok()).count());
        });
        group.finish();
    }
    criterion.final_summary();
    Ok(())
}
