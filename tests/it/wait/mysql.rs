//! Before a real MariaDB.

use std::io::Read;
use std::net::TcpStream;

use super::Waiting;
use super::relay::Relay;
use crate::servers::MariaDb;

/// Breaks off as many handshakes, one after the other.
fn break_off(address: &str, times: usize) {
    for _ in 0..times {
        let mut stream = TcpStream::connect(address).unwrap();
        // The greeting.
        stream.read_exact(&mut [0; 5]).unwrap();
    }
}

#[test]
fn asking_often_does_not_block_the_host() {
    let Some(mariadb) = MariaDb::new() else { return };
    let _server = mariadb.start(&["--max-connect-errors=3", "--plugin-load-add=auth_ed25519"]);
    // Handshakes from 127.0.0.1 are not counted.
    let relay = Relay::from([127, 0, 0, 2], &mariadb.address());
    let url = format!("mysql://{}", relay.address);

    let mut waiting = Waiting::start(&[&url]);
    waiting.until_it_says("not yet: Host '127.0.0.2' is not allowed to connect to this MariaDB server");
    mariadb.sql("CREATE USER app@'%' IDENTIFIED BY 'x'");
    waiting.ready();

    // Handshakes that are broken off do block it, so that what follows means something.
    break_off(&relay.address, 10);
    let mut waiting = Waiting::start(&[&url]);
    waiting.until_it_says(
        "not yet: the server blocks this host after too many broken handshakes; run mysqladmin flush-hosts",
    );
    mariadb.sql("FLUSH HOSTS");
    waiting.ready();

    let twenty = vec![&*url; 20];
    for (way, accounts) in [
        ("no other account", ""),
        ("ed25519", "CREATE USER e@'%' IDENTIFIED VIA ed25519 USING PASSWORD('x')"),
        (
            "nobody by native password",
            "ALTER USER root@localhost IDENTIFIED VIA unix_socket OR ed25519 USING PASSWORD('x')",
        ),
    ] {
        if !accounts.is_empty() {
            mariadb.sql(accounts);
        }
        for _ in 0..10 {
            let output = Waiting::start(&twenty).ready();
            assert!(!output.contains("not yet"), "{way}: {output}");
        }
    }
}
