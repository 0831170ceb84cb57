//! Pointwise activations and their gradients.

#![expect(clippy::inline_always, reason = "the functions must take on their caller's instruction set")]

use crate::dispatch::{Version, dispatch};
use crate::rows::{map, pass_pairs};
use crate::{Store, Write, math};

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

/// Writes the gradient of [`activate`] with respect to `x`, given `grad_y`, the gradient with respect to its result.
///
/// # Panics
/// When the slices differ in length.
pub fn activate_grad(activation: Activation, x: &[f32], grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
    assert_eq!(x.len(), grad_y.len(), "input and gradient differ in length");
    assert_eq!(x.len(), grad_x.len(), "input and its gradient differ in length");
    activate_grad_all(Version::best(), activation, x, grad_y, write, grad_x);
}

dispatch! {
    fn activate_grad_all(activation: Activation, x: &[f32], grad_y: &[f32], write: Write, grad_x: &mut [f32]) {
        with_function!(activation, F => pass_pairs(write, x, grad_y, grad_x, F::chain));
    }
}
