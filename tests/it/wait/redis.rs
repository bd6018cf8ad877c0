//! Before a real Redis.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use super::{Waiting, authority, changes};
use crate::servers::{Redis, until};

fn url(redis: &Redis) -> String {
    format!("redis://:secret@{}/0", redis.address())
}

#[test]
fn a_server_is_ready_with_and_without_a_password() {
    let Some(redis) = Redis::new() else { return };
    for options in [&[][..], &["--requirepass", "other"], &["--user", "default", "on", "nopass", "-@all"]] {
        let _server = redis.start(options);
        let output = Waiting::start(&[&url(&redis)]).ready();
        assert_eq!(changes(&output), [&*format!("redis://{}: ready", redis.address()), "all targets are ready"]);
        assert!(!output.contains("secret"), "{output}");
    }
}

#[test]
fn a_server_that_loads_its_data_is_waited_for() {
    let Some(redis) = Redis::new() else { return };
    let server = redis.start(&["--enable-debug-command", "yes"]);
    redis.cli(&["DEBUG", "POPULATE", "2000", "key", "1000"]);
    redis.cli(&["SAVE"]);
    drop(server);
    // A millisecond for each key, and an answer now and then.
    let _server = redis.start(&["--key-load-delay", "1000", "--loading-process-events-interval-bytes", "1024"]);
    let target = format!("redis://{}", redis.address());
    let mut waiting = Waiting::start(&[&target]);
    waiting.until_it_says("not yet: LOADING Redis is loading the dataset in memory");
    let output = waiting.ready();
    let loading = format!("{target}: not yet: LOADING Redis is loading the dataset in memory");
    let ready = format!("{target}: ready");
    assert_eq!(changes(&output), [&*loading, &ready, "all targets are ready"], "a line for each change");
}

#[test]
fn a_server_with_no_room_is_waited_for() {
    let Some(redis) = Redis::new() else { return };
    let _server = redis.start(&["--maxclients", "1"]);
    let client = until("room for a client", || {
        let client = TcpStream::connect(redis.address()).unwrap();
        accepted(&client).then_some(client)
    });
    let mut waiting = Waiting::start(&[&url(&redis)]);
    waiting.until_it_says("not yet: ERR max number of clients reached");
    assert!(accepted(&client), "it is still there");
    client.shutdown(Shutdown::Both).unwrap();
    waiting.ready();
}

/// Whether a client may stay.
fn accepted(mut client: &TcpStream) -> bool {
    let mut answer = [0; 7];
    client.write_all(b"PING\r\n").is_ok() && client.read_exact(&mut answer).is_ok() && answer == *b"+PONG\r\n"
}

#[test]
fn a_server_is_asked_over_tls() {
    let Some(redis) = Redis::new() else { return };
    let made = authority(&["localhost"]);
    let [ca, cert, key] = [("ca.crt", &made.ca), ("tls.crt", &made.cert), ("tls.key", &made.key)]
        .map(|(name, content)| redis.write(name, content));
    let _server = redis.start_with_tls(&["--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca]);
    let port = redis.address().split(':').next_back().unwrap().to_owned();
    Waiting::start(&["--ca-file", &ca, &format!("rediss://:secret@localhost:{port}")]).ready();
    // Not for this name.
    let mut waiting = Waiting::start(&["--ca-file", &ca, &format!("rediss://127.0.0.1:{port}")]);
    waiting.until_it_says("not yet: TLS: its certificate is for another name");
    Waiting::start(&["--insecure", &format!("rediss://127.0.0.1:{port}")]).ready();
}
