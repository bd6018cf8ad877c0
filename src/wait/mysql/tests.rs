use super::*;
use crate::wait::tests::{answer, conversation};

const URL: &str = "mysql://db";

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    let [a, b, c, _] = (payload.len() as u32).to_le_bytes();
    [&[a, b, c, number], payload].concat()
}

/// Protocol::HandshakeV10 as MySQL 8.4 sends it.
fn greeting() -> Vec<u8> {
    let payload =
        b"\x0a8.4.3\0\x08\0\0\0\x12\x34\x56\x78\x12\x34\x56\x78\0\xff\xff\xff\x02\0\xff\xdf\x15\0\0\0\0\0\0\0\0\0\0\
        \x12\x34\x56\x78\x12\x34\x56\x78\x12\x34\x56\x78\0caching_sha2_password\0";
    packet(0, payload)
}

fn error(number: u8, code: u16, message: &str) -> Vec<u8> {
    packet(number, &[&[0xff], &code.to_le_bytes()[..], message.as_bytes()].concat())
}

fn denied(number: u8) -> Vec<u8> {
    error(number, 1045, "#28000Access denied for user 'podgraft'@'10.0.0.1' (using password: NO)")
}

/// What follows the greeting.
fn after(packets: &[Vec<u8>]) -> Vec<u8> {
    [greeting(), packets.concat()].concat()
}

fn login() -> Vec<u8> {
    packet(1, LOGIN)
}

#[test]
fn the_login_has_its_fields() {
    let (fixed, rest) = LOGIN.split_at(32);
    let capabilities = u32::from_le_bytes(fixed[..4].try_into().unwrap());
    assert_eq!(capabilities, 1 | 0x200 | 0x8000 | 0x8_0000);
    assert_eq!(fixed[4..8], (16_u32 << 20).to_le_bytes());
    assert_eq!(fixed[8], 45);
    assert_eq!(fixed[9..], [0; 23]);
    assert_eq!(rest, b"podgraft\0\0mysql_native_password\0");
}

#[test]
fn access_denied_is_ready() {
    assert_eq!(conversation(URL, &after(&[denied(2)])), (Ok(()), login()));
    for code in [1044, 1045, 1251, 1698, 3159, 4151] {
        assert_eq!(answer(URL, &after(&[error(2, code, "#HY000no")])), Ok(()), "{code}");
    }
}

#[test]
fn whoever_lets_us_in_is_left_politely() {
    let (done, sent) = conversation(URL, &after(&[packet(2, b"\0\0\0\x02\0\0\0")]));
    assert_eq!((done, sent), (Ok(()), [login(), packet(0, QUIT)].concat()));
}

#[test]
fn every_way_to_prove_a_password_is_gone_to_its_end() {
    let switch = |plugin: &str| packet(2, &[&[SWITCH], plugin.as_bytes(), b"\0abcdefghijklmnopqrst\0"].concat());
    for (plugin, proof) in [
        ("mysql_native_password", &b""[..]),
        ("caching_sha2_password", b"\0"),
        ("sha256_password", b"\0"),
        ("parsec", b"\0"),
        ("client_ed25519", &[0; 64]),
    ] {
        let wanted = [login(), packet(3, proof)].concat();
        assert_eq!(conversation(URL, &after(&[switch(plugin), denied(4)])), (Ok(()), wanted), "{plugin}");
    }
    // The switch of protocol 4.0, which names nothing.
    assert_eq!(answer(URL, &after(&[packet(2, &[SWITCH]), denied(4)])), Ok(()));
    // "Perform full authentication", and "fast authentication was a success".
    let asked = after(&[switch("caching_sha2_password"), packet(4, &[MORE, 4]), denied(6)]);
    let wanted = [login(), packet(3, b"\0"), packet(5, b"\0")].concat();
    assert_eq!(conversation(URL, &asked), (Ok(()), wanted));
    let asked = after(&[switch("caching_sha2_password"), packet(4, &[MORE, 3]), packet(5, &[OK, 0, 0, 2, 0, 0, 0])]);
    assert_eq!(conversation(URL, &asked), (Ok(()), [login(), packet(3, b"\0"), packet(0, QUIT)].concat()));
}

#[test]
fn a_server_that_is_closed_for_now_is_not_ready() {
    for bytes in [
        error(0, 1040, "Too many connections"),
        error(0, 1040, "#08004Too many connections"),
        after(&[error(2, 1040, "#08004Too many connections")]),
    ] {
        assert_eq!(answer(URL, &bytes), Err(NotYet::Says("Too many connections".to_owned())));
    }
    for code in CLOSED_FOR_NOW {
        assert_eq!(answer(URL, &after(&[error(2, code, "#HY000no")])), Err(NotYet::Says("no".to_owned())), "{code}");
    }
}

#[test]
fn a_blocked_host_is_told_how_to_be_unblocked() {
    let blocked = error(0, 1129, "Host '10.0.0.1' is blocked because of many connection errors");
    let reason = answer(URL, &blocked).unwrap_err().to_string();
    assert!(reason.contains("mysqladmin flush-hosts"), "{reason}");
}

#[test]
fn everything_else_is_another_protocol() {
    let endless = after(&[packet(2, &[MORE, 4]).repeat(1000)]);
    for bytes in [
        b"HTTP/1.1 400 Bad Request\r\n".to_vec(),
        packet(0, b"\x09old\0"),
        packet(0, b"\xff\x10"),
        packet(0, b""),
        after(&[packet(2, b"\x77")]),
        after(&[vec![0xff, 0xff, 0xff, 2]]),
        endless,
    ] {
        let done = answer(URL, &bytes);
        assert!(matches!(done, Err(NotYet::Foreign { .. })), "{}: {done:?}", bytes.escape_ascii());
    }
    for bytes in [vec![], vec![74, 0, 0], greeting()[..20].to_vec(), greeting()] {
        assert_eq!(answer(URL, &bytes), Err(NotYet::HungUp));
    }
}
