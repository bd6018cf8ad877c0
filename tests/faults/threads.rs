//! The system has no thread left for us, for a while.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::client::Task;
use crate::process::Process;
use crate::scene::{Authority, LONG, load, memory, metric, served_at_once, task, template, templates, write};

/// Nobody else's, as the limit counts all that a user runs, and root has none.
const USER: u32 = 61_234;

/// How many processes and threads its user may have.
fn limit_threads(process: &Process, most: &str) {
    let pid = process.id().to_string();
    let mut command = Command::new("prlimit");
    // Its own user may, also where root has not all that root usually has.
    let done = command.args(["--pid", &pid, &format!("--nproc={most}")]).uid(USER).gid(USER).status();
    assert!(done.unwrap().success());
}

/// Gives all that is in a directory to the user.
fn give(path: &Path) {
    chown(path, Some(USER), Some(USER)).unwrap();
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path());
        }
    }
}

#[test]
fn without_a_thread_requests_are_served_and_files_read_as_soon_as_there_is_one() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "only root can start a server as somebody else");
        eprintln!("SKIPPED: only root can start a server as somebody else");
        return;
    }
    let (authority, dir) = (Authority::new(), tempfile::tempdir().unwrap());
    podgraft::tls::directory::write(&dir.path().join("certs"), &authority.good()).unwrap();
    write(&dir.path().join("templates"), &templates(0));
    let program = dir.path().join("podgraft");
    fs::copy(env!("CARGO_BIN_EXE_podgraft"), &program).unwrap();
    let log = File::create(dir.path().join("log")).unwrap();
    give(dir.path());
    let mut command = Command::new(program);
    command.uid(USER).gid(USER);
    let server = Process::start_as(command, dir, &["--templates", "templates"], log);
    let load = load(&Task { replicas: vec![server.address], workers: 4, ..task(&authority) });
    load.until(LONG, |tally| tally.good > 50).unwrap();

    // Those that wait for something to do go after ten seconds.
    std::thread::sleep(Duration::from_secs(11));
    limit_threads(&server, "1:64");
    // Two changes: the first is met by nobody who could read it.
    for version in 1..3 {
        write(&server.path("templates"), &templates(version));
        std::thread::sleep(Duration::from_secs(4));
    }
    let before = load.tally();
    let after = load.until(LONG, |tally| tally.good > before.good + 50).unwrap();
    assert_eq!(after.versions, [0].into(), "nothing could be read");
    limit_threads(&server, "64:64");
    load.until(LONG, |tally| tally.versions.contains(&2)).unwrap();
    // And from now on as ever.
    fs::write(server.path("templates/bad.yaml"), template("bad", 0).replace("spec:", "spec: [")).unwrap();
    metric(&server, "podgraft_templates_refused", |found| found > 0.5);
    let tally = served_at_once(load);
    let log = server.log();
    assert!(log.contains("no thread is to be had") && !log.contains("panicked"), "{log}");
    println!("threads: {} good answers, {} MiB", tally.good, memory(&server, "VmRSS:"));
}
