//! `cache` with a real redis.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::busybox::Busybox;
use super::container;

#[test]
fn redis_takes_its_command_line() {
    let Some(busybox) = Busybox::find_with("redis-server") else { return };
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let annotations =
        [("inject/cache", "3Mi"), ("inject/cache.port", &*port.to_string()), ("inject/cache.policy", "volatile-lfu")];
    let mut running = busybox.start(&container("cache", &annotations));
    running.until(|_| TcpStream::connect(("127.0.0.1", port)).is_ok());
    let mut redis = TcpStream::connect(("127.0.0.1", port)).unwrap();
    for setting in ["bind", "maxmemory", "maxmemory-policy", "save", "appendonly"] {
        write!(redis, "CONFIG GET {setting}\r\n").unwrap();
    }
    redis.write_all(b"QUIT\r\n").unwrap();
    let mut answer = String::new();
    redis.read_to_string(&mut answer).unwrap();
    let values: Vec<_> = answer.lines().filter(|line| !line.starts_with(['*', '$', '+'])).collect();
    assert_eq!(
        values,
        [
            "bind",
            "127.0.0.1",
            "maxmemory",
            "3145728",
            "maxmemory-policy",
            "volatile-lfu",
            "save",
            "",
            "appendonly",
            "no"
        ]
    );
    running.terminate();
    assert_eq!(running.end().code(), Some(0));
}
