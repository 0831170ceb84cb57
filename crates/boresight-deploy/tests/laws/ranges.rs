//! Ranges of layers, worked out by hand.

use crate::networks::single;
use boresight_deploy::{Band, Deployment, Range, layer_ranges};
use boresight_ir::{Conv2d, InputForm, Op, Weights};
use boresight_numerics::{NumericProfile, Scaling};

#[test]
fn a_layer_tells_what_it_holds_what_it_loses_and_what_it_makes() {
    let network =
        single([1, 1, 2], Op::Conv2d(Conv2d { kernel: [1, 1], padding: [0; 2], ..Conv2d::same(2, 1) }));
    // Weights 1e-6 and 0.5, biases 0 and -40000; the smaller weight is flushed, counts are not normalised.
    let weights = Weights::from_values(&network, vec![1e-6, 0.5, 0.0, -40_000.0, 0.0]).unwrap();
    let bands = [Band { mean: 0.0, deviation: 1.0 }];
    // Multiplied by the plugin's scale of 2, the bias would be cut.
    let profile = NumericProfile { scaling: Scaling::None, ..NumericProfile::myriad_x_optimistic() };
    let deployment =
        Deployment::convert(&network, &weights, &bands, InputForm::Normalised, &profile).unwrap();
    let rows = layer_ranges(&deployment, &[vec![2.0, 4.0], vec![60_000.0, 0.0]]).unwrap();
    assert_eq!((rows.len(), rows[0].op, rows[0].flushed), (1, "conv2d", 1));
    let constants =
        Range { count: 4, smallest: 1e-6, largest: 40_000.0, subnormal: 1, beyond: 0, not_finite: 0 };
    assert_eq!(rows[0].constants, Some(constants));
    // Channel 0 is zero; channel 1 is count / 2 - 40000, stored in steps of 32.
    let made =
        Range { count: 8, smallest: 9_999.0, largest: 40_000.0, subnormal: 0, beyond: 0, not_finite: 0 };
    let found = rows[0].activations;
    assert_eq!(found, Range { smallest: found.smallest, ..made });
    assert!((found.smallest - 10_000.0).abs() < 8.0, "{found:?}");
    let odd = Range::of(&[f32::INFINITY, f32::NAN, -0.0, 1e-5]);
    assert_eq!(
        odd,
        Range { count: 4, smallest: 1e-5, largest: 1e-5, subnormal: 1, beyond: 0, not_finite: 2 }
    );
}
