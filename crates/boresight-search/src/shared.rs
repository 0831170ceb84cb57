//! Verdicts that several runs share in a file.

use crate::journal::io;
use crate::{Damage, Error, Failure};
use boresight_core::{Context, Evaluator, Objective, Outcome};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The first line of a shared file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    cache: Value,
}

/// A verdict as one line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<K> {
    key: K,
    fidelity: f64,
    verdict: Outcome,
}

/// An evaluator that keeps its verdicts in a file, by a key of the phenotype (such as its canonical hash) and the
/// fidelity. Runs that share the file, one after the other or at once, evaluate equal candidates once.
///
/// This is only sound where the verdict does not depend on [`Context::seed`] or [`Context::trial`]. What else decides it
/// is the file's configuration; another one is refused. Lines are JSON and are written whole under a lock; a last line
/// that a crash cut off is dropped. Two workers that evaluate equal candidates at the same time both do; put a
/// [`Cached`](crate::Cached) around it to let one wait.
#[derive(Debug)]
pub struct Shared<E, F, K> {
    evaluator: E,
    key: F,
    shelf: Mutex<Shelf<K>>,
}

impl<E, F, K> Shared<E, F, K>
where
    K: Ord + Serialize + DeserializeOwned,
{
    /// Keeps the verdicts of `evaluator` at `path`, which is made where it is not there.
    ///
    /// # Errors
    /// When the file cannot be read or written, is damaged before its last line, or was made for another
    /// `configuration` ([`Error::OtherSettings`]).
    pub fn open(
        path: impl Into<PathBuf>,
        configuration: &Value,
        evaluator: E,
        key: F,
    ) -> Result<Self, Error> {
        Ok(Self { evaluator, key, shelf: Mutex::new(Shelf::open(path.into(), configuration)?) })
    }

    /// How many verdicts it knows.
    pub fn len(&self) -> usize {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).known.len()
    }

    /// Whether it knows none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<P, E, F, K> Evaluator<P> for Shared<E, F, K>
where
    P: ?Sized,
    E: Evaluator<P>,
    E::Error: Into<Failure>,
    F: Fn(&P) -> K + Send + Sync,
    K: Ord + Serialize + DeserializeOwned + Send,
{
    type Error = Failure;

    fn objectives(&self) -> &[Objective] {
        self.evaluator.objectives()
    }

    fn evaluate(&self, phenotype: &P, context: &Context) -> Result<Outcome, Failure> {
        let share = context.fidelity.share();
        let key = ((self.key)(phenotype), share.to_bits());
        // No panic happens while the lock is held but one of `K`'s own; the shelf is then whole all the same.
        if let Some(verdict) = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).find(&key)? {
            return Ok(verdict);
        }
        let verdict = self.evaluator.evaluate(phenotype, context).map_err(Into::into)?;
        let entry = Entry { key: key.0, fidelity: share, verdict: verdict.clone() };
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).keep(entry)?;
        Ok(verdict)
    }
}

/// The file, and what was read of it.
#[derive(Debug)]
struct Shelf<K> {
    path: PathBuf,
    file: File,
    known: BTreeMap<(K, u64), Outcome>,
    /// Bytes and lines that were read; whole lines only.
    read: u64,
    lines: usize,
}

impl<K: Ord + Serialize + DeserializeOwned> Shelf<K> {
    fn open(path: PathBuf, configuration: &Value) -> Result<Self, Error> {
        let opened = OpenOptions::new().read(true).append(true).create(true).open(&path);
        let file = opened.map_err(io("open", &path))?;
        let mut shelf = Self { path, file, known: BTreeMap::new(), read: 0, lines: 0 };
        shelf.locked(|shelf| {
            let fresh = shelf.tail()?.is_empty();
            if fresh {
                shelf.write(&About { cache: configuration.clone() })?;
            }
            shelf.check(configuration)
        })?;
        shelf.refresh()?;
        Ok(shelf)
    }

    /// Reads the first line and compares it.
    fn check(&mut self, configuration: &Value) -> Result<(), Error> {
        let text = self.tail()?;
        let line = text.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default();
        let about: About = serde_json::from_slice(line).map_err(|error| self.damaged(1, &error))?;
        if about.cache != *configuration {
            let (recorded, given) = (about.cache.to_string(), configuration.to_string());
            return Err(Error::OtherSettings { name: "configuration".into(), recorded, given });
        }
        self.read = line.len() as u64;
        self.lines = 1;
        Ok(())
    }

    /// The verdict of a key, also when another run has just stored it.
    fn find(&mut self, key: &(K, u64)) -> Result<Option<Outcome>, Error> {
        if !self.known.contains_key(key) {
            self.refresh()?;
        }
        Ok(self.known.get(key).cloned())
    }

    fn keep(&mut self, entry: Entry<K>) -> Result<(), Error> {
        if let Some((name, _)) = crate::record::not_finite(&entry.verdict) {
            return Err(Error::Refused { path: self.path.clone(), reason: Damage::NotFinite(name) });
        }
        self.locked(|shelf| {
            shelf.cut_torn_line()?;
            shelf.write(&entry)
        })?;
        self.known.insert((entry.key, entry.fidelity.to_bits()), entry.verdict);
        Ok(())
    }

    /// Takes in the whole lines that were written since it last looked.
    fn refresh(&mut self) -> Result<(), Error> {
        let text = self.tail()?;
        for line in text.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")) {
            let entry: Entry<K> =
                serde_json::from_slice(line).map_err(|error| self.damaged(self.lines + 1, &error))?;
            self.read += line.len() as u64;
            self.lines += 1;
            self.known.entry((entry.key, entry.fidelity.to_bits())).or_insert(entry.verdict);
        }
        Ok(())
    }

    /// Everything behind what was read.
    fn tail(&mut self) -> Result<Vec<u8>, Error> {
        let mut text = Vec::new();
        let read = self.file.seek(SeekFrom::Start(self.read)).and_then(|_| self.file.read_to_end(&mut text));
        read.map_err(io("read", &self.path))?;
        Ok(text)
    }

    /// Cuts off what a crash left of a line; nobody else writes while the lock is held.
    fn cut_torn_line(&mut self) -> Result<(), Error> {
        let text = self.tail()?;
        let torn = text.iter().rev().take_while(|&&byte| byte != b'\n').count() as u64;
        if torn > 0 {
            let whole = self.read + text.len() as u64 - torn;
            self.file.set_len(whole).map_err(io("write", &self.path))?;
        }
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(line).map_err(|error| self.damaged(self.lines + 1, &error))?;
        bytes.push(b'\n');
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        written.map_err(io("write", &self.path))
    }

    fn locked<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, Error>) -> Result<T, Error> {
        match self.file.lock() {
            Ok(()) => {}
            // Some network file systems have no locks; a line of this size is then appended whole all the same.
            Err(source) if source.kind() == std::io::ErrorKind::Unsupported => {}
            Err(source) => return Err(io("lock", &self.path)(source)),
        }
        let result = work(self);
        // Closing the file would unlock it too.
        self.file.unlock().map_err(io("unlock", &self.path))?;
        result
    }

    fn damaged(&self, line: usize, error: &serde_json::Error) -> Error {
        Error::Damaged { path: Path::to_owned(&self.path), line, reason: Damage::syntax(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use boresight_core::{Direction, Seed};
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tempfile::tempdir;

    struct Counting(Vec<Objective>, AtomicUsize);

    type Shelved<'run> = Shared<&'run Counting, fn(&u32) -> u32, u32>;

    impl Evaluator<u32> for Counting {
        type Error = Failure;

        fn objectives(&self) -> &[Objective] {
            &self.0
        }

        fn evaluate(&self, number: &u32, _: &Context) -> Result<Outcome, Failure> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(Outcome::measured(vec![f64::from(*number) / 3.0]))
        }
    }

    fn counting() -> Counting {
        Counting(vec![Objective::new("third", "1", Direction::Minimise)], AtomicUsize::new(0))
    }

    fn open<'run>(path: &Path, epochs: u32, evaluator: &'run Counting) -> Result<Shelved<'run>, Error> {
        Shared::open(path, &json!({ "epochs": epochs }), evaluator, |number| *number)
    }

    fn context() -> Context {
        Context::new(Seed::new(1))
    }

    #[test]
    fn runs_that_share_a_file_evaluate_equal_candidates_once() {
        let place = tempdir().unwrap();
        let (path, inner) = (place.path().join("cache"), counting());
        let (one, other) = (open(&path, 3, &inner).unwrap(), open(&path, 3, &inner).unwrap());
        let first = one.evaluate(&7, &context()).unwrap();
        assert_eq!(other.evaluate(&7, &context()).unwrap(), first);
        other.evaluate(&8, &context()).unwrap();
        assert_eq!(one.evaluate(&8, &context()).unwrap(), other.evaluate(&8, &context()).unwrap());
        let later = open(&path, 3, &inner).unwrap();
        assert_eq!((later.len(), later.evaluate(&7, &context()).unwrap()), (2, first));
        assert_eq!(inner.1.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn another_configuration_is_refused_and_a_torn_line_dropped() {
        let place = tempdir().unwrap();
        let (path, inner) = (place.path().join("cache"), counting());
        open(&path, 3, &inner).unwrap().evaluate(&7, &context()).unwrap();
        assert!(matches!(open(&path, 4, &inner), Err(Error::OtherSettings { .. })));
        let whole = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{whole}{{\"key\":8,")).unwrap();
        let shared = open(&path, 3, &inner).unwrap();
        assert_eq!(shared.len(), 1);
        shared.evaluate(&9, &context()).unwrap();
        assert_eq!(open(&path, 3, &inner).unwrap().len(), 2);
        std::fs::write(&path, format!("{whole}nonsense\n")).unwrap();
        assert!(matches!(open(&path, 3, &inner), Err(Error::Damaged { line: 3, .. })));
    }

    #[test]
    fn a_shared_evaluator_keeps_the_laws() {
        let place = tempdir().unwrap();
        let inner = counting();
        let shared = open(&place.path().join("cache"), 1, &inner).unwrap();
        boresight_testkit::evaluator_laws(&shared, &7, [context()]);
    }
}
