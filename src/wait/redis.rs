//! Redis: PING and one line of answer (Redis documentation, "RESP protocol spec").

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::NotYet;

const PING: &[u8] = b"*1\r\n$4\r\nPING\r\n";

/// The longest line that is an answer, in bytes: protected mode explains itself at length.
const LONGEST: u64 = 4096;

/// Errors of a server that does its work, for those that may ask: it wants a password, or allows us no PING. Whether it has
/// loaded its data, it tells only those: `NOAUTH` comes before `LOADING`.
///
/// Any other keeps the application from working, too: it loads its data (`LOADING`), runs a script (`BUSY`), has lost its
/// master (`MASTERDOWN`), can't write to its disk (`MISCONF`), has no room (`ERR max number of clients reached`), or wants
/// nobody from outside (`DENIED`).
const READY: [&[u8]; 3] = [b"-NOAUTH", b"-NOPERM", b"-WRONGPASS"];

/// Sends a PING.
pub(super) async fn probe<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), NotYet> {
    // Who wants nobody says so and hangs up, so that this may fail with an answer to be read.
    let written = stream.write_all(PING).await;
    let mut line = Vec::new();
    BufReader::new(stream).take(LONGEST).read_until(b'\n', &mut line).await?;
    match &line[..] {
        [] => Err(written.err().map_or(NotYet::HungUp, NotYet::from)),
        b"+PONG\r\n" => Ok(()),
        [error @ .., b'\r', b'\n'] if READY.iter().any(|word| error.split(|b| *b == b' ').next() == Some(word)) => {
            Ok(())
        }
        [b'-', error @ .., b'\r', b'\n'] => Err(NotYet::says(error)),
        other => Err(NotYet::foreign("Redis", other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::tests::{answer, conversation};

    const URL: &str = "redis://db";

    #[test]
    fn an_answer_that_needs_a_password_is_ready() {
        for line in [
            "+PONG",
            "-NOAUTH Authentication required.",
            "-NOPERM this user has no permissions to run the 'ping' command",
            "-WRONGPASS invalid username-password pair or user is disabled.",
        ] {
            let (done, sent) = conversation(URL, format!("{line}\r\n").as_bytes());
            assert_eq!(done, Ok(()), "{line}");
            assert_eq!(sent, PING);
        }
    }

    #[test]
    fn an_answer_that_keeps_the_application_from_working_is_not() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "ERR max number of clients reached",
            "NOAUTHORITY is another word",
        ] {
            let done = answer(URL, format!("-{line}\r\n").as_bytes());
            assert_eq!(done, Err(NotYet::Says(line.to_owned())));
        }
    }

    #[test]
    fn everything_else_is_another_protocol() {
        for bytes in [&b"HTTP/1.1 400 Bad Request\r\n"[..], b"+PONG", b"-LOADING", b"-\n", b"\n", &b"-".repeat(100_000)]
        {
            let done = answer(URL, bytes);
            assert!(matches!(done, Err(NotYet::Foreign { .. })), "{done:?}");
        }
        assert_eq!(answer(URL, b""), Err(NotYet::HungUp));
    }
}
