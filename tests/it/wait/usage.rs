//! What is said of a command line that can't be right.

use super::{Waiting, podgraft};

fn refused(words: &[&str]) -> String {
    let (code, output) = Waiting::start(words).end();
    assert_eq!(code, Some(2), "{output}");
    output
}

#[test]
fn all_targets_that_are_wrong_are_told_at_once_without_their_secrets() {
    let output =
        refused(&["db", "postgres://user:hunter2@db:x/orders?password=hunter2", "tcp://fine:1", "mysqll://db"]);
    for said in [
        "error: db: a name alone can be waited for in two ways",
        "\n       postgres://...@db:x: the port is no number from 1 to 65535",
        "\n       mysqll://db: nothing is known to wait for by mysqll:// (did you mean mysql?)",
        "Usage: podgraft wait [OPTIONS] <TARGET>...",
    ] {
        assert!(output.contains(said), "{said}: {output}");
    }
    assert!(!output.contains("hunter2") && !output.contains("fine"), "{output}");
}

#[test]
fn connection_strings_of_other_kinds_keep_their_passwords_too() {
    let strings = ["host=db user=app password=hunter2", "Server=db;Pwd=hunter2", "cache:6380,password=hunter2"];
    let output = refused(&strings);
    assert!(!output.contains("hunter2"), "{output}");
    for shown in ["host", "Server", "cache:6380"] {
        assert!(output.contains(&format!("{shown}...: this is no URL; write postgres://HOST:PORT")), "{output}");
    }
}

#[test]
fn options_that_are_wrong_say_what_to_write() {
    for (words, said) in [
        (&[][..], "<TARGET>..."),
        (&["--timeout", "5", "a:1"], "write a duration with its unit"),
        (&["--timeout", "0s", "a:1"], "write a duration above zero"),
        (&["--attempt-timeout", "0", "a:1"], "write a duration above zero"),
        (&["--http-status", "2xx", "a:1"], "such as 200-399 or 200,204,401"),
        (
            &["--ca-file", "/no/such/file", "https://a"],
            "/no/such/file: the certificates to trust can't be read: no such file",
        ),
        (&["--ca-file", "Cargo.toml", "https://a"], "Cargo.toml: there is no certificate in it that could be trusted"),
        (
            &["--ca-file", "/dev/zero", "https://a"],
            "/dev/zero: the certificates to trust can't be read: it is no regular file; name a file with --ca-file",
        ),
    ] {
        let output = refused(words);
        assert!(output.contains(said), "{words:?}: {output}");
    }
    let (code, output) = Waiting::start_by(podgraft().args(["wait", "a:1"]).env("PODGRAFT_WAIT_INTERVAL", "0")).end();
    assert_eq!(code, Some(2), "an option's variable is looked at as closely: {output}");
}

#[test]
fn certificates_are_looked_at_only_where_there_is_tls() {
    let mut waiting = Waiting::start(&["--ca-file", "/no/such/file", "127.0.0.1:1"]);
    waiting.until_it_says("tcp://127.0.0.1:1: not yet: connection refused");
}
