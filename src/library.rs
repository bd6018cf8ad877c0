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
//! for template in loaded.snapshot.templates.iter() {
//!     println!("{}", template.name);
//! }
//! ```

mod files;
mod namespaces;
mod report;
mod shelf;
#[cfg(test)]
mod tests;

pub use files::list;
pub use report::{Event, FileReport, Problem, Report, Warning};

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::snapshot::{Broken, Namespace, Namespaces, Policy, Snapshot, Templates};
use crate::template::{self, LoadError, LoadOptions, Origin, Template};

use shelf::{Parsed, Shelf};

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
    builtin: Option<Builtin>,
    templates: Shelf<Arc<Template>>,
    namespaces: Shelf<Namespace>,
}

/// The templates that are part of the program, compiled at the first reading.
#[derive(Debug)]
struct Builtin {
    templates: Vec<Arc<Template>>,
    errors: Vec<Arc<LoadError>>,
}

/// One reading of the library.
#[derive(Debug)]
pub struct Loaded {
    /// What a request sees from now on.
    pub snapshot: Snapshot,
    /// What happened to each file.
    pub report: Report,
}

impl Library {
    /// A library that has read nothing yet.
    #[must_use]
    pub fn new(mut options: Options) -> Self {
        // A directory that is named twice would hide itself.
        let mut seen = HashSet::new();
        options.templates.retain(|directory| seen.insert(directory.clone()));
        Self { options, builtin: None, templates: Shelf::default(), namespaces: Shelf::default() }
    }

    /// The directories named for templates that have no file in them.
    pub fn empty_directories(&self) -> impl Iterator<Item = &Path> {
        let directories = self.options.templates.iter().filter(|path| path.is_dir());
        directories.map(PathBuf::as_path).filter(|path| files::list(path).is_ok_and(|files| files.is_empty()))
    }

    /// Reads everything, and gives the set that is now in force. Call it again after a change.
    pub fn load(&mut self) -> Loaded {
        let load = &self.options.load;
        let mut report = Report::default();
        let builtin = self.builtin.get_or_insert_with(|| {
            let builtin = Builtin::compile(load);
            report.files.extend(builtin.reports());
            builtin
        });

        let compile = |path: &Path, text: &str| compile(path, text, load);
        let failed = |path: &Path, text: &str| Problem::Template(Arc::new(template::failed_inside(origin(path), text)));
        report.files.extend(self.templates.read(&self.options.templates, compile, failed));
        let mut templates = Templates::default();
        builtin.shelve(&mut templates);
        let mut declared = HashMap::new();
        for file in self.templates.standing() {
            for template in file.good {
                let key = (template.scope.clone(), template.name.clone());
                if let Some(hidden) = declared.insert(key, template.origin.clone()) {
                    let (name, by) = (template.name.clone(), template.origin.clone());
                    report.warnings.push(Warning::Hidden { name, hidden, by });
                }
                templates.insert(Arc::clone(template));
            }
            if let Some(Problem::Template(error)) = file.problem {
                // What its last good version declares stays; the rest of what it names has nothing to fall back to.
                for (scope, name) in &error.declares {
                    if !file.good.iter().any(|good| good.scope == *scope && good.name == *name) {
                        templates.insert_broken(scope, name.clone(), Broken { error: Arc::clone(error) });
                    }
                }
            }
        }

        let parse = |path: &Path, text: &str| namespaces::parse(path, text, &load.annotation_prefix);
        report.files.extend(self.namespaces.read(self.options.namespaces.as_slice(), parse, namespaces::failed_inside));
        let mut namespaces = Namespaces::default();
        self.namespaces.standing().flat_map(|file| file.good).cloned().for_each(|one| namespaces.insert(one));

        let policy = self.options.policy.clone();
        Loaded { snapshot: Snapshot { templates, namespaces, policy }, report }
    }
}

fn origin(path: &Path) -> Origin {
    Origin(path.display().to_string().into())
}

fn compile(path: &Path, text: &str, options: &LoadOptions) -> Result<Parsed<Arc<Template>>, Problem> {
    let loaded = template::load(origin(path), text, options).map_err(|error| Problem::Template(Arc::new(error)))?;
    let items = loaded.templates.into_iter().map(Arc::new).collect();
    Ok(Parsed { items, notes: loaded.warnings })
}

impl Builtin {
    fn compile(options: &LoadOptions) -> Self {
        match template::builtin(options) {
            Ok(templates) => Self { templates: templates.into_iter().map(Arc::new).collect(), errors: Vec::new() },
            Err(errors) => Self { templates: Vec::new(), errors: errors.into_iter().map(Arc::new).collect() },
        }
    }

    fn shelve(&self, templates: &mut Templates) {
        for template in &self.templates {
            templates.insert(Arc::clone(template));
        }
        for error in &self.errors {
            for (scope, name) in &error.declares {
                templates.insert_broken(scope, name.clone(), Broken { error: Arc::clone(error) });
            }
        }
    }

    fn reports(&self) -> impl Iterator<Item = FileReport> {
        self.errors.iter().map(|error| FileReport {
            path: PathBuf::from(&*error.origin.0),
            in_force: 0,
            changed: true,
            event: Event::Failed(Problem::Template(Arc::clone(error))),
        })
    }
}
