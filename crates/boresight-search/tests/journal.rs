//! The journal as a file: what survives, what is dropped, what is refused.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use boresight_core::{Outcome, Proposal, Seed, Store, Trial, TrialId};
use boresight_search::{Damage, Error, Event, FORMAT, Header, Journal, Record, TornLine};
use boresight_testkit::{durable_store_laws, store_laws};
use proptest::prelude::*;
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use tempfile::{TempDir, tempdir};

fn records() -> Vec<Record<String>> {
    let configuration = json!({"epochs": 6, "rate": 0.1});
    let trial = |id, verdict| Record::Trial {
        trial: Trial { id: TrialId(id), proposal: Proposal::new(format!("w{id}\n\"ß")), verdict },
        wall_s: 0.1 + id as f64,
    };
    vec![
        Record::Header(Header {
            format: FORMAT,
            seed: Seed::new(u64::MAX),
            batch: 8,
            configuration,
            asynchronous: false,
        }),
        trial(1, Outcome::measured(vec![0.1 + 0.2, -0.0, 5e-324])),
        trial(0, Outcome::Diverged { reason: "the loss is NaN".to_owned() }),
        Record::Event(Event::Failed { reason: "full".to_owned() }),
        trial(2, Outcome::Infeasible { violations: vec![], reason: "too large".to_owned() }),
        Record::Event(Event::Finished),
    ]
}

/// A journal of all `records` in a folder of its own.
fn written() -> (TempDir, PathBuf, Vec<u8>) {
    // Made once: each of its lines waits for the disk.
    static BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let place = tempdir().unwrap();
        let path = place.path().join("journal.jsonl");
        let mut journal = Journal::create(&path).unwrap();
        for record in records() {
            journal.append(&record).unwrap();
        }
        fs::read(&path).unwrap()
    });
    let place = tempdir().unwrap();
    let path = place.path().join("journal.jsonl");
    fs::write(&path, &*BYTES).unwrap();
    (place, path, BYTES.clone())
}

fn damage(path: &PathBuf) -> (usize, Damage) {
    match Journal::<String>::open(path) {
        Err(Error::Damaged { path: named, line, reason }) if named == *path => (line, reason),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_appended_is_replayed() {
    let (_place, path, _) = written();
    let mut journal = Journal::open(&path).unwrap();
    assert_eq!((journal.replay().unwrap(), journal.torn()), (records(), None));
}

#[test]
fn every_prefix_holds_its_whole_lines() {
    let (_place, path, bytes) = written();
    for cut in 0..=bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let whole = bytes[..cut].split(|&byte| byte == b'\n').count() - 1;
        let torn = bytes[..cut].iter().rev().take_while(|&&byte| byte != b'\n').count();
        let contents = Journal::<String>::read(&path).unwrap();
        assert_eq!(contents.records, records()[..whole]);
        assert_eq!(contents.torn, (torn > 0).then_some(TornLine { line: whole + 1, bytes: torn }));
    }
}

#[test]
fn a_torn_line_is_cut_off_by_the_next_append() {
    let (_place, path, bytes) = written();
    let torn = bytes.len() - 3;
    for tail in [&b""[..], b"\0\0\0", b"\0\0\n"] {
        fs::write(&path, [&bytes[..torn], tail].concat()).unwrap();
        let mut journal = Journal::open(&path).unwrap();
        assert!(journal.torn().is_some_and(|torn| torn.line == 6));
        assert_eq!(journal.replay().unwrap(), records()[..5]);
        journal.append(&records()[5]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_damaged_line_before_the_last_is_named() {
    let (_place, path, bytes) = written();
    let text = String::from_utf8(bytes).unwrap();
    fs::write(&path, text.replacen("\"diverged\"", "\"divarged\"", 1)).unwrap();
    let (line, reason) = damage(&path);
    assert!(
        line == 3 && matches!(&reason, Damage::Syntax { message, .. } if message.contains("divarged")),
        "{reason}"
    );
    let error = Journal::<String>::open(&path).unwrap_err().to_string();
    assert!(error.contains("journal.jsonl is damaged in line 3: column"), "{error}");
}

#[test]
fn an_empty_line_is_damage() {
    let (_place, path, bytes) = written();
    let text = String::from_utf8(bytes).unwrap();
    fs::write(&path, text.replacen('\n', "\n\n", 1)).unwrap();
    assert_eq!(damage(&path).0, 2);
}

#[test]
fn a_second_verdict_on_a_trial_is_damage() {
    let (_place, path, bytes) = written();
    let text = String::from_utf8(bytes).unwrap();
    let again = text.lines().nth(1).unwrap();
    fs::write(&path, format!("{text}{again}\n")).unwrap();
    assert_eq!(damage(&path), (7, Damage::Duplicate(TrialId(1))));
}

#[test]
fn the_header_stands_first_and_only_there() {
    let (_place, path, bytes) = written();
    let text = String::from_utf8(bytes).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    fs::write(&path, rest).unwrap();
    assert_eq!(damage(&path), (1, Damage::HeaderMissing));
    fs::write(&path, format!("{text}{header}\n")).unwrap();
    assert_eq!(damage(&path), (7, Damage::HeaderMisplaced));
}

#[test]
fn another_format_is_named() {
    let (_place, path, bytes) = written();
    let text = String::from_utf8(bytes).unwrap();
    fs::write(&path, text.replacen("\"format\":1", "\"colour\":3,\"format\":2", 1)).unwrap();
    assert!(matches!(Journal::<String>::open(&path), Err(Error::Format { found: 2, known: FORMAT, .. })));
}

#[test]
fn a_file_that_is_no_journal_is_left_alone() {
    let place = tempdir().unwrap();
    let path = place.path().join("letter.txt");
    fs::write(&path, "a letter without a line end").unwrap();
    assert_eq!(damage(&path).0, 1);
}

#[test]
fn what_would_damage_the_journal_is_refused() {
    let (_place, path, bytes) = written();
    let mut journal = Journal::open(&path).unwrap();
    let refused = |result| matches!(result, Err(Error::Refused { .. }));
    assert!(refused(journal.append(&records()[0])));
    assert!(refused(journal.append(&records()[1])));
    let trial = Trial {
        id: TrialId(9),
        proposal: Proposal::new(String::new()),
        verdict: Outcome::measured(vec![f64::NAN]),
    };
    assert!(refused(journal.append(&Record::Trial { trial: trial.clone(), wall_s: 0.0 })));
    assert!(refused(journal.append(&Record::Trial { trial, wall_s: f64::INFINITY })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
    let place = tempdir().unwrap();
    let mut empty = Journal::create(place.path().join("journal")).unwrap();
    assert!(refused(empty.append(&records()[1])));
}

#[test]
fn a_second_run_is_kept_out_and_a_reader_is_not() {
    let (_place, path, _) = written();
    let first = Journal::<String>::open(&path).unwrap();
    assert!(matches!(Journal::<String>::open(&path), Err(Error::Locked { path: named }) if named == path));
    assert_eq!(Journal::<String>::read(&path).unwrap().records, records());
    drop(first);
    assert!(Journal::<String>::open(&path).is_ok());
}

#[test]
fn creating_over_a_journal_is_refused() {
    let (_place, path, bytes) = written();
    assert!(matches!(Journal::<String>::create(&path), Err(Error::Exists { .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_missing_journal_is_named() {
    let place = tempdir().unwrap();
    let error = Journal::<String>::open(place.path().join("none.jsonl")).unwrap_err();
    assert!(error.to_string().contains("none.jsonl"));
}

#[test]
fn a_new_journal_keeps_the_laws_of_stores() {
    let place = tempdir().unwrap();
    store_laws(&mut Journal::create(place.path().join("journal")).unwrap(), &records());
}

#[test]
fn a_reopened_journal_keeps_the_laws_of_stores() {
    let (_place, path, _) = written();
    let events = [Record::Event(Event::Interrupted), Record::Event(Event::Finished)];
    durable_store_laws(|| Journal::<String>::open(&path).unwrap(), &events);
}

proptest! {
    #[test]
    fn a_changed_byte_never_panics(at: prop::sample::Index, byte: u8) {
        let (_place, path, mut bytes) = written();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        fs::write(&path, &bytes).unwrap();
        // Whatever still reads is the first records but for one, never more of them.
        if let Ok(contents) = Journal::<String>::read(&path) {
            let changed = contents.records.iter().zip(records()).filter(|(read, written)| *read != written).count();
            prop_assert!(contents.records.len() <= records().len() && changed <= 1);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let place = tempdir().unwrap();
        let path = place.path().join("journal");
        fs::write(&path, &bytes).unwrap();
        let opened = Journal::<String>::open(&path);
        prop_assert!(opened.is_err() || opened.unwrap().replay().unwrap().is_empty());
    }
}
