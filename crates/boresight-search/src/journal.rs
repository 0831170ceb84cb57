//! The journal: one file, one line of JSON for each record, the only state of a search on disk.

use crate::folder::sync_folder_of;
use crate::record::format_of;
use crate::{Damage, Error, FORMAT, Record};
use boresight_core::{Genotype, Store, Trial, TrialId};
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// A last line that a crash cut off; its trial is evaluated again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornLine {
    /// The line, counted from 1.
    pub line: usize,
    /// How many bytes of it are there.
    pub bytes: usize,
}

/// What a journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Contents<G> {
    /// Its whole records in order; the first one is the header.
    pub records: Vec<Record<G>>,
    /// The torn last line, which is no record.
    pub torn: Option<TornLine>,
}

impl<G: Genotype> Contents<G> {
    /// The trials in the order of their numbers, such as those that another search starts from.
    pub fn trials(&self) -> Vec<Trial<G>> {
        let trial = |record: &Record<G>| match record {
            Record::Trial { trial, .. } => Some(trial.clone()),
            Record::Header(_) | Record::Asked { .. } | Record::Event(_) => None,
        };
        let mut trials: Vec<Trial<G>> = self.records.iter().filter_map(trial).collect();
        trials.sort_unstable_by_key(|trial| trial.id);
        trials
    }
}

/// A file of records in JSON Lines.
///
/// Each record is written whole by one write and is on the disk when [`append`](Store::append) returns. A torn last
/// line (no line end, or zero bytes as a crash may leave them) is dropped and cut off before the next record; damage
/// anywhere else is an error. An advisory lock keeps a second run out, where the file system knows locks.
#[derive(Debug)]
pub struct Journal<G> {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; what lies behind is torn and is cut off by the next append.
    whole: u64,
    torn: Option<TornLine>,
    tail: Tail,
    has_header: bool,
    trials: BTreeSet<TrialId>,
    genotype: PhantomData<fn() -> G>,
}

/// What lies behind the whole lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tail {
    Clean,
    Torn,
}

impl<G: Genotype> Journal<G> {
    /// A new, empty journal.
    ///
    /// # Errors
    /// [`Error::Exists`] when the file is there already; when it cannot be created.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let opened = OpenOptions::new().read(true).append(true).create_new(true).open(&path);
        let file = match opened {
            Err(source) if source.kind() == ErrorKind::AlreadyExists => return Err(Error::Exists { path }),
            opened => opened.map_err(io("create", &path))?,
        };
        lock(&file, &path)?;
        sync_folder_of(&path)?;
        Ok(Self::over(path, file))
    }

    /// The journal of an earlier run.
    ///
    /// # Errors
    /// When it cannot be read, is in use ([`Error::Locked`]), has another format or is damaged before its last line.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let file = OpenOptions::new().read(true).append(true).open(&path).map_err(io("open", &path))?;
        lock(&file, &path)?;
        let mut journal = Self::over(path, file);
        let bytes = journal.bytes()?;
        let contents = parse::<G>(&journal.path, &bytes)?;
        journal.torn = contents.torn;
        let torn = contents.torn.map_or(0, |torn| torn.bytes);
        journal.whole = (bytes.len() - torn) as u64;
        journal.tail = if torn > 0 { Tail::Torn } else { Tail::Clean };
        journal.has_header = !contents.records.is_empty();
        journal.trials = contents.records.iter().filter_map(trial_of).collect();
        Ok(journal)
    }

    /// What the journal at `path` holds, without locking it: for readers beside a running search.
    ///
    /// # Errors
    /// When it cannot be read, has another format or is damaged before its last line.
    pub fn read(path: impl AsRef<Path>) -> Result<Contents<G>, Error> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(io("read", path))?;
        parse(path, &bytes)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The torn line that was found when the journal was opened.
    pub fn torn(&self) -> Option<TornLine> {
        self.torn
    }

    fn over(path: PathBuf, file: File) -> Self {
        Self {
            path,
            file,
            whole: 0,
            torn: None,
            tail: Tail::Clean,
            has_header: false,
            trials: BTreeSet::new(),
            genotype: PhantomData,
        }
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = self.file.seek(SeekFrom::Start(0)).and_then(|_| self.file.read_to_end(&mut bytes));
        read.map_err(io("read", &self.path))?;
        Ok(bytes)
    }

    fn check(&self, record: &Record<G>) -> Result<(), Damage> {
        match (record, self.has_header) {
            (Record::Header(_), true) => Err(Damage::HeaderMisplaced),
            (Record::Trial { .. } | Record::Asked { .. } | Record::Event(_), false) => {
                Err(Damage::HeaderMissing)
            }
            (Record::Trial { trial, .. }, true) if self.trials.contains(&trial.id) => {
                Err(Damage::Duplicate(trial.id))
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        if self.tail == Tail::Torn {
            self.file.set_len(self.whole)?;
        }
        self.tail = Tail::Torn;
        self.file.write_all(line)?;
        self.file.sync_data()?;
        self.tail = Tail::Clean;
        self.whole += line.len() as u64;
        Ok(())
    }
}

impl<G: Genotype> Store<Record<G>> for Journal<G> {
    type Error = Error;

    /// Writes the record as one line and waits until the disk has it. What a failed append left is cut off by the next.
    fn append(&mut self, record: &Record<G>) -> Result<(), Error> {
        let line = self.check(record).and_then(|()| record.to_line());
        let line = line.map_err(|reason| Error::Refused { path: self.path.clone(), reason })?;
        self.write(&line).map_err(io("write", &self.path))?;
        self.has_header = true;
        self.trials.extend(trial_of(record));
        Ok(())
    }

    fn replay(&mut self) -> Result<Vec<Record<G>>, Error> {
        let bytes = self.bytes()?;
        Ok(parse(&self.path, &bytes)?.records)
    }
}

fn lock(file: &File, path: &Path) -> Result<(), Error> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.to_owned() }),
        // Some network file systems have no locks; a run there is worth more than the guard.
        Err(TryLockError::Error(source)) if source.kind() == ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(source)) => Err(io("lock", path)(source)),
    }
}

pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    move |source| Error::Io { action, path: path.to_owned(), source }
}

fn trial_of<G>(record: &Record<G>) -> Option<TrialId> {
    match record {
        Record::Trial { trial, .. } => Some(trial.id),
        Record::Header(_) | Record::Asked { .. } | Record::Event(_) => None,
    }
}

fn parse<G: Genotype>(path: &Path, bytes: &[u8]) -> Result<Contents<G>, Error> {
    let mut contents = Contents { records: Vec::new(), torn: None };
    let mut trials = BTreeSet::new();
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate().peekable();
    while let Some((index, text)) = lines.next() {
        let line = index + 1;
        if lines.peek().is_none() && is_torn(line, text) {
            contents.torn = Some(TornLine { line, bytes: text.len() });
            break;
        }
        let damaged = |reason| Error::Damaged { path: path.to_owned(), line, reason };
        if line == 1
            && let Some(found) = format_of(text).filter(|&found| found != FORMAT)
        {
            return Err(Error::Format { path: path.to_owned(), found, known: FORMAT });
        }
        let record = Record::from_line(text).map_err(damaged)?;
        match (&record, line) {
            (Record::Header(_), 2..) => return Err(damaged(Damage::HeaderMisplaced)),
            (Record::Trial { .. } | Record::Asked { .. } | Record::Event(_), 1) => {
                return Err(damaged(Damage::HeaderMissing));
            }
            _ => {}
        }
        if let Some(id) = trial_of(&record).filter(|&id| !trials.insert(id)) {
            return Err(damaged(Damage::Duplicate(id)));
        }
        contents.records.push(record);
    }
    Ok(contents)
}

/// Whether the last line is what a crash left of a record: without a line end, or with bytes that never were written.
/// A torn first line must be the beginning of a header, lest a file that is no journal is cut to nothing.
fn is_torn(line: usize, text: &[u8]) -> bool {
    const BEGINNING: &[u8] = br#"{"header":"#;
    let unfinished = !text.ends_with(b"\n") || text.contains(&0);
    let written = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let shared = written.len().min(BEGINNING.len());
    unfinished && (line > 1 || written[..shared] == BEGINNING[..shared])
}
