//! Laws of cost models.

use crate::json::survives_json;
use boresight_core::{Cost, CostModel};
use std::fmt::Debug;

/// Laws of a cost model, checked for one network that the device can run.
///
/// The device has a name; equal networks give equal costs; latency and frame rate are finite and above 0; there is at
/// least one stream; energy, where it is known, is finite and above 0; utilisation, where it is known, lies between 0 and
/// 1; a cost survives JSON.
///
/// # Panics
/// With the name of the first law that is broken, or when the model refuses the network.
#[track_caller]
pub fn cost_model_laws<N: ?Sized, C>(model: &C, network: &N)
where
    C: CostModel<N> + ?Sized,
    C::Error: Debug,
{
    assert!(!model.device().is_empty(), "a device has a name: broken, it is empty");
    let cost = estimate(model, network);
    assert_eq!(estimate(model, network), cost, "equal networks give equal costs: broken");
    positive("latency", cost.latency.0);
    positive("the frame rate", cost.fps);
    assert!(cost.streams > 0, "there is at least one stream: broken, there is none");
    if let Some(energy) = cost.energy {
        positive("energy", energy.0);
    }
    if let Some(share) = cost.utilisation {
        assert!((0.0..=1.0).contains(&share), "utilisation lies between 0 and 1: broken, it is {share}");
    }
    survives_json("a cost", &cost);
}

#[track_caller]
fn estimate<N: ?Sized, C>(model: &C, network: &N) -> Cost
where
    C: CostModel<N> + ?Sized,
    C::Error: Debug,
{
    match model.estimate(network) {
        Ok(cost) => cost,
        Err(error) => panic!("the model accepts the network: broken: {error:?}"),
    }
}

#[track_caller]
fn positive(what: &str, value: f64) {
    assert!(value.is_finite() && value > 0.0, "{what} is finite and above 0: broken, it is {value}");
}
