//! The texts that a command line names: files, directories, standard input.

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, iter};

use crate::library;

/// A text and what messages call it.
#[derive(Debug)]
pub struct Input {
    /// The path, or `stdin`.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Why there is no input.
#[derive(Debug)]
pub enum Error {
    /// The command line makes no sense.
    Usage(&'static str),
    /// What can't be read, and why: all of it.
    Unreadable(Vec<String>),
}

impl Error {
    /// Says what is wrong, and gives the exit code.
    pub fn report(&self, subcommands: &[&str]) -> ExitCode {
        match self {
            Self::Usage(message) => super::usage(subcommands, message),
            Self::Unreadable(problems) => {
                for problem in problems {
                    super::report(format_args!("error: {problem}"));
                }
                ExitCode::FAILURE
            }
        }
    }
}

/// The largest input, in bytes: more than a dump of everything in most clusters.
const MAX_INPUT: u64 = 256 * 1024 * 1024;

/// What directories are searched for.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// What is read of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Its manifests, and those of directories in it.
    Recursive,
    /// Its template files, as `--templates` reads them.
    Templates,
}

/// Reads what is named, in that order; standard input if nothing is.
pub fn read(paths: &[PathBuf], walk: Walk) -> Result<Vec<Input>, Error> {
    let dashes = paths.iter().filter(|path| is_stdin(path)).count();
    if dashes > 1 {
        return Err(Error::Usage("standard input (-) is named more than once"));
    }
    if paths.is_empty() && io::stdin().is_terminal() {
        return Err(Error::Usage("nothing is named; name files or directories, or pipe it in"));
    }
    let stdin = PathBuf::from("-");
    let mut inputs = Vec::new();
    let mut problems = Vec::new();
    for path in paths.iter().chain(iter::repeat_n(&stdin, usize::from(paths.is_empty()))) {
        for file in expand(path, walk, &mut problems) {
            match read_one(&file) {
                Ok(input) => inputs.push(input),
                Err(problem) => problems.push(problem),
            }
        }
    }
    if problems.is_empty() { Ok(inputs) } else { Err(Error::Unreadable(problems)) }
}

fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// The files that a path stands for.
fn expand(path: &Path, walk: Walk, problems: &mut Vec<String>) -> Vec<PathBuf> {
    if is_stdin(path) || !path.is_dir() {
        return vec![path.to_owned()];
    }
    let mut files = Vec::new();
    let before = problems.len();
    match walk {
        Walk::Recursive => search(path, &mut files, problems),
        Walk::Templates => match library::list(path) {
            Ok(found) => files = found,
            Err(problem) => problems.push(problem.to_string()),
        },
    }
    if files.is_empty() && problems.len() == before {
        problems.push(match walk {
            Walk::Recursive => format!("{}: no *.yaml, *.yml or *.json file in this directory", path.display()),
            Walk::Templates => super::no_template_file(path),
        });
    }
    // A pipe that nobody writes to would be waited for; one that is named is meant.
    files.retain(|file| {
        let other = file.metadata().is_ok_and(|metadata| !metadata.is_file());
        if other {
            problems.push(format!("{}: is no regular file", file.display()));
        }
        !other
    });
    files
}

/// Files of a directory and the directories in it, by name. Hidden ones aren't manifests (.git, a ConfigMap's
/// ..data); links to directories are not followed, so that no cycle is.
fn search(directory: &Path, files: &mut Vec<PathBuf>, problems: &mut Vec<String>) {
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = match entries {
        Ok(entries) => entries,
        Err(error) => {
            problems.push(format!("{}: {error}", directory.display()));
            return;
        }
    };
    entries.retain(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."));
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let is_manifest = path.extension().is_some_and(|found| EXTENSIONS.iter().any(|wanted| found == *wanted));
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            search(&path, files, problems);
        } else if is_manifest && !path.is_dir() {
            files.push(path);
        }
    }
}

/// All of it, or a byte more than is allowed.
fn read_to_end(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_INPUT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_one(path: &Path) -> Result<Input, String> {
    let (name, bytes) = if is_stdin(path) {
        ("stdin".to_owned(), read_to_end(io::stdin().lock()))
    } else {
        (path.display().to_string(), fs::File::open(path).and_then(read_to_end))
    };
    let bytes = bytes.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if name.contains("://") => {
            format!("{name}: a URL is not read; pipe it in: curl -fsSL {name} | podgraft …")
        }
        io::ErrorKind::NotFound if name.contains(',') => {
            format!("{name}: {error}; name several files one after the other: {}", name.replace(',', " "))
        }
        _ => format!("{name}: {error}"),
    })?;
    // A byte order mark, or an ASCII character of two bytes.
    if matches!(bytes[..], [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..=127, ..] | [1..=127, 0, ..]) {
        return Err(format!("{name}: is UTF-16; save it as UTF-8"));
    }
    if bytes.len() as u64 > MAX_INPUT {
        return Err(format!("{name}: has more than {MAX_INPUT} bytes, the most that is read; split it"));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Input { name, text }),
        Err(error) => Err(format!("{name}: not UTF-8 text at byte {}", error.utf8_error().valid_up_to() + 1)),
    }
}
