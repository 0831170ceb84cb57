//! Laws of cost models.

use crate::json::survives_json;
use boresight_core::{Cost, CostModel, StageCost};
use std::fmt::Debug;

/// Share by which the longest stage may exceed the latency, for rounding in the last bits of two sums.
const ROUNDING: f64 = 1e-9;

/// Laws of a cost model, checked for one network that the device can run.
///
/// The device has a name; equal networks give equal costs; latency and frame rate are finite and above 0; there is at
/// least one stream; energy, where it is known, is finite and above 0; stages have names, units and finite times not
/// below 0, at least one above 0; no stage takes longer than the whole; a cost survives JSON.
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
    check_stages(&cost);
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

#[track_caller]
fn check_stages(cost: &Cost) {
    for stage in &cost.stages {
        let StageCost { name, unit, time } = stage;
        assert!(!name.is_empty() && !unit.is_empty(), "stages have a name and a unit: broken by {stage:?}");
        assert!(
            time.0.is_finite() && time.0 >= 0.0,
            "stage times are finite and not below 0: broken by {stage:?}"
        );
        let within = time.0 <= cost.latency.0 * (1.0 + ROUNDING);
        assert!(within, "no stage takes longer than the whole ({:?}): broken by {stage:?}", cost.latency);
    }
    let total: f64 = cost.stages.iter().map(|stage| stage.time.0).sum();
    assert!(total > 0.0, "some stage takes time: broken, {} stages take none", cost.stages.len());
}
