//! Peers that misbehave, and the ones that can't be had here: MySQL's own server, and Redis' protected mode.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use podgraft::wait::{NotYet, StatusSet, Target, ask};
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::Waiting;
use crate::servers::until;

/// A peer that plays a scene for each connection, for as long as the test runs.
fn peer(scene: impl Fn(TcpStream) -> std::io::Result<()> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            // A client may hang up whenever it likes.
            let _ = scene(stream.unwrap());
        }
    });
    address
}

/// A peer that plays a scene for one connection, and what it came to.
fn peer_once<T: Send + 'static>(
    scene: impl FnOnce(TcpStream) -> std::io::Result<T> + Send + 'static,
) -> (SocketAddr, JoinHandle<std::io::Result<T>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || scene(listener.accept()?.0)))
}

const PROTOCOLS: [&str; 4] = ["postgres", "mysql", "redis", "http"];

/// Waits until each protocol's line holds this of a peer.
fn all_say(address: SocketAddr, reason: &str) {
    for protocol in PROTOCOLS {
        let words = ["--attempt-timeout", "300ms", &format!("{protocol}://{address}")];
        let mut waiting = Waiting::start(&words);
        waiting.until_it_says(&format!("{protocol}://{address}: not yet: {reason}"));
    }
}

#[test]
fn a_peer_that_says_nothing_is_not_ready() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    all_say(silent.local_addr().unwrap(), "it accepts connections, but does not answer in time");
}

#[test]
fn a_peer_that_hangs_up_is_not_ready() {
    // What was asked is read, or the connection would be reset.
    let address = peer(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_millis(50)))?;
        let _ = stream.read(&mut [0; 1024]);
        Ok(())
    });
    all_say(address, "it accepts connections, but hangs up without an answer");
}

#[test]
fn a_peer_that_resets_the_connection_is_not_ready() {
    let address = peer(|stream| {
        // What is unread when a connection is closed resets it.
        stream.peek(&mut [0; 1])?;
        Ok(())
    });
    for protocol in ["postgres", "redis", "http"] {
        let mut waiting = Waiting::start(&[&format!("{protocol}://{address}")]);
        waiting.until_it_says(&format!("{protocol}://{address}: not yet: connection reset by peer"));
    }
}

#[test]
fn a_peer_that_never_comes_to_an_end_is_not_ready() {
    let address = peer(|mut stream| {
        loop {
            stream.write_all(&[b'a'; 4096])?;
        }
    });
    for protocol in PROTOCOLS {
        let mut waiting = Waiting::start(&[&format!("{protocol}://{address}")]);
        waiting.until_it_says("not yet: it does not answer as ");
    }
}

/// A packet of MySQL's protocol: its length in three bytes, its number, what is in it.
fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    [&[u8::try_from(payload.len()).unwrap(), 0, 0, number], payload].concat()
}

/// Reads a packet of fewer than 256 bytes.
fn read_packet(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let mut payload = vec![0; usize::from(head[0])];
    stream.read_exact(&mut payload)?;
    Ok((head[3], payload))
}

/// Protocol::HandshakeV10.
const GREETING: &[u8] =
    b"\x0a8.4.3\0\x08\0\0\0abcdefgh\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0ijklmnopqrst\0\
    caching_sha2_password\0";

/// ERR_Packet.
const DENIED: &[u8] = b"\xff\x15\x04#28000Access denied for user 'podgraft'@'10.0.0.1' (using password: NO)";

#[test]
fn a_handshake_that_comes_byte_by_byte_is_one() {
    let slowly = |stream: &mut TcpStream, bytes: &[u8]| {
        bytes.chunks(1).try_for_each(|byte| {
            thread::sleep(Duration::from_millis(1));
            stream.write_all(byte)
        })
    };
    let address = peer(move |mut stream| {
        stream.set_nodelay(true)?;
        slowly(&mut stream, &packet(0, GREETING))?;
        read_packet(&mut stream)?;
        slowly(&mut stream, &packet(2, DENIED))
    });
    Waiting::start(&[&format!("mysql://{address}")]).ready();
}

/// MySQL 8 and 9 prefer caching_sha2_password, and switch a client to it that offers another (MySQL documentation,
/// "Caching_sha2_password information", "Protocol::AuthSwitchRequest").
#[test]
fn mysqls_own_server_is_ready_when_it_denies_access() {
    let (address, scene) = peer_once(|mut stream| {
        stream.write_all(&packet(0, GREETING))?;
        let login = read_packet(&mut stream)?;
        stream.write_all(&packet(2, b"\xfecaching_sha2_password\0abcdefghijklmnopqrst\0"))?;
        let proof = read_packet(&mut stream)?;
        stream.write_all(&packet(4, DENIED))?;
        Ok((login, proof))
    });
    let output = Waiting::start(&[&format!("mysql://root:secret@{address}/shop")]).ready();
    assert!(!output.contains("not yet"), "{output}");
    let ((number, login), proof) = scene.join().unwrap().unwrap();
    assert_eq!(number, 1, "the packet after the greeting");
    assert!(login.ends_with(b"podgraft\0\0mysql_native_password\0"), "{}", login.escape_ascii());
    assert_eq!(proof, (3, vec![0]), "no password, in the packet after the switch");
}

/// What a server has still to say when its client hangs up would reset the connection, which servers log.
#[test]
fn a_server_is_heard_out() {
    let (address, scene) = peer_once(|mut stream| {
        stream.read_exact(&mut [0; 41])?;
        stream.write_all(b"R\0\0\0\x08\0\0\0\0")?;
        // A client that is gone resets the connection at the first of these, which fails the second.
        for parameter in [b"S\0\0\0\x19client_encoding\0UTF8\0", b"S\0\0\0\x19server_encoding\0UTF8\0"] {
            thread::sleep(Duration::from_millis(50));
            stream.write_all(parameter)?;
        }
        let mut said = Vec::new();
        stream.read_to_end(&mut said)?;
        Ok(said)
    });
    Waiting::start(&[&format!("postgres://{address}")]).ready();
    assert_eq!(scene.join().unwrap().expect("no reset"), b"X\0\0\0\x04", "it says goodbye");
}

/// Protected mode refuses whoever is not on the same machine, before it has read anything (Redis documentation,
/// "Redis security", and the text of its own).
#[test]
fn redis_in_protected_mode_tells_why() {
    let address = peer(|mut stream| {
        stream.write_all(
            b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the \
              default user. In this mode connections are only accepted from the loopback interface. If you want to connect \
              from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected \
              mode sending the command 'CONFIG SET protected-mode no' from the loopback interface.\r\n",
        )
    });
    let mut waiting = Waiting::start(&[&format!("redis://{address}")]);
    waiting
        .until_it_says("not yet: DENIED Redis is running in protected mode because protected mode is enabled and no");
}

/// Asks a peer that sends these bytes in pieces as large as this, and hangs up.
fn asked(target: &Target, bytes: &[u8], piece: usize) -> Result<(), NotYet> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (mut ours, theirs) = duplex(piece);
        let (mut reader, mut writer) = tokio::io::split(theirs);
        let peer = async {
            let mut asked = [0; 1024];
            let hears = async { while reader.read(&mut asked).await.is_ok_and(|n| n > 0) {} };
            let speaks = async {
                let _ = writer.write_all(bytes).await;
                let _ = writer.shutdown().await;
                std::future::pending::<()>().await;
            };
            tokio::join!(hears, speaks)
        };
        let status = StatusSet::default();
        let answer = tokio::time::timeout(Duration::from_secs(30), ask(target, &status, &mut ours));
        tokio::select! {
            answer = answer => answer.expect("an answer, and no end of waiting"),
            _ = peer => unreachable!(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes get an answer, in whatever pieces, in bounded time; words for people are one line.
    #[test]
    fn any_bytes_get_an_answer(
        protocol in prop::sample::select(&PROTOCOLS[..]),
        begin in prop::sample::select(vec![
            &b""[..], b"R\0\0\0\x08", b"E\0\0\0\x20", b"\x0b\0\0\0\x0a5.7\0\0\0\0\0\0\0", b"\x05\0\0\0\xff", b"-", b"+",
            b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 ",
        ]),
        rest in prop::collection::vec(any::<u8>(), 0..600),
        piece in 1_usize..64,
    ) {
        let target: Target = format!("{protocol}://peer").parse().unwrap();
        if let Err(reason) = asked(&target, &[begin, &rest].concat(), piece) {
            let words = reason.to_string();
            prop_assert!(!words.contains(char::is_control), "{words:?}");
            prop_assert!(words.chars().count() < 400, "{words:?}");
        }
    }

    /// Any text is a target or is not, and a target is what its own words name.
    #[test]
    fn any_text_is_a_target_or_is_told_why_not(text in "(postgres|mysql|redis|http|tcp|dns)?(://)?[-a-z0-9.:@/?#\\[\\]%é ]{0,30}") {
        match text.parse::<Target>() {
            Ok(target) => prop_assert_eq!(target.to_string().parse::<Target>().map(|it| it.to_string()), Ok(target.to_string())),
            Err(error) => prop_assert!(!error.to_string().contains(char::is_control)),
        }
    }
}

#[test]
fn no_connection_is_left_behind() {
    // Each attempt hangs up before the next begins: with a peer that never does, there is one at a time.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let _waiting = Waiting::start(&["--attempt-timeout", "100ms", &format!("redis://{address}")]);
    let mut streams: Vec<TcpStream> = (0..3).map(|_| listener.accept().unwrap().0).collect();
    for stream in &mut streams[..2] {
        let ended = until("the end of a connection", || stream.read(&mut [0; 64]).ok());
        assert!(ended == 0 || stream.read(&mut [0; 64]).unwrap() == 0);
    }
}
