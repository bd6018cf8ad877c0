//! Making certificates: a certificate authority, and leaves that it signs.
//!
//! ECDSA P-256 throughout (rcgen's default), which every client knows and which costs a handshake the least.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;

use super::bundle;
use super::directory::Files;

/// A development CA's common name, by which a certificate is known to be one of ours. Its key is never written.
pub const NAME: &str = "podgraft development CA";

/// How far clocks may be apart: the certificates are valid from this much before they are made.
pub const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// A certificate and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

/// The key stays out of logs.
impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").finish_non_exhaustive()
    }
}

/// Makes a CA, and a leaf for these DNS names and IP addresses; the CA is forgotten.
///
/// # Errors
///
/// A name that no certificate can hold.
pub fn make(names: Vec<String>, lifetime: Duration, now: SystemTime) -> Result<Files, rcgen::Error> {
    let (ca, issuer) = issuer(NAME, now + lifetime, now)?;
    let leaf = sign(&issuer, names, now + lifetime, now)?;
    Ok(Files { ca: ca.into(), cert: leaf.cert.into(), key: leaf.key.into() })
}

/// Makes a CA that can be kept.
///
/// # Errors
///
/// The system gives no randomness.
pub fn make_ca(name: &str, not_after: SystemTime, now: SystemTime) -> Result<Pair, rcgen::Error> {
    let (cert, issuer) = issuer(name, not_after, now)?;
    Ok(Pair { cert, key: issuer.key().serialize_pem() })
}

/// Makes a leaf for these names, signed by a kept CA.
///
/// # Errors
///
/// The CA is damaged, or a name is one that no certificate can hold.
pub fn make_leaf(
    ca: &CertificateDer<'_>,
    ca_key: &str,
    names: Vec<String>,
    not_after: SystemTime,
    now: SystemTime,
) -> Result<Pair, rcgen::Error> {
    let issuer = Issuer::from_ca_cert_der(ca, KeyPair::from_pem(ca_key)?)?;
    sign(&issuer, names, not_after, now)
}

/// A new CA's certificate, and what signs for it.
fn issuer(
    name: &str,
    not_after: SystemTime,
    now: SystemTime,
) -> Result<(String, Issuer<'static, KeyPair>), rcgen::Error> {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, name);
    (ca.not_before, ca.not_after) = ((now - CLOCK_SKEW).into(), not_after.into());
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let cert = ca.self_signed(&key)?;
    Ok((cert.pem(), Issuer::new(ca, key)))
}

fn sign(
    issuer: &Issuer<'_, KeyPair>,
    names: Vec<String>,
    not_after: SystemTime,
    now: SystemTime,
) -> Result<Pair, rcgen::Error> {
    let common_name = names.first().cloned().unwrap_or_default();
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name = DistinguishedName::new();
    // RFC 5280, appendix A.1: a common name has at most 64 characters. Clients look at the alternative names alone.
    if common_name.len() <= 64 {
        leaf.distinguished_name.push(DnType::CommonName, common_name);
    }
    (leaf.not_before, leaf.not_after) = ((now - CLOCK_SKEW).into(), not_after.into());
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = leaf.signed_by(&key, issuer)?;
    Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
}

/// The names of a development certificate; none if somebody else made it.
pub(super) fn names_of_ours(cert_pem: &[u8]) -> Option<Vec<String>> {
    let chain = bundle::certificates(cert_pem).ok()?;
    let (_, leaf) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    let ours = leaf.issuer().iter_common_name().any(|name| name.as_str() == Ok(NAME));
    ours.then(|| bundle::names(&leaf))
}
