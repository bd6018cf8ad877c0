//! Files that are read whole: templates, namespaces, certificates.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read, in bytes: what a ConfigMap or a Secret can hold.
pub const MAX_FILE: u64 = 1024 * 1024;

/// How often a directory is read again that was swapped meanwhile. A reading takes milliseconds, and the kubelet swaps once
/// a minute.
const ATTEMPTS: usize = 10;

/// Why a file, or a directory, was not read. `Display` is the text for people, without the path.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The system refuses.
    #[error("can't be read: {0}")]
    Refused(#[from] io::Error),
    /// It is a directory, a socket, a pipe or a device.
    #[error("is no regular file")]
    NotAFile,
    /// It has so many bytes.
    #[error("has {0} bytes; at most {MAX_FILE} are read")]
    TooLarge(u64),
    /// A directory that was another one after each reading.
    #[error("changes faster than it can be read")]
    Unsteady,
}

/// The bytes of a file. Neither a huge file nor a pipe without a writer holds the reader up.
///
/// # Errors
///
/// It is not there, no regular file, or too large.
pub fn read(path: &Path) -> Result<Vec<u8>, Unread> {
    let metadata = path.metadata()?;
    if !metadata.is_file() {
        return Err(Unread::NotAFile);
    }
    if metadata.len() > MAX_FILE {
        return Err(Unread::TooLarge(metadata.len()));
    }
    let mut bytes = Vec::with_capacity(metadata.len() as usize);
    // It may have grown since it was measured.
    File::open(path)?.take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Unread::TooLarge(bytes.len() as u64));
    }
    Ok(bytes)
}

/// What `read` makes of a directory, and all of one version if it is a mounted ConfigMap or Secret.
///
/// There, every file is a link through `..data`, a link to the directory of the version in force, which is swapped
/// between two files just as well as between two readings.
///
/// # Errors
///
/// It is swapped during every reading.
pub fn of_one_version<T>(directory: &Path, read: impl Fn() -> T) -> Result<T, Unread> {
    let version = || fs::read_link(directory.join("..data")).ok();
    for _ in 0..ATTEMPTS {
        let before = version();
        let found = read();
        if version() == before {
            return Ok(found);
        }
    }
    Err(Unread::Unsteady)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::os::unix::fs::symlink;
    use std::process::Command;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_regular_files_are_read_and_only_up_to_a_size() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("full"), vec![b'#'; 1024 * 1024]).unwrap();
        assert_eq!(read(&at("full")).unwrap().len(), 1024 * 1024);
        // Holes take no room.
        File::create(at("large")).unwrap().set_len(1024 * 1024 + 1).unwrap();
        assert!(Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        for (path, wanted) in [
            (at("large"), "has 1048577 bytes; at most 1048576 are read"),
            (at("pipe"), "is no regular file"),
            (dir.path().to_owned(), "is no regular file"),
            ("/dev/zero".into(), "is no regular file"),
            (at("missing"), "can't be read: No such file or directory (os error 2)"),
        ] {
            let (done, result) = mpsc::channel();
            thread::spawn(move || done.send(read(&path).map_err(|unread| unread.to_string())));
            let told = result.recv_timeout(Duration::from_secs(30)).expect("it holds nobody up");
            assert_eq!(told.unwrap_err(), wanted);
        }
    }

    #[test]
    fn what_is_swapped_while_it_is_read_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let swap = |version: usize| {
            symlink(format!("..{version}"), dir.path().join("..next")).unwrap();
            fs::rename(dir.path().join("..next"), dir.path().join("..data")).unwrap();
        };
        for (swaps, found) in [(0, Some(1)), (1, Some(2)), (9, Some(10)), (10, None)] {
            swap(0);
            let readings = Cell::new(0);
            let read = || {
                readings.set(readings.get() + 1);
                if readings.get() <= swaps {
                    swap(readings.get());
                }
                readings.get()
            };
            assert_eq!(of_one_version(dir.path(), read).ok(), found);
        }
    }
}
