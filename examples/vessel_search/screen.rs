//! Progress on stderr: bars on a terminal, plain lines elsewhere.

use boresight::core::{Observer, Outcome, TrainEvent, Trial, TrialId};
use boresight::eval::Phase;
use boresight::search::{Origin, SearchEvent};
use boresight::space::UnetGenotype;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Shows progress; shared by the search and its workers.
pub(crate) struct Screen {
    bars: Option<Bars>,
    /// What the search counts, generations or trials, and how many there will be.
    unit: &'static str,
    generations: usize,
    active: Mutex<BTreeMap<TrialId, ProgressBar>>,
    pace: Mutex<Pace>,
}

/// How fast training goes.
#[derive(Default)]
struct Pace {
    /// When each trial's last step ended.
    last: BTreeMap<TrialId, Instant>,
    steps: u32,
    time: Duration,
}

struct Bars {
    all: MultiProgress,
    generations: ProgressBar,
    candidates: ProgressBar,
}

impl Screen {
    /// A screen for a search of so many generations, or other units.
    pub(crate) fn new(unit: &'static str, generations: usize) -> Self {
        let bars = std::io::stderr().is_terminal().then(|| {
            let all = MultiProgress::new();
            let generations = all.add(ProgressBar::new(generations as u64));
            generations.set_style(style("{prefix:11} {bar:30} {pos}/{len}  {elapsed_precise}"));
            generations.set_prefix(format!("{unit}s"));
            let candidates = all.add(ProgressBar::new(0));
            candidates.set_style(style("candidates  {bar:30} {pos}/{len}  {msg}"));
            Bars { all, generations, candidates }
        });
        Self { bars, unit, generations, active: Mutex::default(), pace: Mutex::default() }
    }

    /// Takes a training event of a trial, from its worker's thread.
    pub(crate) fn train(&self, trial: TrialId, phase: Phase, event: &TrainEvent) -> ControlFlow<()> {
        let name = match phase {
            Phase::Training => "FP32 training",
            Phase::Alignment => "FP16-aware fine-tuning",
        };
        if let TrainEvent::Step { step, .. } = event {
            self.note_step(trial, *step == 1);
        }
        match (event, &self.bars) {
            (TrainEvent::Step { step, steps }, Some(bars)) => {
                let mut active = self.active();
                let bar = active.entry(trial).or_insert_with(|| {
                    let bar = bars.all.add(ProgressBar::new(0));
                    bar.set_style(style("trial {prefix:5} {bar:30} {pos}/{len} steps  {msg}"));
                    bar.set_prefix(trial.0.to_string());
                    bar
                });
                bar.set_length(*steps as u64);
                bar.set_position(*step as u64);
                if *step == 1 {
                    bar.set_message(name);
                }
            }
            (TrainEvent::Epoch { epoch, epochs, loss, .. }, Some(_)) => {
                let scoring = if phase == Phase::Alignment && epoch == epochs { "; scoring" } else { "" };
                if let Some(bar) = self.active().get(&trial) {
                    bar.set_message(format!("{name}, epoch {epoch}/{epochs}, loss {loss:.3}{scoring}"));
                }
            }
            (TrainEvent::Epoch { epoch, epochs, loss, .. }, None) => {
                eprintln!("trial {}: {name}, epoch {epoch}/{epochs}, loss {loss:.3}", trial.0);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Notes a step's end. The first one of a training began nobody knows when, so it only starts the clock.
    fn note_step(&self, trial: TrialId, first: bool) {
        #[expect(clippy::disallowed_methods, reason = "the pace is reported and reaches no result")]
        let now = Instant::now();
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let before = pace.last.insert(trial, now).filter(|_| !first);
        if let Some(before) = before {
            pace.steps += 1;
            pace.time += now - before;
        }
    }

    /// Says how many tiles a second each of `workers` trained since this was last asked, in steps of `batch` tiles.
    pub(crate) fn say_pace(&self, batch: usize, workers: &str) {
        let Pace { steps, time, .. } =
            std::mem::take(&mut *self.pace.lock().unwrap_or_else(PoisonError::into_inner));
        if steps > 0 {
            let pace = f64::from(steps) * batch as f64 / time.as_secs_f64();
            self.say(&format!("Training: {pace:.1} tiles a second {workers}"));
        }
    }

    /// Says something, above the bars if there are any.
    pub(crate) fn say(&self, line: &str) {
        match &self.bars {
            Some(bars) => bars.all.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bars away.
    pub(crate) fn clear(&self) {
        for bar in self.active().values() {
            bar.finish_and_clear();
        }
        if let Some(bars) = &self.bars {
            bars.generations.finish_and_clear();
            bars.candidates.finish_and_clear();
        }
    }

    /// Takes an event of the search.
    pub(crate) fn search(&self, event: &SearchEvent<'_, UnetGenotype>) {
        match event {
            SearchEvent::Asked { batch, proposals } => {
                let generation = format!("{} {batch}/{}", self.unit, self.generations);
                match &self.bars {
                    Some(bars) => {
                        bars.generations.enable_steady_tick(Duration::from_secs(1));
                        bars.candidates.set_length(proposals.len() as u64);
                        bars.candidates.set_position(0);
                        bars.candidates.set_message(generation);
                    }
                    None => eprintln!("{generation}: {} candidates", proposals.len()),
                }
            }
            SearchEvent::Finished { trial, origin, wall_s } => self.finished(trial, *origin, *wall_s),
            SearchEvent::Told { batch, .. } => {
                if let Some(bars) = &self.bars {
                    bars.generations.set_position(*batch as u64);
                }
            }
            SearchEvent::Stopped { rule } => self.say(&format!("Stopped: {rule}; --resume goes on.")),
            _ => {}
        }
    }

    fn finished(&self, trial: &Trial<UnetGenotype>, origin: Origin, wall_s: f64) {
        if let Some(bar) = self.active().remove(&trial.id) {
            bar.finish_and_clear();
        }
        if let Some(bars) = &self.bars {
            bars.candidates.inc(1);
        }
        let source = match origin {
            Origin::Fresh => format!("{wall_s:.0} s"),
            Origin::Replayed => "from the journal".to_owned(),
        };
        self.say(&format!(
            "trial {} ({source}): {}  {}",
            trial.id.0,
            verdict(&trial.verdict),
            trial.proposal.genotype
        ));
    }

    fn active(&self) -> MutexGuard<'_, BTreeMap<TrialId, ProgressBar>> {
        // A poisoned map is still a map of bars.
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A verdict in a few words.
fn verdict(outcome: &Outcome) -> String {
    let value = |name: &str| outcome.attribute(name).unwrap_or_default();
    match outcome {
        Outcome::Measured { .. } => format!(
            "mIoU {:.3}, vessel IoU {:.3}, {} parameters, {:.1} ms",
            value("miou_aligned"),
            value("vessel_iou_aligned"),
            value("parameters"),
            1e3 * value("latency_s"),
        ),
        Outcome::Infeasible { reason, .. } => format!("infeasible, {reason}"),
        Outcome::Diverged { reason } => format!("diverged, {reason}"),
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What the search tells the screen, and what happens to files after each generation.
pub(crate) struct Watcher<'run, F> {
    pub(crate) screen: &'run Screen,
    /// Called with all trials so far after each generation.
    pub(crate) told: F,
}

impl<F: FnMut(&[Trial<UnetGenotype>])> Observer<SearchEvent<'_, UnetGenotype>> for Watcher<'_, F> {
    fn observe(&mut self, event: &SearchEvent<'_, UnetGenotype>) -> ControlFlow<()> {
        self.screen.search(event);
        if let SearchEvent::Told { trials, .. } = event {
            (self.told)(trials);
        }
        ControlFlow::Continue(())
    }
}
