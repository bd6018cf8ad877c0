//! Whom we serve: clients with a certificate of the authorities in a file, which is read again when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use crate::files::{self, Unread};

use super::provider;

/// The authorities of clients, and the file that names them.
#[derive(Debug)]
pub struct Clients {
    file: PathBuf,
    authorities: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
    /// What was wrong at the last reading, so that it is told once.
    problem: Option<String>,
}

/// Why the file is no list of authorities. `Display` is the text for people.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// It can't be read.
    #[error("{}: {error}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        error: Unread,
    },
    /// It holds something else, or nothing.
    #[error("{}: {problem}; it has to hold the certificates of client authorities, in PEM", file.display())]
    Bad {
        /// The file.
        file: PathBuf,
        /// What was found.
        problem: String,
    },
}

/// What a reading of the file came to.
#[derive(Debug)]
pub enum ClientsReload {
    /// The authorities are those in force.
    Unchanged,
    /// They are others.
    Changed,
    /// The file is bad and the authorities before stay in force; told for the first time.
    Kept(ClientsError),
    /// The same, told before.
    StillKept,
}

impl Clients {
    /// Reads the file for the first time.
    ///
    /// # Errors
    ///
    /// It is missing or bad.
    pub fn open(file: &Path) -> Result<Self, ClientsError> {
        let (authorities, verifier) = read(file)?;
        Ok(Self { file: file.to_owned(), authorities, verifier, problem: None })
    }

    /// Reads the file again.
    pub fn reload(&mut self) -> ClientsReload {
        match read(&self.file) {
            Ok((authorities, verifier)) => {
                self.problem = None;
                if authorities == self.authorities {
                    return ClientsReload::Unchanged;
                }
                (self.authorities, self.verifier) = (authorities, verifier);
                ClientsReload::Changed
            }
            Err(error) => {
                let problem = error.to_string();
                if self.problem.replace(problem.clone()) == Some(problem) {
                    ClientsReload::StillKept
                } else {
                    ClientsReload::Kept(error)
                }
            }
        }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    pub(super) fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::clone(&self.verifier)
    }
}

type Read = (Vec<CertificateDer<'static>>, Arc<dyn ClientCertVerifier>);

fn read(file: &Path) -> Result<Read, ClientsError> {
    let pem = files::read(file).map_err(|error| ClientsError::Read { file: file.to_owned(), error })?;
    let bad = |problem: String| ClientsError::Bad { file: file.to_owned(), problem };
    let authorities: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| bad(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for (index, authority) in authorities.iter().enumerate() {
        roots.add(authority.clone()).map_err(|error| bad(format!("certificate {} is none: {error}", index + 1)))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(provider()));
    // There is an error for an empty store, too.
    let verifier = verifier.build().map_err(|error| bad(error.to_string()))?;
    Ok((authorities, verifier))
}
