//! Passes to hold one way of computing against another.

use crate::networks;
use crate::oracle::Case;
use boresight_core::{SearchSpace, Seed};
use boresight_ir::{Network, Role, Weights};
use boresight_plan::Mode;
use boresight_space::{ChannelRule, SpaceSettings, UnetSpace, supports_everything};

/// Calls `check` on a pass over the network with random weights, images and gradients of the logits.
pub(crate) fn with_case(network: &Network, seed: Seed, mode: Mode, check: impl FnOnce(&Case<'_>)) {
    let batch = 2;
    let weights = networks::weights(network, seed);
    let images = networks::normals(seed.derive("images", 0), batch * network.input_shape().len());
    let slope = networks::normals(seed.derive("slope", 0), batch * network.output_shape().len());
    check(&Case { network, weights: &weights, batch, images: &images, slope: &slope, mode });
}

pub(crate) fn modes() -> [Mode; 2] {
    [Mode::Train(Seed::new(77)), Mode::Evaluate]
}

/// Calls `check` on a pass where every activation lies on its kink and every window is a tie: blank images, no biases.
pub(crate) fn with_ties(network: &Network, check: impl FnOnce(&Case<'_>)) {
    let mut weights = Weights::initial(network, Seed::new(1));
    for slot in network.layout().clone().slots().iter().filter(|slot| slot.role == Role::Bias) {
        weights.values_mut()[slot.range.clone()].fill(0.0);
    }
    let images = vec![0.0; 2 * network.input_shape().len()];
    let slope = networks::normals(Seed::new(2), 2 * network.output_shape().len());
    check(&Case {
        network,
        weights: &weights,
        batch: 2,
        images: &images,
        slope: &slope,
        mode: Mode::Evaluate,
    });
}

/// Ten networks of the search space, each with its code and the seed that it was drawn with.
pub(crate) fn of_the_space() -> Vec<(String, Seed, Network)> {
    let mut drawn = Vec::new();
    for rule in [ChannelRule::Width, ChannelRule::Multiply] {
        let settings =
            SpaceSettings { rule, tile: 40, bands: 3, max_parameters: 40_000, ..SpaceSettings::default() };
        let space = UnetSpace::new(settings, supports_everything).unwrap();
        drawn.extend((0..5).map(Seed::new).map(|seed| {
            let genotype = space.sample(seed);
            (genotype.to_string(), seed, space.decode(&genotype).unwrap())
        }));
    }
    drawn
}
