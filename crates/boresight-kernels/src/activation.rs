//! Pointwise activations and their gradients.

#![expect(clippy::inline_always, reason = "the functions must take on their caller's instruction set")]

use crate::dispatch::{Version, dispatch};
use crate::gradient::Gradient;
use crate::rows::{map, map_in_place};
use crate::{Store, math};

/// A pointwise function behind an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x
    Identity,
    /// max(x, 0); its gradient at 0 is 0.
    Relu,
    /// min(max(x, 0), 6); its gradient at 0 and at 6 is 0.
    Relu6,
    /// x (1 + erf(x / √2)) / 2, the exact form: [`math::gelu`].
    Gelu,
    /// 1 / (1 + e^-x): [`math::sigmoid`].
    Sigmoid,
}

/// An [`Activation`] that is known when code is compiled.
pub(crate) trait Function {
    /// Whether a gradient costs more than writing it down and reading it again.
    const COSTLY: bool = false;
    /// The activation of `x`; NaN stays NaN.
    fn value(x: f32) -> f32;
    /// The gradient with respect to `x`, given the gradient `g` with respect to the activation.
    fn chain(x: f32, g: f32) -> f32;
}

pub(crate) struct Identity;
pub(crate) struct Relu;
pub(crate) struct Relu6;
pub(crate) struct Gelu;
pub(crate) struct Sigmoid;

impl Function for Identity {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn chain(_: f32, g: f32) -> f32 {
        g
    }
}

impl Function for Relu {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { x }
    }
    #[inline(always)]
    fn chain(x: f32, g: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { g }
    }
}

impl Function for Relu6 {
    #[inline(always)]
    fn value(x: f32) -> f32 {
        let x = if x <= 0.0 { 0.0 } else { x };
        if x >= 6.0 { 6.0 } else { x }
    }
    #[inline(always)]
    fn chain(x: f32, g: f32) -> f32 {
        let g = if x <= 0.0 { 0.0 } else { g };
        if x >= 6.0 { 0.0 } else { g }
    }
}

impl Function for Gelu {
    const COSTLY: bool = true;

    #[inline(always)]
    fn value(x: f32) -> f32 {
        math::gelu(x)
    }
    #[inline(always)]
    fn chain(x: f32, g: f32) -> f32 {
        math::gelu_slope(x) * g
    }
}

impl Function for Sigmoid {
    const COSTLY: bool = true;

    #[inline(always)]
    fn value(x: f32) -> f32 {
        math::sigmoid(x)
    }
    #[inline(always)]
    fn chain(x: f32, g: f32) -> f32 {
        math::sigmoid_slope(x) * g
    }
}

/// Evaluates an expression with the type `$function` standing for the [`Function`] of `$activation`.
macro_rules! with_function {
    ($activation:expr, $function:ident => $body:expr) => {
        match $activation {
            $crate::Activation::Identity => {
                type $function = $crate::activation::Identity;
                $body
            }
            $crate::Activation::Relu => {
                type $function = $crate::activation::Relu;
                $body
            }
            $crate::Activation::Relu6 => {
                type $function = $crate::activation::Relu6;
                $body
            }
            $crate::Activation::Gelu => {
                type $function = $crate::activation::Gelu;
                $body
            }
            $crate::Activation::Sigmoid => {
                type $function = $crate::activation::Sigmoid;
                $body
            }
        }
    };
}
pub(crate) use with_function;

/// Writes the activation of every value of `x` to `y`.
///
/// # Panics
/// When the slices differ in length.
pub fn activate(activation: Activation, store: Store, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "input and output differ in length");
    activate_all(Version::best(), activation, store, x, y);
}

dispatch! {
    fn activate_all(activation: Activation, store: Store, x: &[f32], y: &mut [f32]) {
        with_function!(activation, F => map(store, x, y, F::value));
    }
}

/// As [`activate`], with the results in place of `values`.
pub fn activate_in_place(activation: Activation, store: Store, values: &mut [f32]) {
    activate_all_in_place(Version::best(), activation, store, values);
}

dispatch! {
    fn activate_all_in_place(activation: Activation, store: Store, values: &mut [f32]) {
        with_function!(activation, F => map_in_place(store, values, F::value));
    }
}

/// Turns `gradient`, that of the result of [`activate`], into that of `x`; given a `sum`, that is added to it instead and
/// `gradient` holds nothing of value.
///
/// # Panics
/// When the slices differ in length.
pub fn activate_grad(activation: Activation, x: &[f32], gradient: &mut [f32], sum: Option<&mut [f32]>) {
    assert_eq!(x.len(), gradient.len(), "input and gradient differ in length");
    activate_grad_all(Version::best(), activation, x, Gradient::new(gradient, sum));
}

dispatch! {
    fn activate_grad_all(activation: Activation, x: &[f32], gradient: Gradient<'_>) {
        with_function!(activation, F => {
            // SAFETY: the gradient is borrowed by this call alone.
            unsafe { gradient.pass(0..x.len(), x, F::chain) }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_gradient, bits, dot, numbers, passed, plain_activation, wide};
    use proptest::prelude::*;

    const ALL: [Activation; 5] =
        [Activation::Identity, Activation::Relu, Activation::Relu6, Activation::Gelu, Activation::Sigmoid];

    proptest! {
        #[test]
        fn values_and_gradients_agree_with_plain_formulas(seed: u64, len in 1_usize..70) {
            let x: Vec<f32> = numbers(seed, len).iter().map(|x| 4.0 * x).collect();
            // A step across a kink is no derivative.
            prop_assume!(x.iter().all(|x| x.abs() > 1e-4 && (x - 6.0).abs() > 1e-4));
            let grad_y = numbers(seed ^ 1, len);
            for activation in ALL {
                let mut y = vec![f32::NAN; len];
                activate(activation, Store::F32, &x, &mut y);
                for store in [Store::F32, Store::F16] {
                    let (mut apart, mut in_place) = (vec![f32::NAN; len], x.clone());
                    activate(activation, store, &x, &mut apart);
                    activate_in_place(activation, store, &mut in_place);
                    prop_assert_eq!(bits(&in_place), bits(&apart));
                }
                let expected: Vec<f64> = wide(&x).iter().map(|&x| plain_activation(activation, x)).collect();
                assert_close(&y, &expected, 1e-6);
                let gradient = passed(&grad_y, |gradient, sum| activate_grad(activation, &x, gradient, sum));
                assert_gradient(&x, &gradient, |x| {
                    let y: Vec<f64> = x.iter().map(|&x| plain_activation(activation, x)).collect();
                    dot(&y, &grad_y)
                });
            }
        }
    }

    #[test]
    fn gradients_are_zero_exactly_at_the_kinks() {
        let x = [-1.0, -0.0, 0.0, 1.0, 6.0, 7.0];
        let mut gradient = [1.0; 6];
        activate_grad(Activation::Relu, &x, &mut gradient, None);
        assert_eq!(bits(&gradient), bits(&[0.0, 0.0, 0.0, 1.0, 1.0, 1.0]));
        let mut gradient = [1.0; 6];
        activate_grad(Activation::Relu6, &x, &mut gradient, None);
        assert_eq!(bits(&gradient), bits(&[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]));
    }

    #[test]
    fn nan_is_never_hidden() {
        for activation in ALL {
            let mut y = [0.0];
            activate(activation, Store::F16, &[f32::NAN], &mut y);
            assert!(y[0].is_nan(), "{activation:?}");
        }
    }

    #[test]
    fn stores_round_as_half_does() {
        let x: Vec<f32> = (0..=u32::MAX).step_by(9973).map(f32::from_bits).collect();
        let halves = (0..=u16::MAX).map(|bits| half::f16::from_bits(bits).to_f32());
        let ties = halves.flat_map(|x| [x, x.next_up(), x.next_down(), x * 1.000_488_3]);
        let x: Vec<f32> = x.into_iter().chain(ties).collect();
        let mut y = vec![0.0; x.len()];
        activate(Activation::Identity, Store::F16, &x, &mut y);
        for (x, y) in x.iter().zip(y) {
            let expected = half::f16::from_f32(*x).to_f32();
            assert!(y.to_bits() == expected.to_bits() || (x.is_nan() && y.is_nan()), "{x} became {y}");
        }
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let (x, g) = (numbers(1, 1003), numbers(2, 1003));
        for activation in ALL {
            let run = |version| {
                let (mut y, mut d) = (vec![0.0; 1003], numbers(3, 1003));
                activate_all(version, activation, Store::F16, &x, &mut y);
                let mut gradient = g.clone();
                activate_grad_all(version, activation, &x, Gradient::new(&mut gradient, Some(&mut d)));
                (bits(&y), bits(&d))
            };
            let results: Vec<_> = Version::all().into_iter().map(run).collect();
            assert!(results.iter().all(|result| *result == results[0]), "{activation:?}");
        }
    }
}
