use super::*;
use crate::testing::{assert_gradient, bits, numbers, wide};
use proptest::prelude::*;

/// The loss by its documented formula in binary64.
fn plain(loss: &Loss, planes: Planes, logits: &[f64], labels: &[u8]) -> f64 {
    let (classes, plane) = (planes.channels, planes.plane());
    let weight = |class: usize| loss.class_weights.get(class).map_or(1.0, |&weight| f64::from(weight));
    let (mut total, mut entropy, mut focal) = (0.0, 0.0, 0.0);
    let mut overlap = vec![[0.0; 3]; classes];
    for (pixel, &label) in labels.iter().enumerate() {
        if Some(label) == loss.ignore {
            continue;
        }
        let label = usize::from(label);
        let logit = |class: usize| logits[(pixel / plane * classes + class) * plane + pixel % plane];
        let sum: f64 = (0..classes).map(|class| logit(class).exp()).sum();
        let share = |class: usize| logit(class).exp() / sum;
        let surprise = -share(label).ln();
        total += weight(label);
        entropy += weight(label) * surprise;
        focal += weight(label) * (1.0 - share(label)).powf(f64::from(loss.gamma)) * surprise;
        for (class, sums) in overlap.iter_mut().enumerate() {
            sums[1] += share(class);
            if class == label {
                sums[0] += share(class);
                sums[2] += 1.0;
            }
        }
    }
    let smooth = f64::from(loss.smooth);
    let scores = overlap[1..].iter().map(|[both, predicted, labelled]| {
        let denominator = predicted + labelled + smooth;
        if denominator > 0.0 { (2.0 * both + smooth) / denominator } else { 1.0 }
    });
    let dice = 1.0 - scores.sum::<f64>() / (classes - 1) as f64;
    let mean = |sum: f64| if total > 0.0 { sum / total } else { 0.0 };
    f64::from(loss.cross_entropy) * mean(entropy)
        + f64::from(loss.focal) * mean(focal)
        + f64::from(loss.dice) * dice
}

fn run(loss: &Loss, planes: Planes, logits: &[f32], labels: &[u8]) -> (f64, Vec<f32>) {
    let mut gradient = vec![f32::NAN; logits.len()];
    let value = loss_and_gradient(&Team::alone(), loss, planes, logits, labels, &mut gradient).unwrap();
    (value, gradient)
}

fn losses(classes: usize) -> impl Strategy<Value = Loss> {
    let part = || prop_oneof![Just(0.0_f32), 0.1_f32..2.0];
    let gamma = prop_oneof![Just(0.0_f32), Just(0.5), Just(1.0), Just(2.0), 0.0_f32..4.0];
    let weights = prop_oneof![Just(vec![]), prop::collection::vec(0.1_f32..3.0, classes)];
    let ignore = prop_oneof![Just(None), Just(Some(255)), Just(Some(0)), Just(Some(1))];
    let smooth = prop_oneof![Just(0.0_f32), Just(1.0)];
    (part(), part(), part(), gamma, smooth, weights, ignore).prop_map(
        |(cross_entropy, dice, focal, gamma, smooth, class_weights, ignore)| Loss {
            cross_entropy,
            dice,
            focal,
            gamma,
            smooth,
            class_weights,
            ignore,
        },
    )
}

fn cases() -> impl Strategy<Value = (Loss, Planes, Vec<u8>)> {
    (1_usize..4, 2_usize..6, 1_usize..6, 1_usize..6).prop_flat_map(|(batch, channels, height, width)| {
        let planes = Planes { batch, channels, height, width };
        let label = 0..u8::try_from(channels).unwrap();
        let labels = prop::collection::vec((label, 0_u8..5), batch * height * width);
        (losses(channels), Just(planes), labels).prop_map(|(loss, planes, drawn)| {
            let ignore = loss.ignore;
            let labels = drawn.into_iter().map(|(label, skip)| ignore.filter(|_| skip == 0).unwrap_or(label));
            let labels = labels.collect();
            (loss, planes, labels)
        })
    })
}

proptest! {
    #[test]
    fn value_and_gradient_agree_with_the_plain_formula((loss, planes, labels) in cases(), seed: u64) {
        let logits: Vec<f32> = numbers(seed, planes.len()).iter().map(|z| 3.0 * z).collect();
        let (value, gradient) = run(&loss, planes, &logits, &labels);
        let expected = plain(&loss, planes, &wide(&logits), &labels);
        prop_assert!((value - expected).abs() <= 2e-6 * (1.0 + expected.abs()), "{} {}", value, expected);
        assert_gradient(&logits, &gradient, |logits| plain(&loss, planes, logits, &labels));
    }

    #[test]
    fn extreme_logits_give_finite_losses_and_gradients(
        (loss, planes, labels) in cases(), seed: u64, scale in prop_oneof![Just(1e2_f32), Just(1e4), Just(1e30)],
    ) {
        let logits: Vec<f32> = numbers(seed, planes.len()).iter().map(|z| scale * z).collect();
        let (value, gradient) = run(&loss, planes, &logits, &labels);
        prop_assert!(value.is_finite() && value >= 0.0, "{}", value);
        prop_assert!(gradient.iter().all(|g| g.is_finite()));
    }
}

/// Two classes, `width` pixels in a row.
fn row(width: usize) -> Planes {
    Planes { batch: 1, channels: 2, height: 1, width }
}

const IGNORING: Option<u8> = Some(255);

#[test]
fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
    let (value, gradient) = run(&Loss::default(), row(2), &[0.0; 4], &[0, 1]);
    assert!((value - std::f64::consts::LN_2).abs() < 1e-7);
    assert_eq!(bits(&gradient), bits(&[-0.25, 0.25, 0.25, -0.25]));
}

#[test]
fn class_weights_divide_by_their_sum_as_in_pytorch() {
    // CrossEntropyLoss(weight=[1, 3]) of logits (0, 0) and (0, ln 3), both labelled 1: (3 ln 2 + 3 ln(4/3)) / 6 = ln(8/3) / 2.
    let loss = Loss { class_weights: vec![1.0, 3.0], ..Loss::default() };
    let (value, _) = run(&loss, row(2), &[0.0, 0.0, 0.0, 3f32.ln()], &[1, 1]);
    assert!((value - (2.0 * 4.0 / 3.0_f64).ln() / 2.0).abs() < 1e-7, "{value}");
    // Labelled 0 and 1: (1 ln 2 + 3 ln(4/3)) / 4.
    let (value, _) = run(&loss, row(2), &[0.0, 0.0, 0.0, 3f32.ln()], &[0, 1]);
    assert!((value - (2f64.ln() + 3.0 * (4.0 / 3.0_f64).ln()) / 4.0).abs() < 1e-7, "{value}");
}

#[test]
fn dice_leaves_out_the_background() {
    // Shares of class 1 are 1/2 each: I = 1/2, P = 1, T = 1, so Dice = 1 / 2.
    let loss = Loss { cross_entropy: 0.0, dice: 1.0, smooth: 0.0, ..Loss::default() };
    let (value, _) = run(&loss, row(2), &[0.0; 4], &[0, 1]);
    assert!((value - 0.5).abs() < 1e-7, "{value}");
}

#[test]
fn all_ignored_is_zero_without_gradient() {
    for smooth in [0.0, 1.0] {
        let loss = Loss { dice: 1.0, focal: 1.0, smooth, ignore: IGNORING, ..Loss::default() };
        let (value, gradient) = run(&loss, row(70), &numbers(1, 140), &[255; 70]);
        assert_eq!(value.to_bits(), 0f64.to_bits());
        assert_eq!(bits(&gradient), vec![0; 140]);
    }
}

#[test]
fn ignored_pixels_contribute_nothing_even_if_they_are_nan() {
    let loss = Loss { dice: 0.5, focal: 0.25, ignore: IGNORING, ..Loss::default() };
    let (value, gradient) = run(&loss, row(3), &[1.0, f32::NAN, 2.0, 0.5, f32::INFINITY, -1.0], &[1, 255, 0]);
    let (expected, plain_gradient) = run(&loss, row(2), &[1.0, 2.0, 0.5, -1.0], &[1, 0]);
    assert!((value - expected).abs() < 1e-12);
    let [a, _, b, c, _, d] = gradient[..] else { panic!("six gradients") };
    assert_eq!(bits(&[a, b, c, d]), bits(&plain_gradient));
    assert_eq!(bits(&[gradient[1], gradient[4]]), [0, 0]);
}

#[test]
fn nan_logits_are_seen_in_the_loss() {
    for loss in [Loss::default(), Loss { cross_entropy: 0.0, dice: 1.0, ..Loss::default() }] {
        let (value, gradient) = run(&loss, row(2), &[0.0, f32::NAN, 0.0, 0.0], &[0, 1]);
        assert!(value.is_nan() && gradient[1].is_nan());
    }
}

#[test]
fn focal_loss_without_focus_is_cross_entropy() {
    let focal = Loss { cross_entropy: 0.0, focal: 1.0, gamma: 0.0, ..Loss::default() };
    let logits = numbers(7, 40);
    let labels: Vec<u8> = (0..20).map(|pixel| pixel % 2).collect();
    let (value, gradient) = run(&focal, row(20), &logits, &labels);
    let (expected, plain_gradient) = run(&Loss::default(), row(20), &logits, &labels);
    assert_eq!((value.to_bits(), bits(&gradient)), (expected.to_bits(), bits(&plain_gradient)));
}

#[test]
fn a_confident_hit_keeps_its_small_loss() {
    // 1 - p is 2e-9: computed as 1 - p in f32 the loss would be 0.
    let (value, gradient) = run(&Loss::default(), row(1), &[0.0, 20.0], &[1]);
    let exact = (-20f64).exp();
    assert!((value / exact - 1.0).abs() < 1e-6 && (f64::from(-gradient[1]) / exact - 1.0).abs() < 1e-6);
}

#[test]
fn errors_name_what_is_wrong() {
    let mut gradient = [7.0; 6];
    let mut fail = |loss: &Loss, planes: Planes, labels: &[u8]| {
        let gradient = &mut gradient[..planes.len()];
        let error =
            loss_and_gradient(&Team::alone(), loss, planes, &vec![0.0; planes.len()], labels, gradient)
                .unwrap_err();
        assert!(gradient.iter().all(|g| g.to_bits() == 7f32.to_bits()));
        error
    };
    let ignoring = Loss { ignore: IGNORING, ..Loss::default() };
    let unknown = Error::UnknownLabel { pixel: 2, label: 2, classes: 2 };
    assert_eq!(fail(&ignoring, row(3), &[255, 1, 2]), unknown);
    assert_eq!(unknown.to_string(), "pixel 2 is labelled 2, but classes are 0..2");
    let unignored = Error::UnknownLabel { pixel: 0, label: 255, classes: 2 };
    assert_eq!(fail(&Loss::default(), row(1), &[255]), unignored);
    let single = Planes { channels: 1, ..row(3) };
    assert_eq!(fail(&ignoring, single, &[0; 3]), Error::Classes { classes: 1 });
    let few = Loss { class_weights: vec![1.0], ..Loss::default() };
    assert_eq!(fail(&few, row(1), &[0]), Error::ClassWeights { weights: 1, classes: 2 });
    let negative = Loss { class_weights: vec![1.0, -2.0], ..Loss::default() };
    assert_eq!(fail(&negative, row(1), &[0]), Error::ClassWeight { class: 1, weight: -2.0 });
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let planes = Planes { batch: 2, channels: 3, height: 9, width: 17 };
    let logits = numbers(1, planes.len());
    let labels: Vec<u8> = (0..2 * 153).map(|pixel| u8::try_from(pixel % 4).unwrap()).collect();
    let loss = Loss { focal: 1.0, ignore: Some(3), ..Loss::default() };
    let weights = class_weights(&loss, 3).unwrap();
    let task = Task { loss: &loss, planes, labels: &labels, weights: &weights };
    let mut slopes = Slopes::ZERO;
    (slopes.hit[1], slopes.miss[1], slopes.hit[2], slopes.miss[2]) = (-0.2, 0.1, -0.3, 0.2);
    let run = |version| {
        let mut map = vec![0.0; planes.len()];
        let sums = softmax(version, task, &logits, &mut map);
        let [own, all] = class_sums(version, task, 1, 1, &map);
        let shares = bits(&map);
        gradient(version, task, 0.01, &slopes, &mut map);
        let totals = [sums[0], sums[1], own, all].map(f64::to_bits);
        (shares, totals, bits(&map))
    };
    let results: Vec<_> = Version::all().into_iter().map(run).collect();
    assert!(results.iter().all(|result| *result == results[0]));
}

#[test]
fn every_number_of_threads_gives_the_same_bits() {
    let planes = Planes { batch: 11, channels: 3, height: 5, width: 7 };
    let logits = numbers(3, planes.len());
    let labels: Vec<u8> = (0..11 * 35).map(|pixel| u8::try_from(pixel % 4).unwrap()).collect();
    let loss = Loss { dice: 0.5, focal: 0.3, ignore: Some(3), ..Loss::default() };
    let run = |threads| {
        let team = Team::new(std::num::NonZeroUsize::new(threads).unwrap());
        let mut gradient = vec![0.0; planes.len()];
        let value = loss_and_gradient(&team, &loss, planes, &logits, &labels, &mut gradient).unwrap();
        (value.to_bits(), bits(&gradient))
    };
    for threads in [2, 3, 5, 12] {
        assert_eq!(run(threads), run(1), "{threads} threads");
    }
}
