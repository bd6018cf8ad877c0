//! The webhook's certificate: read from a directory, checked, served, and swapped when the files change.
//!
//! A connection takes the certificate in force at its handshake through the [`Resolver`]; the listener is never replaced,
//! and rustls' configuration only when other clients are to be served. A set of files that is bad, or only half written,
//! changes nothing.

pub mod authority;
pub mod bundle;
mod clients;
pub mod directory;
mod resolver;
#[cfg(test)]
mod tests;

pub use bundle::Bundle;
pub use clients::{Clients, ClientsError, ClientsReload};
pub use resolver::Resolver;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache};

use bundle::Flaw;
use directory::{Contents, DirectoryError};

/// How long a development certificate lives, unless `podgraft certs --days` says otherwise.
pub const DEVELOPMENT_LIFETIME: Duration = Duration::from_hours(365 * 24);

/// The names of a development certificate.
pub const DEVELOPMENT_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no certificate to serve. All that is wrong with a set of files at once.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The files can't be read or written, or some are missing.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// There is no file at all, and none may be made.
    #[error(
        "{}: holds neither ca.crt nor tls.crt nor tls.key; put a certificate there, or make one with \
         `podgraft certs --dir {} --host NAME`",
        .0.display(), .0.display()
    )]
    Missing(PathBuf),
    /// The files don't make a certificate that a client would accept.
    #[error("{}: {}", dir.display(), list(flaws))]
    Bad {
        /// The directory.
        dir: PathBuf,
        /// At least one.
        flaws: Vec<Flaw>,
    },
    /// A development certificate could not be made.
    #[error("making a development certificate: {0}")]
    Make(#[from] rcgen::Error),
    /// rustls refuses its configuration.
    #[error("setting up TLS: {0}")]
    Rustls(#[from] rustls::Error),
}

fn list(flaws: &[Flaw]) -> String {
    flaws.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The cryptography that everything of ours uses, named rather than taken from the process.
#[must_use]
pub fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}

/// How handshakes are made: HTTP/2 and HTTP/1.1 by ALPN, sessions that resume where everybody is served, the resolver's
/// certificate, and whose clients are served.
#[derive(Debug)]
pub struct Handshakes {
    resolver: Arc<Resolver>,
    config: ArcSwap<ServerConfig>,
}

impl Handshakes {
    /// With everybody served, or these clients alone.
    ///
    /// # Errors
    ///
    /// rustls refuses; with the provider that is compiled in, it does not.
    pub fn new(resolver: Arc<Resolver>, clients: Option<&Clients>) -> Result<Self, TlsError> {
        let config = server_config(Arc::clone(&resolver), clients)?;
        Ok(Self { resolver, config: ArcSwap::from_pointee(config) })
    }

    /// From now on, other clients are served. Connections that are there stay.
    ///
    /// # Errors
    ///
    /// As in [`Handshakes::new`].
    pub fn serve(&self, clients: &Clients) -> Result<(), TlsError> {
        self.config.store(Arc::new(server_config(Arc::clone(&self.resolver), Some(clients))?));
        Ok(())
    }

    /// For the next handshake.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

fn server_config(resolver: Arc<Resolver>, clients: Option<&Clients>) -> Result<ServerConfig, TlsError> {
    let config = ServerConfig::builder_with_provider(Arc::new(provider())).with_safe_default_protocol_versions()?;
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(clients) => config.with_client_cert_verifier(clients.verifier()),
    };
    let mut config = config.with_cert_resolver(resolver);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if clients.is_some() {
        // A resumed session shows no certificate: it would let in whose has expired meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    } else {
        // Tickets for clients that take them; a small cache for TLS 1.2 clients that don't. A resumed handshake costs no
        // signature, and API servers come back often.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.session_storage = ServerSessionMemoryCache::new(256);
    }
    Ok(config)
}

/// The certificate directory, and what of it is in force.
#[derive(Debug)]
pub struct Keeper {
    dir: PathBuf,
    development: bool,
    resolver: Arc<Resolver>,
    bundle: Bundle,
    /// Why those who trust ca.crt will refuse the certificate in force, as far as can be seen.
    doubt: Option<String>,
    /// What was wrong at the last reading, so that it is told once.
    problem: Option<String>,
}

/// What a reading of the directory came to.
#[derive(Debug)]
pub enum Reload {
    /// The files are those in force.
    Unchanged,
    /// Another certificate is in force.
    Swapped,
    /// The files are bad and the certificate before stays in force; told for the first time.
    Kept(TlsError),
    /// The same, told before.
    StillKept,
}

impl Keeper {
    /// Reads the directory for the first time. Where `development` certificates are allowed, an empty directory gets
    /// one, and one that has expired is made anew.
    ///
    /// # Errors
    ///
    /// There is no certificate that can be served.
    pub fn open(dir: &Path, development: bool, now: SystemTime) -> Result<Self, TlsError> {
        if development && matches!(directory::read(dir)?, Contents::Empty) {
            let names: Vec<String> = DEVELOPMENT_NAMES.map(str::to_owned).to_vec();
            directory::write(dir, &authority::make(names, DEVELOPMENT_LIFETIME, now)?)?;
        }
        let (bundle, doubt) = read(dir, development, now)?;
        let resolver = Arc::new(Resolver::new(Arc::clone(&bundle.key)));
        Ok(Self { dir: dir.to_owned(), development, resolver, bundle, doubt, problem: None })
    }

    /// Reads the directory again, and puts its certificate in force if it is another one, and good.
    pub fn reload(&mut self, now: SystemTime) -> Reload {
        match read(&self.dir, self.development, now) {
            Ok((bundle, doubt)) => {
                (self.problem, self.doubt) = (None, doubt);
                if bundle.key.cert == self.bundle.key.cert {
                    return Reload::Unchanged;
                }
                self.resolver.swap(Arc::clone(&bundle.key));
                self.bundle = bundle;
                Reload::Swapped
            }
            Err(error) => {
                let problem = error.to_string();
                if self.problem.replace(problem.clone()) == Some(problem) {
                    Reload::StillKept
                } else {
                    Reload::Kept(error)
                }
            }
        }
    }

    /// What gives the certificate in force to handshakes.
    #[must_use]
    pub fn resolver(&self) -> Arc<Resolver> {
        Arc::clone(&self.resolver)
    }

    /// The certificate in force.
    #[must_use]
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    /// Why clients that trust ca.crt will refuse the certificate in force, as far as can be seen. It is served all the same:
    /// what clients trust is for them to say.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }

    /// As [`directory::exposed_key`] says it.
    #[must_use]
    pub fn exposed_key(&self) -> Option<u32> {
        directory::exposed_key(&self.dir)
    }

    /// The file of the CA that clients must trust.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join(directory::CA)
    }
}

/// A directory's certificate, checked, and what ca.crt has against it. An expired development certificate is replaced, with
/// the names it had.
fn read(dir: &Path, development: bool, now: SystemTime) -> Result<(Bundle, Option<String>), TlsError> {
    let Contents::Complete(files) = directory::read(dir)? else {
        return Err(TlsError::Missing(dir.to_owned()));
    };
    match Bundle::parse(&files.cert, &files.key, now) {
        Ok(bundle) => {
            let doubt = bundle.doubt(&files.ca, now);
            Ok((bundle, doubt))
        }
        Err(flaws) => {
            if development
                && matches!(flaws[..], [Flaw::Expired { .. }])
                && let Some(names) = authority::names_of_ours(&files.cert)
            {
                let files = authority::make(names, DEVELOPMENT_LIFETIME, now)?;
                directory::write(dir, &files)?;
                return Bundle::parse(&files.cert, &files.key, now)
                    .map(|bundle| (bundle, None))
                    .map_err(|flaws| TlsError::Bad { dir: dir.to_owned(), flaws });
            }
            Err(TlsError::Bad { dir: dir.to_owned(), flaws })
        }
    }
}
