//! PEM text into a certificate that can be served, with everything that a client would refuse found here.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::certificate::{Validity, X509Certificate};
use x509_parser::extensions::GeneralName;

use super::provider;

/// A checked certificate chain with its key.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Chain and key, as rustls serves them.
    pub key: Arc<CertifiedKey>,
    /// From when on the leaf is valid.
    pub not_before: SystemTime,
    /// When the leaf expires.
    pub not_after: SystemTime,
    /// The DNS names and IP addresses of the leaf, as text.
    pub names: Vec<String>,
}

/// One thing that is wrong with a certificate or its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// PEM blocks that can't be read.
    #[error("{file} can't be read as PEM: {problem}")]
    Pem {
        /// `tls.crt` or `tls.key`.
        file: &'static str,
        /// What the reader found.
        problem: String,
    },
    /// No PEM block of the wanted kind.
    #[error("{file} holds no {wanted}")]
    Nothing {
        /// `tls.crt` or `tls.key`.
        file: &'static str,
        /// The PEM label, in words.
        wanted: &'static str,
    },
    /// A PEM block that is no X.509 certificate.
    #[error("certificate {number} of tls.crt is no X.509 certificate: {problem}")]
    NotX509 {
        /// Its place in the file, from 1.
        number: usize,
        /// What the parser found.
        problem: String,
    },
    /// The key is of a kind that TLS can't use, or damaged.
    #[error("tls.key can't be used: {0}")]
    Key(String),
    /// The key belongs to another certificate.
    #[error("tls.key is not the key of the first certificate of tls.crt")]
    Mismatch,
    /// Too late.
    #[error("the certificate expired at {at}")]
    Expired {
        /// RFC 3339.
        at: String,
    },
    /// Too early.
    #[error("the certificate is not valid before {at}; check the clock")]
    NotYetValid {
        /// RFC 3339.
        at: String,
    },
    /// Clients such as the API server look at subject alternative names only.
    #[error("the certificate has no subject alternative name, and API servers look at nothing else")]
    NoNames,
    /// The extended key usage leaves servers out (RFC 5280, section 4.2.1.12).
    #[error("the certificate's extended key usage does not include server authentication")]
    NotForServers,
}

impl Bundle {
    /// Reads a certificate chain, leaf first, and its key, and checks what a client will check.
    ///
    /// # Errors
    ///
    /// Everything that is wrong.
    pub fn parse(cert_pem: &[u8], key_pem: &[u8], now: SystemTime) -> Result<Self, Vec<Flaw>> {
        let mut flaws = Vec::new();
        let chain = certificates(cert_pem).map_err(|flaw| flaws.push(flaw)).unwrap_or_default();
        let key = private_key(key_pem).map_err(|flaw| flaws.push(flaw)).ok();
        let mut leaf = None;
        for (index, certificate) in chain.iter().enumerate() {
            match x509_parser::parse_x509_certificate(certificate) {
                Ok((_, parsed)) if index == 0 => leaf = Some(Leaf::check(&parsed, now, &mut flaws)),
                Ok(_) => {}
                Err(error) => flaws.push(Flaw::NotX509 { number: index + 1, problem: error.to_string() }),
            }
        }
        let key = match key {
            Some(key) if leaf.is_some() => certified(chain, key).map_err(|flaw| flaws.push(flaw)).ok(),
            _ => None,
        };
        match (leaf, key) {
            (Some(Leaf { not_before, not_after, names }), Some(key)) if flaws.is_empty() => {
                Ok(Self { key, not_before, not_after, names })
            }
            _ => Err(flaws),
        }
    }

    /// Why a client that trusts these authorities alone would refuse the certificate.
    pub(super) fn doubt(&self, ca_pem: &[u8], now: SystemTime) -> Option<String> {
        let (leaf, more) = self.key.cert.split_first()?;
        let leaf = ParsedCertificate::try_from(leaf).ok()?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(CertificateDer::pem_slice_iter(ca_pem).filter_map(Result::ok));
        if roots.is_empty() {
            return Some("ca.crt holds no certificate".to_owned());
        }
        let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        let algorithms = provider().signature_verification_algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(&leaf, &roots, more, now, algorithms) {
            // What clients don't agree about, such as an authority that is its own certificate.
            Ok(()) | Err(Error::InvalidCertificate(CertificateError::Other(_))) => None,
            Err(error) => Some(format!("tls.crt is no certificate of the authorities in ca.crt: {error}")),
        }
    }

    /// When the leaf expires, for people (RFC 3339).
    #[must_use]
    pub fn valid_until(&self) -> String {
        text(self.not_after)
    }
}

/// A chain with its key, which has to be the key of the first certificate.
pub(crate) fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<CertifiedKey>, Flaw> {
    match CertifiedKey::from_der(chain, key, &provider()) {
        Ok(key) => Ok(Arc::new(key)),
        Err(rustls::Error::InconsistentKeys(_)) => Err(Flaw::Mismatch),
        Err(error) => Err(Flaw::Key(error.to_string())),
    }
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Flaw> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Flaw::Pem { file: "tls.crt", problem: error.to_string() })?;
    if chain.is_empty() { Err(Flaw::Nothing { file: "tls.crt", wanted: "certificate" }) } else { Ok(chain) }
}

pub(crate) fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Flaw> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => Flaw::Nothing { file: "tls.key", wanted: "private key" },
        error => Flaw::Pem { file: "tls.key", problem: error.to_string() },
    })
}

/// What a client looks at in the first certificate.
struct Leaf {
    not_before: SystemTime,
    not_after: SystemTime,
    names: Vec<String>,
}

impl Leaf {
    fn check(certificate: &X509Certificate<'_>, now: SystemTime, flaws: &mut Vec<Flaw>) -> Self {
        let validity = certificate.validity();
        let (not_before, not_after) = between(validity);
        if now > not_after {
            flaws.push(Flaw::Expired { at: text(not_after) });
        }
        if now < not_before {
            flaws.push(Flaw::NotYetValid { at: text(not_before) });
        }
        let names = names(certificate);
        if names.is_empty() {
            flaws.push(Flaw::NoNames);
        }
        let for_servers = match certificate.extended_key_usage() {
            Ok(Some(usage)) => usage.value.any || usage.value.server_auth,
            Ok(None) | Err(_) => true,
        };
        if !for_servers {
            flaws.push(Flaw::NotForServers);
        }
        Self { not_before, not_after, names }
    }
}

/// The DNS names and IP addresses that a certificate is for.
pub(super) fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => <[u8; 4]>::try_from(*bytes)
            .map(|v4| std::net::IpAddr::from(v4).to_string())
            .or_else(|_| <[u8; 16]>::try_from(*bytes).map(|v6| std::net::IpAddr::from(v6).to_string()))
            .ok(),
        _ => None,
    };
    extension.value.general_names.iter().filter_map(name).collect()
}

/// From when until when a certificate is valid; none if it is no X.509 certificate.
pub(crate) fn validity(certificate: &CertificateDer<'_>) -> Option<(SystemTime, SystemTime)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(between(parsed.validity()))
}

fn between(validity: &Validity) -> (SystemTime, SystemTime) {
    (time(validity.not_before.timestamp()), time(validity.not_after.timestamp()))
}

/// X.509 times before 1970 exist, and are as past as 1970 is.
fn time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

pub(crate) fn text(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "a time beyond year 9999".to_owned(), |time| time.to_string())
}
