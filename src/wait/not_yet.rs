//! Why a target is not ready, in words for people.

use std::io;

use rustls::CertificateError;

/// More characters of a server's own words than these say nothing new.
const MOST_WORDS: usize = 200;

/// What keeps a target from being ready: what follows `not yet:`.
///
/// Without times and addresses: a reason is told when it changes, and these would change with every attempt.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum NotYet {
    /// No address is known for its name.
    #[error("the name can't be resolved: {0}")]
    Unknown(String),
    /// The name servers take too long.
    #[error("the name can't be resolved in time")]
    LookupTimeout,
    /// What the system says of a connection.
    #[error("{0}")]
    System(String),
    /// Nobody takes the connection, and nobody refuses it.
    #[error("no connection in time")]
    ConnectTimeout,
    /// There is a connection, and nothing else.
    #[error("it accepts connections, but does not answer in time")]
    Silent,
    /// There was a connection, and nothing else.
    #[error("it accepts connections, but hangs up without an answer")]
    HungUp,
    /// Something else answers.
    #[error("it does not answer as {protocol} does: {found}")]
    Foreign {
        /// What was expected.
        protocol: &'static str,
        /// What came.
        found: String,
    },
    /// The server says so itself.
    #[error("{0}")]
    Says(String),
    /// An HTTP status that is not wanted.
    #[error("HTTP status {found}, not {wanted}")]
    Status {
        /// Code and reason.
        found: String,
        /// Codes and ranges.
        wanted: String,
    },
    /// There is no trusted connection.
    #[error("TLS: {0}")]
    Tls(String),
    /// Each address has a reason of its own.
    #[error("{}", join(.0))]
    Several(Vec<NotYet>),
}

fn join(reasons: &[NotYet]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl NotYet {
    /// An answer of another protocol, which begins with `bytes`.
    pub(super) fn foreign(protocol: &'static str, bytes: &[u8]) -> Self {
        let begin = bytes.get(..32).unwrap_or(bytes);
        Self::Foreign { protocol, found: format!("it sent \"{}\"", begin.escape_ascii()) }
    }

    /// A server's own words. They may be anything.
    pub(super) fn says(words: &[u8]) -> Self {
        let words = String::from_utf8_lossy(words);
        let words = words.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
        let mut words = words.collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = words.char_indices().nth(MOST_WORDS) {
            words.truncate(end);
            words.push_str("...");
        }
        Self::Says(if words.is_empty() { "it is not, and does not say why".to_owned() } else { words })
    }
}

impl From<io::Error> for NotYet {
    fn from(error: io::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&io::Error> for NotYet {
    fn from(error: &io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => Self::Tls(tls_words(error)),
            None if error.kind() == io::ErrorKind::UnexpectedEof => Self::HungUp,
            None => Self::System(words(error)),
        }
    }
}

/// The system's words without its number: `connection refused`.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    // Rust's own words before those of getaddrinfo.
    let text = text.strip_prefix("failed to lookup address information: ").unwrap_or(text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// What rustls says, for people.
fn tls_words(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            // The second where an authority of the same name is trusted.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is signed by no authority that is trusted here (--ca-file names them)".to_owned()
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            // What `openssl req -x509` makes. webpki tells this no other way.
            CertificateError::Other(error) if error.to_string() == "CaUsedAsEndEntity" => {
                "its certificate is an authority's own, and none that a server should have (--insecure believes it)"
                    .to_owned()
            }
            other => format!("its certificate can't be believed: {other}"),
        },
        rustls::Error::InvalidMessage(_) => "it does not answer as TLS does".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_for_people() {
        for (error, wanted) in [
            (io::Error::from_raw_os_error(111), "connection refused"),
            (io::Error::from_raw_os_error(113), "no route to host"),
            (io::ErrorKind::UnexpectedEof.into(), "it accepts connections, but hangs up without an answer"),
            (
                io::Error::other("failed to lookup address information: Name or service not known"),
                "name or service not known",
            ),
            (io::Error::other(""), ""),
        ] {
            assert_eq!(NotYet::from(error).to_string(), wanted);
        }
    }

    #[test]
    fn a_servers_words_are_one_short_line() {
        let said = |words: &[u8]| NotYet::says(words).to_string();
        assert_eq!(
            said(b"the database\n\tsystem\0 is \x1b[31mstarting\xff"),
            "the database system is [31mstarting\u{fffd}"
        );
        assert_eq!(said("é".repeat(5000).as_bytes()), "é".repeat(200) + "...");
        assert_eq!(said(b" \r"), "it is not, and does not say why");
    }

    #[test]
    fn another_protocol_shows_how_it_begins() {
        let foreign = NotYet::foreign("Redis", b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n");
        assert_eq!(
            foreign.to_string(),
            "it does not answer as Redis does: it sent \"HTTP/1.1 400 Bad Request\\r\\nServer\""
        );
    }
}
