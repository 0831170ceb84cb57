//! Tensors that lie in a file of their own.

use crate::onnx::{Error, proto};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The `expected` bytes of a tensor outside the file.
///
/// Only files inside `folder` are opened, links followed.
pub(super) fn load(
    tensor: &proto::Tensor,
    name: &str,
    folder: Option<&Path>,
    expected: usize,
) -> Result<Vec<u8>, Error> {
    let entry = |key: &str| {
        let found = tensor.external_data.iter().find(|entry| entry.key == key);
        found.map(|entry| entry.value.as_str())
    };
    let location = entry("location").unwrap_or_default();
    let broken = |rule| Error::External { tensor: name.to_owned(), location: location.to_owned(), rule };
    let folder = folder.ok_or_else(|| broken("the reader was given no folder"))?;
    let number = |key, otherwise| {
        entry(key)
            .map_or(Ok(otherwise), |text| text.parse().map_err(|_| broken("offset or length is no number")))
    };
    let length = u64::try_from(expected).unwrap_or(u64::MAX);
    let (offset, stated): (u64, u64) = (number("offset", 0)?, number("length", length)?);
    if stated != length {
        return Err(broken("its length is not that of its dimensions"));
    }
    let path = Path::new(location);
    let is_inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if location.is_empty() || !is_inside {
        return Err(broken("it must be a path inside the folder"));
    }
    let path = folder.join(path);
    let unreadable = |path: &PathBuf, error: &io::Error| Error::Unreadable {
        tensor: name.to_owned(),
        path: path.clone(),
        kind: error.kind(),
    };
    let root = folder.canonicalize().map_err(|error| unreadable(&folder.to_path_buf(), &error))?;
    let real = path.canonicalize().map_err(|error| unreadable(&path, &error))?;
    if !real.starts_with(&root) {
        return Err(broken("it must be a path inside the folder"));
    }
    let size = real.metadata().map_err(|error| unreadable(&real, &error))?;
    if !size.is_file() {
        return Err(broken("it must be a file"));
    }
    if offset.checked_add(length).is_none_or(|end| end > size.len()) {
        return Err(broken("it ends behind the end of the file"));
    }
    excerpt(&real, offset, expected).map_err(|error| unreadable(&real, &error))
}

fn excerpt(path: &Path, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
