//! Files and what they gave when they were last good: an unchanged file is not parsed again, a bad one loses nothing.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crate::template::Diagnostic;

use super::files;
use super::report::{Event, FileReport, Problem};

/// What a good file gives.
pub(super) struct Parsed<T> {
    pub(super) items: Vec<T>,
    pub(super) notes: Vec<Diagnostic>,
}

/// The files of one purpose.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    /// In the order of reading.
    files: Vec<(PathBuf, Entry<T>)>,
    /// Digests never leave the process, so a keyed 64-bit hash is enough: nobody can aim at a collision.
    hasher: RandomState,
}

/// A file, or a directory that can't be read.
#[derive(Debug)]
struct Entry<T> {
    /// Of the bytes that were last read; none if they could not be.
    digest: Option<u64>,
    /// What the last good bytes gave.
    good: Option<Vec<T>>,
    notes: Vec<Diagnostic>,
    /// What is wrong with it as it is now.
    problem: Option<Problem>,
}

/// A file after a reading.
pub(super) struct Standing<'s, T> {
    /// What is in force of it.
    pub(super) good: &'s [T],
    /// What is wrong with it.
    pub(super) problem: Option<&'s Problem>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { files: Vec::new(), hasher: RandomState::new() }
    }
}

impl<T> Default for Entry<T> {
    fn default() -> Self {
        Self { digest: None, good: None, notes: Vec::new(), problem: None }
    }
}

impl<T> Shelf<T> {
    /// Reads files and the files of directories, and tells what became of each. Where `parse` panics, `failed` says what is wrong.
    pub(super) fn read(
        &mut self,
        sources: &[PathBuf],
        parse: impl Fn(&Path, &str) -> Result<Parsed<T>, Problem>,
        failed: impl Fn(&Path, &str) -> Problem,
    ) -> Vec<FileReport> {
        // A mistake of ours in one file must not keep the others from being read. The panic hook says where.
        let parse = |path: &Path, text: &str| {
            let parsed = catch_unwind(AssertUnwindSafe(|| parse(path, text)));
            parsed.unwrap_or_else(|_| Err(failed(path, text)))
        };
        let mut report = Vec::new();
        let mut before: HashMap<PathBuf, Entry<T>> = self.files.drain(..).collect();
        for source in sources {
            match files::texts(source) {
                Ok(texts) => {
                    for (path, text) in texts {
                        let mut entry = before.remove(&path).unwrap_or_default();
                        let changed = entry.refresh(&path, text, &self.hasher, |text| parse(&path, text));
                        report.push(entry.report(path.clone(), changed));
                        self.files.push((path, entry));
                    }
                    before.remove(source);
                }
                Err(problem) => {
                    let mut entry = before.remove(source).unwrap_or_default();
                    let changed = entry.spoil(problem, None);
                    let mut files: Vec<_> = before.extract_if(|path, _| path.parent() == Some(source)).collect();
                    files.sort_by(|(a, _), (b, _)| a.cmp(b));
                    let mut told = entry.report(source.clone(), changed);
                    told.keep(files.iter().map(|(_, file)| file.in_force()).sum());
                    report.push(told);
                    self.files.push((source.clone(), entry));
                    // The directory may be back in a moment: until then its files stand.
                    self.files.append(&mut files);
                }
            }
        }
        let mut gone: Vec<PathBuf> = before.into_keys().collect();
        gone.sort();
        report.extend(gone.into_iter().map(FileReport::removed));
        report
    }

    /// All that is in force, in the order of the sources.
    pub(super) fn standing(&self) -> impl Iterator<Item = Standing<'_, T>> {
        self.files.iter().map(|(_, entry)| Standing {
            good: entry.good.as_deref().unwrap_or_default(),
            problem: entry.problem.as_ref(),
        })
    }
}

impl<T> Entry<T> {
    /// Takes in the file's text as it is now; `true` when that makes a difference.
    fn refresh(
        &mut self,
        path: &Path,
        text: Result<String, Problem>,
        hasher: &RandomState,
        parse: impl FnOnce(&str) -> Result<Parsed<T>, Problem>,
    ) -> bool {
        let text = match text {
            Ok(text) => text,
            Err(problem) => return self.spoil(problem, None),
        };
        let digest = Some(hasher.hash_one(&text));
        if self.digest == digest {
            return false;
        }
        if text.is_empty() && self.in_force() > 0 {
            return self.spoil(Problem::Emptied { path: path.to_owned() }, digest);
        }
        match parse(&text) {
            Ok(Parsed { items, notes }) => {
                *self = Self { digest, good: Some(items), notes, problem: None };
                true
            }
            // What passes is looked at again, whether or not the text changes.
            Err(problem) => {
                let digest = digest.filter(|_| !problem.passes());
                self.spoil(problem, digest)
            }
        }
    }

    /// Notes what is wrong now; `true` when it is something new.
    fn spoil(&mut self, problem: Problem, digest: Option<u64>) -> bool {
        let known = self.problem.as_ref().is_some_and(|known| known.to_string() == problem.to_string());
        self.digest = digest;
        self.problem = Some(problem);
        !known
    }

    fn in_force(&self) -> usize {
        self.good.as_ref().map_or(0, Vec::len)
    }

    fn report(&self, path: PathBuf, changed: bool) -> FileReport {
        let event = match (&self.problem, &self.good) {
            (None, _) => Event::Good(self.notes.clone()),
            (Some(problem), Some(_)) => Event::Kept(problem.clone()),
            (Some(problem), None) => Event::Failed(problem.clone()),
        };
        FileReport { path, in_force: self.in_force(), changed, event }
    }
}
