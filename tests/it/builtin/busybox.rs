//! An injected container as a process: its command line under busybox, with its environment and nothing else.

use std::fs::{self, File};
use std::io::{self, Write};
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

/// Says why a test proves nothing here, past the harness, which keeps what a passing test prints to itself.
pub fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
}

/// A directory with busybox's applets, and other programs of the machine that a test names, which is all that a
/// container finds on its path.
#[derive(Debug)]
pub struct Busybox {
    applets: TempDir,
}

impl Busybox {
    /// The machine's busybox; `None`, loudly, if there is none.
    pub fn find() -> Option<Self> {
        let busybox = program("busybox")?;
        let applets = TempDir::new().unwrap();
        let list = Command::new(&busybox).arg("--list").output().unwrap();
        for applet in String::from_utf8(list.stdout).unwrap().lines().chain(["busybox"]) {
            let link = applets.path().join(applet);
            if !link.exists() {
                symlink(&busybox, link).unwrap();
            }
        }
        Some(Self { applets })
    }

    /// The same with curl.
    pub fn find_with_curl() -> Option<Self> {
        Self::find_with("curl")
    }

    /// The same with another program.
    pub fn find_with(name: &str) -> Option<Self> {
        let (busybox, program) = (Self::find()?, program(name)?);
        symlink(program, busybox.applets.path().join(name)).unwrap();
        Some(busybox)
    }

    /// Starts a container: its command and arguments, expanded as the kubelet does, in an empty directory.
    pub fn start(&self, container: &Value) -> Running {
        self.start_with(container, |_| {})
    }

    /// The same where `prepare` has put something into the directory, which is also where the container's first volume
    /// is mounted; other volumes are directories beside it.
    pub fn start_with(&self, container: &Value, prepare: impl FnOnce(&Path)) -> Running {
        let directory = TempDir::new().unwrap();
        let termination_log = directory.path().join("termination-log");
        let work = directory.path().join("work");
        fs::create_dir(&work).unwrap();
        prepare(&work);

        let list = |field: &str| container[field].as_array().cloned().unwrap_or_default();
        let mut variables = Vec::new();
        for variable in list("env") {
            let value = expand(variable["value"].as_str().unwrap(), &variables);
            variables.push((variable["name"].as_str().unwrap().to_owned(), value));
        }
        let words = [list("command"), list("args")].concat();
        // Nothing is mounted here, so the script gets other paths.
        let mounts = list("volumeMounts");
        let mounts = mounts.iter().filter(|mount| mount["name"] != "podgraft-no-token").enumerate();
        let mounts: Vec<_> = mounts
            .map(|(index, mount)| {
                let place = if index == 0 { work.clone() } else { directory.path().join(index.to_string()) };
                fs::create_dir_all(&place).unwrap();
                (mount["mountPath"].as_str().unwrap().to_owned(), place)
            })
            .collect();
        let places = [(String::from("/dev/termination-log"), termination_log.clone())];
        let places: Vec<_> = places.iter().chain(&mounts).collect();
        let words: Vec<_> =
            words.iter().map(|word| move_paths(&expand(word.as_str().unwrap(), &variables), &places)).collect();
        let here = mounts.iter().find(|(path, _)| container["workingDir"] == **path).map_or(&work, |(_, place)| place);

        let output = directory.path().join("output");
        let program = Path::new(&words[0]).file_name().unwrap();
        let child = Command::new(self.applets.path().join(program))
            .args(&words[1..])
            .env_clear()
            .env("PATH", self.applets.path())
            .envs(variables)
            .current_dir(here)
            .stdin(Stdio::null())
            .stdout(File::create(&output).unwrap())
            .stderr(File::create(directory.path().join("errors")).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        let kill = self.applets.path().join("kill");
        Running { child, kill, work, mounts, output, termination_log, _directory: directory }
    }
}

/// The text with each of these paths replaced by where it is here.
fn move_paths(text: &str, places: &[&(String, PathBuf)]) -> String {
    let found = places.iter().filter_map(|(path, place)| Some((text.find(&**path)?, path, place)));
    // What stands in the place of one path is not looked at again.
    match found.min_by_key(|(at, ..)| *at) {
        Some((at, path, place)) => {
            format!("{}{}{}", &text[..at], place.display(), move_paths(&text[at + path.len()..], places))
        }
        None => text.to_owned(),
    }
}

/// Where a program is on this machine; `None`, loudly, if it isn't there.
fn program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let file = env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    if file.is_none() {
        assert!(env::var("CI").as_deref() != Ok("true"), "{name} is missing; apt-get install {name}");
        skipped(&format!("there is no {name} on this machine; apt-get install {name}"));
    }
    file
}

/// The kubelet's expansion: `$(NAME)` of a variable that is known is its value, `$$` a dollar sign, all else stays.
fn expand(text: &str, variables: &[(String, String)]) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let reference = after.strip_prefix('(').and_then(|after| after.split_once(')'));
        rest = match (after.strip_prefix('$'), reference) {
            (Some(after), _) => {
                out.push('$');
                after
            }
            (None, Some((name, after))) => {
                match variables.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => out.push_str(value),
                    None => out.extend(["$(", name, ")"]),
                }
                after
            }
            (None, None) => {
                out.push('$');
                after
            }
        };
    }
    out + rest
}

#[test]
fn dollars_are_expanded_as_by_the_kubelet() {
    let variables = [("A".to_owned(), "1".to_owned())];
    for (text, wanted) in [
        ("$(A) $$(A) $$$(A) $(B) $A ${A} $", "1 $(A) $1 $(B) $A ${A} $"),
        ("$((1 + 2)) $(date +%s) $(A", "$((1 + 2)) $(date +%s) $(A"),
    ] {
        assert_eq!(expand(text, &variables), wanted);
    }
}

/// A started container. Dropped, it and all its children are killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    kill: PathBuf,
    pub work: PathBuf,
    mounts: Vec<(String, PathBuf)>,
    output: PathBuf,
    termination_log: PathBuf,
    _directory: TempDir,
}

impl Running {
    /// Where the volume is that the container has at a path.
    pub fn mounted(&self, path: &str) -> &Path {
        &self.mounts.iter().find(|(mounted, _)| mounted == path).expect("a mount").1
    }

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

    /// Waits until it has nothing to do: a `sleep` is its child.
    pub fn until_it_sleeps(&mut self) {
        let id = self.child.id();
        self.until(|_| {
            let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
            let mut commands = children.split_whitespace().map(|child| fs::read(format!("/proc/{child}/cmdline")));
            commands.any(|command| command.is_ok_and(|command| command.starts_with(b"sleep\0")))
        });
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
