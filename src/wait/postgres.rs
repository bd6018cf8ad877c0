//! PostgreSQL: the first two messages of a session (PostgreSQL documentation, "Message Flow: Start-up").
//!
//! The rule is that of `pg_isready`: a server that asks for a password, or says that it won't have this user, this
//! database or a connection without TLS, accepts sessions. One that says "cannot connect now" does not yet.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::NotYet;

const NAME: &str = "PostgreSQL";

/// Length, protocol 3.0, and the parameters `user` and `database`. Who needs no password here has a session, of which
/// there is no use; a user that hardly exists gets none.
const STARTUP: &[u8] = b"\0\0\0\x29\0\x03\0\0user\0podgraft\0database\0postgres\0\0";

/// The end of a session: a type, and a length that counts itself.
const TERMINATE: &[u8] = b"X\0\0\0\x04";

/// libpq takes no longer message from a server that has not yet let it in for one of this protocol.
const LONGEST: u32 = 30_000;

/// SQLSTATEs of a server that is up and takes no session for now (PostgreSQL documentation, appendix A), unlike
/// `pg_isready` with those of too many: who starts the application now will see it fail.
const CLOSED_FOR_NOW: [&[u8]; 4] = [
    b"53300", // too_many_connections
    b"57P01", // admin_shutdown
    b"57P02", // crash_shutdown
    b"57P03", // cannot_connect_now: starting, shutting down, or a standby that takes none
];

/// Asks for a session.
pub(super) async fn probe<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), NotYet> {
    stream.write_all(STARTUP).await?;
    let mut head = [0; 5];
    stream.read_exact(&mut head).await?;
    let [kind, length @ ..] = head;
    let length = u32::from_be_bytes(length);
    if !(4..=LONGEST).contains(&length) {
        return Err(NotYet::foreign(NAME, &head));
    }
    let mut body = vec![0; length as usize - 4];
    stream.read_exact(&mut body).await?;
    match kind {
        b'R' => {
            // Whose login is over has to say that it leaves; whose isn't may go.
            if body == [0; 4] {
                stream.write_all(TERMINATE).await?;
            }
            Ok(())
        }
        b'E' => refused(&body),
        _ => Err(NotYet::foreign(NAME, &head)),
    }
}

/// What an ErrorResponse comes to: fields of a type and a text that ends with a zero byte.
fn refused(body: &[u8]) -> Result<(), NotYet> {
    let field = |kind: u8| body.split(|byte| *byte == 0).find_map(|field| field.strip_prefix(&[kind]));
    let Some(sqlstate) = field(b'C').filter(|code| code.len() == 5) else {
        return Err(NotYet::foreign(NAME, body));
    };
    if CLOSED_FOR_NOW.contains(&sqlstate) { Err(NotYet::says(field(b'M').unwrap_or(sqlstate))) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::tests::{answer, conversation};

    const URL: &str = "postgres://db";

    fn error(sqlstate: &str, message: &str) -> Vec<u8> {
        let body = format!("SFATAL\0VFATAL\0C{sqlstate}\0M{message}\0Fpostmaster.c\0L2394\0RProcessStartupPacket\0\0");
        [b"E", &(body.len() as u32 + 4).to_be_bytes()[..], body.as_bytes()].concat()
    }

    #[test]
    fn the_startup_message_counts_itself() {
        assert_eq!(STARTUP[..4], (STARTUP.len() as u32).to_be_bytes());
    }

    #[test]
    fn whoever_asks_for_a_password_is_ready() {
        for (wants, bytes) in [
            ("a password", &b"R\0\0\0\x08\0\0\0\x03"[..]),
            ("md5", b"R\0\0\0\x0c\0\0\0\x05abcd"),
            ("SASL", b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"),
        ] {
            let (done, sent) = conversation(URL, bytes);
            assert_eq!(done, Ok(()), "{wants}");
            assert_eq!(sent, STARTUP, "nothing but the question");
        }
    }

    #[test]
    fn whoever_lets_us_in_is_left_politely() {
        let (done, sent) = conversation(URL, b"R\0\0\0\x08\0\0\0\0S\0\0");
        assert_eq!(done, Ok(()));
        assert_eq!(sent, [STARTUP, TERMINATE].concat());
    }

    #[test]
    fn errors_are_ready_but_for_those_of_a_closed_server() {
        for sqlstate in ["28000", "28P01", "3D000", "42501", "08P01", "0A000"] {
            assert_eq!(answer(URL, &error(sqlstate, "no")), Ok(()), "{sqlstate}");
        }
        for (sqlstate, message) in [
            ("57P03", "the database system is starting up"),
            ("57P03", "the database system is shutting down"),
            ("57P01", "terminating connection due to administrator command"),
            ("53300", "sorry, too many clients already"),
        ] {
            let done = answer(URL, &error(sqlstate, message));
            assert_eq!(done, Err(NotYet::Says(message.to_owned())));
        }
        let nameless = b"E\0\0\0\x0cC57P03\0\0";
        assert_eq!(answer(URL, nameless), Err(NotYet::Says("57P03".to_owned())));
    }

    #[test]
    fn everything_else_is_another_protocol() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"Ecould not fork new process for connection: Cannot allocate memory\n\0",
            b"R\0\0\0\x03",
            b"R\xff\xff\xff\xff",
            b"E\0\0\0\x06M\0",
            b"E\0\0\0\x05\0",
            b"E\0\0\0\x04",
            b"S\0\0\0\x04",
        ] {
            let done = answer(URL, bytes);
            assert!(matches!(done, Err(NotYet::Foreign { .. })), "{}: {done:?}", bytes.escape_ascii());
        }
        for bytes in [&b""[..], b"R", b"R\0\0\0\x08\0\0\0"] {
            assert_eq!(answer(URL, bytes), Err(NotYet::HungUp));
        }
    }
}
