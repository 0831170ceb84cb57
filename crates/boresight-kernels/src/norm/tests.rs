use super::*;
use crate::testing::{assert_close, assert_gradient, bits, dot, numbers, passed, plain_activation, wide};
use proptest::prelude::*;

const EPSILON: f32 = 1e-2;

fn shapes() -> impl Strategy<Value = Planes> {
    (1_usize..4, 1_usize..4, 1_usize..6, 1_usize..6).prop_map(|(batch, channels, height, width)| Planes {
        batch,
        channels,
        height,
        width,
    })
}

fn activations() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::Identity),
        Just(Activation::Relu),
        Just(Activation::Relu6),
        Just(Activation::Gelu),
        Just(Activation::Sigmoid),
        Just(Activation::LeakyRelu(0.1)),
        Just(Activation::Clip(-0.5, 1.0)),
    ]
}

/// Whether position `at` of a feature map belongs to a channel.
fn channel_of(planes: Planes, channel: usize, at: usize) -> bool {
    at / planes.plane() % planes.channels == channel
}

/// Mean and biased variance of every channel in binary64, by two passes.
fn plain_moments(planes: Planes, x: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (0..planes.channels)
        .map(|channel| {
            let own =
                || x.iter().enumerate().filter(|(at, _)| channel_of(planes, channel, *at)).map(|(_, x)| x);
            let count = own().count() as f64;
            let mean = own().sum::<f64>() / count;
            (mean, own().map(|x| (x - mean).powi(2)).sum::<f64>() / count)
        })
        .unzip()
}

/// What comes before the activation.
fn plain_norm(
    planes: Planes,
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    stats: &(Vec<f64>, Vec<f64>),
) -> Vec<f64> {
    let value = |(at, x): (usize, &f64)| {
        let channel = at / planes.plane() % planes.channels;
        let rate = 1.0 / (stats.1[channel] + f64::from(EPSILON)).sqrt();
        (x - stats.0[channel]) * rate * gamma[channel] + beta[channel]
    };
    x.iter().enumerate().map(value).collect()
}

/// Inputs of one test case.
struct Case {
    planes: Planes,
    x: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    grad_y: Vec<f32>,
}

impl Case {
    fn new(planes: Planes, seed: u64) -> Self {
        let vector = |stream| numbers(seed ^ stream, planes.channels);
        let map = |stream| numbers(seed ^ stream, planes.len());
        Self { planes, x: map(1), gamma: vector(2), beta: vector(3), grad_y: map(4) }
    }

    fn norm(&self, x: &[f64], gamma: &[f64], beta: &[f64], stats: &(Vec<f64>, Vec<f64>)) -> Vec<f64> {
        plain_norm(self.planes, x, gamma, beta, stats)
    }

    /// Whether no value is within the reach of finite differences of a kink.
    fn is_smooth(&self, stats: &(Vec<f64>, Vec<f64>)) -> bool {
        let before = self.norm(&wide(&self.x), &wide(&self.gamma), &wide(&self.beta), stats);
        before.iter().all(|z| [-0.5, 0.0, 1.0, 6.0].iter().all(|kink| (z - kink).abs() > 1e-3))
    }
}

fn apply(activation: Activation, values: &[f64]) -> Vec<f64> {
    values.iter().map(|&x| plain_activation(activation, x)).collect()
}

proptest! {
    #[test]
    fn training_form_and_its_gradients_agree_with_the_plain_formula(
        planes in shapes(), activation in activations(), seed: u64,
    ) {
        let case = Case::new(planes, seed);
        let Case { x, gamma, beta, grad_y, .. } = &case;
        let stats = plain_moments(planes, &wide(x));
        prop_assume!(case.is_smooth(&stats));
        let channels = planes.channels;
        let (mut y, mut mean, mut variance) = (vec![f32::NAN; x.len()], vec![0.0; channels], vec![0.0; channels]);
        batch_norm_train(&Team::alone(), planes, x, gamma, beta, EPSILON, activation, &mut y, &mut mean, &mut variance);
        assert_close(&mean, &stats.0, 1e-6);
        assert_close(&variance, &stats.1, 1e-6);
        assert_close(&y, &apply(activation, &case.norm(&wide(x), &wide(gamma), &wide(beta), &stats)), 1e-5);

        let (mut grad_gamma, mut grad_beta) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
        let grad_x = passed(grad_y, |gradient, sum| batch_norm_grad(&Team::alone(),
            planes, x, gamma, beta, &mean, &variance, EPSILON, activation, gradient, sum,
            &mut grad_gamma, &mut grad_beta,
        ));
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            dot(&apply(activation, &case.norm(x, gamma, beta, &plain_moments(planes, x))), grad_y)
        };
        assert_gradient(x, &grad_x, |x| loss(x, &wide(gamma), &wide(beta)));
        assert_gradient(gamma, &grad_gamma, |gamma| loss(&wide(x), gamma, &wide(beta)));
        assert_gradient(beta, &grad_beta, |beta| loss(&wide(x), &wide(gamma), beta));
    }

    #[test]
    fn evaluation_form_and_its_gradients_agree_with_the_plain_formula(
        planes in shapes(), activation in activations(), seed: u64,
    ) {
        let case = Case::new(planes, seed);
        let Case { x, gamma, beta, grad_y, .. } = &case;
        let channels = planes.channels;
        let mean = numbers(seed ^ 5, channels);
        let variance: Vec<f32> = numbers(seed ^ 6, channels).iter().map(|v| v.abs() + 0.1).collect();
        let stats = (wide(&mean), wide(&variance));
        prop_assume!(case.is_smooth(&stats));
        let mut y = vec![f32::NAN; x.len()];
        batch_norm_eval(&Team::alone(), planes, x, gamma, beta, &mean, &variance, EPSILON, activation, &mut y);
        assert_close(&y, &apply(activation, &case.norm(&wide(x), &wide(gamma), &wide(beta), &stats)), 1e-5);

        let (mut grad_gamma, mut grad_beta) = (vec![f32::NAN; channels], vec![f32::NAN; channels]);
        let grad_x = passed(grad_y, |gradient, sum| batch_norm_eval_grad(&Team::alone(),
            planes, x, gamma, beta, &mean, &variance, EPSILON, activation, gradient, sum,
            &mut grad_gamma, &mut grad_beta,
        ));
        let loss = |x: &[f64], gamma: &[f64], beta: &[f64]| {
            dot(&apply(activation, &case.norm(x, gamma, beta, &stats)), grad_y)
        };
        assert_gradient(x, &grad_x, |x| loss(x, &wide(gamma), &wide(beta)));
        assert_gradient(gamma, &grad_gamma, |gamma| loss(&wide(x), gamma, &wide(beta)));
        assert_gradient(beta, &grad_beta, |beta| loss(&wide(x), &wide(gamma), beta));
    }

    #[test]
    fn scale_and_shift_and_their_gradients_agree_with_the_plain_formula(planes in shapes(), seed: u64) {
        let Case { x, gamma: scale, beta: shift, grad_y, .. } = Case::new(planes, seed);
        let plain = |x: &[f64], scale: &[f64], shift: &[f64]| -> Vec<f64> {
            let value = |(at, x): (usize, &f64)| {
                let channel = at / planes.plane() % planes.channels;
                x * scale[channel] + shift[channel]
            };
            x.iter().enumerate().map(value).collect()
        };
        let mut y = vec![f32::NAN; x.len()];
        scale_shift(planes, &x, &scale, &shift, Store::F32, &mut y);
        assert_close(&y, &plain(&wide(&x), &wide(&scale), &wide(&shift)), 1e-6);
        let mut rounded = vec![f32::NAN; x.len()];
        scale_shift(planes, &x, &scale, &shift, Store::F16, &mut rounded);
        let expected: Vec<f32> = y.iter().map(|&y| half::f16::from_f32(y).to_f32()).collect();
        prop_assert_eq!(bits(&rounded), bits(&expected));

        let (mut grad_scale, mut grad_shift) = (vec![f32::NAN; scale.len()], vec![f32::NAN; scale.len()]);
        let grad_x = passed(&grad_y, |gradient, sum| scale_shift_grad(&Team::alone(),
            planes, &x, &scale, gradient, sum, &mut grad_scale, &mut grad_shift,
        ));
        assert_gradient(&x, &grad_x, |x| dot(&plain(x, &wide(&scale), &wide(&shift)), &grad_y));
        assert_gradient(&scale, &grad_scale, |scale| dot(&plain(&wide(&x), scale, &wide(&shift)), &grad_y));
        assert_gradient(&shift, &grad_shift, |shift| dot(&plain(&wide(&x), &wide(&scale), shift), &grad_y));
    }
}

#[test]
fn statistics_survive_a_mean_far_from_zero() {
    // Counts around 40,000 with a spread of 2: the naive f32 sum of squares would lose all digits.
    let planes = Planes { batch: 2, channels: 1, height: 64, width: 64 };
    let x: Vec<f32> = numbers(8, planes.len()).iter().map(|x| 40_000.0 + (2.0 * x).round()).collect();
    let (expected_mean, expected_variance) = plain_moments(planes, &wide(&x));
    let (mut y, mut mean, mut variance) = (vec![0.0; x.len()], [0.0], [0.0]);
    batch_norm_train(
        &Team::alone(),
        planes,
        &x,
        &[1.0],
        &[0.0],
        0.0,
        Activation::Identity,
        &mut y,
        &mut mean,
        &mut variance,
    );
    assert!((f64::from(mean[0]) / expected_mean[0] - 1.0).abs() < 1e-7);
    assert!((f64::from(variance[0]) / expected_variance[0] - 1.0).abs() < 1e-7);
}

#[test]
fn a_constant_channel_has_variance_zero_and_gives_beta() {
    let planes = Planes { batch: 3, channels: 1, height: 5, width: 7 };
    let x = vec![0.1; planes.len()];
    let (mut y, mut mean, mut variance) = (vec![0.0; x.len()], [0.0], [1.0]);
    batch_norm_train(
        &Team::alone(),
        planes,
        &x,
        &[2.0],
        &[0.5],
        1e-5,
        Activation::Identity,
        &mut y,
        &mut mean,
        &mut variance,
    );
    assert_eq!(bits(&[mean[0], variance[0]]), bits(&[0.1, 0.0]));
    assert!(y.iter().all(|y| y.to_bits() == 0.5f32.to_bits()));
}

#[test]
fn one_nan_reaches_the_statistics() {
    let planes = Planes { batch: 1, channels: 1, height: 1, width: 20 };
    let mut x = vec![0.5; 20];
    x[17] = f32::NAN;
    let (mut y, mut mean, mut variance) = (vec![0.0; 20], [0.0], [0.0]);
    batch_norm_train(
        &Team::alone(),
        planes,
        &x,
        &[1.0],
        &[0.0],
        1e-5,
        Activation::Relu,
        &mut y,
        &mut mean,
        &mut variance,
    );
    assert!(mean[0].is_nan() && variance[0].is_nan() && y.iter().all(|y| y.is_nan()));
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let planes = Planes { batch: 2, channels: 3, height: 13, width: 19 };
    let Case { x, gamma, beta, grad_y, .. } = Case::new(planes, 5);
    for activation in [
        Activation::Relu,
        Activation::Gelu,
        Activation::Sigmoid,
        Activation::LeakyRelu(0.1),
        Activation::Clip(-0.5, 1.0),
    ] {
        let run = |version| {
            let (mut y, mut mean, mut variance) = (vec![0.0; x.len()], vec![0.0; 3], vec![0.0; 3]);
            train(
                version,
                planes,
                0,
                &x,
                &gamma,
                &beta,
                EPSILON,
                activation,
                Shared::new(&mut y),
                &mut mean,
                &mut variance,
            );
            let (mut grad_x, mut grad_gamma, mut grad_beta) = (grad_y.clone(), vec![0.0; 3], vec![0.0; 3]);
            let statistics =
                Statistics { mean: &mean, variance: &variance, epsilon: EPSILON, origin: Origin::Batch };
            let outputs = Outputs {
                gradient: Gradient::new(&mut grad_x, None),
                grad_gamma: &mut grad_gamma,
                grad_beta: &mut grad_beta,
            };
            norm_grad(version, planes, 0, &x, &gamma, &beta, statistics, activation, outputs);
            let mut mapped = vec![0.0; x.len()];
            scale_shift_all(version, planes, &x, &gamma, &beta, Store::F16, &mut mapped);
            [y, mean, variance, grad_x, grad_gamma, grad_beta, mapped].map(|values| bits(&values))
        };
        let results: Vec<_> = Version::all().into_iter().map(run).collect();
        assert!(results.iter().all(|result| *result == results[0]), "{activation:?}");
    }
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let planes = Planes { batch: 3, channels: 7, height: 11, width: 13 };
    let Case { x, gamma, beta, grad_y, .. } = Case::new(planes, 8);
    for activation in [Activation::Relu, Activation::Gelu] {
        let run = |threads| {
            let team = Team::new(std::num::NonZeroUsize::new(threads).unwrap());
            let [mut mean, mut variance, mut grad_gamma, mut grad_beta] = [const { [0.0; 7] }; 4];
            let [mut y, mut fixed] = [(); 2].map(|()| vec![0.0; x.len()]);
            let [mut grad_x, mut grad_z] = [(); 2].map(|()| grad_y.clone());
            batch_norm_train(
                &team,
                planes,
                &x,
                &gamma,
                &beta,
                EPSILON,
                activation,
                &mut y,
                &mut mean,
                &mut variance,
            );
            batch_norm_eval(
                &team, planes, &x, &gamma, &beta, &mean, &variance, EPSILON, activation, &mut fixed,
            );
            batch_norm_grad(
                &team,
                planes,
                &x,
                &gamma,
                &beta,
                &mean,
                &variance,
                EPSILON,
                activation,
                &mut grad_x,
                None,
                &mut grad_gamma,
                &mut grad_beta,
            );
            let norm = [grad_gamma, grad_beta].concat();
            scale_shift_grad(&team, planes, &x, &gamma, &mut grad_z, None, &mut grad_gamma, &mut grad_beta);
            [y, fixed, grad_x, grad_z, norm, [mean, variance, grad_gamma, grad_beta].concat()]
                .map(|values| bits(&values))
        };
        for threads in [2, 3, 5, 9] {
            assert_eq!(run(threads), run(1), "{threads} threads");
        }
    }
}
