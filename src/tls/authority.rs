//! Development certificates: a certificate authority that signs one leaf and is forgotten. Its key is never written.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use super::bundle;
use super::directory::Files;

/// The CA's common name, by which a certificate is known to be one of ours.
pub const NAME: &str = "podgraft development CA";

/// How far clocks may be apart: the certificates are valid from this much before they are made.
const CLOCK_SKEW: Duration = Duration::from_mins(5);

/// Makes a CA, and a leaf for these DNS names and IP addresses.
///
/// # Errors
///
/// A name that no certificate can hold.
pub fn make(names: Vec<String>, lifetime: Duration, now: SystemTime) -> Result<Files, rcgen::Error> {
    let common_name = names.first().cloned().unwrap_or_default();
    let (not_before, not_after) = ((now - CLOCK_SKEW).into(), (now + lifetime).into());

    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, NAME);
    (ca.not_before, ca.not_after) = (not_before, not_after);
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_key = KeyPair::generate()?;
    let ca_cert = ca.self_signed(&ca_key)?;

    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, common_name);
    (leaf.not_before, leaf.not_after) = (not_before, not_after);
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let cert = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?;

    Ok(Files { ca: ca_cert.pem().into(), cert: cert.pem().into(), key: key.serialize_pem().into() })
}

/// The names of a development certificate; none if somebody else made it.
pub(super) fn names_of_ours(cert_pem: &[u8]) -> Option<Vec<String>> {
    let chain = bundle::certificates(cert_pem).ok()?;
    let (_, leaf) = x509_parser::parse_x509_certificate(chain.first()?).ok()?;
    let ours = leaf.issuer().iter_common_name().any(|name| name.as_str() == Ok(NAME));
    ours.then(|| bundle::names(&leaf))
}
