//! The certificate authorities that clients trust: what a `caBundle` says.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// A set of CA certificates; each bundle of the same set is the same text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust(BTreeSet<Vec<u8>>);

impl Trust {
    /// The certificates of a PEM text, and whether it holds nothing else. What is no certificate is left out.
    #[must_use]
    pub fn read(pem: &[u8]) -> (Self, bool) {
        let mut clean = true;
        let certificates = CertificateDer::pem_slice_iter(pem).filter_map(|found| match found {
            Ok(certificate) if x509_parser::parse_x509_certificate(&certificate).is_ok() => Some(certificate.to_vec()),
            _ => {
                clean = false;
                None
            }
        });
        (Self(certificates.collect()), clean)
    }

    /// As PEM, one certificate after the other.
    #[must_use]
    pub fn pem(&self) -> String {
        let mut text = String::new();
        for certificate in &self.0 {
            text.push_str("-----BEGIN CERTIFICATE-----\n");
            for line in BASE64_STANDARD.encode(certificate).as_bytes().chunks(64) {
                // Base64 is ASCII, and writing to a String does not fail.
                let _ = writeln!(text, "{}", String::from_utf8_lossy(line));
            }
            text.push_str("-----END CERTIFICATE-----\n");
        }
        text
    }

    /// A single one.
    #[must_use]
    pub fn of(ca: &CertificateDer<'_>) -> Self {
        Self(BTreeSet::from([ca.to_vec()]))
    }

    /// Whether a CA is one of them.
    #[must_use]
    pub fn contains(&self, ca: &CertificateDer<'_>) -> bool {
        self.0.contains(ca.as_ref())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One more.
    pub fn insert(&mut self, ca: &CertificateDer<'_>) {
        self.0.insert(ca.to_vec());
    }

    /// All of another set as well.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// Those that are not of another set.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).cloned().collect())
    }
}
