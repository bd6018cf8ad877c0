//! Where templates and namespaces come from off a cluster: the built-ins, directories of files, namespace files.
//!
//! A [`Library`] reads them into a [`Snapshot`] as often as it is asked, compiles only files whose bytes changed, and
//! stands by the last good version of a file that went bad. It reads files and decides nothing about pods.
//!
//! ```no_run
//! use podgraft::library::{Library, Options};
//!
//! let mut library = Library::new(Options { templates: vec!["templates".into()], ..Options::default() });
//! let loaded = library.load();
//! for problem in loaded.report.problems() {
//!     eprintln!("{problem}");
//! }
//! let templates = loaded.snapshot.templates.iter().count();
//! # let _ = templates;
//! ```

use std::path::PathBuf;
use std::sync::Arc;

use crate::snapshot::{Policy, Snapshot};
use crate::template::{Diagnostic, LoadError, LoadOptions, Origin};

/// What a library reads, and how.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Directories of template files (`*.yaml`, `*.yml`, `*.json`); later ones win, and all win over the built-ins.
    pub templates: Vec<PathBuf>,
    /// File or directory of Namespace objects.
    pub namespaces: Option<PathBuf>,
    /// How templates are compiled.
    pub load: LoadOptions,
    /// The policy of the snapshots.
    pub policy: Policy,
}

/// The files that were read, and what became of them.
#[derive(Debug)]
pub struct Library {
    options: Options,
}

/// One reading of the library.
#[derive(Debug)]
pub struct Loaded {
    /// What a request sees from now on.
    pub snapshot: Snapshot,
    /// What happened to each file.
    pub report: Report,
}

/// What a reading did, for logs, metrics and `--strict-start`.
#[derive(Debug, Default)]
pub struct Report {
    /// Every file that was read, or is gone since the last reading, in the order of reading.
    pub files: Vec<FileReport>,
    /// What is odd about the set as a whole: templates that hide one another, directories that can't be read.
    pub warnings: Vec<Warning>,
}

/// A file of the library.
#[derive(Debug)]
pub struct FileReport {
    /// The file, as it was named on the command line or found in a directory.
    pub path: PathBuf,
    /// How many templates or namespaces of it are in force.
    pub in_force: usize,
    /// What the reading did.
    pub event: Event,
}

/// What a reading did with a file.
#[derive(Debug)]
pub enum Event {
    /// Its bytes are new, and it is in force. With what its author should know.
    Compiled(Vec<Diagnostic>),
    /// Its bytes are those of the last reading, which was good.
    Unchanged,
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
    /// It can't be read.
    #[error("{}: {error}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        error: Arc<std::io::Error>,
    },
}

/// Something odd that stops nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Two files declare the same template; the later one is in force.
    #[error("template {name} of {} is hidden by {}", hidden.0, by.0)]
    Hidden {
        /// The template.
        name: String,
        /// The file whose template is out of force.
        hidden: Origin,
        /// The file whose template is in force.
        by: Origin,
    },
}

impl Library {
    /// A library that has read nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// Reads everything, and gives the set that is now in force. Call it again after a change.
    pub fn load(&mut self) -> Loaded {
        let _ = &self.options;
        todo!()
    }
}

impl Report {
    /// What is bad, in the order of reading; empty when every file is in force as it is written.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.files.iter().filter_map(|file| match &file.event {
            Event::Kept(problem) | Event::Failed(problem) => Some(problem),
            Event::Compiled(_) | Event::Unchanged | Event::Removed => None,
        })
    }
}

impl Problem {
    /// The text for people; with colour, a terminal's.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let _ = color;
        self.to_string()
    }

    /// The mistakes, if it is a template file that doesn't load.
    #[must_use]
    pub fn load_error(&self) -> Option<&Arc<LoadError>> {
        None
    }
}
