//! Whose certificates are believed, and what is said of the others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::files::{self, Unread};
use crate::tls::provider;

/// Whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// Those signed by an authority of this PEM file.
    File(PathBuf),
    /// All: what is asked needs to be kept from nobody, and nothing is done with what is answered.
    Anyone,
}

/// Why no certificate could be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file can't be read.
    #[error("{}: the certificates to trust can't be read: {}; name a file with --ca-file", path.display(), reason(error))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: Unread,
    },
    /// It holds none.
    #[error("{0}: there is no certificate in it that could be trusted; --ca-file names a PEM file of authorities")]
    Empty(PathBuf),
    /// rustls refuses its configuration.
    #[error("setting up TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

/// How TLS connections are made.
pub(super) fn config(trust: &Trust) -> Result<Arc<ClientConfig>, TrustError> {
    let provider = Arc::new(provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let mut config = match trust {
        Trust::File(path) => builder.with_root_certificates(authorities(path)?),
        Trust::Anyone => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))),
    }
    .with_no_client_auth();
    // Every connection is its server's last.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Why a file was not read.
fn reason(unread: &Unread) -> String {
    match unread {
        Unread::Refused(error) => super::not_yet::words(error),
        other => format!("it {other}"),
    }
}

/// The authorities of a PEM file. Those of another age that rustls can't read are passed over.
fn authorities(path: &Path) -> Result<RootCertStore, TrustError> {
    let pem = files::read(path).map_err(|error| TrustError::Read { path: path.to_owned(), error })?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok));
    if roots.is_empty() { Err(TrustError::Empty(path.to_owned())) } else { Ok(roots) }
}

/// Believes every certificate, but only to who holds its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
