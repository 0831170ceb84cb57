use super::*;
use crate::dispatch::{Version, dispatch};
use crate::testing::{bits, erfc, normal_share as normal_share_exact};

/// |computed - exact| in units of the last place of the `f32` nearest to `exact`.
fn ulps(computed: f32, exact: f64) -> f64 {
    let size = exact.abs().max(f64::from(f32::MIN_POSITIVE));
    // The exponent alone is the power of two below.
    let place = f64::from_bits(size.to_bits() & (0x7ff << 52)) * 2f64.powi(-23);
    (f64::from(computed) - exact).abs() / place
}

/// Every 997th `f32` of a range of positive numbers, with both signs where asked.
fn sweep(low: f32, high: f32) -> impl Iterator<Item = f32> {
    (low.to_bits()..=high.to_bits()).step_by(997).map(f32::from_bits)
}

fn largest(errors: impl Iterator<Item = f64>) -> f64 {
    errors.fold(0.0, f64::max)
}

#[test]
fn the_reference_erfc_agrees_with_published_digits() {
    // Abramowitz and Stegun, table 7.1, and erfc(5) of its table 7.3.
    for (t, expected) in
        [(0.5, 0.479_500_122_186_95), (2.0, 0.004_677_734_981_05), (5.0, 1.537_459_794_428_0e-12)]
    {
        assert!((erfc(t) / expected - 1.0).abs() < 1e-9, "erfc({t}) = {}", erfc(t));
    }
    assert!((erfc(2.0 - 1e-13) / erfc(2.0) - 1.0).abs() < 1e-11);
}

#[test]
fn exp_is_within_its_stated_error() {
    let both = sweep(1e-10, 88.7).chain(sweep(1e-10, 104.0).map(|x| -x));
    let error = largest(both.map(|x| ulps(exp(x), f64::from(x).exp())));
    assert!(error < 1.1, "{error}");
}

#[test]
fn exp_saturates_and_keeps_nan() {
    let exact = [(0.0, 1.0), (-0.0, 1.0), (88.73, f32::INFINITY), (f32::INFINITY, f32::INFINITY)];
    for (x, expected) in exact.into_iter().chain([(-104.1, 0.0), (f32::NEG_INFINITY, 0.0)]) {
        assert_eq!(exp(x).to_bits(), f32::to_bits(expected), "exp({x})");
    }
    assert!(exp(f32::NAN).is_nan());
}

#[test]
fn ln_is_within_its_stated_error() {
    let error = largest(sweep(f32::from_bits(1), f32::MAX).map(|x| ulps(ln(x), f64::from(x).ln())));
    assert!(error < 1.1, "{error}");
    let near_one = largest((0x3f00_0000..0x4000_0000).step_by(61).map(|bits| {
        let x = f32::from_bits(bits);
        ulps(ln(x), f64::from(x).ln())
    }));
    assert!(near_one < 1.1, "{near_one}");
}

#[test]
fn ln_of_special_values_is_as_ieee_has_it() {
    for (x, expected) in [(1.0, 0.0), (0.0, f32::NEG_INFINITY), (f32::INFINITY, f32::INFINITY)] {
        assert_eq!(ln(x).to_bits(), f32::to_bits(expected), "ln({x})");
    }
    assert!(ln(-1.0).is_nan() && ln(f32::NEG_INFINITY).is_nan() && ln(f32::NAN).is_nan());
}

#[test]
fn sigmoid_and_its_slope_are_within_their_stated_errors() {
    let points = || sweep(1e-10, 87.0).flat_map(|x| [x, -x]);
    let value = largest(points().map(|x| ulps(sigmoid(x), 1.0 / (1.0 + (-f64::from(x)).exp()))));
    assert!(value < 2.5, "{value}");
    let slope = largest(points().map(|x| {
        let small = (-f64::from(x).abs()).exp();
        ulps(sigmoid_slope(x), small / (1.0 + small).powi(2))
    }));
    assert!(slope < 4.0, "{slope}");
}

#[test]
fn normal_share_and_gelu_are_within_their_stated_errors() {
    let relative = |x: f32| {
        let exact = normal_share_exact(f64::from(x));
        let share = (f64::from(normal_share(x)) - exact).abs() / exact;
        share.max((f64::from(gelu(x)) / f64::from(x) - exact).abs() / exact)
    };
    let near = largest(sweep(1e-10, 5.0).flat_map(|x| [x, -x]).map(relative));
    assert!(near < 4e-7, "{near:e}");
    let far = largest(sweep(5.0, 12.9).flat_map(|x| [x, -x]).map(relative));
    assert!(far < 2e-6, "{far:e}");
}

#[test]
fn gelu_slope_is_within_its_stated_error() {
    let error = largest(sweep(1e-10, 30.0).flat_map(|x| [x, -x]).map(|x| {
        let wide = f64::from(x);
        let density = (-0.5 * wide * wide).exp() / (2.0 * std::f64::consts::PI).sqrt();
        (f64::from(gelu_slope(x)) - normal_share_exact(wide) - wide * density).abs()
    }));
    assert!(error < 2e-7, "{error:e}");
}

#[test]
fn functions_saturate_and_keep_nan() {
    let at_infinity = [sigmoid(f32::INFINITY), normal_share(f32::INFINITY), gelu_slope(1e30)];
    assert!(at_infinity.iter().all(|value| value.to_bits() == 1f32.to_bits()), "{at_infinity:?}");
    let below = [sigmoid(f32::NEG_INFINITY), normal_share(f32::NEG_INFINITY), gelu_slope(-1e30), gelu(-1e30)];
    assert!(below.iter().all(|value| value.abs() < f32::MIN_POSITIVE), "{below:?}");
    let nan = f32::NAN;
    assert!(
        [sigmoid(nan), sigmoid_slope(nan), normal_share(nan), gelu(nan), gelu_slope(nan)]
            .iter()
            .all(|v| v.is_nan())
    );
}

dispatch! {
    fn all_functions(x: &[f32], y: &mut [f32]) {
        for (&x, y) in x.iter().zip(y.as_chunks_mut::<6>().0) {
            *y = [exp(x), ln(x.abs()), sigmoid(x), sigmoid_slope(x), gelu(x), gelu_slope(x)];
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let x: Vec<f32> = sweep(1e-30, 1e30).step_by(97).flat_map(|x| [x, -x]).collect();
    let results: Vec<Vec<u32>> = Version::all()
        .into_iter()
        .map(|version| {
            let mut y = vec![0.0; 6 * x.len()];
            all_functions(version, &x, &mut y);
            bits(&y)
        })
        .collect();
    assert!(results.iter().all(|bits| *bits == results[0]));
}
