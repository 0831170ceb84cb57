//! The records of a search, and their form as lines of JSON.

use crate::Damage;
use boresight_core::{Outcome, Proposal, Seed, Trial, TrialId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The format of the lines; raised when an old reader would misread a new line.
pub const FORMAT: u64 = 1;

/// What a search must have in common with the one that it resumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format of the lines, [`FORMAT`].
    pub format: u64,
    /// The seed of the search.
    pub seed: Seed,
    /// The largest number of trials that are asked for before any of them is told.
    pub batch: usize,
    /// Everything else that decides a result, in the application's words.
    pub configuration: Value,
    /// Whether each verdict is told at once; such a journal holds asks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asynchronous: bool,
}

impl Header {
    /// The first difference to `other`: its name, the value here and the value there.
    pub(crate) fn difference(&self, other: &Self) -> Option<(String, String, String)> {
        let plain = [
            ("format", self.format, other.format),
            ("seed", self.seed.number(), other.seed.number()),
            ("batch", self.batch as u64, other.batch as u64),
            ("asynchronous", u64::from(self.asynchronous), u64::from(other.asynchronous)),
        ];
        plain
            .into_iter()
            .find(|(_, here, there)| here != there)
            .map(|(name, here, there)| (name.to_owned(), here.to_string(), there.to_string()))
            .or_else(|| value_difference("configuration", &self.configuration, &other.configuration))
    }
}

fn value_difference(name: &str, here: &Value, there: &Value) -> Option<(String, String, String)> {
    if here == there {
        return None;
    }
    let inner = match (here, there) {
        (Value::Object(left), Value::Object(right)) => {
            left.keys().chain(right.keys().filter(|key| !left.contains_key(*key))).find_map(|key| {
                let missing = &Value::Null;
                let (one, two) = (left.get(key), right.get(key));
                let inner = format!("{name}/{key}");
                match (one, two) {
                    (Some(one), Some(two)) => value_difference(&inner, one, two),
                    _ => {
                        Some((inner, one.unwrap_or(missing).to_string(), two.unwrap_or(missing).to_string()))
                    }
                }
            })
        }
        _ => None,
    };
    inner.or_else(|| Some((name.to_owned(), here.to_string(), there.to_string())))
}

/// Something that happened to the search as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Event {
    /// The observer broke it off; it can be resumed.
    Interrupted,
    /// It stopped for want of a verdict; it can be resumed.
    Failed {
        /// The error, in one sentence.
        reason: String,
    },
    /// A rule stopped it; without that rule it goes on where it is resumed.
    Stopped {
        /// The rule, in its own words.
        rule: String,
    },
    /// The strategy has ended.
    Finished,
}

/// One record of a search.
#[derive(Clone, Debug, PartialEq)]
pub enum Record<G> {
    /// What the search is; always the first record and only there.
    Header(Header),
    /// A finished trial.
    Trial {
        /// The trial.
        trial: Trial<G>,
        /// How long its evaluation took, in seconds; the only field that differs between two equal runs.
        wall_s: f64,
    },
    /// A proposal of an asynchronous search, in its place among the verdicts.
    Asked {
        /// Its trial.
        id: TrialId,
        /// What was proposed.
        proposal: Proposal<G>,
    },
    /// Something that happened to the search as a whole.
    Event(Event),
}

/// An ask as it is written.
#[derive(Serialize)]
struct AskWritten<'record, G> {
    id: TrialId,
    proposal: &'record Proposal<G>,
}

/// An ask as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskRead<G> {
    id: TrialId,
    proposal: Proposal<G>,
}

/// A line as it is written: exactly one of header, trial (with its time), ask and event.
#[derive(Serialize)]
struct Written<'record, G> {
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'record Header>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<&'record Trial<G>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wall_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ask: Option<AskWritten<'record, G>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'record Event>,
}

/// A line as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "G: serde::de::DeserializeOwned"))]
struct Read<G> {
    header: Option<Header>,
    trial: Option<Trial<G>>,
    wall_s: Option<f64>,
    ask: Option<AskRead<G>>,
    event: Option<Event>,
}

impl<G: Serialize> Record<G> {
    /// The record as one line of JSON with its line end.
    pub(crate) fn to_line(&self) -> Result<Vec<u8>, Damage> {
        let mut written = Written { header: None, trial: None, wall_s: None, ask: None, event: None };
        match self {
            Self::Header(header) => written.header = Some(header),
            Self::Event(event) => written.event = Some(event),
            Self::Asked { id, proposal } => written.ask = Some(AskWritten { id: *id, proposal }),
            Self::Trial { trial, wall_s } => {
                if let Some((name, _)) = not_finite(&trial.verdict) {
                    return Err(Damage::NotFinite(name));
                }
                if !wall_s.is_finite() {
                    return Err(Damage::NotFinite("wall_s".to_owned()));
                }
                (written.trial, written.wall_s) = (Some(trial), Some(*wall_s));
            }
        }
        let mut line = serde_json::to_vec(&written).map_err(|error| Damage::syntax(&error))?;
        line.push(b'\n');
        Ok(line)
    }
}

impl<G: serde::de::DeserializeOwned> Record<G> {
    /// The record of one line of JSON, with or without its line end.
    pub(crate) fn from_line(line: &[u8]) -> Result<Self, Damage> {
        let read = serde_json::from_slice::<Read<G>>(line).map_err(|error| Damage::syntax(&error))?;
        match (read.header, read.trial, read.wall_s, read.ask, read.event) {
            (Some(header), None, None, None, None) => Ok(Self::Header(header)),
            (None, Some(trial), Some(wall_s), None, None) => Ok(Self::Trial { trial, wall_s }),
            (None, None, None, Some(AskRead { id, proposal }), None) => Ok(Self::Asked { id, proposal }),
            (None, None, None, None, Some(event)) => Ok(Self::Event(event)),
            _ => Err(Damage::Kind),
        }
    }
}

/// The format that a first line names, whatever else stands in it.
pub(crate) fn format_of(line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Any {
        header: Format,
    }
    #[derive(Deserialize)]
    struct Format {
        format: u64,
    }
    serde_json::from_slice::<Any>(line).ok().map(|any| any.header.format)
}

/// The first number of a verdict that is NaN or infinite, with its name.
pub(crate) fn not_finite(verdict: &Outcome) -> Option<(String, f64)> {
    let named = |index: usize| format!("objective {index}");
    let (objectives, violations, attributes): (&[f64], _, _) = match verdict {
        Outcome::Measured { objectives, violations, attributes } => {
            (objectives, &violations[..], Some(attributes))
        }
        Outcome::Infeasible { violations, .. } => (&[], &violations[..], None),
        Outcome::Diverged { .. } => return None,
    };
    let objectives = objectives.iter().enumerate().map(|(index, &value)| (named(index), value));
    let violations =
        violations.iter().map(|broken| (format!("violation {}", broken.constraint), broken.amount));
    let attributes =
        attributes.into_iter().flatten().map(|(name, &value)| (format!("attribute {name}"), value));
    objectives.chain(violations).chain(attributes).find(|(_, value)| !value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn header(configuration: Value) -> Header {
        Header { format: FORMAT, seed: Seed::new(1), batch: 8, configuration, asynchronous: false }
    }

    #[test]
    fn a_difference_names_the_innermost_setting() {
        let one = header(json!({"epochs": 6, "space": {"stages": 3, "width": 8}}));
        let two = header(json!({"epochs": 6, "space": {"stages": 4, "width": 8}}));
        let named = ("configuration/space/stages".to_owned(), "3".to_owned(), "4".to_owned());
        assert_eq!(one.difference(&two), Some(named));
        assert_eq!(one.difference(&one.clone()), None);
    }

    #[test]
    fn a_setting_that_only_one_side_has_is_a_difference() {
        let (one, two) = (header(json!({})), header(json!({"epochs": null})));
        assert!(one.difference(&two).is_some() && two.difference(&one).is_some());
    }

    #[test]
    fn a_trial_is_one_line_with_its_time_apart() {
        let trial = Trial {
            id: TrialId(3),
            proposal: Proposal::new("a\nb".to_owned()),
            verdict: Outcome::measured(vec![0.5]),
        };
        let line = Record::Trial { trial, wall_s: 1.5 }.to_line().unwrap();
        let expected = concat!(
            r#"{"trial":{"id":3,"proposal":{"genotype":"a\nb","fidelity":1.0},"#,
            r#""verdict":{"verdict":"measured","objectives":[0.5]}},"wall_s":1.5}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(line).unwrap(), expected);
    }

    #[test]
    fn a_line_of_two_kinds_is_refused() {
        let line = br#"{"event":"finished","wall_s":1.0}"#;
        assert_eq!(Record::<u8>::from_line(line), Err(Damage::Kind));
        assert_eq!(Record::<u8>::from_line(b"{}"), Err(Damage::Kind));
    }

    #[test]
    fn what_json_cannot_hold_is_not_written() {
        let trial = Trial {
            id: TrialId(0),
            proposal: Proposal::new(1_u8),
            verdict: Outcome::measured(vec![f64::NAN]),
        };
        let refused = Record::Trial { trial, wall_s: 0.0 }.to_line();
        assert_eq!(refused, Err(Damage::NotFinite("objective 0".to_owned())));
    }

    proptest! {
        #[test]
        fn every_finite_number_survives_bit_for_bit(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let trial = Trial { id: TrialId(0), proposal: Proposal::new(1_u8), verdict: Outcome::measured(vec![value]) };
            let line = Record::Trial { trial, wall_s: 0.0 }.to_line().unwrap();
            let Record::Trial { trial, .. } = Record::<u8>::from_line(&line).unwrap() else { unreachable!() };
            prop_assert_eq!(trial.verdict.objectives().unwrap()[0].to_bits(), bits);
        }

        #[test]
        fn no_bytes_make_reading_a_line_panic(bytes: Vec<u8>) {
            let read = Record::<String>::from_line(&bytes);
            prop_assert!(read.is_err());
        }
    }
}
