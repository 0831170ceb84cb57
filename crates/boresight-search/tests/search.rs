//! Searches on a toy space: workers, resume, interruption, mishaps.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod toy;

use boresight_core::{Context, Evaluator, Memory, Objective, Outcome, Seed, Store, Trial, TrialId};
use boresight_search::{Error, Event, Journal, Origin, Record, SearchEvent, Settings};
use serde_json::json;
use std::fs;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use tempfile::tempdir;
use toy::{GENERATIONS, Mishap, POPULATION, Scored, search_in, search_on, settings, trials};

fn events(path: &Path) -> Vec<Event> {
    let records = Journal::<Vec<u8>>::read(path).unwrap().records;
    let event = |record| if let Record::Event(event) = record { Some(event) } else { None };
    records.into_iter().filter_map(event).collect()
}

#[test]
fn the_number_of_workers_changes_nothing() {
    let place = tempdir().unwrap();
    let one = place.path().join("1");
    let report = search_in(&one, 1).unwrap();
    assert!(report.finished && report.replayed == 0);
    assert_eq!(report.trials.len(), POPULATION * GENERATIONS);
    for workers in [2, 5, 64] {
        let many = place.path().join(workers.to_string());
        assert_eq!(search_in(&many, workers).unwrap(), report);
        assert_eq!(trials(&many), trials(&one));
    }
}

#[test]
fn what_cannot_be_decoded_is_infeasible() {
    let report =
        search_on(&mut Memory::new(), &settings(2), &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
    for trial in &report.trials {
        let named = matches!(&trial.verdict, Outcome::Infeasible { reason, .. } if reason == "a word does not begin with 0");
        assert_eq!(named, trial.proposal.genotype[0] == 0);
    }
    assert!(report.trials.iter().any(|trial| trial.proposal.genotype[0] == 0), "the toy has no such word");
}

#[test]
fn a_run_killed_anywhere_resumes_to_the_unbroken_one() {
    let place = tempdir().unwrap();
    let whole = place.path().join("whole");
    let report = search_in(&whole, 2).unwrap();
    let bytes = fs::read(&whole).unwrap();
    let ends: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at] == b'\n').map(|at| at + 1).collect();
    let starts = std::iter::once(0).chain(ends.iter().copied());
    for (start, &end) in starts.zip(&ends) {
        for cut in [start, start + 1, usize::midpoint(start, end), end - 1] {
            let broken = place.path().join("broken");
            fs::write(&broken, &bytes[..cut]).unwrap();
            let lines = bytes[..start].split_inclusive(|&byte| byte == b'\n').count();
            let resumed = search_in(&broken, 1 + cut % 3).unwrap();
            assert_eq!(resumed.trials, report.trials, "cut at byte {cut}");
            assert_eq!(resumed.replayed, lines.saturating_sub(1), "cut at byte {cut}");
            assert_eq!(trials(&broken), trials(&whole), "cut at byte {cut}");
            assert_eq!(events(&broken), [Event::Finished], "cut at byte {cut}");
        }
    }
}

#[test]
fn a_batch_with_gaps_is_filled() {
    let place = tempdir().unwrap();
    let whole = place.path().join("whole");
    let report = search_in(&whole, 1).unwrap();
    let text = fs::read_to_string(&whole).unwrap();
    // Header, trials 0 to 4 of the first batch, then trials 7 and 5 of the second: 6 was still running.
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let broken = place.path().join("broken");
    fs::write(&broken, [&lines[..6], &[lines[8], lines[6]]].concat().concat()).unwrap();
    let resumed = search_in(&broken, 2).unwrap();
    assert_eq!((resumed.replayed, resumed.trials), (7, report.trials));
}

#[test]
fn resuming_a_finished_search_writes_nothing() {
    let place = tempdir().unwrap();
    let path = place.path().join("journal");
    let report = search_in(&path, 2).unwrap();
    let before = fs::read(&path).unwrap();
    let again = search_in(&path, 1).unwrap();
    assert_eq!((again.trials, again.replayed), (report.trials, POPULATION * GENERATIONS));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn other_settings_are_refused_by_name() {
    let base = settings(1);
    let others = [
        ("seed", Settings { seed: Seed::new(12), ..base.clone() }),
        ("batch", Settings { batch: NonZeroUsize::MIN, ..base.clone() }),
        (
            "configuration/rate",
            Settings { configuration: json!({"generations": 4, "rate": 0.2}), ..base.clone() },
        ),
    ];
    let mut store = Memory::new();
    search_on(&mut store, &base, &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
    for (setting, other) in others {
        let refused = search_on(&mut store, &other, &Scored::new(), |_| ControlFlow::Continue(()));
        assert!(matches!(&refused, Err(Error::OtherSettings { name, .. }) if name == setting), "{refused:?}");
    }
}

#[test]
fn another_strategy_is_refused_with_the_trial() {
    let mut store = Memory::new();
    search_on(&mut store, &settings(1), &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
    let mut run = |strategy| {
        let (evaluator, settings) = (Scored::new(), settings(1));
        boresight_search::Search {
            space: &toy::Words,
            strategy,
            evaluator,
            store: &mut store,
            settings: &settings,
        }
        .run(&mut boresight_core::Ignore)
    };
    let other = run(toy::Chained::new(Seed::new(6), POPULATION, GENERATIONS));
    assert!(matches!(other, Err(Error::OtherProposal { trial: TrialId(0), .. })), "{other:?}");
    let shorter = run(toy::Chained::new(Seed::new(5), POPULATION, 2));
    assert!(matches!(shorter, Err(Error::Surplus { trial: TrialId(10), asked: 10 })), "{shorter:?}");
}

#[test]
fn a_break_at_any_event_can_be_resumed() {
    let unbroken =
        search_on(&mut Memory::new(), &settings(1), &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
    for stop in 0..30 {
        let mut store = Memory::new();
        let mut seen = 0;
        let mut started = 0;
        let report = search_on(&mut store, &settings(2), &Scored::new(), |event| {
            started += usize::from(matches!(event, SearchEvent::Started { .. }));
            seen += 1;
            if seen > stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
        assert!(!report.finished && report.trials.len() == started, "every started trial is kept");
        let resumed =
            search_on(&mut store, &settings(2), &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((resumed.replayed, resumed.trials), (started, unbroken.trials.clone()));
    }
}

#[test]
fn an_interruption_is_an_event_of_the_journal() {
    let place = tempdir().unwrap();
    let path = place.path().join("journal");
    let mut last = None;
    search_on(&mut Journal::create(&path).unwrap(), &settings(1), &Scored::new(), |event| {
        last = Some(matches!(event, SearchEvent::Interrupted));
        ControlFlow::Break(())
    })
    .unwrap();
    assert_eq!(last, Some(true));
    assert_eq!(events(&path), [Event::Interrupted]);
    search_in(&path, 1).unwrap();
    assert_eq!(events(&path), [Event::Interrupted, Event::Finished]);
}

#[test]
fn an_error_stops_the_search_and_keeps_what_ended() {
    let place = tempdir().unwrap();
    let (path, whole) = (place.path().join("journal"), place.path().join("whole"));
    for workers in [1, 3] {
        let broken = Scored::breaking(|trial| if trial.0 == 7 { Err(Mishap) } else { Ok(()) });
        let mut journal = Journal::create(&path).unwrap();
        let failed = search_on(&mut journal, &settings(workers), &broken, |_| ControlFlow::Continue(()));
        drop(journal);
        let failed = failed.unwrap_err();
        assert!(matches!(&failed, Error::Evaluator { trial: TrialId(7), .. }), "{failed:?}");
        assert_eq!(std::error::Error::source(&failed).unwrap().to_string(), "the disk is full");
        assert_eq!(events(&path), [Event::Failed { reason: "trial 7 has no verdict".to_owned() }]);
        assert!(trials(&path).len() >= 6, "trials 0 to 5 ended before trial 7 started or with it");
        let resumed = search_in(&path, 1).unwrap();
        assert_eq!(
            resumed,
            search_in(&whole, 1)
                .map(|report| boresight_search::Report { replayed: resumed.replayed, ..report })
                .unwrap()
        );
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_panic_is_an_error_with_its_trial() {
    for workers in [1, 4] {
        let mut store = Memory::new();
        let broken =
            Scored::breaking(
                |trial| if trial.0 == 6 { panic!("index {} is out of range", 9) } else { Ok(()) },
            );
        let failed =
            search_on(&mut store, &settings(workers), &broken, |_| ControlFlow::Continue(())).unwrap_err();
        assert_eq!(failed.to_string(), "trial 6 panicked: index 9 is out of range");
        let resumed =
            search_on(&mut store, &settings(workers), &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
        assert!(resumed.finished && resumed.replayed >= 5);
    }
}

#[test]
fn events_tell_the_whole_story_in_order() {
    let mut told = Vec::new();
    let mut counts = [0; 3];
    let see = |event: &SearchEvent<'_, Vec<u8>>| {
        match event {
            SearchEvent::Asked { batch, proposals } => {
                assert_eq!((*batch, proposals.len()), (told.len() + 1, POPULATION));
                counts[0] += 1;
            }
            SearchEvent::Started { .. } => counts[1] += 1,
            SearchEvent::Finished { origin, .. } => {
                assert_eq!(*origin, Origin::Fresh);
                counts[2] += 1;
            }
            SearchEvent::Told { batch, trials } => {
                assert!(
                    trials.iter().map(|trial: &Trial<_>| trial.id).eq((0..trials.len() as u64).map(TrialId))
                );
                told.push((*batch, trials.len()));
            }
            _ => unreachable!("nothing interrupts this search"),
        }
        ControlFlow::Continue(())
    };
    search_on(&mut Memory::new(), &settings(3), &Scored::new(), see).unwrap();
    assert_eq!(told, [(1, 5), (2, 10), (3, 15), (4, 20)]);
    assert_eq!(counts, [4, 20, 20]);
}

#[test]
fn a_batch_never_asks_for_more_than_its_limit() {
    let small = Settings { batch: NonZeroUsize::new(2).unwrap(), ..settings(1) };
    let see = |event: &SearchEvent<'_, Vec<u8>>| {
        if let SearchEvent::Asked { proposals, .. } = event {
            assert!(proposals.len() <= 2);
        }
        ControlFlow::Continue(())
    };
    let report = search_on(&mut Memory::new(), &small, &Scored::new(), see).unwrap();
    assert!(report.finished && report.trials.len() == POPULATION * GENERATIONS);
}

/// A store that takes so many records and is full then.
struct Full {
    records: Memory<Record<Vec<u8>>>,
    left: usize,
}

impl Store<Record<Vec<u8>>> for Full {
    type Error = Mishap;

    fn append(&mut self, record: &Record<Vec<u8>>) -> Result<(), Mishap> {
        self.left = self.left.checked_sub(1).ok_or(Mishap)?;
        self.records.append(record).map_err(|never| match never {})
    }

    fn replay(&mut self) -> Result<Vec<Record<Vec<u8>>>, Mishap> {
        self.records.replay().map_err(|never| match never {})
    }
}

#[test]
fn a_full_store_stops_the_search_and_can_be_resumed() {
    let unbroken =
        search_on(&mut Memory::new(), &settings(1), &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
    for left in 0..22 {
        let mut store = Full { records: Memory::new(), left };
        let failed = search_on(&mut store, &settings(3), &Scored::new(), |_| ControlFlow::Continue(()));
        assert!(matches!(failed, Err(Error::Store { .. })), "{failed:?}");
        store.left = usize::MAX;
        let resumed =
            search_on(&mut store, &settings(3), &Scored::new(), |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((resumed.replayed, resumed.trials), (left.saturating_sub(1), unbroken.trials.clone()));
    }
}

/// Gives the verdict that it is made with.
struct Fixed(Vec<Objective>, Outcome);

impl Evaluator<String> for Fixed {
    type Error = Mishap;

    fn objectives(&self) -> &[Objective] {
        &self.0
    }

    fn evaluate(&self, _: &String, _: &Context) -> Result<Outcome, Mishap> {
        Ok(self.1.clone())
    }
}

#[test]
fn a_verdict_that_breaks_its_contract_is_never_stored() {
    let attributes = [("latency".to_owned(), f64::INFINITY)].into();
    let endless = Outcome::Measured { objectives: vec![0.5], violations: vec![], attributes };
    let broken = [
        (Outcome::measured(vec![]), "trial 0 has 0 objective values, the evaluator names 1"),
        (Outcome::measured(vec![f64::NAN]), "trial 0 has objective 0 = NaN, which is not finite"),
        (endless, "trial 0 has attribute latency = inf, which is not finite"),
    ];
    for (verdict, expected) in broken {
        let mut store = Memory::new();
        let strategy = toy::Chained::new(Seed::new(5), 1, 1);
        let evaluator = Fixed(Scored::new().objectives().to_vec(), verdict);
        let (space, settings) = (&toy::Words, &settings(1));
        let search = boresight_search::Search { space, strategy, evaluator, store: &mut store, settings };
        assert_eq!(search.run(&mut boresight_core::Ignore).unwrap_err().to_string(), expected);
        let records = store.replay().unwrap();
        assert!(!records.iter().any(|record| matches!(record, Record::Trial { .. })));
    }
}
