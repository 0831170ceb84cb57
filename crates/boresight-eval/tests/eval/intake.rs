//! What an ONNX file tells of its input, and what it is on a device.

use crate::network;
use boresight_core::Seed;
use boresight_deploy::{Band, Deployment, Simulator, onnx, tolerance};
use boresight_eval::Intake;
use boresight_ir::{InputForm, Weights};
use boresight_numerics::NumericProfile;

fn intake(form: InputForm) -> Intake {
    let bands = ["B03", "B08"].map(str::to_owned).to_vec();
    let statistics = vec![Band { mean: 3_000.25, deviation: 2_000.5 }, Band { mean: 0.1, deviation: 1e-3 }];
    Intake { bands, statistics, form, full_scale: 26_214.0 }
}

#[test]
fn metadata_are_read_back_as_they_were_written() {
    for form in [InputForm::Counts, InputForm::Normalised] {
        let told = Intake::from_metadata(&intake(form).metadata()).unwrap();
        assert_eq!(told, Some(intake(form)));
    }
    assert_eq!(Intake::from_metadata(&[("author".to_owned(), "me".to_owned())].into()).unwrap(), None);
}

#[test]
fn broken_metadata_are_told() {
    let broken = |key: &str, value: Option<&str>| {
        let mut metadata = intake(InputForm::Counts).metadata();
        let key = format!("boresight.{key}");
        match value {
            Some(value) => metadata.insert(key, value.to_owned()),
            None => metadata.remove(&key),
        };
        Intake::from_metadata(&metadata).unwrap_err().to_string()
    };
    let of = |key: &str, rule: &str| format!("metadata 'boresight.{key}' of the file: {rule}");
    assert_eq!(broken("mean", None), of("mean", "it is missing"));
    assert_eq!(broken("mean", Some("1 x")), of("mean", "it is no list of numbers"));
    assert_eq!(broken("bands", Some("B03")), of("mean", "there is not one mean and one deviation a band"));
    assert_eq!(broken("input", Some("bytes")), of("input", "it is neither 'counts' nor 'normalised'"));
    assert_eq!(broken("full_scale", Some("")), of("full_scale", "it is no number"));
}

#[test]
fn a_file_is_on_the_device_what_it_was_made_of() {
    let network = network(2);
    let weights = Weights::initial(&network, Seed::new(4));
    let bands = vec![Band { mean: 3_000.0, deviation: 2_000.0 }; 2];
    let counts: Vec<f32> = (0..network.input_shape().len()).map(|at| (at * 37 % 5_000) as f32).collect();
    let run = |deployment: &Deployment| {
        let simulator = Simulator::new(deployment.clone(), 1).unwrap();
        simulator.logits(&counts, &mut simulator.memory()).to_vec()
    };
    for form in [InputForm::Counts, InputForm::Normalised] {
        let intake = Intake { statistics: bands.clone(), form, ..intake(form) };
        for profile in [NumericProfile::f32(), NumericProfile::myriad_x_optimistic()] {
            let made = Deployment::convert(&network, &weights, &bands, form, &profile).unwrap();
            let unconverted = made.unconverted();
            let export = onnx::Export {
                metadata: intake.metadata(),
                ..onnx::Export::new(made.network(), &unconverted)
            };
            let model = onnx::read(&export.write().unwrap(), &onnx::ReadOptions::default()).unwrap();
            let told = Intake::from_metadata(&model.metadata).unwrap().unwrap();
            let read = told.deploy(&model.network, &model.weights, &profile).unwrap();
            let (found, expected) = (run(&read), run(&made));
            if form == InputForm::Counts {
                assert_eq!(found, expected, "{}", profile.name);
            }
            // Subtracting the border is another way to the same sums, with roundings of its own.
            let ways = [&made, &read].map(|way| tolerance(way, &counts, !profile.keeps_f32()));
            let allowed = ways[0].iter().zip(&ways[1]).map(|(one, other)| one + other);
            for ((found, expected), allowed) in found.iter().zip(&expected).zip(allowed) {
                assert!(
                    (found - expected).abs() <= allowed,
                    "{}: {found} {expected} {allowed}",
                    profile.name
                );
            }
        }
    }
}
