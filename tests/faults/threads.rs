//! The system has no thread left for us, for a while.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::client::Task;
use crate::process::Process;
use crate::scene::{Authority, LONG, load, memory, metric, served_at_once, task, template, templates, write};

/// Nobody else's, as the limit counts all that a user runs, and root has none. Those behind it are this file's as well.
const USER: u32 = 61_234;

/// How many processes and threads a user's processes may have.
fn limit_threads(user: u32, most: &str) {
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap());
    for process in all.filter(|it| it.metadata().is_ok_and(|it| it.uid() == user)) {
        let mut command = Command::new("prlimit");
        // Its own user may, also where root has not all that root usually has.
        command.arg("--pid").arg(process.file_name()).arg(format!("--nproc={most}")).uid(user).gid(user);
        // It may have ended meanwhile.
        command.status().unwrap();
    }
}

/// Gives all that is in a directory to a user.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

/// A directory of a user's own, with the program, a certificate, templates and a log.
fn home(user: u32, authority: &Authority) -> (TempDir, File) {
    let dir = tempfile::tempdir().unwrap();
    podgraft::tls::directory::write(&dir.path().join("certs"), &authority.good()).unwrap();
    write(&dir.path().join("templates"), &templates(0));
    fs::copy(env!("CARGO_BIN_EXE_podgraft"), dir.path().join("podgraft")).unwrap();
    let log = File::create(dir.path().join("log")).unwrap();
    give(dir.path(), user);
    (dir, log)
}

/// A change that is seen where files are watched or polled.
fn sees_a_change(server: &Process) {
    fs::write(server.path("templates/bad.yaml"), template("bad", 0).replace("spec:", "spec: [")).unwrap();
    metric(server, "podgraft_templates_refused", |found| found > 0.5);
}

/// Whether a server can be started as somebody else.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "only root can start a server as somebody else");
        eprintln!("SKIPPED: only root can start a server as somebody else");
    }
    root
}

/// Whichever thread is the first that it does not get: it says so and ends, or has started and misses nothing.
#[test]
fn with_few_threads_at_the_start_files_are_watched_as_soon_as_there_are_more() {
    if !is_root() {
        return;
    }
    let authority = Authority::new();
    let start = |most: u32| {
        let (user, options) = (USER + most, ["--templates", "templates", "--kubernetes", "never"]);
        let (dir, log) = home(user, &authority);
        let mut command = Command::new("prlimit");
        command.arg(format!("--nproc={most}:64")).arg(dir.path().join("podgraft")).uid(user).gid(user);
        let server = std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_secs(3));
                limit_threads(user, "64:64");
            });
            Process::try_start_as(command, dir, &options, log)
        });
        let Ok(server) = server else { return None };
        sees_a_change(&server);
        Some(server.log())
    };
    let logs: Vec<_> = std::thread::scope(|scope| {
        let start = &start;
        let all: Vec<_> = (1..=12).map(|most| scope.spawn(move || start(most))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    for log in logs.iter().flatten() {
        assert!(!log.contains("panicked"), "{log}");
    }
    let polled = logs.iter().flatten().filter(|log| log.contains("polled instead")).count();
    println!("threads: of {}, {} started, {polled} without a watch", logs.len(), logs.iter().flatten().count());
    assert!(polled > 0 && logs.iter().any(Option::is_none), "fewer and more threads were to be had: {logs:?}");
}

#[test]
fn without_a_thread_requests_are_served_and_files_read_as_soon_as_there_is_one() {
    if !is_root() {
        return;
    }
    let authority = Authority::new();
    let (dir, log) = home(USER, &authority);
    let mut command = Command::new(dir.path().join("podgraft"));
    command.uid(USER).gid(USER);
    let server = Process::start_as(command, dir, &["--templates", "templates"], log);
    let load = load(&Task { replicas: vec![server.address], workers: 4, ..task(&authority) });
    load.until(LONG, |tally| tally.good > 50).unwrap();

    // Those that wait for something to do go after ten seconds.
    std::thread::sleep(Duration::from_secs(11));
    limit_threads(USER, "1:64");
    // Two changes: the first is met by nobody who could read it.
    for version in 1..3 {
        write(&server.path("templates"), &templates(version));
        std::thread::sleep(Duration::from_secs(4));
    }
    let before = load.tally();
    let after = load.until(LONG, |tally| tally.good > before.good + 50).unwrap();
    assert_eq!(after.versions, [0].into(), "nothing could be read");
    limit_threads(USER, "64:64");
    load.until(LONG, |tally| tally.versions.contains(&2)).unwrap();
    // And from now on as ever.
    sees_a_change(&server);
    let tally = served_at_once(load);
    let log = server.log();
    assert!(log.contains("no thread is to be had") && !log.contains("panicked"), "{log}");
    println!("threads: {} good answers, {} MiB", tally.good, memory(&server, "VmRSS:"));
}
