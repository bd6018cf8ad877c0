//! `podgraft wait`, as a process, before real servers, and before peers that misbehave.

mod ending;
mod http;
mod mysql;
mod peers;
mod postgres;
mod redis;
mod relay;
mod usage;

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use podgraft::tls::authority;
use podgraft::tls::directory::Files;
use tempfile::TempDir;

use crate::process::podgraft;
use crate::servers::until;

/// A `podgraft wait` that runs. Killed when dropped.
struct Waiting {
    child: Child,
    dir: TempDir,
}

impl Waiting {
    /// Starts it with these words, of which the last ones are targets, and pauses that suit a test.
    fn start(words: &[&str]) -> Self {
        Self::start_by(podgraft().env("PODGRAFT_WAIT_INTERVAL", "50ms").arg("wait").args(words))
    }

    fn start_by(command: &mut Command) -> Self {
        let dir = TempDir::new().unwrap();
        let output = File::create(dir.path().join("output")).unwrap();
        let errors = File::create(dir.path().join("errors")).unwrap();
        let child = command.env_remove("SSL_CERT_FILE").stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        Self { child: child.unwrap(), dir }
    }

    fn output(&self) -> String {
        fs::read_to_string(self.dir.path().join("output")).unwrap()
    }

    fn errors(&self) -> String {
        fs::read_to_string(self.dir.path().join("errors")).unwrap()
    }

    /// Waits until it has written `text`.
    fn until_it_says(&mut self, text: &str) {
        until(text, || {
            let output = self.output();
            if output.contains(text) {
                return Some(());
            }
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended without {text:?}: {output}{}", self.errors());
            None
        });
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end: exit code and what it wrote.
    fn end(mut self) -> (Option<i32>, String) {
        let status = until("the end of podgraft wait", || self.child.try_wait().unwrap());
        (status.code(), self.output() + &self.errors())
    }

    /// Waits until it has found all targets ready.
    fn ready(self) -> String {
        let (code, output) = self.end();
        assert_eq!(code, Some(0), "{output}");
        assert!(output.contains("all targets are ready after "), "{output}");
        output
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An authority, and a certificate that it signed.
fn authority(names: &[&str]) -> Files {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    authority::make(names, Duration::from_hours(24), SystemTime::now()).unwrap()
}

/// The lines that follow the first one, without their times.
fn changes(output: &str) -> Vec<&str> {
    let mut lines = output.lines();
    assert!(lines.next().unwrap().starts_with("waiting up to "), "{output}");
    lines.map(|line| line.split(" after ").next().unwrap()).collect()
}
