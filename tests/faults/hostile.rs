//! Clients that are slow, silent, greedy or at odds with the protocol. Those of the load are served all the same.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;

use crate::client::{Ask, Tally, Task, Wanted, with_uid};
use crate::load::Load;
use crate::scene::{
    LONG, Scene, TEMPLATES, limit_files, load, memory, metric, review, runtime, served_at_once, sound, stamped, status,
};
use crate::webhook::{tls_over, tls_to};
use crate::workload::deployment;

const HEAD: &str = "POST /mutate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";

async fn tls(scene: &Scene) -> TlsStream<TcpStream> {
    tls_to(scene.server.address, &scene.server.path("certs/ca.crt"), &["http/1.1"]).await.unwrap()
}

/// Waits for so many more good answers, in any time.
fn served(load: &Load, more: u64) -> Tally {
    let before = load.tally().good;
    load.until(LONG, |tally| tally.good >= before + more).unwrap()
}

/// A load that has had so many good answers while others are at it, and after how long.
async fn served_beside(scene: &Scene, workers: usize, more: u64) -> (Load, Duration) {
    let begin = Instant::now();
    let load = scene.load(workers);
    let load = tokio::task::spawn_blocking(move || {
        served(&load, more);
        load
    });
    (load.await.unwrap(), begin.elapsed())
}

/// Sends a byte of it now and then, until the server has enough.
async fn trickle(mut stream: TlsStream<TcpStream>, head: String) {
    if stream.write_all(head.as_bytes()).await.is_ok() {
        while stream.write_all(b"x").await.is_ok() {
            sleep(Duration::from_millis(500)).await;
        }
    }
}

#[test]
fn heads_and_bodies_that_trickle_in_keep_nobody_out() {
    let scene = Scene::start(&[]);
    runtime().block_on(async {
        let mut slow = JoinSet::new();
        for index in 0..800 {
            // More bodies than requests may be in flight.
            let head = if index < 200 { HEAD.to_owned() } else { format!("{HEAD}Content-Length: 5000\r\n\r\n") };
            slow.spawn(trickle(tls(&scene).await, head));
        }
        let (load, took) = served_beside(&scene, 8, 500).await;
        let tally = sound(load);
        println!(
            "slowloris: 200 heads, 600 bodies: {} good answers in {took:.1?}, {} asked again",
            tally.good, tally.again
        );
    });
}

#[test]
fn half_open_handshakes_keep_nobody_out() {
    let scene = Scene::start(&[]);
    limit_files(std::process::id(), 20_000);
    limit_files(scene.server.id(), 20_000);
    runtime().block_on(async {
        let mut half_open = Vec::new();
        for index in 0..3000 {
            // Three times as many as there are places. The first bytes of a record, or none.
            let connect = timeout(Duration::from_secs(5), TcpStream::connect(scene.server.address));
            let Ok(Ok(mut stream)) = connect.await else { continue };
            if index % 2 == 0 {
                stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
            }
            half_open.push(stream);
        }
        let (load, _) = served_beside(&scene, 8, 300).await;
        let tally = served_at_once(load);
        println!("half-open: {} handshakes, {} good answers", half_open.len(), tally.good);
        // Who is full leaves some to the kernel, which makes them wait.
        assert!(half_open.len() >= 2000, "{} connections", half_open.len());
    });
}

/// Asks on a connection that is kept, and wants an answer.
async fn ask(stream: &mut TlsStream<TcpStream>, request: &str) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        assert!(timeout(LONG, stream.read_buf(&mut answer)).await.expect("an answer").unwrap() > 0, "it is closed");
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn ten_thousand_idle_connections_cost_memory_alone() {
    const STRANGERS: u32 = 10_000;
    let scene = Scene::start(&["--max-connections", "20000"]);
    limit_files(std::process::id(), 20_000);
    limit_files(scene.server.id(), 20_000);
    let load = scene.load(4);
    served(&load, 50);
    let before = memory(&scene.server, "VmRSS:");
    let body = review(1, 0);
    let request = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len());
    let runtime = runtime();
    // Some have asked once and may ask again.
    let mut known = Vec::new();
    for _ in 0..300 {
        let mut stream = runtime.block_on(tls(&scene));
        runtime.block_on(ask(&mut stream, &request));
        known.push(stream);
    }
    // The others never say anything.
    let opening = std::thread::spawn({
        let address = scene.server.address;
        move || {
            let open = async |index: u32| {
                let socket = TcpSocket::new_v4().unwrap();
                // A few sources: each has so many ports.
                socket.bind(format!("127.0.0.{}:0", 2 + index % 4).parse().unwrap()).unwrap();
                socket.connect(address).await.unwrap().into_std().unwrap()
            };
            super::scene::runtime().block_on(async {
                let mut idle = Vec::new();
                for index in 0..STRANGERS {
                    idle.push(open(index).await);
                }
                idle
            })
        }
    });
    let mut connections = 0.0_f64;
    while !opening.is_finished() {
        connections = connections.max(metric(&scene.server, "podgraft_connections", |_| true));
        std::thread::sleep(Duration::from_millis(100));
    }
    let strangers = opening.join().unwrap();
    connections = connections.max(metric(&scene.server, "podgraft_connections", |_| true));
    let grown = memory(&scene.server, "VmRSS:").saturating_sub(before);
    served(&load, 200);
    for stream in &mut known {
        runtime.block_on(ask(stream, &request));
    }
    drop((strangers, known));
    metric(&scene.server, "podgraft_connections", |found| found < 100.0);
    let tally = served_at_once(load);
    println!(
        "idle: {STRANGERS} connections, {connections} of them at a time, {grown} MiB, {} good answers, slowest {:.2} s",
        tally.good, tally.slowest
    );
    // Who does not shake hands is cut off after ten seconds; a busy machine takes longer to open as many.
    assert!(connections > 1_000.0 && grown < 300, "{connections} connections, {grown} MiB");
}

#[test]
fn who_sends_and_never_reads_is_cut_off() {
    const DEAF: usize = 20;
    let scene = Scene::start(&[]);
    let before = memory(&scene.server, "VmHWM:");
    let body = review(1, 1);
    let many = format!("{HEAD}Content-Length: {}\r\n\r\n{body}", body.len()).repeat(10);
    runtime().block_on(async {
        let mut deaf = JoinSet::new();
        for _ in 0..DEAF {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let stream = socket.connect(scene.server.address).await.unwrap();
            let stream = tls_over(stream, &scene.server.path("certs/ca.crt"), &["http/1.1"]).await.unwrap();
            let many = many.clone();
            deaf.spawn(async move {
                let (_unread, mut requests) = tokio::io::split(stream);
                let mut sent = 0;
                // Until the buffers of the kernel are full, megabytes on loopback, and the server has had enough.
                while requests.write_all(many.as_bytes()).await.is_ok() {
                    sent += 10;
                }
                sent
            });
        }
        let load = scene.load(4);
        let mut sent = 0;
        while let Some(ended) = timeout(4 * LONG, deaf.join_next()).await.expect("it is cut off") {
            sent += ended.unwrap();
        }
        let tally = sound(load);
        let peak = memory(&scene.server, "VmHWM:");
        println!(
            "never reads: {DEAF} clients cut off after {sent} requests, {} good answers, {before} MiB before, {peak} MiB peak",
            tally.good
        );
        assert!(tally.good > 0 && sent > DEAF && peak < before + 64, "{sent} requests, {before} MiB, {peak} MiB");
    });
}

#[test]
fn a_half_closed_connection_gets_its_answer() {
    let scene = Scene::start(&[]);
    runtime().block_on(async {
        let body = review(3, 0);
        let (half, whole) = (&body[..body.len() / 2], &body[..]);
        for (sent, expected) in [(whole, "HTTP/1.1 200 OK\r\n"), (half, "HTTP/1.1 400 Bad Request\r\n"), ("", "")] {
            let mut stream = tls(&scene).await;
            if !expected.is_empty() {
                stream
                    .write_all(format!("{HEAD}Content-Length: {}\r\n\r\n{sent}", body.len()).as_bytes())
                    .await
                    .unwrap();
            }
            stream.shutdown().await.unwrap();
            let mut answer = String::new();
            timeout(LONG, stream.read_to_string(&mut answer)).await.expect("the server closes").unwrap();
            assert!(answer.starts_with(expected) && answer.is_empty() == expected.is_empty(), "{expected}: {answer}");
        }
    });
    metric(&scene.server, "podgraft_requests_in_flight", |found| found < 0.5);
    metric(&scene.server, "podgraft_connections", |found| found < 0.5);
}

#[test]
fn requests_that_may_be_read_in_two_ways_hide_no_other() {
    let scene = Scene::start(&[]);
    let hidden = "POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let chunked = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let body = review(1, 0);
    let reviewed = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    // Both lengths: the chunks count, whatever comes after them does not (RFC 9112, section 6.1).
    let both = [
        (400, format!("{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}{hidden}")),
        (400, format!("{HEAD}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{chunked}{hidden}")),
        (200, format!("{HEAD}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{reviewed}{hidden}")),
    ];
    let broken = [
        format!("{HEAD}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{HEAD}Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n{hidden}"),
        format!("{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{HEAD}Transfer-Encoding:\u{b}chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("{HEAD}Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n{hidden}"),
        format!("{HEAD}Content-Length: 0\r\nContent-Length: 10\r\n\r\n{hidden}"),
        format!("{HEAD}Content-Length: 0, 10\r\n\r\n{hidden}"),
        format!("{HEAD}Content-Length: +0\r\n\r\n{hidden}"),
        format!("{HEAD}Content-Length: 0x0\r\n\r\n{hidden}"),
        format!("{HEAD}Content-Length: -1\r\n\r\n{hidden}"),
        format!("{HEAD}Content-Length:\r\n\r\n{hidden}"),
        format!("{HEAD} Content-Length: 0\r\n\r\n{hidden}"),
        format!("POST /mutate HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
    ];
    let shapes: Vec<_> = both.into_iter().chain(broken.map(|shape| (400, shape))).collect();
    runtime().block_on(async {
        for (status, shape) in &shapes {
            let mut stream = tls(&scene).await;
            stream.write_all(shape.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // What was not read may end the connection the hard way.
            let _ = timeout(LONG, stream.read_to_end(&mut answer)).await.expect("the server closes");
            let answer = String::from_utf8(answer).unwrap();
            let right = answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.matches("HTTP/1.1").count() == 1;
            assert!(right, "{shape}\n{answer}");
        }
    });
    println!("smuggling: {} shapes, one answer each, and the connection closed", shapes.len());
}

/// Anybody can send where reviews go what is none: it wins nobody a place.
#[test]
fn connections_that_send_no_review_keep_nobody_out_however_busy_they_are() {
    let scene = Scene::start(&["--max-connections", "20"]);
    runtime().block_on(async {
        let mut busy = JoinSet::new();
        for _ in 0..20 {
            let mut stream = tls(&scene).await;
            busy.spawn(async move {
                let mut answer = [0; 4096];
                let junk = format!("{HEAD}Content-Length: 2\r\n\r\n{{}}");
                while stream.write_all(junk.as_bytes()).await.is_ok() && stream.flush().await.is_ok() {
                    match stream.read(&mut answer).await {
                        Ok(length) if length > 0 => assert!(answer.starts_with(b"HTTP/1.1 400 ")),
                        _ => break,
                    }
                    sleep(Duration::from_millis(300)).await;
                }
            });
        }
        let (load, took) = served_beside(&scene, 4, 50).await;
        sound(load);
        // Those that had to go; none has had another answer.
        while let Some(gone) = busy.try_join_next() {
            gone.unwrap();
        }
        println!("junk: 20 of 20 places taken, the first 50 reviews were answered after {took:.1?}");
        // Each has a second of grace, whatever it sends.
        assert!(took < Duration::from_secs(20), "{took:?}");
    });
}

#[test]
fn a_flood_beyond_capacity_is_shed_and_what_is_answered_is_right() {
    let scene = Scene::start(&["--max-in-flight", "4"]);
    let before = memory(&scene.server, "VmHWM:");
    let load = load(&Task { reviews: vec![stamped(review(40, TEMPLATES))], ..scene.task(128) });
    served(&load, 200);
    let tally = sound(load);
    let peak = memory(&scene.server, "VmHWM:");
    let shed = metric(&scene.server, "podgraft_requests_shed_total", |found| found > 0.0);
    println!(
        "flood: {} good answers, {} asked again within {:.3} s, {before} MiB before, {peak} MiB peak",
        tally.good, tally.again, tally.slowest_again
    );
    // Before the API server gives up on us: it waits for the registration's `timeoutSeconds`, the next try included.
    assert!(tally.slowest_again < 4.0, "{} s", tally.slowest_again);
    assert!((shed - tally.again as f64).abs() < 0.5, "{shed} shed, {} were told", tally.again);
    assert!(peak < before + 100, "{before} MiB before, {peak} MiB at the peak");
}

#[test]
fn objects_that_are_validated_take_no_more_threads_the_longer_they_come() {
    let scene = Scene::start(&[]);
    let review = deployment(1, &json!({"inject/nowhere": "true"}));
    let ask = Ask::validate(with_uid(&review).unwrap(), Wanted::Warning("nowhere".to_owned()));
    let load = load(&Task { reviews: vec![ask], ..scene.task(32) });
    served(&load, 5_000);
    let threads = status(&scene.server, "Threads:");
    let tally = sound(load);
    println!("validations: {} good answers, {threads} threads", tally.good);
    // Those that answer, those that look at objects, the first one, the log's and the two that watch files.
    let most = std::thread::available_parallelism().unwrap().get() as u64 + 8 + 4;
    assert!(threads <= most, "{threads} threads");
}

#[test]
fn bodies_of_eight_mebibytes_share_their_memory_and_leave_small_ones_alone() {
    let scene = Scene::start(&[]);
    let usual = scene.load(2);
    served(&usual, 50);
    let before = memory(&scene.server, "VmHWM:");
    let mut large = review(3, TEMPLATES);
    large.push_str(&" ".repeat(8 * 1024 * 1024 - large.len() - 100));
    // Twice as much as they may take together.
    let large = load(&Task { reviews: vec![stamped(large)], ..scene.task(16) });
    served(&large, 8);
    let (large, usual) = (large.end().unwrap(), sound(usual));
    let peak = memory(&scene.server, "VmHWM:");
    let slow = large.wrong.len() + large.lost.len();
    println!("large: {} of 8 MiB, {} asked again, {slow} too slow", large.good, large.again);
    println!("large: {} usual ones meanwhile; {before} MiB before, {peak} MiB peak", usual.good);
    assert_eq!(usual.again, 0);
    assert!(large.again > 0, "there was room for all of them");
    // A busy machine may not have one through in ten seconds; who is still sending then may not see that it is told so.
    assert!(large.wrong.iter().all(|wrong| wrong.contains("408")), "{:?}", large.wrong);
    // The budget, what allocators keep, and a record of TLS for each connection.
    assert!(peak < before + 64 + 16, "{before} MiB before, {peak} MiB at the peak");
}

#[test]
fn out_of_file_descriptors_it_goes_on_and_comes_back() {
    let scene = Scene::start(&[]);
    // Each with one connection, which never idles: of several the least used one does, and is closed for a newcomer then.
    let busy: Vec<_> = (0..4).map(|_| scene.load(1)).collect();
    for load in &busy {
        served(load, 50);
    }
    limit_files(scene.server.id(), 80);
    let idle = runtime().block_on(async {
        let mut idle = Vec::new();
        for _ in 0..500 {
            idle.push(TcpStream::connect(scene.server.address).await.unwrap().into_std().unwrap());
        }
        idle
    });
    // New connections as well: the load has none that idle.
    let more = scene.load(4);
    served(&more, 100);
    drop(idle);
    served(&more, 100);
    let good: u64 = busy.into_iter().map(|load| sound(load).good).sum();
    let more = more.end().unwrap();
    // A newcomer may be closed for another one in the moment in which its first request is under way.
    assert!(more.wrong.is_empty() && more.lost.len() <= 4, "{:?}", more.lost);
    let log = scene.server.log();
    let lines = log.lines().filter(|line| line.contains("no connection can be accepted")).count();
    println!("files: {good} and {} good answers, {lines} lines of the log", more.good);
    assert!((1..50).contains(&lines), "{lines} lines");
    runtime().block_on(async {
        assert_eq!(scene.server.get("/healthz").await.status, 200);
    });
}
