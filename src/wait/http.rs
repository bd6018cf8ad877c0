//! HTTP: one GET, of whose answer the status is looked at.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::str::FromStr;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{NotYet, Target};

/// The longest head of an answer, in bytes.
const HEAD: usize = 16 * 1024;

const USER_AGENT: &str = concat!("podgraft/", env!("CARGO_PKG_VERSION"));

/// Status codes that mean ready: `200-399`, `200,204,401`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusSet(Vec<RangeInclusive<u16>>);

impl StatusSet {
    /// Whether it holds this code.
    #[must_use]
    pub fn contains(&self, code: u16) -> bool {
        self.0.iter().any(|range| range.contains(&code))
    }
}

/// What the kubelet's probes take for success (Kubernetes documentation, "Configure Liveness, Readiness and Startup
/// Probes").
impl Default for StatusSet {
    fn default() -> Self {
        Self(vec![200..=399])
    }
}

/// A text that is no set of status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write status codes from 100 to 599 and ranges of them, such as 200-399 or 200,204,401")]
pub struct StatusSetError;

impl FromStr for StatusSet {
    type Err = StatusSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let code = |text: &str| text.trim().parse().ok().filter(|code| (100..=599).contains(code));
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let range = code(first)?..=code(last)?;
            (!range.is_empty()).then_some(range)
        };
        text.split(',').map(range).collect::<Option<_>>().map(Self).ok_or(StatusSetError)
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", range.start())?;
            if range.start() != range.end() {
                write!(f, "-{}", range.end())?;
            }
        }
        Ok(())
    }
}

/// Asks for the target's path. A redirection is an answer; nobody follows it.
pub(super) async fn probe<S>(target: &Target, wanted: &StatusSet, stream: &mut S) -> Result<(), NotYet>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let request = Request::get(target.path().as_str())
        .header(header::HOST, target.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| NotYet::System(error.to_string()))?;
    // Of any number of headers, of which the shortest has four bytes.
    let builder = http1::Builder::new().max_buf_size(HEAD).max_headers(HEAD / 4).handshake(TokioIo::new(stream));
    let connected = builder.await;
    let (mut sender, connection) = connected.map_err(|error| reason(&error))?;
    let mut answer = pin!(sender.send_request(request));
    let answer = tokio::select! {
        biased;
        answer = &mut answer => answer,
        // What ended the connection is what the request is told.
        _ = connection => answer.await,
    };
    judge(answer.map_err(|error| reason(&error))?.status(), wanted)
}

fn judge(status: StatusCode, wanted: &StatusSet) -> Result<(), NotYet> {
    if wanted.contains(status.as_u16()) {
        return Ok(());
    }
    let found = format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or_default());
    Err(NotYet::Status { found: found.trim_end().to_owned(), wanted: wanted.to_string() })
}

fn reason(error: &hyper::Error) -> NotYet {
    match error.source().and_then(|source| source.downcast_ref::<io::Error>()) {
        Some(error) => error.into(),
        None if error.is_incomplete_message() || error.is_canceled() => NotYet::HungUp,
        None => NotYet::Foreign { protocol: "HTTP", found: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn status_sets_are_codes_and_ranges() {
        for (text, shown, holds, lacks) in [
            ("200-399", "200-399", vec![200, 302, 399], vec![199, 400, 503]),
            ("200,204,401", "200,204,401", vec![200, 204, 401], vec![201, 400]),
            (" 200 - 299 , 404 ", "200-299,404", vec![250, 404], vec![300, 403]),
            ("100-599", "100-599", vec![100, 599], vec![99, 600, 0]),
        ] {
            let set: StatusSet = text.parse().unwrap();
            assert_eq!(set.to_string(), shown);
            assert!(holds.iter().all(|code| set.contains(*code)), "{text}");
            assert!(!lacks.iter().any(|code| set.contains(*code)), "{text}");
        }
        for text in ["", ",", "200,", "2xx", "99", "600", "399-200", "200-", "-200", "200-300-400", "٢٠٠"] {
            assert_eq!(text.parse::<StatusSet>(), Err(StatusSetError), "{text}");
        }
        assert_eq!(StatusSet::default(), "200-399".parse().unwrap());
    }

    /// Behind a proxy, and with a policy for everything, a head may have some hundred.
    #[tokio::test]
    async fn an_answer_may_have_as_many_headers_as_its_head_has_room_for() {
        let target: Target = "http://a.example/".parse().unwrap();
        for (headers, taken) in [(0, true), (1000, true), (4000, false)] {
            let (mut server, mut client) = tokio::io::duplex(64 * 1024);
            let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: bcdef\r\n".repeat(headers));
            let answering = async {
                assert!(server.read(&mut [0; 1024]).await.unwrap() > 0, "the request");
                server.write_all(answer.as_bytes()).await.unwrap();
            };
            let wanted = StatusSet::default();
            let (found, ()) = tokio::join!(probe(&target, &wanted, &mut client), answering);
            assert_eq!(found.is_ok(), taken, "{headers} headers: {found:?}");
        }
    }

    #[test]
    fn a_status_that_is_not_wanted_is_named() {
        let wanted = StatusSet::default();
        assert_eq!(judge(StatusCode::NO_CONTENT, &wanted), Ok(()));
        let status = |code| judge(StatusCode::from_u16(code).unwrap(), &wanted).unwrap_err().to_string();
        assert_eq!(status(503), "HTTP status 503 Service Unavailable, not 200-399");
        assert_eq!(status(599), "HTTP status 599, not 200-399");
    }
}
