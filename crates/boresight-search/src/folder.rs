//! The folder of a run, and files in it that are either whole or absent.

use crate::Error;
use crate::journal::io;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The folder of one run: its journal and what the application puts beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A fresh folder at `path`, made with its parents; an empty one that is there already will do.
    ///
    /// # Errors
    /// [`Error::FolderInUse`] when something is in it; when it cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(io("create folder", &path))?;
        if fs::read_dir(&path).map_err(io("list", &path))?.next().is_some() {
            return Err(Error::FolderInUse { path });
        }
        sync_folder_of(&path)?;
        Ok(Self { path })
    }

    /// A fresh folder in `parent`, named by the number behind the largest one there: `001`, `002` and so on. Two
    /// processes that ask at once get two folders.
    ///
    /// # Errors
    /// When `parent` cannot be made or listed, or the folder cannot be made.
    pub fn next(parent: impl AsRef<Path>) -> Result<Self, Error> {
        let parent = parent.as_ref();
        fs::create_dir_all(parent).map_err(io("create folder", parent))?;
        let mut number = largest_number(parent)?;
        loop {
            number = number.saturating_add(1);
            let path = parent.join(format!("{number:03}"));
            match fs::create_dir(&path) {
                Ok(()) => {
                    sync_folder_of(&path)?;
                    return Ok(Self { path });
                }
                Err(source) if source.kind() == ErrorKind::AlreadyExists && number < u64::MAX => {}
                Err(source) => return Err(io("create folder", &path)(source)),
            }
        }
    }

    /// The folder of an earlier run, to be resumed.
    ///
    /// # Errors
    /// [`Error::NoJournal`] when there is none in it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let folder = Self { path: path.into() };
        if folder.journal().is_file() { Ok(folder) } else { Err(Error::NoJournal { path: folder.path }) }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of its journal, `journal.jsonl`.
    pub fn journal(&self) -> PathBuf {
        self.file("journal.jsonl")
    }

    /// The path of the file `name` in it.
    pub fn file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// Writes the file `name` in it, whole or not at all.
    ///
    /// # Errors
    /// Those of [`write_atomically`].
    pub fn write(&self, name: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
        write_atomically(self.file(name), bytes)
    }
}

/// Writes `path` whole or not at all: into `path` with `.partial` behind it, which is synced and then renamed.
///
/// # Errors
/// When the folder refuses; an earlier file at `path` is then unchanged.
pub fn write_atomically(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    let mut partial = OsString::from(path);
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let written = File::create(&partial).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let renamed = written.and_then(|()| fs::rename(&partial, path));
    if let Err(source) = renamed {
        // The error that matters is the first one; a partial file that cannot be removed says so by its name.
        let _ = fs::remove_file(&partial);
        return Err(io("write", path)(source));
    }
    sync_folder_of(path)
}

/// Makes the name of a new file or folder survive a crash.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), Error> {
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) => Path::new("."),
        None => return Ok(()),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync folder", folder))
}

fn largest_number(parent: &Path) -> Result<u64, Error> {
    let mut largest = 0;
    for entry in fs::read_dir(parent).map_err(io("list", parent))? {
        let name = entry.map_err(io("list", parent))?.file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        largest = largest.max(number.unwrap_or(0));
    }
    Ok(largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::tempdir;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let place = tempdir().unwrap();
        let path = place.path().join("a/run");
        RunFolder::create(&path).unwrap().write("run.json", b"{}").unwrap();
        assert!(matches!(RunFolder::create(&path), Err(Error::FolderInUse { path: named }) if named == path));
    }

    #[test]
    fn an_empty_folder_may_be_used() {
        let place = tempdir().unwrap();
        assert_eq!(RunFolder::create(place.path()).unwrap().path(), place.path());
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let place = tempdir().unwrap();
        let path = place.path().join("run");
        fs::write(&path, b"").unwrap();
        assert!(RunFolder::create(&path).unwrap_err().to_string().contains("run"));
    }

    #[test]
    fn numbers_go_on_behind_the_largest() {
        let place = tempdir().unwrap();
        let runs = place.path().join("runs");
        assert_eq!(RunFolder::next(&runs).unwrap().path(), runs.join("001"));
        fs::create_dir(runs.join("041")).unwrap();
        fs::create_dir(runs.join("notes")).unwrap();
        assert_eq!(RunFolder::next(&runs).unwrap().path(), runs.join("042"));
    }

    #[test]
    fn a_folder_without_a_journal_cannot_be_resumed() {
        let place = tempdir().unwrap();
        assert!(matches!(RunFolder::open(place.path()), Err(Error::NoJournal { .. })));
        fs::write(place.path().join("journal.jsonl"), b"").unwrap();
        assert!(RunFolder::open(place.path()).is_ok());
    }

    #[test]
    fn writing_replaces_a_file_and_leaves_nothing_beside_it() {
        let place = tempdir().unwrap();
        let path = place.path().join("best.json");
        write_atomically(&path, b"old").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_refused_write_leaves_nothing_behind() {
        let place = tempdir().unwrap();
        let path = place.path().join("best.json");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("kept"), b"").unwrap();
        assert!(write_atomically(&path, b"new").is_err());
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }
}
