//! What a reading of the library did, as data: logs, metrics and `--strict-start` are made from it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::files::Unread;
use crate::template::{Diagnostic, LoadError, Origin};

use super::files::MAX_FILES;

/// What a reading did.
#[derive(Debug, Default)]
pub struct Report {
    /// Every file that was read, or is gone since the last reading, in the order of reading; a directory only when it
    /// can't be read.
    pub files: Vec<FileReport>,
    /// What is odd about the set as a whole.
    pub warnings: Vec<Warning>,
}

/// A file of the library.
#[derive(Debug)]
pub struct FileReport {
    /// The file, as it was named on the command line or found in a directory.
    pub path: PathBuf,
    /// How many templates or namespaces of it are in force.
    pub in_force: usize,
    /// Its bytes, or what is wrong with it, are others than at the last reading: it was compiled again, or is gone.
    pub changed: bool,
    /// What became of it.
    pub event: Event,
}

/// What became of a file.
#[derive(Debug)]
pub enum Event {
    /// It is in force as it is written. With what its author should know.
    Good(Vec<Diagnostic>),
    /// It is bad; its last good version stays in force.
    Kept(Problem),
    /// It is bad and never was good: what it declares is broken.
    Failed(Problem),
    /// It is gone, and what it declared with it.
    Removed,
}

/// Why a file, or a directory, is bad. `Display` is the text for people, over several lines for a template.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Problem {
    /// It was not read.
    #[error("{}: {error}", path.display())]
    Unread {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: Arc<Unread>,
    },
    /// A directory of which nothing new was read.
    #[error("{}: has {found} manifests; at most {MAX_FILES} are read", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// It is not UTF-8.
    #[error("{}: is not UTF-8 text: byte {offset} begins no character", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// How many bytes are.
        offset: usize,
    },
    /// It held something, and holds nothing: most programs empty a file before they write it anew.
    #[error("{}: is empty now; remove it if nothing of it is to be in force", path.display())]
    Emptied {
        /// The file.
        path: PathBuf,
    },
    /// A file of templates that does not load.
    #[error("{0}")]
    Template(Arc<LoadError>),
    /// A file of namespaces that can't be understood.
    #[error("{}: {problem}", path.display())]
    Namespaces {
        /// The file.
        path: PathBuf,
        /// What was found, and what is wanted.
        problem: String,
    },
}

/// Something odd that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Two files, or two documents of one, declare the same template; the later one is in force.
    #[error("template {name} of {} is hidden by the one of {}", hidden.0, by.0)]
    Hidden {
        /// The template.
        name: String,
        /// The file whose template is out of force.
        hidden: Origin,
        /// The file whose template is in force.
        by: Origin,
    },
}

impl Report {
    /// What is bad, in the order of reading; empty when every file is in force as it is written.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.files.iter().filter_map(FileReport::problem)
    }

    /// Whether the set may differ from that of the reading before.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.files.iter().any(|file| file.changed)
    }
}

impl FileReport {
    pub(super) fn removed(path: PathBuf) -> Self {
        Self { path, in_force: 0, changed: true, event: Event::Removed }
    }

    /// For a directory that can't be read: this many templates or namespaces of its files stay in force.
    pub(super) fn keep(&mut self, in_force: usize) {
        self.in_force = in_force;
        if let Event::Failed(problem) = &self.event
            && in_force > 0
        {
            self.event = Event::Kept(problem.clone());
        }
    }

    /// What is bad about it.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match &self.event {
            Event::Kept(problem) | Event::Failed(problem) => Some(problem),
            Event::Good(_) | Event::Removed => None,
        }
    }
}

impl Problem {
    /// The text for people; with colour, a terminal's.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        match self {
            Self::Template(error) => error.render(color),
            problem => problem.to_string(),
        }
    }

    /// Whether it has nothing to do with the file: the same text may be good the next time.
    pub(super) fn passes(&self) -> bool {
        self.load_error().is_some_and(|error| error.passing)
    }

    /// The mistakes, if it is a template file that doesn't load.
    #[must_use]
    pub fn load_error(&self) -> Option<&Arc<LoadError>> {
        match self {
            Self::Template(error) => Some(error),
            _ => None,
        }
    }
}
