//! Files that are read whole: templates, namespaces, certificates.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read, in bytes: what a ConfigMap or a Secret can hold.
pub const MAX_FILE: u64 = 1024 * 1024;

/// Why a file was not read. `Display` is the text for people, without the path.
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

#[cfg(test)]
mod tests {
    use std::fs;
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
}
