//! How waiting ends: by a deadline, by a signal, and what it leaves behind.

use std::fs;
use std::net::TcpListener;
use std::time::Instant;

use tempfile::TempDir;

use super::{Waiting, changes};
use crate::servers::free_port;

/// A file for the termination message, as the kubelet makes it, with something in it that is to go.
fn termination_log() -> (TempDir, String) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("termination-log");
    fs::write(&path, "x".repeat(10_000)).unwrap();
    let path = path.display().to_string();
    (dir, path)
}

#[test]
fn targets_are_waited_for_side_by_side_and_names_may_be_all_that_is_wanted() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let named = format!("localhost:{}", address.port());
    // The last one takes no connection for longer than the others take together.
    let late = free_port();
    let mut waiting = Waiting::start(&[&format!("127.0.0.1:{late}"), &named, "dns://localhost", &address.to_string()]);
    waiting.until_it_says("dns://localhost: ready after ");
    waiting.until_it_says(&format!("tcp://{named}: ready after "));
    waiting.until_it_says(&format!("tcp://{address}: ready after "));
    waiting.until_it_says(&format!("tcp://127.0.0.1:{late}: not yet: connection refused"));
    let _listener = TcpListener::bind(("127.0.0.1", late)).unwrap();
    let output = waiting.ready();
    let all = format!("tcp://127.0.0.1:{late}, tcp://{named}, dns://localhost, tcp://{address}");
    assert_eq!(output.lines().next().unwrap(), format!("waiting up to 5m for {all}"));
    assert_eq!(changes(&output).len(), 6);
}

#[test]
fn at_the_deadline_it_says_what_is_missing_and_why() {
    let (_dir, log) = termination_log();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (refusing, silent) = (free_port(), silent.local_addr().unwrap());
    let targets = [format!("127.0.0.1:{refusing}"), format!("redis://:secret@{silent}"), "dns://localhost".to_owned()];
    let start = Instant::now();
    let mut words = vec!["--timeout", "700ms", "--termination-message-path", &log];
    words.extend(targets.iter().map(String::as_str));
    let (code, output) = Waiting::start(&words).end();
    assert!(start.elapsed().as_millis() >= 700, "it did not give up before");
    assert_eq!(code, Some(1), "{output}");
    let last = output.lines().last().unwrap();
    let (before, after) = last.split_once(", still waiting for ").unwrap_or_else(|| panic!("{last}"));
    assert!(before.starts_with("gave up after "), "{last}");
    let missing = format!(
        "tcp://127.0.0.1:{refusing} (connection refused), \
         redis://{silent} (it accepts connections, but does not answer in time)"
    );
    assert_eq!(after, missing);
    assert_eq!(fs::read_to_string(&log).unwrap(), last, "the same, and nothing else, for the kubelet");
}

#[test]
fn a_signal_ends_it_at_once_and_it_says_what_it_was_waiting_for() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("mysql://root:secret@{}", silent.local_addr().unwrap());
    let refusing = format!("127.0.0.1:{}", free_port());
    for (signal, name, code) in [("TERM", "SIGTERM", 143), ("INT", "SIGINT", 130)] {
        let (_dir, log) = termination_log();
        // In an attempt with one target, in a pause with the other.
        let mut waiting = Waiting::start(&[
            "--interval",
            "1h",
            "--attempt-timeout",
            "1h",
            "--timeout",
            "2h",
            "--termination-message-path",
            &log,
            &silent,
            &refusing,
            "dns://localhost",
        ]);
        waiting.until_it_says("connection refused");
        waiting.until_it_says("dns://localhost: ready");
        waiting.signal(signal);
        let (ended, output) = waiting.end();
        assert_eq!(ended, Some(code), "{output}");
        let last = output.lines().last().unwrap();
        assert!(last.starts_with(&format!("ended by {name} after ")), "{last}");
        let (_, missing) = last.split_once(" while waiting for ").unwrap();
        let silent = silent.replace("root:secret@", "");
        assert_eq!(missing, format!("{silent} (no answer yet), tcp://{refusing} (connection refused)"));
        assert_eq!(fs::read_to_string(&log).unwrap(), last);
    }
}

#[test]
fn a_termination_message_is_left_only_where_the_kubelet_wants_one() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("none").display().to_string();
    let refusing = format!("127.0.0.1:{}", free_port());
    let (code, output) = Waiting::start(&["--timeout", "100ms", "--termination-message-path", &path, &refusing]).end();
    assert_eq!(code, Some(1));
    assert!(!output.contains("warning"), "{output}");
    assert!(!fs::exists(&path).unwrap());

    // Somewhere nothing can be written: told, and no reason to end otherwise.
    let (code, output) = Waiting::start(&["--timeout", "100ms", "--termination-message-path", "/dev", &refusing]).end();
    assert_eq!(code, Some(1));
    assert!(output.contains("warning: /dev: no termination message can be left: "), "{output}");
}

#[test]
fn a_termination_message_is_no_longer_than_the_kubelet_takes() {
    let (_dir, log) = termination_log();
    let targets: Vec<_> = (0..200).map(|_| format!("tcp://127.0.0.1:{}", free_port())).collect();
    let mut words = vec!["--timeout", "500ms", "--termination-message-path", &log];
    words.extend(targets.iter().map(String::as_str));
    let (code, output) = Waiting::start(&words).end();
    assert_eq!(code, Some(1));
    let left = fs::read_to_string(&log).unwrap();
    assert_eq!(left.len(), 4096);
    assert!(output.lines().last().unwrap().starts_with(&left), "{left}");
}

#[test]
fn nothing_is_said_twice() {
    let port = free_port();
    let waiting = Waiting::start(&["--timeout", "1s", "--interval", "10ms", &format!("127.0.0.1:{port}")]);
    let (_, output) = waiting.end();
    let target = format!("tcp://127.0.0.1:{port}");
    let [refused, gave_up] = changes(&output)[..] else { panic!("{output}") };
    assert_eq!((refused, gave_up), (&*format!("{target}: not yet: connection refused"), "gave up"));
}
