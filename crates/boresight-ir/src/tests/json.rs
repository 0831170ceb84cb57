//! The JSON form, from friends and from strangers.

use super::random::Recipe;
use crate::Network;
use proptest::prelude::*;

fn refusal(text: &str) -> String {
    Network::from_json(text).unwrap_err().to_string()
}

#[test]
fn documents_that_describe_no_network_are_refused() {
    let input = r#""input":{"channels":1,"height":4,"width":4}"#;
    let with = |nodes: &str| format!("{{{input},\"nodes\":[{nodes}]}}");
    assert!(refusal("").starts_with("not a network in JSON: EOF"));
    assert!(refusal(&with(r#"{"name":"a","op":"relu","inputs":[0],"x":1}"#)).contains("unknown field"));
    assert!(refusal(&with(r#"{"name":"a","op":"softplus","inputs":[0]}"#)).contains("unknown variant"));
    let later = with(r#"{"name":"a","op":"relu","inputs":[1]},{"name":"b","op":"relu","inputs":[0]}"#);
    assert_eq!(refusal(&later), "node 'a' reads node number 1, which does not come before it");
    let own_input = with(r#"{"name":"a","op":"input","inputs":[]}"#);
    assert_eq!(refusal(&own_input), "node 'a' (input): takes no input, reads 0 inputs");
    let flat = r#"{"input":{"channels":1,"height":0,"width":4},"nodes":[]}"#;
    assert_eq!(refusal(flat), "node 'input' (input): height is 0, allowed is 1 to 65536");
}

#[test]
fn sizes_that_would_overflow_an_address_are_refused() {
    let input = r#""input":{"channels":65536,"height":4,"width":4}"#;
    let max = usize::MAX;
    let conv = |fields: &str| {
        let node = format!(r#"{{"name":"a","op":{{"conv2d":{{{fields},"bias":true}}}},"inputs":[0]}}"#);
        format!("{{{input},\"nodes\":[{node}]}}")
    };
    let fields = [
        format!(r#""out_channels":{max},"kernel":[3,3],"stride":[1,1],"padding":[1,1],"groups":1"#),
        format!(r#""out_channels":8,"kernel":[{max},{max}],"stride":[1,1],"padding":[1,1],"groups":1"#),
        format!(r#""out_channels":8,"kernel":[3,3],"stride":[1,1],"padding":[{max},{max}],"groups":1"#),
        format!(r#""out_channels":8,"kernel":[3,3],"stride":[{max},0],"padding":[1,1],"groups":1"#),
        format!(r#""out_channels":8,"kernel":[3,3],"stride":[1,1],"padding":[1,1],"groups":{max}"#),
        r#""out_channels":65536,"kernel":[3,3],"stride":[1,1],"padding":[1,1],"groups":1"#.to_owned(),
    ];
    for fields in fields {
        let text = refusal(&conv(&fields));
        assert!(text.contains("allowed is 1 to"), "{fields}: {text}");
    }
    let slice = format!(
        r#"{{{input},"nodes":[{{"name":"a","op":{{"slice":{{"start":{max},"channels":{max}}}}},"inputs":[0]}}]}}"#
    );
    assert!(refusal(&slice).contains("do not exist"));
}

proptest! {
    #[test]
    fn a_network_survives_json(seed: u64) {
        let network = Recipe::new(seed).build(seed);
        let read = Network::from_json(&network.to_json()).unwrap();
        prop_assert_eq!(read.hash(), network.hash());
        prop_assert_eq!(read, network);
    }

    #[test]
    fn a_damaged_document_never_panics(
        seed: u64, cuts in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..6, ".{0,4}"), 1..4),
    ) {
        let mut text = Recipe::new(seed).build(seed).to_json();
        for (at, length, insert) in cuts {
            let start = text.floor_char_boundary(at.index(text.len()));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end.max(start), &insert);
        }
        if let Ok(network) = Network::from_json(&text) {
            prop_assert_eq!(Network::from_json(&network.to_json()).unwrap(), network);
        }
    }

    #[test]
    fn wild_numbers_never_panic(seed: u64, numbers in prop::collection::vec(
        prop_oneof![
            any::<u64>().prop_map(|value| value.to_string()),
            (0_u64..70_000).prop_map(|value| value.to_string()),
            any::<f64>().prop_map(|value| value.to_string()),
            any::<i64>().prop_map(|value| value.to_string()),
        ], 1..8,
    )) {
        let text = Recipe::new(seed).build(seed).to_json();
        let mut damaged = String::new();
        let (mut numbers, mut run) = (numbers.into_iter().cycle(), false);
        for (at, letter) in text.char_indices() {
            let digit = letter.is_ascii_digit();
            // About every fifth number is replaced.
            let wild = digit && !run && (at as u64 ^ seed).is_multiple_of(5);
            if wild {
                damaged.push_str(&numbers.next().unwrap_or_default());
            } else {
                damaged.push(letter);
            }
            run = digit;
        }
        if let Ok(network) = Network::from_json(&damaged) {
            prop_assert!(network.macs() < u64::MAX);
        }
    }
}
