//! An injected container as a process: its command line under busybox, with its environment and nothing else.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};

use serde_json::Value;
use tempfile::TempDir;

/// How long anything may take before a test says that it hangs.
const HANG: Duration = Duration::from_secs(30);

/// A directory with busybox's applets, which is all that a container finds on its path.
#[derive(Debug)]
pub struct Busybox {
    applets: TempDir,
}

impl Busybox {
    /// The machine's busybox; `None`, loudly, if there is none.
    pub fn find() -> Option<Self> {
        let path = env::var_os("PATH").unwrap_or_default();
        let Some(busybox) = env::split_paths(&path).map(|dir| dir.join("busybox")).find(|file| file.is_file()) else {
            assert!(env::var("CI").as_deref() != Ok("true"), "busybox is missing; apt-get install busybox");
            eprintln!("SKIPPED: there is no busybox on this machine; apt-get install busybox");
            return None;
        };
        let applets = TempDir::new().unwrap();
        let list = Command::new(&busybox).arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout).unwrap().lines() {
            symlink(&busybox, applets.path().join(applet)).unwrap();
        }
        Some(Self { applets })
    }

    /// Starts a container: its command and arguments, expanded as the kubelet does, in an empty directory.
    pub fn start(&self, container: &Value) -> Running {
        let directory = TempDir::new().unwrap();
        let termination_log = directory.path().join("termination-log");
        let work = directory.path().join("work");
        fs::create_dir(&work).unwrap();

        let texts = |field: &str| container[field].as_array().cloned().unwrap_or_default();
        let variables: Vec<(String, String)> = texts("env")
            .iter()
            .map(|variable| {
                (variable["name"].as_str().unwrap().to_owned(), expand(variable["value"].as_str().unwrap()))
            })
            .collect();
        let words: Vec<String> =
            texts("command").iter().chain(&texts("args")).map(|it| expand(it.as_str().unwrap())).collect();
        let words = words.iter().map(|word| word.replace("/dev/termination-log", termination_log.to_str().unwrap()));
        let words: Vec<String> = words.collect();

        let output = directory.path().join("output");
        let child = Command::new(self.applets.path().join(&words[0]))
            .args(&words[1..])
            .env_clear()
            .env("PATH", self.applets.path())
            .envs(variables)
            .current_dir(&work)
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(directory.path().join("errors")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Running { child, kill: self.applets.path().join("kill"), work, output, termination_log, _directory: directory }
    }
}

/// What the kubelet does with text that has no `$(VAR)` of its own: `$$` is a dollar sign.
fn expand(text: &str) -> String {
    text.replace("$$", "$")
}

/// A started container. Dropped, it and all its children are killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    kill: PathBuf,
    pub work: PathBuf,
    output: PathBuf,
    termination_log: PathBuf,
    _directory: TempDir,
}

impl Running {
    /// What it has written to standard output.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap()
    }

    /// Its termination message.
    pub fn termination_message(&self) -> Option<String> {
        fs::read_to_string(&self.termination_log).ok()
    }

    /// Waits until `done` is true.
    pub fn until(&mut self, done: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < HANG, "it hangs; so far it wrote {:?}", self.output());
            assert_eq!(self.child.try_wait().unwrap(), None, "it ended too early, after {:?}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until it has written `text`.
    pub fn until_it_says(&mut self, text: &str) {
        self.until(|it| it.output().contains(text));
    }

    /// Waits until it ends.
    pub fn end(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < HANG, "it hangs; so far it wrote {:?}", self.output());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM to the container's first process alone, as the kubelet does.
    pub fn terminate(&self) {
        assert!(self.signal("-TERM", &self.child.id().to_string()).success());
    }

    /// Whether the process has `file` open.
    pub fn has_open(&self, file: &Path) -> bool {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        descriptors.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok()).any(|target| target == file)
    }

    fn signal(&self, signal: &str, process: &str) -> ExitStatus {
        Command::new(&self.kill).args([signal, process]).stderr(Stdio::null()).status().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal("-KILL", &format!("-{}", self.child.id()));
        let _ = self.child.wait();
    }
}
