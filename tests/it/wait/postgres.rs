//! Before a real PostgreSQL.

use super::relay::Relay;
use super::{Waiting, authority, changes};
use crate::servers::Postgres;

const TRUST: &str = "host all all 127.0.0.1/32 trust\n";

#[test]
fn a_server_is_waited_for_until_it_listens_and_until_it_takes_sessions() {
    let Some(postgres) = Postgres::new("hot_standby = off", TRUST) else { return };
    postgres.make_standby();
    let url = format!("postgres://user:secret@{}/orders", postgres.address());
    let mut waiting = Waiting::start(&[&url]);
    waiting.until_it_says("not yet: connection refused");
    let _server = postgres.start();
    // Not yet: 57P03, "Hot standby mode is disabled".
    waiting.until_it_says("not yet: the database system is not accepting connections");
    postgres.promote();
    let output = waiting.ready();
    let target = format!("postgres://{}", postgres.address());
    let lines = changes(&output);
    assert_eq!(lines[0], format!("{target}: not yet: connection refused"));
    // It may have been caught while it was starting.
    assert_eq!(lines[lines.len() - 3], format!("{target}: not yet: the database system is not accepting connections"));
    assert_eq!(lines[lines.len() - 2], format!("{target}: ready"));
    assert!(!output.contains("secret") && !output.contains("user"), "{output}");
}

/// Each way to be let in or not is an address' of its own.
#[test]
fn a_server_is_ready_whatever_it_asks_for() {
    let hba = "host    all all 127.0.0.2/32 trust\n\
               host    all all 127.0.0.3/32 scram-sha-256\n\
               host    all all 127.0.0.4/32 md5\n\
               host    all all 127.0.0.5/32 password\n\
               host    all all 127.0.0.6/32 reject\n\
               hostssl all all 127.0.0.7/32 trust\n";
    let Some(postgres) = Postgres::new("ssl = on\nlog_connections = on", hba) else { return };
    let made = authority(&["localhost"]);
    postgres.certify(&made.cert, &made.key);
    let server = postgres.start_and_listen();
    // The last one is in no line of pg_hba.conf.
    let relays: Vec<_> = (2..=8).map(|n| Relay::from([127, 0, 0, n], &postgres.address())).collect();
    let urls: Vec<_> = relays.iter().map(|relay| format!("postgres://{}", relay.address)).collect();
    Waiting::start(&urls.iter().map(String::as_str).collect::<Vec<_>>()).ready();
    let log = server.log();
    for n in 2..=8 {
        assert!(log.contains(&format!("connection received: host=127.0.0.{n}")), "{log}");
    }
    for ill in ["reset by peer", "unexpected EOF", "invalid", "expected"] {
        assert!(!log.contains(ill), "we leave politely: {log}");
    }
}

#[test]
fn a_server_with_no_session_left_is_waited_for() {
    let conf = "max_connections = 1\nsuperuser_reserved_connections = 0\nmax_wal_senders = 0";
    let Some(postgres) = Postgres::new(conf, TRUST) else { return };
    let _server = postgres.start_and_listen();
    let session = postgres.session();
    let mut waiting = Waiting::start(&[&format!("postgres://{}", postgres.address())]);
    waiting.until_it_says("not yet: sorry, too many clients already");
    drop(session);
    waiting.ready();
}
