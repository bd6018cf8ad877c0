//! `log-shipper` over real files.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use super::busybox::{Busybox, Running};
use super::container;

/// Starts a shipper of /var/log/app, which is `logs` in the directory where it works.
fn start(busybox: &Busybox) -> Running {
    let shipper = busybox.start(&container("log-shipper", &[("inject/log-shipper", "true")]));
    fs::create_dir_all(logs(&shipper)).unwrap();
    shipper
}

fn logs(shipper: &Running) -> PathBuf {
    shipper.work.join("var/log/app")
}

fn append(file: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Asserts that each line was written once; in any order, as files are read in turn.
fn assert_lines(running: &Running, wanted: &[&str]) {
    let output = running.output();
    let (mut found, mut wanted) = (output.lines().collect::<Vec<_>>(), wanted.to_vec());
    found.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(found, wanted);
}

#[test]
fn files_are_read_from_their_first_line_on_and_as_they_grow() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let (log, late) = (logs(&shipper).join("app.log"), logs(&shipper).join("late.log"));
    append(&log, "first\nsecond\n");
    append(&logs(&shipper).join("notes.txt"), "no log\n");
    shipper.until_it_says("second\n");
    append(&log, "third\n");
    shipper.until_it_says("third\n");
    append(&late, "late\n");
    shipper.until_it_says("late\n");
    append(&log, "four");
    shipper.until_it_says("four");
    append(&log, "th\n");
    shipper.until_it_says("fourth\n");
    assert_lines(&shipper, &["first", "second", "third", "late", "fourth"]);
}

#[test]
fn the_last_words_are_shipped_before_the_end() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let log = logs(&shipper).join("app.log");
    append(&log, "first\n");
    shipper.until_it_says("first\n");
    let lines = (0..20_000).map(|number| format!("line {number} of what was written in a hurry\n"));
    let many = lines.collect::<Vec<_>>().concat();
    append(&log, &many);
    append(&logs(&shipper).join("crash.log"), "a file of the last moment\n");
    append(&log, "no newline at the end");
    shipper.terminate();
    assert_eq!(shipper.end().code(), Some(0));
    let output = shipper.output();
    assert_eq!(output.lines().count(), 1 + 20_000 + 2);
    assert!(output.contains(&many) && output.contains("a file of the last moment\n"));
    assert!(output.contains("no newline at the end"));
}

#[test]
fn rotation_by_renaming_loses_and_repeats_nothing() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let (log, rotated) = (logs(&shipper).join("app.log"), logs(&shipper).join("app.log.1"));
    append(&log, "one\n");
    shipper.until_it_says("one\n");
    // What is written just before, and by an app that still has the old file open, just after.
    append(&log, "two\n");
    fs::rename(&log, &rotated).unwrap();
    append(&rotated, "three\n");
    append(&log, "four\n");
    shipper.until_it_says("four\n");
    append(&rotated, "five\n");
    append(&log, "six\n");
    shipper.until_it_says("five\n");
    shipper.until_it_says("six\n");
    assert_lines(&shipper, &["one", "two", "three", "four", "five", "six"]);
}

#[test]
fn rotation_to_another_log_name_repeats_nothing() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let log = logs(&shipper).join("app.log");
    append(&log, "one\n");
    shipper.until_it_says("one\n");
    fs::rename(&log, logs(&shipper).join("app-2026-11-20.log")).unwrap();
    append(&log, "two\n");
    shipper.until_it_says("two\n");
    shipper.terminate();
    assert!(shipper.end().success());
    assert_lines(&shipper, &["one", "two"]);
}

#[test]
fn a_truncated_file_is_read_from_its_start_again() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let log = logs(&shipper).join("app.log");
    append(&log, "something long enough to be shorter afterwards\n");
    shipper.until_it_says("afterwards\n");
    File::create(&log).unwrap();
    append(&log, "again\n");
    shipper.until_it_says("again\n");
    append(&log, "and on\n");
    shipper.until_it_says("and on\n");
    assert_lines(&shipper, &["something long enough to be shorter afterwards", "again", "and on"]);
}

#[test]
fn a_deleted_file_is_read_to_its_end() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let log = logs(&shipper).join("app.log");
    append(&log, "one\n");
    shipper.until_it_says("one\n");
    let mut open = OpenOptions::new().append(true).open(&log).unwrap();
    fs::remove_file(&log).unwrap();
    open.write_all(b"two\n").unwrap();
    shipper.until_it_says("two\n");
}

#[test]
fn names_are_only_names() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let names = [
        "with blank.log",
        "-n.log",
        "$(touch pwned).log",
        "`touch pwned`.log",
        "; touch pwned;.log",
        "quote'\"\\.log",
        "new\nline.log",
        "*.log",
        "[a-z]?.log",
        "ümläut \u{1f980}.log",
    ];
    for (number, name) in names.iter().enumerate() {
        append(&logs(&shipper).join(name), &format!("file {number}\n"));
    }
    let lines: Vec<_> = (0..names.len()).map(|number| format!("file {number}")).collect();
    shipper.until(|shipper| shipper.output().lines().count() >= lines.len());
    shipper.terminate();
    assert!(shipper.end().success());
    assert_lines(&shipper, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(fs::read_dir(logs(&shipper)).unwrap().count(), names.len(), "no name is run");
}

#[test]
fn what_is_no_file_is_left_alone() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    fs::create_dir(logs(&shipper).join("directory.log")).unwrap();
    std::os::unix::fs::symlink("nowhere", logs(&shipper).join("dangling.log")).unwrap();
    let fifo = logs(&shipper).join("fifo.log");
    assert!(Command::new("busybox").arg("mkfifo").arg(&fifo).status().unwrap().success());
    append(&logs(&shipper).join("real.log"), "real\n");
    shipper.until_it_says("real\n");
    assert_lines(&shipper, &["real"]);
}

#[test]
fn a_rotated_file_is_let_go_once_it_is_quiet() {
    let Some(busybox) = Busybox::find() else { return };
    let mut shipper = start(&busybox);
    let (log, rotated) = (logs(&shipper).join("app.log"), logs(&shipper).join("app.log.1"));
    append(&log, "one\n");
    shipper.until_it_says("one\n");
    fs::rename(&log, &rotated).unwrap();
    append(&log, "two\n");
    shipper.until_it_says("two\n");
    assert!(shipper.has_open(&rotated), "as long as somebody may still write to it");
    let long_ago = SystemTime::now() - Duration::from_hours(1);
    File::options().append(true).open(&rotated).unwrap().set_modified(long_ago).unwrap();
    shipper.until(|shipper| !shipper.has_open(&rotated));
    append(&log, "three\n");
    shipper.until_it_says("three\n");
    assert_lines(&shipper, &["one", "two", "three"]);
}

#[test]
fn every_directory_of_the_list_is_read() {
    let Some(busybox) = Busybox::find() else { return };
    let container = container("log-shipper", &[("inject/log-shipper", "/var/log/app, /srv/audit, /logs")]);
    let mut shipper = busybox.start(&container);
    for (directory, line) in [("var/log/app", "one"), ("srv/audit", "two"), ("logs", "three")] {
        let directory = shipper.work.join(directory);
        fs::create_dir_all(&directory).unwrap();
        append(&directory.join("a.log"), &format!("{line}\n"));
    }
    for line in ["one\n", "two\n", "three\n"] {
        shipper.until_it_says(line);
    }
    shipper.terminate();
    assert!(shipper.end().success());
    assert_lines(&shipper, &["one", "two", "three"]);
}
