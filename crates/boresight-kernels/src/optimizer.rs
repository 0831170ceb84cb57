//! AdamW and the norm of a gradient, on flat slices.

use crate::Team;
use crate::dispatch::{Version, dispatch};
use crate::rows::Sum;

/// Settings of [`adamw_step`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// Learning rate of this step, above 0.
    pub lr: f64,
    /// Decay of the mean of gradients, in 0..1.
    pub beta1: f64,
    /// Decay of the mean of squared gradients, in 0..1.
    pub beta2: f64,
    /// Added to the root of the mean square.
    pub epsilon: f64,
    /// Decoupled weight decay: a parameter loses the share `lr * weight_decay` of itself at each step.
    pub weight_decay: f64,
}

impl Default for AdamW {
    /// Learning rate 1e-3, betas 0.9 and 0.999, epsilon 1e-8, weight decay 1e-2: the defaults of PyTorch.
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 }
    }
}

/// The constants of one step.
#[derive(Clone, Copy)]
struct Step {
    decay: f32,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    rate: f32,
    root_correction: f32,
    epsilon: f32,
}

impl Step {
    #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
    fn new(settings: &AdamW, step: u64) -> Self {
        let correction1 = 1.0 - power(settings.beta1, step);
        let correction2 = 1.0 - power(settings.beta2, step);
        Self {
            decay: (settings.lr * settings.weight_decay) as f32,
            beta1: settings.beta1 as f32,
            one_minus_beta1: (1.0 - settings.beta1) as f32,
            beta2: settings.beta2 as f32,
            one_minus_beta2: (1.0 - settings.beta2) as f32,
            rate: (settings.lr / correction1) as f32,
            root_correction: correction2.sqrt() as f32,
            epsilon: settings.epsilon as f32,
        }
    }
}

/// `base` to the power of `exponent` by repeated squaring, equal on every machine.
fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left % 2 == 1 {
            result *= square;
        }
        square *= square;
        left /= 2;
    }
    result
}

/// One step of AdamW: decoupled weight decay, bias-corrected moments.
///
/// `m` and `v` are the moments, zero before the first step; `step` counts from 1. `decay` holds a factor of the weight
/// decay for each parameter (0 spares it: biases, normalisation); empty means 1 everywhere.
///
/// # Panics
/// When the slices differ in length or `step` is 0.
///
/// # Source
/// Loshchilov and Hutter, *Decoupled weight decay regularization*, 2019, algorithm 2, in the order of PyTorch's AdamW.
pub fn adamw_step(
    team: &Team,
    params: &mut [f32],
    grads: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    settings: &AdamW,
    step: u64,
    decay: &[f32],
) {
    let lengths = [grads.len(), m.len(), v.len(), if decay.is_empty() { params.len() } else { decay.len() }];
    assert_eq!(lengths, [params.len(); 4], "parameters, gradients, moments and decay differ in length");
    assert!(step > 0, "steps count from 1");
    let (version, step, share) = (Version::best(), Step::new(settings, step), team.share(params.len()));
    let moments = m.chunks_mut(share).zip(v.chunks_mut(share));
    let parts = params.chunks_mut(share).zip(grads.chunks(share)).zip(moments).enumerate();
    team.each(parts, |(part, ((params, grads), (m, v)))| {
        let decay = if decay.is_empty() { decay } else { &decay[part * share..][..params.len()] };
        adamw(version, params, grads, m, v, step, decay);
    });
}

dispatch! {
    fn adamw(params: &mut [f32], grads: &[f32], m: &mut [f32], v: &mut [f32], step: Step, decay: &[f32]) {
        let update = |p: &mut f32, g: f32, m: &mut f32, v: &mut f32, decay: f32| {
            *m = step.beta1 * *m + step.one_minus_beta1 * g;
            *v = step.beta2 * *v + step.one_minus_beta2 * g * g;
            let kept = *p - *p * (step.decay * decay);
            *p = kept - step.rate * *m / (v.sqrt() / step.root_correction + step.epsilon);
        };
        let each = params.iter_mut().zip(grads).zip(m).zip(v);
        if decay.is_empty() {
            each.for_each(|(((p, &g), m), v)| update(p, g, m, v, 1.0));
        } else {
            each.zip(decay).for_each(|((((p, &g), m), v), &decay)| update(p, g, m, v, decay));
        }
    }
}

/// The sum of squares of a gradient in binary64, in one order on every machine. NaN and infinity pass.
pub fn squared_norm(gradient: &[f32]) -> f64 {
    squares(Version::best(), gradient)
}

dispatch! {
    fn squares(gradient: &[f32]) -> f64 {
        let mut sum = Sum::ZERO;
        sum.add(gradient, |g| g * g);
        sum.total()
    }
}

/// Scales a gradient down to the Euclidean norm `limit` if it is longer; returns the norm that it had.
///
/// A norm that is not finite leaves the gradient as it is: the caller sees it and can call the run diverged.
pub fn clip_norm(gradient: &mut [f32], limit: f64) -> f64 {
    let norm = squared_norm(gradient).sqrt();
    if norm.is_finite() && norm > limit {
        #[expect(clippy::cast_possible_truncation, reason = "rounds to f32 once")]
        let factor = (limit / norm) as f32;
        for g in gradient.iter_mut() {
            *g *= factor;
        }
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, bits, numbers, wide};
    use proptest::prelude::*;

    /// AdamW in binary64, one parameter after the other.
    fn plain(settings: &AdamW, params: &mut [f64], gradients: &[Vec<f32>], decay: &[f32]) {
        for (at, p) in params.iter_mut().enumerate() {
            let (mut m, mut v) = (0.0, 0.0);
            for (step, gradient) in (1..).zip(gradients) {
                let g = f64::from(gradient[at]);
                m = settings.beta1 * m + (1.0 - settings.beta1) * g;
                v = settings.beta2 * v + (1.0 - settings.beta2) * g * g;
                *p -= settings.lr * settings.weight_decay * f64::from(decay[at]) * *p;
                let mean = m / (1.0 - settings.beta1.powi(step));
                let square = v / (1.0 - settings.beta2.powi(step));
                *p -= settings.lr * mean / (square.sqrt() + settings.epsilon);
            }
        }
    }

    proptest! {
        #[test]
        fn steps_agree_with_the_plain_formula(
            seed: u64, len in 1_usize..40, steps in 1_usize..12, lr in 1e-4_f64..1e-1, weight_decay in 0.0_f64..0.5,
        ) {
            let settings = AdamW { lr, weight_decay, ..AdamW::default() };
            let gradients: Vec<Vec<f32>> = (0..steps as u64).map(|step| numbers(seed ^ (step + 9), len)).collect();
            let decay: Vec<f32> = (0..len).map(|at| if at % 3 == 0 { 0.0 } else { 1.0 }).collect();
            let mut params = numbers(seed, len);
            let mut expected = wide(&params);
            let (mut m, mut v) = (vec![0.0; len], vec![0.0; len]);
            for (step, gradient) in (1..).zip(&gradients) {
                adamw_step(&Team::alone(), &mut params, gradient, &mut m, &mut v, &settings, step, &decay);
            }
            plain(&settings, &mut expected, &gradients, &decay);
            assert_close(&params, &expected, 1e-6);
        }

        #[test]
        fn clipping_shortens_to_the_limit_and_keeps_the_direction(seed: u64, len in 1_usize..200) {
            let before = numbers(seed, len);
            let norm = before.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            let mut after = before.clone();
            let returned = clip_norm(&mut after, norm / 2.0);
            prop_assert!((returned - norm).abs() <= 1e-12 * norm);
            let halved: Vec<f64> = before.iter().map(|&g| f64::from(g) / 2.0).collect();
            assert_close(&after, &halved, 1e-6);
            let mut kept = before.clone();
            clip_norm(&mut kept, norm * 1.001);
            prop_assert_eq!(bits(&kept), bits(&before));
        }
    }

    #[test]
    fn the_first_step_moves_each_parameter_by_the_learning_rate() {
        let settings = AdamW { weight_decay: 0.0, lr: 0.125, ..AdamW::default() };
        let (mut params, mut m, mut v) = ([1.0, 1.0, 1.0], [0.0; 3], [0.0; 3]);
        adamw_step(&Team::alone(), &mut params, &[1e-3, -5.0, 0.0], &mut m, &mut v, &settings, 1, &[]);
        assert_close(&params, &[0.875, 1.125, 1.0], 1e-5);
    }

    #[test]
    fn decay_does_not_pass_through_the_moments() {
        let settings = AdamW { lr: 0.5, weight_decay: 0.5, ..AdamW::default() };
        let (mut params, mut m, mut v) = ([4.0, 4.0], [0.0; 2], [0.0; 2]);
        adamw_step(&Team::alone(), &mut params, &[0.0; 2], &mut m, &mut v, &settings, 1, &[1.0, 0.0]);
        assert_eq!(bits(&params), bits(&[3.0, 4.0]));
        assert_eq!(bits(&[m[0], v[0]]), [0, 0]);
    }

    #[test]
    fn an_overflowed_gradient_is_reported_and_left_alone() {
        let mut gradient = [f32::INFINITY, 1.0];
        assert!(clip_norm(&mut gradient, 1.0).is_infinite());
        assert_eq!(bits(&gradient), bits(&[f32::INFINITY, 1.0]));
        assert!(squared_norm(&[f32::NAN, 1.0]).is_nan());
        assert!((squared_norm(&[1e30, 1e30]) / 2e60 - 1.0).abs() < 1e-6);
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let (gradient, decay) = (numbers(1, 501), numbers(2, 501));
        let run = |version| {
            let mut params = numbers(3, 501);
            let (mut m, mut v) = (numbers(4, 501), vec![0.5; 501]);
            let step = Step::new(&AdamW::default(), 7);
            adamw(version, &mut params, &gradient, &mut m, &mut v, step, &decay);
            ([params, m, v].map(|values| bits(&values)), squares(version, &gradient).to_bits())
        };
        let results: Vec<_> = Version::all().into_iter().map(run).collect();
        assert!(results.iter().all(|result| *result == results[0]));
    }
}
