//! Cost estimates of random networks of the search space, on one thread; the compiler itself makes about 10 a second.
//!
//! One iteration estimates 200 different networks, each from its graph; no network is remembered, only how shapes of
//! layers are cut. They are those that `vessel_search` draws by default (4 bands, 3 to 5 stages, at most 100,000
//! parameters, 128 pixels; 83 nodes on average), and the same at 256 pixels. `predict` names and lists every stage too.

use boresight::core::{CostModel, SearchSpace, Seed};
use boresight::ir::Network;
use boresight::space::{SpaceSettings, UnetSpace, supports_everything};
use boresight::vpu::{Device, Vpu};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn networks(size: usize) -> Option<Vec<Network>> {
    let settings = SpaceSettings { tile: size, ..SpaceSettings::default() };
    let space = UnetSpace::new(settings, supports_everything).ok()?;
    let draw = |at| space.decode(&space.sample(Seed::new(1).derive("network", at))).ok();
    (0..200).map(draw).collect()
}

fn estimates(criterion: &mut Criterion) {
    let Ok(vpu) = Device::named("myriad-x").map(Vpu::new) else { return };
    for size in [128, 256] {
        let Some(networks) = networks(size) else { return };
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
}

criterion_group!(benches, estimates);
criterion_main!(benches);
