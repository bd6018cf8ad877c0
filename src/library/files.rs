//! Files of the library: which there are, and their text.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{self, Unread};

use super::Problem;

/// The most manifests that are read of a directory: twice as many as are known to work, and some hundred MiB of memory.
pub(super) const MAX_FILES: usize = 20_000;

/// A file and its text.
pub(super) type Text = (PathBuf, Result<String, Problem>);

/// The texts of a source's files, in the order of [`list`], and all of one version if it is a mounted ConfigMap.
pub(super) fn texts(source: &Path) -> Result<Vec<Text>, Problem> {
    let texts = || {
        let text = |path: PathBuf| {
            let text = read(&path);
            (path, text)
        };
        list(source).map(|paths| paths.into_iter().map(text).collect())
    };
    files::of_one_version(source, texts).unwrap_or_else(|error| Err(unread(source, error)))
}

/// The files of a directory that may hold manifests, by name; or `path` itself if it is no directory.
///
/// Not recursive. Names that begin with a dot are the kubelet's (`..data`) and editors' own. A link counts as what it
/// leads to: in a mounted ConfigMap every file is one.
///
/// # Errors
///
/// It is not there or can't be read, or has too many files.
pub fn list(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    let unreadable = |error: io::Error| unread(path, error.into());
    if !path.metadata().map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in path.read_dir().map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let manifest = matches!(file.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json"));
        if manifest && !hidden && !file.is_dir() {
            files.push(file);
        }
    }
    if files.len() > MAX_FILES {
        return Err(Problem::TooMany { path: path.to_owned(), found: files.len() });
    }
    files.sort();
    Ok(files)
}

/// The text of a file.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    let bytes = files::read(path).map_err(|error| unread(path, error))?;
    String::from_utf8(bytes)
        .map_err(|error| Problem::NotText { path: path.to_owned(), offset: error.utf8_error().valid_up_to() })
}

fn unread(path: &Path, error: Unread) -> Problem {
    Problem::Unread { path: path.to_owned(), error: Arc::new(error) }
}
