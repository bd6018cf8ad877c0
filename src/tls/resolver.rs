//! The certificate in force, for handshakes.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Gives each handshake the certificate that is in force at that moment.
#[derive(Debug)]
pub struct Resolver {
    current: ArcSwapOption<CertifiedKey>,
}

impl Resolver {
    /// Starts with a certificate.
    #[must_use]
    pub fn new(key: Arc<CertifiedKey>) -> Self {
        Self { current: ArcSwapOption::new(Some(key)) }
    }

    /// Starts without one: handshakes fail until there is one.
    #[must_use]
    pub fn empty() -> Self {
        Self { current: ArcSwapOption::empty() }
    }

    /// Puts another certificate in force, for handshakes from now on. Connections that are there keep theirs.
    pub fn swap(&self, key: Arc<CertifiedKey>) {
        self.current.store(Some(key));
    }
}

impl ResolvesServerCert for Resolver {
    /// The one certificate, whatever name the client asks for: API servers reach us by service name or address.
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load_full()
    }
}
