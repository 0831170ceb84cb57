//! Threads that work on parts of one task.
//!
//! What a part is never depends on the number of threads where an order of sums is at stake: the caller cuts the task,
//! the team only decides who takes which part.

use std::any::Any;
use std::array;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle, Thread};

/// Parts that are handed out at once; more come in several rounds.
const ROUND: usize = 64;

/// Turns of waiting before a thread sleeps, some 50 microseconds: waking one costs about as much.
const PATIENCE: usize = 2_000;

/// The calling thread and its helpers; clones share them.
///
/// A team of one has no helper and costs nothing. While one caller's task runs, those of others run on their own thread.
#[derive(Clone, Default)]
pub struct Team {
    crew: Option<Arc<Crew>>,
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Team").field("threads", &self.threads()).finish()
    }
}

impl Team {
    /// A team of `threads`, the caller's among them; fewer where the system refuses to start them.
    pub fn new(threads: NonZeroUsize) -> Self {
        let helpers = threads.get() - 1;
        Self { crew: (helpers > 0).then(|| Arc::new(Crew::new(helpers))) }
    }

    /// The caller's thread alone.
    pub const fn alone() -> Self {
        Self { crew: None }
    }

    /// Threads of the team.
    pub fn threads(&self) -> usize {
        1 + self.crew.as_ref().map_or(0, |crew| crew.helpers.len())
    }

    /// `count` things divided among the threads: how many each part has, at least one.
    pub fn share(&self, count: usize) -> usize {
        count.div_ceil(self.threads()).max(1)
    }

    /// Calls `work` once with each part, on any thread and in any order; returns when all is done.
    ///
    /// # Panics
    /// When `work` does.
    pub fn each<T: Send>(&self, parts: impl Iterator<Item = T>, work: impl Fn(T) + Sync) {
        self.each_with(&mut [(); ROUND], parts, |&mut (), part| work(part));
    }

    /// As [`Team::each`]; each thread has one of `desks` for itself, so no more threads work than there are desks.
    ///
    /// # Panics
    /// When `work` does, or there is no desk.
    pub fn each_with<D: Send, T: Send>(
        &self,
        desks: &mut [D],
        mut parts: impl Iterator<Item = T>,
        work: impl Fn(&mut D, T) + Sync,
    ) {
        let Some(crew) = &self.crew else {
            return parts.for_each(|part| work(&mut desks[0], part));
        };
        let Ok(_turn) = crew.turn.try_lock() else {
            return parts.for_each(|part| work(&mut desks[0], part));
        };
        let mut desks = desks.iter_mut();
        let desks: [Mutex<Option<&mut D>>; ROUND] = array::from_fn(|_| Mutex::new(desks.next()));
        loop {
            let round: [Mutex<Option<T>>; ROUND] = array::from_fn(|_| Mutex::new(parts.next()));
            if lock(&round[0]).is_none() {
                return;
            }
            let next = AtomicUsize::new(0);
            crew.call(&|thread| {
                let Some(mut desk) = desks.get(thread).map(lock) else { return };
                let Some(desk) = desk.as_mut() else { return };
                while let Some(slot) = round.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(part) = lock(slot).take() else { return };
                    work(desk, part);
                }
            });
        }
    }
}

/// Nothing that a mutex guards here is left half-done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The helpers of a team.
struct Crew {
    board: Arc<Board>,
    helpers: Vec<JoinHandle<()>>,
    /// Held by the caller whose task runs.
    turn: Mutex<()>,
}

/// What caller and helpers tell each other.
#[derive(Default)]
struct Board {
    /// Counts the tasks; each increase calls the helpers once.
    call: AtomicUsize,
    task: Mutex<Option<Task>>,
    /// Helpers that still work on the task.
    busy: AtomicUsize,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A task to call with the number of the thread, and who waits for it.
#[derive(Clone)]
struct Task {
    work: &'static (dyn Fn(usize) + Sync),
    caller: Thread,
}

impl Crew {
    fn new(count: usize) -> Self {
        let board = Arc::new(Board::default());
        let helper = |number: usize| {
            let board = Arc::clone(&board);
            thread::Builder::new().name(format!("helper {number}")).spawn(move || board.help(number)).ok()
        };
        let helpers = (1..=count).map_while(helper).collect();
        Self { board, helpers, turn: Mutex::new(()) }
    }

    /// Calls `work` with 0 here and with 1, 2, .. on the helpers; returns when all have returned.
    fn call(&self, work: &(dyn Fn(usize) + Sync)) {
        // SAFETY: only the lifetime changes. `Wait` is dropped before this function returns or unwinds, which takes
        // back the reference from the board and waits until every helper has left `work`; nobody reads it after.
        let work: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(work) };
        *lock(&self.board.panic) = None;
        *lock(&self.board.task) = Some(Task { work, caller: thread::current() });
        self.board.busy.store(self.helpers.len(), Ordering::Relaxed);
        let wait = Wait(&self.board);
        self.board.call.fetch_add(1, Ordering::Release);
        self.wake();
        work(0);
        drop(wait);
        if let Some(panic) = lock(&self.board.panic).take() {
            resume_unwind(panic);
        }
    }

    fn wake(&self) {
        self.helpers.iter().for_each(|helper| helper.thread().unpark());
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // Without a task a call sends the helpers home.
        self.board.call.fetch_add(1, Ordering::Release);
        self.wake();
        for helper in self.helpers.drain(..) {
            // A helper catches every panic of a task, so it has none of its own.
            let _ = helper.join();
        }
    }
}

/// Waits for the helpers when it is dropped, also while a panic unwinds.
struct Wait<'board>(&'board Board);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        wait_until(|| self.0.busy.load(Ordering::Acquire) == 0);
        *lock(&self.0.task) = None;
    }
}

fn wait_until(done: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if done() {
            return;
        }
        std::hint::spin_loop();
    }
    while !done() {
        thread::park();
    }
}

impl Board {
    /// The life of helper `number`.
    fn help(&self, number: usize) {
        let mut seen = 0;
        loop {
            wait_until(|| self.call.load(Ordering::Acquire) != seen);
            seen = seen.wrapping_add(1);
            let Some(Task { work, caller }) = lock(&self.task).clone() else { return };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(number))) {
                *lock(&self.panic) = Some(panic);
            }
            if self.busy.fetch_sub(1, Ordering::Release) == 1 {
                caller.unpark();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn team(threads: usize) -> Team {
        Team::new(NonZeroUsize::new(threads).unwrap())
    }

    #[test]
    fn every_part_is_worked_on_once() {
        for threads in 1..6 {
            let team = team(threads);
            assert_eq!(team.threads(), threads);
            for count in [0, 1, 3, 64, 65, 200] {
                let mut values = vec![0; count];
                for _ in 0..20 {
                    team.each(values.iter_mut(), |value| *value += 1);
                }
                assert_eq!(values, vec![20; count], "{threads} threads");
            }
        }
    }

    #[test]
    fn no_two_threads_share_a_desk() {
        let team = team(4);
        let mut desks = [0_usize; 3];
        for _ in 0..100 {
            team.each_with(&mut desks, 0..50, |desk, _| *desk += 1);
        }
        assert_eq!(desks.iter().sum::<usize>(), 5_000);
    }

    #[test]
    fn a_task_within_a_task_runs_on_its_own_thread() {
        let (team, sum) = (team(3), AtomicUsize::new(0));
        team.each(0..4, |_| {
            team.each(0..4, |part| {
                sum.fetch_add(part, Ordering::Relaxed);
            });
        });
        assert_eq!(sum.into_inner(), 24);
    }

    #[test]
    fn a_panic_of_a_helper_reaches_the_caller_and_the_team_goes_on() {
        let team = team(2);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            team.each(0..10, |part| assert!(part < 5, "part {part}"));
        }));
        assert!(caught.is_err());
        let sum = AtomicUsize::new(0);
        team.each(0..10, |part| {
            sum.fetch_add(part, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 45);
    }
}
