//! `podgraft serve` as a process of its own, and what it prints.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tempfile::TempDir;

use crate::webhook::{self, Answer, Http1, LONG, mutate, review, send, tls_to};

/// A running `podgraft serve`, on free ports, with a directory of its own. Killed when dropped.
pub struct Process {
    child: Child,
    pub greeting: String,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub dir: TempDir,
}

/// The program, without the caller's options in its environment.
pub fn podgraft() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_podgraft"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PODGRAFT_")) {
        command.env_remove(name);
    }
    command
}

impl Process {
    /// Starts it in a directory that `prepare` may fill, with these options beside the addresses.
    pub fn start(prepare: impl FnOnce(&Path), options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let log = File::create(dir.path().join("log")).unwrap();
        Self::start_in(dir, options, log)
    }

    /// The same in this directory, and with its log somewhere else.
    pub fn start_in(dir: TempDir, options: &[&str], log: impl Into<Stdio>) -> Self {
        Self::start_as(podgraft(), dir, options, log)
    }

    /// The same by this command, which is the program's.
    pub fn start_as(command: Command, dir: TempDir, options: &[&str], log: impl Into<Stdio>) -> Self {
        Self::try_start_as(command, dir, options, log).unwrap_or_else(|greeting| panic!("no address in {greeting:?}"))
    }

    /// The same where it may not start; then, what it has printed instead.
    pub fn try_start_as(
        mut command: Command,
        dir: TempDir,
        options: &[&str],
        log: impl Into<Stdio>,
    ) -> Result<Self, String> {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(options)
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while lines.read_line(&mut greeting).unwrap() > 0 && !greeting.contains("curl ") {}
        let after = |prefix: &str| greeting.split(prefix).nth(1)?.split(['/', ' ']).next()?.parse().ok();
        let Some((address, admin)) = after("https://").zip(after("http://")) else {
            child.wait().unwrap();
            return Err(greeting);
        };
        Ok(Self { child, greeting, address, admin, dir })
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged, after its end: before that, lines may be on their way.
    pub fn whole_log(&mut self) -> String {
        self.signal("TERM");
        assert_eq!(self.wait().code(), Some(0));
        self.log()
    }

    /// What of its log has been written so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub async fn connect(&self) -> Http1 {
        let stream = tls_to(self.address, &self.path("certs/ca.crt"), &["http/1.1"]).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Asks for a template, and gives the answer's `response`.
    pub async fn ask(&self, key: &str, value: &str) -> serde_json::Value {
        send(&mut self.connect().await, mutate(review("u", key, value))).await.json()["response"].take()
    }

    pub async fn get(&self, path: &str) -> Answer {
        webhook::get(self.admin, path).await
    }

    pub async fn metric(&self, name: &str) -> f64 {
        webhook::metric(self.admin, name).await
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert_eq!(status.signal(), None, "it ends by itself");
                return status;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command that ends by itself: exit code, standard output, standard error.
pub fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut output, mut errors) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (child.wait().unwrap().code(), output, errors)
}
