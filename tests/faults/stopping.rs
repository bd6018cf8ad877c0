//! Replicas end under load, in order and at once.

use std::time::{Duration, SystemTime};

use crate::client::Task;
use crate::process::Process;
use crate::scene::{Authority, LONG, load, review, serve};

/// Two replicas, and a load for both.
fn pair(authority: &Authority) -> (Process, Process, Task) {
    let (first, second) = (serve(authority, |_| {}, &[]), serve(authority, |_| {}, &[]));
    let task = Task {
        replicas: vec![first.address, second.address],
        ca: authority.pem().to_owned(),
        workers: 32,
        reviews: vec![review(3, 0)],
        ..Task::default()
    };
    (first, second, task)
}

#[test]
fn sigterm_loses_no_request() {
    let authority = Authority::new();
    let (mut first, _second, task) = pair(&authority);
    let load = load(&task);
    let before = load.until(LONG, |tally| tally.good > 500).unwrap().good;
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0));
    load.until(LONG, |tally| tally.good > before + 1000).unwrap();
    let tally = load.end().unwrap();
    println!("SIGTERM: {} good answers over {} connections", tally.good, tally.connections);
    assert_eq!((&tally.wrong[..], tally.lost.len(), tally.again), (&[][..], 0, 0), "{:?}", tally.lost);
}

#[test]
fn sigkill_loses_what_is_in_flight_and_nothing_after() {
    let authority = Authority::new();
    let (first, second, task) = pair(&authority);
    let load = load(&task);
    load.until(LONG, |tally| tally.good > 500).unwrap();
    let (victim, survivor) = (first.address, second.address);
    let killed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    drop(first);
    let at_once = load.tally().good;
    std::thread::sleep(Duration::from_secs(3));
    load.until(LONG, |tally| tally.good > at_once + 500).unwrap();
    let tally = load.end().unwrap();
    println!("SIGKILL: {} good answers, {} lost of 32 in flight", tally.good, tally.lost.len());
    assert_eq!((&tally.wrong[..], tally.again), (&[][..], 0));
    // A worker has one review in flight.
    assert!(tally.lost.len() <= 32, "{:?}", tally.lost);
    for lost in &tally.lost {
        assert!(
            lost.replica == victim && lost.at < killed + 2.0,
            "killed {victim} at {killed}, not {survivor}: {lost:?}"
        );
    }
}
