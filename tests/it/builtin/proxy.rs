//! `proxy` with a real nginx.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::busybox::{Busybox, Running};
use super::container;
use super::server::Server;

/// Starts a proxy in front of a server, and gives its port.
fn start(busybox: &Busybox, server: &Server, parameters: &[(&str, &str)]) -> (Running, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (listen, target) = (port.to_string(), server.address.port().to_string());
    let annotations = [("inject/proxy", &*listen), ("inject/proxy.targetPort", &*target)];
    let mut running = busybox.start(&container("proxy", &[&annotations, parameters].concat()));
    running.until(|_| TcpStream::connect(("127.0.0.1", port)).is_ok());
    (running, port)
}

/// What comes back for these bytes.
fn ask(port: u16, request: &str) -> String {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).unwrap();
    connection.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn requests_are_passed_on_with_where_they_come_from() {
    let Some(busybox) = Busybox::find_with("nginx") else { return };
    let server = Server::start(&[("/a%20b?c=d", &["200 OK\r\nContent-Length: 5\r\n\r\nhello"])]);
    let (mut running, port) = start(&busybox, &server, &[]);
    let answer = ask(port, "GET /a%20b?c=d HTTP/1.1\r\nHost: shop.example:8080\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"), "{answer}");
    ask(
        port,
        "GET /a%20b?c=d HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: front.example\r\nConnection: close\r\n\r\n",
    );
    let requests = server.requests();
    let headers = ["Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Upgrade", "Connection"];
    let found = requests.iter().map(|request| headers.map(|name| request.header(name)));
    assert_eq!(
        found.collect::<Vec<_>>(),
        [
            [Some("shop.example:8080"), Some("127.0.0.1"), Some("shop.example:8080"), Some("http"), None, None],
            [Some("shop.example"), Some("10.0.0.1, 127.0.0.1"), Some("front.example"), Some("https"), None, None],
        ]
    );
    running.terminate();
    assert_eq!(running.end().code(), Some(0));
}

#[test]
fn a_websocket_passes() {
    let Some(busybox) = Busybox::find_with("nginx") else { return };
    let server = Server::answering(|request| {
        let upgrade = (request.header("Upgrade"), request.header("Connection"));
        assert_eq!(upgrade, (Some("websocket"), Some("upgrade")));
        "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nframes".into()
    });
    let (_running, port) = start(&busybox, &server, &[]);
    let answer = ask(port, "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\nframes"), "{answer}");
}

#[test]
fn a_body_has_its_limit() {
    let Some(busybox) = Busybox::find_with("nginx") else { return };
    let server = Server::answering(|_| "200 OK\r\nContent-Length: 0\r\n\r\n".into());
    let status = |port, length: usize| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
        ask(port, &(head + &"x".repeat(length)))[..12].to_owned()
    };
    let (_running, port) = start(&busybox, &server, &[("inject/proxy.maxBodySize", "1Ki")]);
    assert_eq!((&*status(port, 1024), &*status(port, 1025)), ("HTTP/1.1 200", "HTTP/1.1 413"));
    let (_running, port) = start(&busybox, &server, &[]);
    assert_eq!(status(port, 2 << 20), "HTTP/1.1 200");
    assert_eq!(server.requests().last().unwrap().body.len(), 2 << 20);
}
