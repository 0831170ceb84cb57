//! Pointwise activations and their gradients.

#![expect(clippy::inline_always, reason = "the functions must take on their caller's instruction set")]

use crate::dispatch::{Version, dispatch};
use crate::{Store, math};
use boresight_numerics::round_f16;

/// A pointwise function behind an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    /// x above 0, x times this slope up to 0; its gradient at 0 is the slope.
    LeakyRelu(f32),
    /// min(max(x, low), high) with low <= high; its gradient at both ends is 0.
    Clip(f32, f32),
}

/// An [`Activation`] whose kind is known when code is compiled.
pub(crate) trait Function: Copy {
    /// Whether a gradient costs more than writing it down and reading it again.
    const COSTLY: bool = false;
    /// The activation of `x`; NaN stays NaN.
    fn value(self, x: f32) -> f32;
    /// The gradient with respect to `x`, given the gradient `g` with respect to the activation.
    fn chain(self, x: f32, g: f32) -> f32;
}

#[derive(Clone, Copy)]
pub(crate) struct Identity;
#[derive(Clone, Copy)]
pub(crate) struct Relu;
#[derive(Clone, Copy)]
pub(crate) struct Gelu;
#[derive(Clone, Copy)]
pub(crate) struct Sigmoid;
#[derive(Clone, Copy)]
pub(crate) struct LeakyRelu(pub(crate) f32);
#[derive(Clone, Copy)]
pub(crate) struct Clip(pub(crate) f32, pub(crate) f32);

impl Function for Identity {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        x
    }
    #[inline(always)]
    fn chain(self, _: f32, g: f32) -> f32 {
        g
    }
}

impl Function for Relu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { x }
    }
    #[inline(always)]
    fn chain(self, x: f32, g: f32) -> f32 {
        if x <= 0.0 { 0.0 } else { g }
    }
}

impl Function for Gelu {
    const COSTLY: bool = true;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        math::gelu(x)
    }
    #[inline(always)]
    fn chain(self, x: f32, g: f32) -> f32 {
        math::gelu_slope(x) * g
    }
}

impl Function for Sigmoid {
    const COSTLY: bool = true;

    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        math::sigmoid(x)
    }
    #[inline(always)]
    fn chain(self, x: f32, g: f32) -> f32 {
        math::sigmoid_slope(x) * g
    }
}

impl Function for LeakyRelu {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        if x <= 0.0 { x * self.0 } else { x }
    }
    #[inline(always)]
    fn chain(self, x: f32, g: f32) -> f32 {
        if x <= 0.0 { g * self.0 } else { g }
    }
}

impl Function for Clip {
    #[inline(always)]
    fn value(self, x: f32) -> f32 {
        let Self(low, high) = self;
        let x = if x <= low { low } else { x };
        if x >= high { high } else { x }
    }
    #[inline(always)]
    fn chain(self, x: f32, g: f32) -> f32 {
        let Self(low, high) = self;
        let g = if x <= low { 0.0 } else { g };
        if x >= high { 0.0 } else { g }
    }
}

/// Evaluates an expression with `$function` standing for the [`Function`] of `$activation`.
macro_rules! with_function {
    ($activation:expr, $function:ident => $body:expr) => {
        match $activation {
            $crate::Activation::Identity => {
                let $function = $crate::activation::Identity;
                $body
            }
            $crate::Activation::Relu => {
                let $function = $crate::activation::Relu;
                $body
            }
            $crate::Activation::Relu6 => {
                let $function = $crate::activation::Clip(0.0, 6.0);
                $body
            }
            $crate::Activation::Gelu => {
                let $function = $crate::activation::Gelu;
                $body
            }
            $crate::Activation::Sigmoid => {
                let $function = $crate::activation::Sigmoid;
                $body
            }
            $crate::Activation::LeakyRelu(slope) => {
                let $function = $crate::activation::LeakyRelu(slope);
                $body
            }
            $crate::Activation::Clip(low, high) => {
                let $function = $crate::activation::Clip(low, high);
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

// These loops are written out: a closure that holds a function's parameters and its long body would not be inlined, and
// would be compiled for the wrong instruction set.
dispatch! {
    fn activate_all(activation: Activation, store: Store, x: &[f32], y: &mut [f32]) {
        with_function!(activation, f => match store {
            Store::F32 => {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = f.value(x);
                }
            }
            Store::F16 => {
                for (y, &x) in y.iter_mut().zip(x) {
                    *y = round_f16(f.value(x));
                }
            }
        });
    }
}

/// As [`activate`], with the results in place of `values`.
pub fn activate_in_place(activation: Activation, store: Store, values: &mut [f32]) {
    activate_all_in_place(Version::best(), activation, store, values);
}

dispatch! {
    fn activate_all_in_place(activation: Activation, store: Store, values: &mut [f32]) {
        with_function!(activation, f => match store {
            Store::F32 => {
                for value in values {
                    *value = f.value(*value);
                }
            }
            Store::F16 => {
                for value in values {
                    *value = round_f16(f.value(*value));
                }
            }
        });
    }
}

/// Turns `gradient`, that of the result of [`activate`], into that of `x`; given a `sum`, that is added to it instead and
/// `gradient` holds nothing of value.
///
/// # Panics
/// When the slices differ in length.
pub fn activate_grad(activation: Activation, x: &[f32], gradient: &mut [f32], sum: Option<&mut [f32]>) {
    assert_eq!(x.len(), gradient.len(), "input and gradient differ in length");
    if let Some(sum) = &sum {
        assert_eq!(x.len(), sum.len(), "a gradient and the sum that it is added to differ in length");
    }
    activate_grad_all(Version::best(), activation, x, gradient, sum);
}

dispatch! {
    fn activate_grad_all(activation: Activation, x: &[f32], gradient: &mut [f32], sum: Option<&mut [f32]>) {
        with_function!(activation, f => match sum {
            Some(sum) => {
                for ((sum, &g), &x) in sum.iter_mut().zip(&*gradient).zip(x) {
                    *sum += f.chain(x, g);
                }
            }
            None => {
                for (g, &x) in gradient.iter_mut().zip(x) {
                    *g = f.chain(x, *g);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, assert_gradient, bits, dot, numbers, passed, plain_activation, wide};
    use proptest::prelude::*;

    const ALL: [Activation; 8] = [
        Activation::Identity,
        Activation::Relu,
        Activation::Relu6,
        Activation::Gelu,
        Activation::Sigmoid,
        Activation::LeakyRelu(0.01),
        Activation::LeakyRelu(-1.5),
        Activation::Clip(-0.75, 2.5),
    ];

    proptest! {
        #[test]
        fn values_and_gradients_agree_with_plain_formulas(seed: u64, len in 1_usize..70) {
            let x: Vec<f32> = numbers(seed, len).iter().map(|x| 4.0 * x).collect();
            // A step across a kink is no derivative.
            prop_assume!(x.iter().all(|x| [-0.75, 0.0, 2.5, 6.0].iter().all(|kink| (x - kink).abs() > 1e-4)));
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
        for (activation, expected) in [
            (Activation::Relu, [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]),
            (Activation::Relu6, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0]),
            (Activation::Clip(-1.0, 1.0), [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]),
            (Activation::Clip(0.0, 0.0), [0.0; 6]),
        ] {
            let mut gradient = [1.0; 6];
            activate_grad(activation, &x, &mut gradient, None);
            assert_eq!(bits(&gradient), bits(&expected), "{activation:?}");
        }
    }

    #[test]
    fn a_leak_is_part_of_the_value_and_of_the_gradient() {
        let x = [-2.0, 0.0, 3.0, f32::NEG_INFINITY];
        let (mut y, mut gradient) = ([f32::NAN; 4], [2.0; 4]);
        activate(Activation::LeakyRelu(0.25), Store::F32, &x, &mut y);
        assert_eq!(bits(&y), bits(&[-0.5, 0.0, 3.0, f32::NEG_INFINITY]));
        activate_grad(Activation::LeakyRelu(0.25), &x, &mut gradient, None);
        assert_eq!(bits(&gradient), bits(&[0.5, 0.5, 2.0, 0.5]));
    }

    #[test]
    fn values_are_clipped_to_the_nearer_end() {
        let x = [f32::NEG_INFINITY, -1.5, -1.0, 0.3, 2.0, f32::INFINITY];
        let mut y = [f32::NAN; 6];
        activate(Activation::Clip(-1.0, 1.5), Store::F32, &x, &mut y);
        assert_eq!(bits(&y), bits(&[-1.0, -1.0, -1.0, 0.3, 1.5, 1.5]));
    }

    #[test]
    fn clipping_to_0_and_6_is_relu6() {
        let x: Vec<f32> = (0..=u32::MAX).step_by(99_991).map(f32::from_bits).collect();
        let (mut clipped, mut y) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        activate(Activation::Clip(0.0, 6.0), Store::F16, &x, &mut clipped);
        activate(Activation::Relu6, Store::F16, &x, &mut y);
        assert_eq!(bits(&clipped), bits(&y));
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
                activate_grad_all(version, activation, &x, &mut gradient, Some(&mut d));
                (bits(&y), bits(&d))
            };
            let results: Vec<_> = Version::all().into_iter().map(run).collect();
            assert!(results.iter().all(|result| *result == results[0]), "{activation:?}");
        }
    }
}
