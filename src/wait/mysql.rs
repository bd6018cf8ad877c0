//! MySQL and MariaDB: a login that is refused (MySQL documentation, "Connection Phase"; MariaDB's, "Connection").
//!
//! The greeting alone would tell that the server is up. But who hangs up then has broken a handshake off, and after
//! `max_connect_errors` of those (100 by default) the server blocks the host, which is the node of every pod that comes
//! through it. So the login is sent and the refusal awaited: access denied is an end like any other.
//!
//! The user is one that should not exist, never the one of a database's URL: refusals lock accounts
//! (`FAILED_LOGIN_ATTEMPTS`, `max_password_errors`).

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::NotYet;

const NAME: &str = "MySQL";

/// Protocol::HandshakeResponse41: CLIENT_LONG_PASSWORD, CLIENT_PROTOCOL_41, CLIENT_SECURE_CONNECTION and
/// CLIENT_PLUGIN_AUTH; 16 MiB for a packet; utf8mb4; 23 zero bytes; user; no password; how the password is proved.
const LOGIN: &[u8] = b"\x01\x82\x08\0\0\0\0\x01\x2d\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    podgraft\0\0mysql_native_password\0";

/// COM_QUIT, the polite end of a session.
const QUIT: &[u8] = b"\x01";

/// The longest packet of a handshake, in bytes. An error's message has at most 512.
const LONGEST: usize = 4096;

/// More packets than any way to prove a password has.
const ROUNDS: usize = 8;

/// The first byte of a packet: of the greeting, and of what a server answers to a login.
const PROTOCOL_10: u8 = 10;
const OK: u8 = 0;
const MORE: u8 = 1;
const SWITCH: u8 = 0xfe;
const ERROR: u8 = 0xff;

/// `caching_sha2_password` has nothing more to ask; the end follows.
const FAST_AUTH_SUCCESS: u8 = 3;

/// Errors of a server that is up and takes no session, whoever asks (MySQL documentation, "Server Error Message Reference").
const CLOSED_FOR_NOW: [u16; 10] = [
    1037, // ER_OUTOFMEMORY
    1038, // ER_OUT_OF_SORTMEMORY
    1040, // ER_CON_COUNT_ERROR: too many connections
    1041, // ER_OUT_OF_RESOURCES
    1053, // ER_SERVER_SHUTDOWN
    1077, // ER_NORMAL_SHUTDOWN
    1079, // ER_SHUTDOWN_COMPLETE
    1130, // ER_HOST_NOT_PRIVILEGED: no account at all is for this host, so the application has none either
    1135, // ER_CANT_CREATE_THREAD
    3032, // ER_SERVER_OFFLINE_MODE
];

/// ER_HOST_IS_BLOCKED.
const BLOCKED: u16 = 1129;

/// Logs in, until the server ends it.
pub(super) async fn probe<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) -> Result<(), NotYet> {
    let (number, greeting) = read(stream).await?;
    match &greeting[..] {
        [PROTOCOL_10, ..] => write(stream, number, LOGIN).await?,
        [ERROR, error @ ..] => return refused(error),
        other => return Err(NotYet::foreign(NAME, other)),
    }
    let mut plugin = Vec::new();
    for _ in 0..ROUNDS {
        let (number, packet) = read(stream).await?;
        match &packet[..] {
            [OK, ..] => {
                // Commands count their packets anew.
                let _ = write(stream, u8::MAX, QUIT).await;
                return Ok(());
            }
            [ERROR, error @ ..] => return refused(error),
            [SWITCH, rest @ ..] => {
                plugin = rest.split(|byte| *byte == 0).next().unwrap_or_default().to_vec();
                write(stream, number, no_password(&plugin)).await?;
            }
            [MORE, FAST_AUTH_SUCCESS] => {}
            [MORE, ..] => write(stream, number, no_password(&plugin)).await?,
            other => return Err(NotYet::foreign(NAME, other)),
        }
    }
    Err(NotYet::Foreign { protocol: NAME, found: "its login does not come to an end".to_owned() })
}

/// What proves an empty password, or is no proof but of the length that the server wants: an answer of another length is
/// a broken handshake.
fn no_password(plugin: &[u8]) -> &'static [u8] {
    match plugin {
        b"mysql_native_password" => b"",
        b"client_ed25519" => &[0; 64],
        _ => b"\0",
    }
}

/// What an ERR packet comes to: a code, and from protocol 4.1 on `#` and the SQLSTATE, before the message.
fn refused(error: &[u8]) -> Result<(), NotYet> {
    let [low, high, message @ ..] = error else { return Err(NotYet::foreign(NAME, error)) };
    let message = if message.starts_with(b"#") { message.get(6..).unwrap_or_default() } else { message };
    match u16::from_le_bytes([*low, *high]) {
        BLOCKED => Err(NotYet::Says(
            "the server blocks this host after too many broken handshakes; run mysqladmin flush-hosts on it".to_owned(),
        )),
        code if CLOSED_FOR_NOW.contains(&code) => Err(NotYet::says(message)),
        // Access denied, and everything else that a server tells only when it is up.
        _ => Ok(()),
    }
}

/// Reads a packet: its number and what is in it, which is never nothing.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Result<(u8, Vec<u8>), NotYet> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [a, b, c, number] = head;
    let length = u32::from_le_bytes([a, b, c, 0]) as usize;
    if !(1..=LONGEST).contains(&length) {
        return Err(NotYet::foreign(NAME, &head));
    }
    let mut packet = vec![0; length];
    stream.read_exact(&mut packet).await?;
    Ok((number, packet))
}

/// Writes the packet that follows packet `number`.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, number: u8, packet: &[u8]) -> Result<(), NotYet> {
    let [a, b, c, _] = (packet.len() as u32).to_le_bytes();
    let packet = [&[a, b, c, number.wrapping_add(1)], packet].concat();
    Ok(stream.write_all(&packet).await?)
}

#[cfg(test)]
mod tests;
