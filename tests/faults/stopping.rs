//! Replicas end under load, in order and at once.

use std::time::{Duration, Instant, SystemTime};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::client::Task;
use crate::process::Process;
use crate::scene::{Authority, LONG, load, metric, runtime, serve, served_at_once, task};

/// How long Kubernetes waits for a pod to end, unless it says otherwise (`terminationGracePeriodSeconds`).
const GRACE: Duration = Duration::from_secs(30);

/// Two replicas, and a load for both.
fn pair(authority: &Authority, options: &[&str]) -> (Process, Process, Task) {
    let (first, second) = (serve(authority, |_| {}, options), serve(authority, |_| {}, options));
    let task = Task { replicas: vec![first.address, second.address], workers: 32, ..task(authority) };
    (first, second, task)
}

#[test]
fn sigterm_loses_no_request() {
    let authority = Authority::new();
    let (mut first, _second, task) = pair(&authority, &[]);
    let load = load(&task);
    let before = load.until(LONG, |tally| tally.good > 500).unwrap().good;
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0));
    load.until(LONG, |tally| tally.good > before + 1000).unwrap();
    let tally = load.end().unwrap();
    println!(
        "SIGTERM: {} good answers over {} connections, {} refused",
        tally.good, tally.connections, tally.unreachable
    );
    assert_eq!((&tally.wrong[..], tally.lost.len(), tally.again), (&[][..], 0, 0), "{:?}", tally.lost);
}

#[test]
fn sigterm_with_a_delay_refuses_no_connection_either() {
    let authority = Authority::new();
    let (mut first, _second, task) = pair(&authority, &["--shutdown-delay", "2s"]);
    // New connections all the time, also to the one that is to end, until it says so.
    let load = load(&Task { reviews_per_connection: Some(20), heeds_close: true, ..task });
    load.until(LONG, |tally| tally.good > 500).unwrap();
    let begin = Instant::now();
    first.signal("TERM");
    assert_eq!(first.wait().code(), Some(0));
    let took = begin.elapsed();
    let before = load.tally().good;
    load.until(LONG, |tally| tally.good > before + 500).unwrap();
    let tally = served_at_once(load);
    println!(
        "SIGTERM with a delay of 2 s: {} good answers over {} connections, ended after {took:.1?}",
        tally.good, tally.connections
    );
    assert!(took >= Duration::from_secs(2) && took < GRACE, "{took:?}");
}

/// More than tokio lets one task take at once, and all places free. They say nothing, so that it takes no time.
#[test]
fn sigterm_resets_nobody_whom_the_kernel_has_let_in() {
    const QUEUED: usize = 600;
    let authority = Authority::new();
    let mut server = serve(&authority, |_| {}, &[]);
    server.signal("STOP");
    let ended = runtime().block_on(async {
        let mut waiting = JoinSet::new();
        for _ in 0..QUEUED {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            waiting.spawn(async move { stream.read(&mut [0; 16]).await.map_err(|error| error.kind()) });
        }
        server.signal("TERM");
        server.signal("CONT");
        waiting.join_all().await
    });
    let closed = ended.iter().filter(|ended| **ended == Ok(0)).count();
    println!("SIGTERM with {QUEUED} connections that the kernel had let in: {closed} closed in order");
    assert_eq!(closed, QUEUED, "{ended:?}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn sigkill_loses_what_is_in_flight_and_nothing_after() {
    let authority = Authority::new();
    let (first, second, task) = pair(&authority, &[]);
    let load = load(&task);
    load.until(LONG, |tally| tally.good > 500).unwrap();
    let (victim, survivor) = (first.address, second.address);
    // One review on each.
    let in_flight = metric(&first, "podgraft_connections", |_| true);
    let killed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    drop(first);
    let at_once = load.tally().good;
    std::thread::sleep(Duration::from_secs(3));
    load.until(LONG, |tally| tally.good > at_once + 500).unwrap();
    let tally = load.end().unwrap();
    println!("SIGKILL: {} good answers, {} lost of at most {in_flight} in flight", tally.good, tally.lost.len());
    assert_eq!((&tally.wrong[..], tally.again), (&[][..], 0));
    assert!(in_flight < 33.0 && tally.lost.len() as f64 <= in_flight, "{in_flight} connections: {:?}", tally.lost);
    for lost in &tally.lost {
        assert!(
            lost.replica == victim && lost.at < killed + 2.0,
            "killed {victim} at {killed}, not {survivor}: {lost:?}"
        );
    }
}
