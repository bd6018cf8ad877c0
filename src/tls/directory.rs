//! The three files of a certificate directory, named as in a `kubernetes.io/tls` Secret.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::files::{self, Unread};

/// The CA that clients must trust.
pub const CA: &str = "ca.crt";
/// The certificate chain, leaf first.
pub const CERT: &str = "tls.crt";
/// The leaf's private key.
pub const KEY: &str = "tls.key";

/// The mode of a key that nobody but its owner may read.
pub const OWNER_ALONE: u32 = 0o600;

/// The text of the three files.
#[derive(Clone)]
pub struct Files {
    /// `ca.crt`.
    pub ca: Vec<u8>,
    /// `tls.crt`.
    pub cert: Vec<u8>,
    /// `tls.key`.
    pub key: Vec<u8>,
}

/// The key stays out of logs.
impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Files").finish_non_exhaustive()
    }
}

/// What a directory holds.
#[derive(Debug)]
pub enum Contents {
    /// None of the three, or no directory.
    Empty,
    /// All three.
    Complete(Files),
}

/// Why a directory's files can't be had, or written.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// Some of the three are there.
    #[error("{}: holds {} but not {}; put all three there, or none", dir.display(), there.join(" and "), missing.join(" and "))]
    Partial {
        /// The directory.
        dir: PathBuf,
        /// The files that are there.
        there: Vec<&'static str>,
        /// The files that aren't.
        missing: Vec<&'static str>,
    },
    /// A file, or the directory, can't be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        error: Unread,
    },
    /// A file can't be written.
    #[error("{}: can't be written: {error}", path.display())]
    Write {
        /// The file, or the directory.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Reads a directory, all of one version if it is a mounted Secret.
///
/// # Errors
///
/// A file can't be read, or only some of the three are there.
pub fn read(dir: &Path) -> Result<Contents, DirectoryError> {
    let unsteady = |error| Err(DirectoryError::Read { path: dir.to_owned(), error });
    files::of_one_version(dir, || contents(dir)).unwrap_or_else(unsteady)
}

fn contents(dir: &Path) -> Result<Contents, DirectoryError> {
    let file = |name: &str| {
        let path = dir.join(name);
        match files::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Unread::Refused(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(DirectoryError::Read { path, error }),
        }
    };
    match (file(CA)?, file(CERT)?, file(KEY)?) {
        (Some(ca), Some(cert), Some(key)) => Ok(Contents::Complete(Files { ca, cert, key })),
        (None, None, None) => Ok(Contents::Empty),
        (ca, cert, key) => {
            let found = [(CA, ca), (CERT, cert), (KEY, key)];
            let names =
                |there| found.iter().filter(|(_, file)| file.is_some() == there).map(|(name, _)| *name).collect();
            Err(DirectoryError::Partial { dir: dir.to_owned(), there: names(true), missing: names(false) })
        }
    }
}

/// The key's mode, if everybody on the machine may read it or write to it. In a mounted Secret, where files are links, the
/// pod is what keeps it: its mode says nothing.
#[must_use]
pub fn exposed_key(dir: &Path) -> Option<u32> {
    let key = fs::symlink_metadata(dir.join(KEY)).ok()?;
    let mode = key.permissions().mode() & 0o777;
    (key.is_file() && mode & 0o006 != 0).then_some(mode)
}

/// Writes the three files, each whole or not at all, the key readable by its owner alone. Makes the directory.
///
/// # Errors
///
/// A file can't be written; those before it are.
pub fn write(dir: &Path, files: &Files) -> Result<(), DirectoryError> {
    write_for(dir, files, OWNER_ALONE)
}

/// The same with another mode for the key, as far as the umask allows it.
///
/// # Errors
///
/// A file can't be written; those before it are.
pub fn write_for(dir: &Path, files: &Files, key_mode: u32) -> Result<(), DirectoryError> {
    fs::create_dir_all(dir).map_err(|error| DirectoryError::Write { path: dir.to_owned(), error })?;
    for (name, bytes, mode) in [(CA, &files.ca, 0o644), (CERT, &files.cert, 0o644), (KEY, &files.key, key_mode)] {
        let path = dir.join(name);
        replace(&path, bytes, mode).map_err(|error| DirectoryError::Write { path, error })?;
    }
    Ok(())
}

/// Replaces a file in one step: a reader sees the old bytes or the new ones.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}", std::process::id()));
    // It would keep its mode if it were left from an earlier process.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    // Not synced to the disk, which would take longer than all the rest of a first start: what a power failure leaves
    // half written is refused at the next start, and made again in a second.
    let written = file.write_all(bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
