//! Processes that end with the tests, however these end: a static is never dropped, and a killed test drops nothing.
//!
//! Each has a watcher, a shell that waits for the end of a pipe whose other end only the test process holds.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Becomes the program `"$@"`, and leaves a watcher behind that kills it when the pipe ends.
const WATCHED: &str = r#"exec 3<&0; (read -r _ <&3; kill -KILL $$) & exec "$@" </dev/null 3<&-"#;

/// Removes the directory `$1`, once nothing writes to it any more.
const REMOVE: &str = r#"until rm -rf "$1"; do sleep 0.1; done"#;

/// A process of the tests: killed when dropped, or when the tests end.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; both its outputs go to the file `log`.
    pub fn spawn(program: &Path, args: impl IntoIterator<Item = impl AsRef<OsStr>>, log: PathBuf) -> io::Result<Self> {
        let output = File::create(&log)?;
        let child = shell(WATCHED).arg(program).args(args).stdout(output.try_clone()?).stderr(output).spawn()?;
        Ok(Self { child, log })
    }

    /// What it has written so far.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child that nobody else waits for")
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        // The watcher kills it before it is reaped, so that its number can't be another process's by then.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A new directory that is removed when the tests end.
pub fn run_directory() -> PathBuf {
    let directory = tempfile::Builder::new().prefix("podgraft-tests-").tempdir().expect("a directory").keep();
    at_the_end(REMOVE, &directory);
    directory
}

/// Has a shell run `script` when the tests end; `argument` is its `$1`.
pub fn at_the_end(script: &str, argument: impl AsRef<OsStr>) {
    let shell = shell(&format!("read -r _; {script}")).arg(argument).spawn().expect("a shell");
    // Our end of its pipe stays open until this process ends; there is nothing to wait for.
    std::mem::forget(shell);
}

/// A shell that runs `script` at the end of a pipe, out of reach of the terminal's Ctrl-C and of exported options.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODGRAFT_")) {
        command.env_remove(name);
    }
    command.args(["-c", script, "sh"]).stdin(Stdio::piped()).process_group(0);
    command
}
