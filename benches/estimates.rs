//! Cost estimates of random networks of the search space, on one thread; the compiler itself makes about 10 a second.
//!
//! One iteration estimates 200 different networks, each from its graph and without a cache: those that `vessel_search`
//! draws by default (4 bands, 3 to 5 stages, at most 100,000 parameters, 128 pixels; 83 nodes on average), and the same
//! at 256 pixels.

use boresight::core::{CostModel, SearchSpace, Seed};
use boresight::space::{SpaceSettings, UnetSpace, supports_everything};
use boresight::vpu::{Device, Vpu};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

fn estimates(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("estimate");
    for size in [128, 256] {
        let settings = SpaceSettings { tile: size, ..SpaceSettings::default() };
        let Ok(space) = UnetSpace::new(settings, supports_everything) else { continue };
        let networks: Vec<_> = (0..200)
            .filter_map(|at| space.decode(&space.sample(Seed::new(1).derive("network", at))).ok())
            .collect();
        let Ok(vpu) = Device::named("myriad-x").map(Vpu::new) else { continue };
        group.throughput(Throughput::Elements(networks.len() as u64));
        group.bench_function(format!("{}_networks_{size}px", networks.len()), |bencher| {
            bencher.iter(|| networks.iter().filter(|network| vpu.estimate(network).is_ok()).count());
        });
    }
    group.finish();
}

criterion_group!(benches, estimates);
criterion_main!(benches);
