//! Asynchronous searches, and rules that stop any search.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod toy;

use boresight_core::{Direction, Ignore, Memory, Seed, Trial};
use boresight_search::{Error, Event, Journal, Record, Report, Search, Stop};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tempfile::tempdir;
use toy::{Chained, GENERATIONS, POPULATION, Scored, Words, search_in, settings, trials};

type Word = Vec<u8>;

fn run_in(
    path: &Path,
    workers: usize,
    stops: &mut [Stop<'_, Word>],
    evaluator: &Scored,
) -> Result<Report<Word>, Error> {
    let mut store = if path.exists() { Journal::open(path)? } else { Journal::create(path)? };
    let strategy = Chained::new(Seed::new(5), POPULATION, GENERATIONS);
    let settings = &settings(workers);
    Search { space: &Words, strategy, evaluator, store: &mut store, settings }
        .run_asynchronously(stops, &mut Ignore)
}

fn batched_in(path: &Path, stops: &mut [Stop<'_, Word>]) -> Report<Word> {
    let mut store = if path.exists() { Journal::open(path).unwrap() } else { Journal::create(path).unwrap() };
    let strategy = Chained::new(Seed::new(5), POPULATION, GENERATIONS);
    let (evaluator, settings) = (&Scored::new(), &settings(1));
    Search { space: &Words, strategy, evaluator, store: &mut store, settings }
        .run_until(stops, &mut Ignore)
        .unwrap()
}

fn last_event(path: &Path) -> Option<Event> {
    let records = Journal::<Word>::read(path).unwrap().records;
    records.into_iter().rev().find_map(|record| match record {
        Record::Event(event) => Some(event),
        _ => None,
    })
}

#[test]
fn an_asynchronous_run_is_reproduced_by_its_journal() {
    let place = tempdir().unwrap();
    let path = place.path().join("journal");
    let report = run_in(&path, 3, &mut [], &Scored::new()).unwrap();
    assert!(report.finished && report.trials.len() == POPULATION * GENERATIONS);
    let bytes = fs::read(&path).unwrap();
    // Replayed with another number of workers; nothing is evaluated and nothing is added.
    let unused = Scored::breaking(|_| Err(toy::Mishap));
    let again = run_in(&path, 1, &mut [], &unused).unwrap();
    assert_eq!((again.replayed, again.trials), (report.trials.len(), report.trials));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_asynchronous_run_killed_anywhere_goes_on() {
    let place = tempdir().unwrap();
    let whole = place.path().join("whole");
    run_in(&whole, 3, &mut [], &Scored::new()).unwrap();
    let text = fs::read_to_string(&whole).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for cut in 1..lines.len() {
        let broken = place.path().join("broken");
        fs::write(&broken, lines[..cut].concat()).unwrap();
        let kept: Vec<String> = trials(&broken);
        let resumed = run_in(&broken, 2, &mut [], &Scored::new()).unwrap();
        assert!(resumed.finished && resumed.trials.len() == POPULATION * GENERATIONS, "cut at line {cut}");
        assert_eq!(resumed.replayed, kept.len(), "cut at line {cut}");
        // What it leaves can be replayed in turn.
        let replayed = run_in(&broken, 1, &mut [], &Scored::breaking(|_| Err(toy::Mishap))).unwrap();
        assert_eq!(replayed.trials, resumed.trials, "cut at line {cut}");
    }
}

#[test]
fn with_one_worker_a_cut_changes_nothing() {
    let place = tempdir().unwrap();
    let whole = place.path().join("whole");
    let report = run_in(&whole, 1, &mut [], &Scored::new()).unwrap();
    let text = fs::read_to_string(&whole).unwrap();
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    for cut in 1..lines.len() {
        let broken = place.path().join("broken");
        fs::write(&broken, lines[..cut].concat()).unwrap();
        assert_eq!(run_in(&broken, 1, &mut [], &Scored::new()).unwrap().trials, report.trials, "cut {cut}");
    }
}

#[test]
fn the_two_kinds_of_journals_are_not_mixed_up() {
    let place = tempdir().unwrap();
    let (batched, steady) = (place.path().join("batched"), place.path().join("steady"));
    search_in(&batched, 1).unwrap();
    run_in(&steady, 1, &mut [], &Scored::new()).unwrap();
    assert!(matches!(run_in(&batched, 1, &mut [], &Scored::new()), Err(Error::OtherSettings { .. })));
    assert!(matches!(search_in(&steady, 1), Err(Error::OtherSettings { .. })));
    // A verdict without its ask is no log.
    let text = fs::read_to_string(&steady).unwrap();
    let torn: String = text
        .split_inclusive('\n')
        .filter(|line| !line.contains(r#""id":3,"proposal""#) || line.contains("trial"))
        .collect();
    fs::write(&steady, torn).unwrap();
    assert!(run_in(&steady, 1, &mut [], &Scored::new()).is_err());
}

#[test]
fn an_error_ends_an_asynchronous_run_and_its_verdicts_stay() {
    let place = tempdir().unwrap();
    let path = place.path().join("journal");
    let broken = Scored::breaking(|id| if id.0 == 7 { Err(toy::Mishap) } else { Ok(()) });
    assert!(matches!(run_in(&path, 2, &mut [], &broken), Err(Error::Evaluator { .. })));
    assert!(matches!(last_event(&path), Some(Event::Failed { .. })));
    let resumed = run_in(&path, 2, &mut [], &Scored::new()).unwrap();
    assert!(resumed.finished && resumed.replayed >= 7);
}

#[test]
fn a_stopped_run_is_a_prefix_of_the_longer_one() {
    let place = tempdir().unwrap();
    let whole = batched_in(&place.path().join("whole"), &mut []);
    let rules: [fn() -> Stop<'static, Word>; 3] = [
        || Stop::trials(7),
        || Stop::target(0, Direction::Maximise, 0.0),
        || Stop::when("ten seen", |trials: &[Trial<Word>]| trials.len() >= 10),
    ];
    for (number, rule) in rules.into_iter().enumerate() {
        let path = place.path().join(number.to_string());
        let short = batched_in(&path, &mut [rule()]);
        let length = short.trials.len();
        assert_eq!(length, [10, 5, 10][number]);
        assert_eq!(short.trials, whole.trials[..length]);
        assert_eq!(last_event(&path), short.stopped.map(|rule| Event::Stopped { rule }));
        let on = batched_in(&path, &mut []);
        assert!(on.finished && on.trials == whole.trials && on.replayed == length);
    }
}

#[test]
fn no_trial_starts_when_the_time_is_up() {
    let place = tempdir().unwrap();
    let (batched, steady) = (place.path().join("batched"), place.path().join("steady"));
    let short = batched_in(&batched, &mut [Stop::after(Duration::ZERO)]);
    assert!(short.trials.is_empty() && !short.finished);
    assert_eq!(short.stopped.as_deref(), Some("0 s passed"));
    assert_eq!(last_event(&batched), Some(Event::Stopped { rule: "0 s passed".into() }));
    assert!(batched_in(&batched, &mut [Stop::after(Duration::from_hours(1))]).finished);
    let short = run_in(&steady, 2, &mut [Stop::after(Duration::ZERO)], &Scored::new()).unwrap();
    assert!(short.trials.is_empty() && short.stopped.is_some());
    assert!(run_in(&steady, 2, &mut [], &Scored::new()).unwrap().finished);
}

#[test]
fn an_asynchronous_run_stops_after_any_verdict() {
    let settings = settings(2);
    let mut store = Memory::new();
    let strategy = Chained::new(Seed::new(5), POPULATION, GENERATIONS);
    let evaluator = Scored::new();
    let search =
        Search { space: &Words, strategy, evaluator: &evaluator, store: &mut store, settings: &settings };
    let report = search.run_asynchronously(&mut [Stop::trials(3)], &mut Ignore).unwrap();
    // The one that was running is waited for.
    assert!((3..=4).contains(&report.trials.len()) && report.stopped.as_deref() == Some("3 trials"));
}
