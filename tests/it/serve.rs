//! `podgraft serve` from its first line to its exit code.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use hyper::StatusCode;
use serde_json::json;

use crate::process::{Process, podgraft, run};
use crate::webhook::{mutate, review_of, send};

#[test]
fn the_curl_line_works_as_printed() {
    let process = Process::start(|_| {}, &[]);
    let line = process.greeting.lines().find(|line| line.contains("curl ")).unwrap();
    let (code, output, errors) = run(Command::new("sh").args(["-c", line]).current_dir(process.dir.path()));
    assert_eq!(code, Some(0), "{line}\n{errors}");
    let answer: serde_json::Value = serde_json::from_str(&output).unwrap();
    assert_eq!(answer["response"]["allowed"], true, "{output}");
    assert_eq!(answer["response"]["patchType"], "JSONPatch", "{output}");
}

#[test]
fn the_first_start_says_what_it_serves_and_makes_a_certificate() {
    let process = Process::start(|_| {}, &[]);
    for expected in ["log-shipper ", "wait-for-db ", "set-env ", "certs/ca.crt", "/metrics, /healthz, /readyz"] {
        assert!(process.greeting.contains(expected), "{expected}: {}", process.greeting);
    }
    let mode = fs::metadata(process.path("certs/tls.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn a_signal_ends_it_in_order_and_a_second_one_at_once() {
    for signal in ["TERM", "INT"] {
        let mut process = Process::start(|_| {}, &[]);
        assert_eq!(process.get("/readyz").await.status, StatusCode::OK);
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(0));
    }
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let mut process = Process::start(|_| {}, &["--shutdown-delay", "10m"]);
        process.signal("TERM");
        while process.get("/readyz").await.status == StatusCode::OK {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(code));
    }
}

#[tokio::test]
async fn grafts_rejections_and_skips_are_lines_of_the_log_and_bodies_are_not() {
    let mut process = Process::start(|_| {}, &["--log-format", "json", "--log-level", "debug"]);
    process.ask("inject/log-shipper", "true").await;
    process.ask("inject/log-shipper.path", "secret\nvalue").await;
    process.ask("inject/nothing", "true\nfalse").await;
    process.ask("note", "secret").await;
    let log = process.whole_log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no line says {message}: {log}"))
    };
    let grafted = line("grafted");
    assert_eq!((&grafted["level"], &grafted["templates"]), (&"INFO".into(), &"log-shipper".into()));
    assert_eq!((&grafted["uid"], &grafted["namespace"]), (&"u".into(), &"default".into()));
    assert_eq!((&grafted["pod"], &grafted["dry_run"]), (&"web-*".into(), &false.into()));
    assert!(grafted["seconds"].as_f64().unwrap() > 0.0);
    let rejected = line("rejected");
    assert_eq!((&rejected["level"], &rejected["reasons"]), (&"INFO".into(), &"unknown_template".into()));
    assert!(!rejected["why"].as_str().unwrap().contains('\n'), "no annotation begins a line of its own: {rejected}");
    assert_eq!(line("skipped")["level"], "DEBUG");
    assert!(!log.contains("nginx"), "a pod's contents are not logged: {log}");
}

/// Asks for pods whose rejections take a lot of room in the log: more than a pipe and podgraft hold together.
async fn flood(process: &Process) {
    let mut connection = process.connect().await;
    let annotations: serde_json::Value =
        (0..200).map(|index| (format!("inject/nothing-like-it-{index:0>20}"), json!("true"))).collect();
    let pod = json!({"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": "a", "image": "a"}]}});
    for _ in 0..300 {
        connection.ready().await.unwrap();
        let answer = send(&mut connection, mutate(review_of(&pod.to_string()))).await;
        assert!(answer.body.len() > 10_000, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    let (_unread, log) = std::io::pipe().unwrap();
    let mut process = Process::start_in(tempfile::tempdir().unwrap(), &[], log);
    flood(&process).await;
    assert_eq!(process.get("/readyz").await.status, StatusCode::OK);
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_read_again_tells_what_was_lost() {
    let (mut unread, log) = std::io::pipe().unwrap();
    let mut process = Process::start_in(tempfile::tempdir().unwrap(), &[], log);
    flood(&process).await;
    let reading = tokio::task::spawn_blocking(move || {
        let mut log = String::new();
        unread.read_to_string(&mut log).unwrap();
        log
    });
    process.signal("TERM");
    assert_eq!(process.wait().code(), Some(0));
    let log = reading.await.unwrap();
    let lost = log.lines().find_map(|line| line.split_once("lines were lost here lines=")?.1.parse::<usize>().ok());
    let lost = lost.unwrap_or_else(|| panic!("nothing is said to be lost: {log:.500}"));
    assert_eq!(log.lines().filter(|line| line.contains(" rejected ")).count() + lost, 300);
    assert!(log.contains("INFO stopping"), "what it said at its end");
}

fn refused(prepare: impl FnOnce(&std::path::Path), options: &[&str]) -> (Option<i32>, String) {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let mut command = podgraft();
    command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]).args(options);
    let (code, output, errors) = run(command.current_dir(dir.path()));
    assert_eq!(output, "", "nothing is served");
    (code, errors)
}

#[test]
fn everything_that_is_wrong_is_said_before_a_port_is_bound() {
    let prepare = |dir: &std::path::Path| {
        fs::create_dir(dir.join("certs")).unwrap();
        fs::write(dir.join("certs/tls.crt"), "x").unwrap();
        fs::create_dir(dir.join("templates")).unwrap();
        fs::write(dir.join("templates/a.yaml"), "kind: Nonsense\n").unwrap();
    };
    let (code, errors) = refused(prepare, &["--strict-start", "--templates", "templates", "--templates", "missing"]);
    assert_eq!(code, Some(1), "{errors}");
    for expected in ["holds tls.crt but not ca.crt and tls.key", "templates/a.yaml", "missing: can't be read"] {
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
}

#[test]
fn an_address_that_is_taken_or_no_address_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let mut command = podgraft();
    command.args(["serve", "--listen", &address, "--admin-listen", "127.0.0.1:0"]).current_dir(dir.path());
    let (code, _, errors) = run(&mut command);
    assert_eq!(code, Some(1));
    assert!(errors.contains(&format!("listening on {address}: ")), "{errors}");
    let (code, _, errors) = run(podgraft().args(["serve", "--listen", "localhost"]).current_dir(dir.path()));
    assert_eq!(code, Some(2));
    assert!(errors.contains("write an IP address and a port"), "{errors}");
}

#[test]
fn other_addresses_than_loopback_get_no_development_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = podgraft();
    command.args(["serve", "--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"]).current_dir(dir.path());
    let (code, _, errors) = run(&mut command);
    assert_eq!(code, Some(1));
    assert!(errors.contains("podgraft certs --dir certs"), "{errors}");
    assert!(!dir.path().join("certs").exists());
}

#[test]
fn self_managed_certificates_say_all_that_they_lack() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = podgraft();
    command.args(["serve", "--tls", "self-managed", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.args(["--tls-lifetime", "1m"]).env_remove("KUBERNETES_SERVICE_HOST").env_remove("POD_NAMESPACE");
    let (code, _, errors) = run(command.current_dir(dir.path()));
    assert_eq!(code, Some(1));
    for expected in ["or pass --kubeconfig", "pass --service-namespace", "at least three times the settling time"] {
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    assert!(!dir.path().join("certs").exists());
}
